"""The grid of images: filter, look, leave out, relabel, move. Edits are signals; the page carries them out."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLineEdit, QMenu, QStackedWidget, QWidget

from studio.core.experiment import Data
from studio.core.path_text import shown
from studio.core.words import counted
from studio.dataset.dataset import Dataset, Sample
from studio.gui.icon import icon
from studio.gui.pages.data.aside import SetAsideList
from studio.gui.pages.data.edit import edited
from studio.gui.pages.data.filter import ORDERS, Filter, ordered_ids, passing
from studio.gui.pages.data.split import PART_TITLES
from studio.gui.theme import px
from studio.gui.widgets import EmptyState, IconLabel, Panel, PlainLabel, Slider, button, icon_button
from studio.gui.widgets.chip_row import ChipRow, menu_text
from studio.gui.widgets.thumb import ThumbLoader
from studio.gui.widgets.thumb_grid import Thumb, ThumbGrid
from studio.gui.wording import count, num_bytes

_USED, _LEFT_OUT, _SET_ASIDE = "used", "left out", "set aside"


class ImagesPanel(Panel):
    """Shows what passes the filter. `filter_changed` says which classes are chosen, so that the class list can follow."""

    classes_chosen = Signal(object)  # tuple of names
    leave_out_wanted = Signal(object)  # ids
    take_back_wanted = Signal(object)
    relabel_wanted = Signal(object, str)  # ids, class
    move_wanted = Signal(object, str)  # ids, part
    preview_wanted = Signal(int)  # row

    def __init__(self, loader: ThumbLoader, settings, parent: QWidget | None = None):
        super().__init__("Images", name="data.images", parent=parent)
        self._settings = settings
        self._scanned: Dataset | None = None  # as the scan found it
        self._dataset: Dataset | None = None  # with the edits since
        self._data = Data()
        self._by_id: dict[str, Sample] = {}
        self._order: tuple[object, str, list[str]] = (None, "", [])  # data set, order, ids
        self._marks: dict[str, int] = {}
        self._filter = Filter(order=settings.text("data.order") or "mixed")
        self._view = _USED
        self._make_head()
        self._make_strip()
        self.grid = ThumbGrid(loader, name="data.images.grid")
        self.grid.setAccessibleName("Images")
        self.grid.opened.connect(self.preview_wanted)
        self.grid.menu_wanted.connect(self._on_grid_menu_wanted)
        self.grid.key_pressed.connect(self.take_key)
        self.grid.set_side(int(self.size_slider.number))
        self.aside_list = SetAsideList(name="data.images.set_aside")
        self.empty = EmptyState("magnifying-glass", "No image passes the filter", name="data.images.empty", action="Clear filters",
                                on_action=self.clear_filter)  # fmt: skip
        self._stack = QStackedWidget()
        for widget in (self.grid, self.aside_list, self.empty):
            self._stack.addWidget(widget)
        self.body.setContentsMargins(px(9), 0, px(4), px(6))
        self.body.setSpacing(px(2))
        self.body.addWidget(self._strip)
        self.body.addWidget(self._stack, 1)
        self.body.addLayout(self._make_footer())

    # Parts

    def _make_head(self) -> None:
        self.chips = ChipRow(name="data.images.chips")
        self.chips.choice_changed.connect(self._on_chips_choice_changed)
        self.search = QLineEdit()
        self.search.setObjectName("data.images.search")
        self.search.setPlaceholderText("File name")
        self.search.setAccessibleName("Search file names")
        self.search.setProperty("dense", "true")
        self.search.setFixedWidth(px(116))
        self.search.setClearButtonEnabled(True)
        self.search.addAction(icon("magnifying-glass", "muted"), QLineEdit.ActionPosition.LeadingPosition)
        self.search.textChanged.connect(lambda text: self.set_filter(self._filter.but(search=text)))
        self.funnel = icon_button(
            "funnel", "Choose part and order", small=True, name="data.images.funnel", on_click=self._on_funnel_clicked
        )
        self.funnel.setCheckable(True)
        self.size_slider = _SizeSlider(self._settings)
        self.size_slider.changed.connect(lambda side: self.grid.set_side(side))
        self.head.takeAt(self.head.count() - 1)  # the stretch: the chips take its room
        self.head.addWidget(self.chips, 1)
        for widget in (self.search, self.funnel, IconLabel("image", "muted", 14), self.size_slider):
            self.head.addWidget(widget)

    def _make_strip(self) -> None:
        """Says what else limits the view: a finding, a part, the files that are not used."""
        self._strip = QFrame()
        row = QHBoxLayout(self._strip)
        row.setContentsMargins(px(3), 0, px(8), px(4))
        row.setSpacing(px(8))
        self._strip_label = PlainLabel("", "label", elide=Qt.TextElideMode.ElideRight)
        row.addWidget(IconLabel("funnel", "accent", 14))
        row.addWidget(self._strip_label, 1)
        self._strip_action = button("Take all back", small=True, name="data.images.take_back", on_click=self._on_take_back_clicked)
        row.addWidget(self._strip_action)
        row.addWidget(button("Show all images", small=True, name="data.images.show_all", on_click=self.clear_filter))
        self._strip.hide()

    def _make_footer(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(px(3), 0, px(8), 0)
        row.setSpacing(px(4))
        self._left_out_link = button("", kind="link", small=True, name="data.images.left_out", on_click=lambda: self.show_view(_LEFT_OUT))
        self._aside_link = button("", kind="link", small=True, name="data.images.aside", on_click=lambda: self.show_view(_SET_ASIDE))
        row.addWidget(self._left_out_link)
        row.addWidget(self._aside_link)
        row.addStretch(1)
        return row

    # State

    @property
    def filter(self) -> Filter:
        return self._filter

    def show_state(self, dataset: Dataset, data: Data, marks: dict[str, int]) -> None:
        """`marks`: how many findings an image has. Edits in `data` show at once, before the scan has caught up."""
        now = edited(dataset, data)
        if now is not self._dataset:
            self._by_id = {s.id: s for s in now.samples}
        is_other_folder = self._scanned is not None and self._scanned.root != dataset.root
        self._scanned, self._dataset, self._data = dataset, now, data
        self._marks = marks
        counts = now.counts()
        self.chips.set_names(sorted(self._dataset.classes, key=lambda name: -sum(counts[name].values())))
        self._forget_what_is_gone(is_other_folder)
        num_out, num_aside = len(data.left_out), len(dataset.set_aside)
        self._left_out_link.setText(f"{count(num_out)} left out")
        self._left_out_link.setVisible(num_out > 0)
        self._aside_link.setText(f"{counted(num_aside, 'file')} set aside")
        self._aside_link.setVisible(num_aside > 0)
        for link in (self._left_out_link, self._aside_link):
            link.setAccessibleName(f"Show {link.text()}")
        if self._view == _LEFT_OUT and not num_out or self._view == _SET_ASIDE and not num_aside:
            self._view = _USED
        self._refresh()

    def _forget_what_is_gone(self, is_other_folder: bool) -> None:
        """A class without a chip, or a finding of another folder, would hide every image with nothing chosen to take away."""
        wanted = self._filter.but(classes=tuple(name for name in self._filter.classes if name in self._dataset.class_index))
        if is_other_folder:
            wanted = wanted.but(ids=(), ids_title="")
        if wanted != self._filter:
            self._filter = wanted
            self._sync_controls()

    def set_filter(self, wanted: Filter) -> None:
        if wanted != self._filter:
            self._filter = wanted
            self._refresh()

    def choose_classes(self, names: tuple[str, ...]) -> None:
        """From the class list."""
        self._view, self._filter = _USED, self._filter.but(classes=names)
        self.chips.choose(names)
        self._refresh()

    def show_ids(self, ids: tuple[str, ...], title: str) -> None:
        """The images of a finding; for files that cannot be read, the list of them."""
        if self._dataset is not None and not any(id_ in self._by_id for id_ in ids):
            self.show_view(_SET_ASIDE)
            return
        self._view, self._filter = _USED, Filter(ids=ids, ids_title=title, order=self._filter.order)
        self._sync_controls()
        self._refresh()

    def show_view(self, view: str) -> None:
        self._view = view
        self._refresh()

    def clear_filter(self) -> None:
        self._view = _USED
        self._filter = Filter(order=self._filter.order)
        self._sync_controls()
        self._refresh()

    def _sync_controls(self) -> None:
        was_blocked = self.search.blockSignals(True)
        self.search.setText(self._filter.search)
        self.search.blockSignals(was_blocked)
        self.chips.choose(self._filter.classes)
        self.classes_chosen.emit(self._filter.classes)

    def _refresh(self) -> None:
        if self._dataset is None:
            return
        if self._view == _SET_ASIDE:
            self.aside_list.set_files(self._dataset.set_aside)
            num, page = len(self._dataset.set_aside), self.aside_list
        elif self._view == _LEFT_OUT:
            self.grid.set_keys(list(self._data.left_out), self._left_out_thumb)
            num, page = len(self._data.left_out), self.grid
        else:
            ids = passing(self._ids_in_order(), self._by_id, self._filter)
            self.grid.set_keys(ids, self._thumb)
            num, page = len(ids), self.grid
        self._stack.setCurrentWidget(page if num else self.empty)
        total = len(self._dataset.samples)
        self.set_subtitle(count(num) if num == total or self._view != _USED else f"{count(num)} of {count(total)}")
        self.funnel.setChecked(bool(self._filter.part))
        self._strip_action.setVisible(self._view == _LEFT_OUT)
        words = {
            _SET_ASIDE: "Files that cannot be used, and why",
            _LEFT_OUT: "Left out by you: not used for training or measuring",
        }.get(self._view) or " · ".join(w for w in (self._filter.ids_title, PART_TITLES.get(self._filter.part, "")) if w)
        self._strip_label.setText(words)
        self._strip.setVisible(bool(words))

    def _ids_in_order(self) -> list[str]:
        dataset, order, ids = self._order
        if dataset is not self._scanned or order != self._filter.order:
            ids = ordered_ids(self._scanned, self._filter.order)
            self._order = (self._scanned, self._filter.order, ids)
        return ids

    def _thumb(self, id_: str) -> Thumb:
        sample = self._by_id[id_]
        marks = self._marks.get(id_, 0)
        return Thumb(
            id_, self._dataset.path_of(sample), sample.label, facts_of(sample),
            mark="warning" if marks else "", mark_text=str(marks) if marks > 1 else "",
        )  # fmt: skip

    def _left_out_thumb(self, id_: str) -> Thumb:
        return Thumb(id_, self._dataset.path_of(id_), "", f"{shown(id_)}\nleft out", is_muted=True)

    def sample_at(self, row: int) -> Sample | None:
        """None for a tile of a file that is left out."""
        return self._by_id.get(self.grid.keys[row]) if 0 <= row < len(self.grid.keys) else None

    # Doing

    def targets(self) -> tuple[str, ...]:
        """What a key acts on: the chosen tiles, or the current one."""
        if self.grid.chosen_keys:
            return self.grid.chosen_keys
        row = self.grid.current_row
        return (self.grid.keys[row],) if 0 <= row < len(self.grid.keys) else ()

    def take_key(self, event: QKeyEvent) -> None:
        """Space, Delete and 1 to 9, from the grid or the large view."""
        ids = self.targets()
        key = event.key()
        if not ids or self._dataset is None:
            return
        if key == Qt.Key.Key_Space:
            self.preview_wanted.emit(max(0, self.grid.current_row))
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            (self.take_back_wanted if self._view == _LEFT_OUT else self.leave_out_wanted).emit(ids)
        elif Qt.Key.Key_1 <= key <= Qt.Key.Key_9 and self._view == _USED:
            index = key - Qt.Key.Key_1
            if index < len(self._dataset.classes):
                self.relabel_wanted.emit(ids, self._dataset.classes[index])
        else:
            return
        event.accept()

    def _on_chips_choice_changed(self, names: tuple[str, ...]) -> None:
        self._view = _USED
        self._filter = self._filter.but(classes=names)
        self._refresh()
        self.classes_chosen.emit(names)

    def _on_take_back_clicked(self) -> None:
        self.take_back_wanted.emit(self._data.left_out)

    def _on_funnel_clicked(self) -> None:
        self.funnel.setChecked(bool(self._filter.part))
        self.funnel_menu().popup(self.funnel.mapToGlobal(QPoint(0, self.funnel.height() + 2)))

    def funnel_menu(self) -> QMenu:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for part, title in (("", "All parts"), *PART_TITLES.items()):
            action = menu.addAction(title)
            action.setCheckable(True)
            action.setChecked(self._filter.part == part)
            action.triggered.connect(lambda _=False, part=part: self.set_filter(self._filter.but(part=part)))
        menu.addSeparator()
        for order, title in ORDERS:
            action = menu.addAction(title)
            action.setCheckable(True)
            action.setChecked(self._filter.order == order)
            action.triggered.connect(lambda _=False, order=order: self._set_order(order))
        return menu

    def _set_order(self, order: str) -> None:
        self._settings.set("data.order", order)
        self.set_filter(self._filter.but(order=order))

    def _on_grid_menu_wanted(self, row: int, at: QPoint) -> None:
        self.tile_menu(row).popup(at)

    def tile_menu(self, row: int) -> QMenu:
        ids = self.targets() if self.grid.keys[row] in self.targets() else (self.grid.keys[row],)
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("Large view\tSpace").triggered.connect(lambda: self.preview_wanted.emit(row))
        if self._view == _LEFT_OUT:
            menu.addAction("Take back\tDel").triggered.connect(lambda: self.take_back_wanted.emit(ids))
            return menu
        classes = menu.addMenu("Give class")
        for index, name in enumerate(self._dataset.classes[:60]):
            key = f"\t{index + 1}" if index < 9 else ""
            classes.addAction(menu_text(name) + key).triggered.connect(lambda _=False, name=name: self.relabel_wanted.emit(ids, name))
        parts = menu.addMenu("Move to")
        for part, title in PART_TITLES.items():
            parts.addAction(title).triggered.connect(lambda _=False, part=part: self.move_wanted.emit(ids, part))
        menu.addAction("Leave out\tDel").triggered.connect(lambda: self.leave_out_wanted.emit(ids))
        return menu


def facts_of(sample: Sample) -> str:
    """Everything that is known about an image, for its tooltip."""
    name = shown(sample.id)
    return f"{name}\n{shown(sample.label)} · {PART_TITLES[sample.split].lower()}\n{size_words(sample)}"


def size_words(sample: Sample) -> str:
    return f"{sample.width} × {sample.height} px · {num_bytes(sample.num_bytes)}"


class _SizeSlider(Slider):
    """The side of the tiles, remembered between sessions."""

    changed = Signal(int)

    def __init__(self, settings):
        side = int(settings.number("data.tile_px", 96))
        super().__init__(56, 200, side, integer=True, default=96, name="data.images.size")
        self._settings = settings
        self.setAccessibleName("Size of the pictures")
        self.setFixedWidth(px(72))
        self.value_changed.connect(self._on_value_changed_by_user)

    def _on_value_changed_by_user(self, side: float) -> None:
        self._settings.set("data.tile_px", int(side))
        self.changed.emit(int(side))
