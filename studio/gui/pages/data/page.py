"""The Data page: which images, their classes and parts, what is wrong with them, how they look."""

from __future__ import annotations

import os
from collections import Counter

from PySide6.QtCore import QPoint, Qt, QTimer, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QHBoxLayout, QMenu, QStackedWidget, QVBoxLayout, QWidget

from studio.core.path_text import shown, text_to_path
from studio.core.problem import BadInput
from studio.core.words import counted
from studio.dataset.dataset import LAYOUT_TITLES
from studio.gui.context import Context
from studio.gui.page import Page
from studio.gui.pages.data import edit
from studio.gui.pages.data.bands import BandsPanel
from studio.gui.pages.data.classes import ClassList, class_rows
from studio.gui.pages.data.images import ImagesPanel, size_words
from studio.gui.pages.data.issues import IssuesPanel, findings
from studio.gui.pages.data.large import LargeView
from studio.gui.pages.data.open import opening_of
from studio.gui.pages.data.pixels import PixelPanel
from studio.gui.pages.data.sample_states import states
from studio.gui.pages.data.split import PART_TITLES, Shares, SplitBar
from studio.gui.pages.data.start import Start
from studio.gui.pages.data.state import Loading, Trouble, reading_words
from studio.gui.pages.data.synthetic import SyntheticRow
from studio.gui.pages.data.table import TablePanel
from studio.gui.pages.data.welcome import Welcome
from studio.gui.theme import px
from studio.gui.widgets import Panel, button, scrolling, splitter
from studio.gui.widgets.thumb import ThumbLoader, thumbnail_reader
from studio.gui.wording import count, in_window, num_bytes

SEEN_MS = 120  # after the data set came, in which its thumbnails are asked for while they are painted
_LAYOUT_CHOICES = (("auto", "Find the layout"), *LAYOUT_TITLES.items())


class DataPage(Page):
    key, title = "data", "Data"

    def __init__(self, context: Context, parent: QWidget | None = None, *, welcome: Welcome | None = None):
        """`welcome` is the view that the window has shown since its first paint."""
        super().__init__(context, parent)
        self.loader = ThumbLoader(self, read=thumbnail_reader(context.store))
        self._sort = "count"
        self._ids_before: set[str] | None = None  # of the last scan, while a rescan that the user asked for runs
        self._sized: tuple[object, str] = (None, "")  # data set and its bytes in words
        self._seen = QTimer(self, singleShot=True, interval=SEEN_MS)
        self._seen.timeout.connect(self._end_first_look)
        self._make_head()
        self.welcome = welcome or Welcome()
        self.start = Start(context, self.welcome)
        self.loading = Loading(context.scan.cancel)
        self.trouble = Trouble()
        self.full = self._make_full()
        self.stack = QStackedWidget()
        for widget in (self.welcome, self.loading, self.trouble, self.full):
            self.stack.addWidget(widget)
        self.table = TablePanel(context)
        self.body.addWidget(self.table)
        self.body.addWidget(self.stack, 1)
        self.large = LargeView(self)
        self.large.step_wanted.connect(self._on_large_step_wanted)
        self.large.key_pressed.connect(self._on_large_key_pressed)
        self.large.closed.connect(self.images.grid.setFocus)
        self._connect()
        self._show_state()

    def is_busy(self) -> bool:
        return self.loader.is_busy or self.bands.preview.loader.is_busy

    # Making

    def _make_head(self) -> None:
        self.source_button = button(" ", "folder-notch-open", name="data.source", on_click=self._on_source_clicked)
        self.head.insertWidget(1, self.source_button)
        self.stop_button = button(
            "Stop", "stop-fill", kind="quiet", tone="bad", name="data.stop_reading", on_click=self.context.scan.cancel
        )
        self.rescan_button = button("Rescan", "arrows-clockwise", kind="quiet", name="data.rescan", on_click=self._on_rescan_clicked)
        self.open_button = button("Open folder…", "folder-notch-plus", name="data.open", on_click=self.context.shell.open_folder_dialog)
        for made in (self.stop_button, self.rescan_button, self.open_button):
            self.head.addWidget(made)

    def _make_full(self) -> QWidget:
        self.issues = IssuesPanel(self.loader)
        self.images = ImagesPanel(self.loader, self.context.settings)
        self.pixels = PixelPanel(self.context)
        self.pixels.setMinimumWidth(px(210))
        for panel in (self.images, self.issues):
            panel.setMinimumWidth(px(300))
        top = splitter(Qt.Orientation.Horizontal, self._make_classes(), self.issues, stretch=(5, 4), name="data.top")
        bottom = splitter(Qt.Orientation.Horizontal, self.images, self.pixels, stretch=(12, 5), name="data.bottom")
        top.setMinimumHeight(px(224))
        bottom.setMinimumHeight(px(246))
        rows = splitter(Qt.Orientation.Vertical, top, bottom, stretch=(5, 6), name="data.rows")
        top.setSizes([500, 400])
        bottom.setSizes([640, 260])
        rows.setSizes([358, 360])
        holder = QWidget()
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(12))
        self.bands = BandsPanel(self.store)
        column.addWidget(self.bands)
        column.addWidget(rows, 1)
        area = scrolling(holder, name="data.full")  # in a low window a CSV file's rows or bands leave less than the panels need
        area.setMinimumWidth(holder.minimumSizeHint().width())
        return area

    def _make_classes(self) -> Panel:
        panel = Panel("Classes", "train, validation, test", name="data.classes", margins=False)
        panel.setMinimumWidth(px(320))
        self.sort_button = button(
            "Count", "arrow-down", kind="quiet", small=True, icon_last=True, name="data.classes.sort", on_click=self._on_sort_clicked
        )
        panel.head.addWidget(self.sort_button)
        self.split_bar = SplitBar(name="data.split")
        row = QHBoxLayout()
        row.setContentsMargins(px(12), 0, px(12), px(6))
        row.addWidget(self.split_bar)
        panel.body.addLayout(row)
        self.synthetic = SyntheticRow(self.context)
        panel.body.addWidget(self.synthetic)
        self.class_list = ClassList(name="data.classes.list")
        panel.body.setSpacing(0)
        panel.body.setContentsMargins(0, 0, 0, px(8))
        panel.body.addWidget(self.class_list, 1)
        return panel

    def _connect(self) -> None:
        store, scan = self.store, self.context.scan
        store.dataset_changed.connect(self._on_store_dataset_changed)
        self.loader.loaded.connect(lambda _: self._end_first_look())
        store.problems_changed.connect(self._show_issues)
        store.experiment_changed.connect(self._on_store_experiment_changed)
        scan.changed.connect(self._on_scan_changed)
        self.split_bar.shares_changed.connect(self._on_split_shares_changed)
        self.split_bar.drag_started.connect(store.begin_drag)
        self.split_bar.drag_ended.connect(store.end_drag)
        self.class_list.choice_changed.connect(self.images.choose_classes)
        self.class_list.leave_out_wanted.connect(self._on_classes_leave_out_wanted)
        self.class_list.take_back_wanted.connect(self._on_classes_take_back_wanted)
        self.images.classes_chosen.connect(self.class_list.choose)
        self.images.leave_out_wanted.connect(self.leave_out)
        self.images.take_back_wanted.connect(self.take_back)
        self.images.relabel_wanted.connect(self.relabel)
        self.images.move_wanted.connect(self._on_images_move_wanted)
        self.images.preview_wanted.connect(self.show_large)
        self.issues.show_wanted.connect(self.images.show_ids)
        self.issues.move_wanted.connect(self._on_issue_move_wanted)
        self.issues.leave_out_wanted.connect(self.leave_out)
        self.issues.repair_wanted.connect(self._on_issue_repair_wanted)
        self.issues.answered.connect(lambda field, value: self._edit({field: value}, f"answer: {value}", f"Remembered: {value}."))

    # What is shown

    def _on_store_dataset_changed(self, dataset) -> None:
        self._show_state()
        if dataset is not None and self.context.scan.first_look.is_going:
            self.context.scan.first_look.begin()  # long listings leave time for the thumbnails
            self._seen.start()

    def _begin_first_look(self) -> None:
        if self.isVisible() and self.store.dataset is None and self.context.scan.is_running:
            self.context.scan.first_look.begin()

    def _end_first_look(self) -> None:
        """Once nothing in view is missing, or somebody looks at another page."""
        look = self.context.scan.first_look
        if look.is_going and self.store.dataset is not None and not self._seen.isActive() and not (self.isVisible() and self.is_busy()):
            look.end()

    def activate(self) -> None:
        self._begin_first_look()
        if self.stack.currentWidget() is self.welcome:
            self._show_welcome()

    def deactivate(self) -> None:
        self.context.scan.first_look.end()

    def _show_welcome(self) -> None:
        self.stack.setCurrentWidget(self.welcome)
        self.start.fill()

    def _on_store_experiment_changed(self, old, new) -> None:
        if old.data != new.data:
            self._begin_first_look()
            self._show_state()
        elif old.training.class_weights != new.training.class_weights:
            self._show_issues()

    def _on_scan_changed(self) -> None:
        scan = self.context.scan
        if not scan.is_running and self._ids_before is not None:
            self._say_what_changed()
        if self.stack.currentWidget() is self.full and self.store.dataset is not None:
            self._show_subtitle()
            self._show_issues()
            self._show_table()
        else:
            self._show_state()

    def _show_state(self) -> None:
        """Choose the view: welcome, reading, trouble or all of it."""
        source, dataset, scan = self.store.experiment.data.source, self.store.dataset, self.context.scan
        is_welcome = not source
        self.head_widget.setVisible(not is_welcome)
        self._show_head(dataset is not None)
        if is_welcome:
            self.large.close_view()
            if self.isVisible() and self.stack.currentWidget() is not self.welcome:
                self._show_welcome()
            self.stack.setCurrentWidget(self.welcome)
            self._show_table()
            return
        if scan.error is not None:
            self._show_trouble(scan.error)
        elif dataset is not None:
            self.stack.setCurrentWidget(self.full)
            self._show_dataset()
        elif scan.is_running:
            self.loading.show_progress(*scan.progress)
            self.stack.setCurrentWidget(self.loading)
        else:
            self._show_stopped()
        self._show_subtitle()
        self._show_table()

    def _show_table(self) -> None:
        scan, dataset = self.context.scan, self.store.dataset
        problems = scan.error.problems if scan.error is not None else dataset.problems if dataset is not None else ()
        self.table.show_state(self.store.experiment.data, dataset, tuple(problems), dataset or scan.error)

    def _show_head(self, has_dataset: bool) -> None:
        source = shown(self.store.experiment.data.source)
        parts = [p for p in source.replace("\\", "/").split("/") if p]
        words = " / ".join(parts[-2:]) or source
        self.source_button.setText((words if len(words) <= 36 else "…" + words[-35:]).replace("&", "&&"))
        self.source_button.setAccessibleName(f"Images: {source}")
        is_running = self.context.scan.is_running
        self.stop_button.setVisible(is_running and has_dataset)
        self.rescan_button.setEnabled(not is_running)

    def _show_subtitle(self) -> None:
        dataset, scan = self.store.dataset, self.context.scan
        self._show_head(dataset is not None)
        if dataset is None:
            self.set_subtitle("")
            return
        if scan.is_running and scan.phase:
            words = reading_words(*scan.progress)
        else:
            words = LAYOUT_TITLES.get(dataset.layout, dataset.layout)
        if dataset is not self._sized[0]:
            self._sized = (dataset, num_bytes(dataset.num_bytes))
        made = [f"{count(len(dataset.synthetic))} synthetic"] if dataset.synthetic else []
        ignored = [f"{counted(dataset.num_ignored, 'system file')} ignored"] if dataset.num_ignored else []
        facts = (
            counted(len(dataset.samples), "image"),
            *made,
            counted(len(dataset.classes), "class", "classes"),
            self._sized[1],
            words,
            *ignored,
        )
        self.set_subtitle(" · ".join(facts))

    def _show_dataset(self) -> None:
        dataset, data = self.store.dataset, self.store.experiment.data
        for loader in (self.loader, self.large.loader):
            loader.set_reading(data.reading)
        now = edit.edited(dataset, data)
        self.class_list.set_rows(class_rows(now, data.left_out_classes, self._sort))
        totals = Counter(s.split for s in now.samples)
        counts = {part: totals[part] for part in PART_TITLES}
        self.split_bar.set_state(Shares(data.validation_fraction, data.test_fraction), counts, _fixed_split_reason(dataset))
        self.synthetic.show_state(dataset, data)
        marks = Counter(id_ for issue in self.context.scan.issues if issue.severity != "note" for id_ in issue.ids)
        self.images.show_state(dataset, data, marks)
        self._show_issues()

    def _show_issues(self) -> None:
        dataset, scan = self.store.dataset, self.context.scan
        if dataset is None or self.stack.currentWidget() is not self.full:
            return
        self.bands.show_state(dataset, self.store.experiment.data, self.store.problems)
        found = findings(self.store.problems, scan.issues, lambda repair: all(self.store.value(p) == v for p, v in repair.values.items()))
        self.issues.show_state(
            dataset,
            found,
            is_checking=scan.is_running,
            is_checked=scan.state.is_complete,
            words=reading_words(*scan.progress),
            seconds=scan.seconds,
        )

    def _show_trouble(self, error: BadInput) -> None:
        sentences = [in_window(p.sentence) for p in error.problems]
        first, _, rest = sentences[0].partition(". ")
        detail = "\n".join(([rest] if rest else []) + sentences[1:])
        source = text_to_path(self.store.experiment.data.source)
        is_there = os.path.exists(source)
        actions = (
            ("data.locate", "Choose another folder…" if is_there else "Locate…", self.start.locate),
            ("data.retry", "Try again", self._on_rescan_clicked),
            ("data.close_project", "Start over", self.context.projects.create),
        )
        with_layouts = is_there and "permission" not in sentences[0] and not error.problems[0].field.endswith("_column")
        self.trouble.show_trouble(first.rstrip("."), detail, actions, with_layouts=with_layouts)
        self.stack.setCurrentWidget(self.trouble)

    def _show_stopped(self) -> None:
        actions = (
            ("data.retry", "Read again", self._on_rescan_clicked),
            ("data.locate", "Open folder…", self.context.shell.open_folder_dialog),
        )
        self.trouble.show_trouble("Reading was stopped", "Nothing was changed.", actions, with_layouts=False, is_error=False)
        self.stack.setCurrentWidget(self.trouble)

    # Edits

    def _edit(self, values: dict, label: str, sentence: str) -> None:
        try:
            is_changed = self.store.set(values, label)
        except BadInput as exc:
            self.context.shell.toast(exc.problems[0].sentence)
        else:
            self.context.shell.toast_change(sentence, self.store, is_changed)

    def leave_out(self, ids: tuple[str, ...]) -> None:
        words = counted(len(ids), "image")
        self._edit(
            edit.leave_out(self.store.experiment.data, ids), f"leave out {words}", f"{words} left out. The files stay where they are."
        )

    def take_back(self, ids: tuple[str, ...]) -> None:
        words = counted(len(ids), "image")
        self._edit(edit.take_back(self.store.experiment.data, ids), f"take back {words}", f"{words} taken back.")

    def relabel(self, ids: tuple[str, ...], label: str) -> None:
        words, name = counted(len(ids), "image"), shown(label)
        self._edit(edit.relabel(self.store.experiment.data, ids, label), f"relabel {words}", f"{words} relabelled as “{name}”.")

    def _on_images_move_wanted(self, ids: tuple[str, ...], part: str) -> None:
        words, title = counted(len(ids), "image"), PART_TITLES[part].lower()
        self._edit(edit.move(self.store.experiment.data, ids, part), f"move {words} to {title}", f"{words} moved to {title}.")

    def _on_issue_move_wanted(self, moves: dict[str, str]) -> None:
        moved = self.store.experiment.data.moved | moves
        words = counted(len(moves), "image")
        self._edit({"data.moved": moved}, f"move {words}", f"{words} moved. The files stay where they are.")

    def _on_issue_repair_wanted(self, repair) -> None:
        self._edit(repair.values, repair.label[:1].lower() + repair.label[1:], f"{repair.label}: done.")

    def _on_classes_leave_out_wanted(self, names: tuple[str, ...]) -> None:
        words = f"“{shown(names[0])}”" if len(names) == 1 else f"{len(names)} classes"
        self._edit(edit.leave_out_classes(self.store.experiment.data, names), f"leave out {words}", f"{words} left out.")

    def _on_classes_take_back_wanted(self, names: tuple[str, ...]) -> None:
        words = f"“{shown(names[0])}”" if len(names) == 1 else f"{len(names)} classes"
        self._edit(edit.take_back_classes(self.store.experiment.data, names), f"take back {words}", f"{words} taken back.")

    def _on_split_shares_changed(self, shares: Shares) -> None:
        self.store.set(edit.share(shares.validation, shares.test), f"split {shares.train:.0%} train")

    # Opening

    def accept_drop(self, paths: list[str]) -> bool:
        self.start.open(opening_of(paths))
        return True

    def _on_rescan_clicked(self) -> None:
        self.loader.clear()
        if self.store.dataset is not None:
            self._ids_before = {s.id for s in self.store.dataset.samples}
        self.context.scan.rescan()
        self._show_state()

    def _say_what_changed(self) -> None:
        before, self._ids_before = self._ids_before, None
        if self.store.dataset is None or not self.context.scan.state.is_complete:
            return
        now = {s.id for s in self.store.dataset.samples}
        new, gone = len(now - before), len(before - now)
        self.context.shell.toast(f"{new:,} new, {gone:,} gone" if new or gone else "Nothing has changed in the folder")

    def _on_source_clicked(self) -> None:
        self.source_menu().popup(self.source_button.mapToGlobal(QPoint(0, self.source_button.height() + 2)))

    def source_menu(self) -> QMenu:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("Open folder…\tCtrl+O").triggered.connect(lambda: self.context.shell.open_folder_dialog())
        menu.addAction("Open CSV…").triggered.connect(lambda: self.start.pick_table())
        menu.addAction("Locate this folder anew…").triggered.connect(lambda: self.start.locate())
        menu.addAction("Mark a folder as synthetic…").triggered.connect(lambda: self.synthetic.ask_for_folder())
        menu.addAction("Show in file manager").triggered.connect(lambda: self._on_reveal_clicked())
        menu.addSeparator()
        chosen = self.store.experiment.data.layout
        for layout, words in _LAYOUT_CHOICES:
            action = menu.addAction(words[0].upper() + words[1:])
            action.setCheckable(True)
            action.setChecked(layout == chosen)
            action.triggered.connect(lambda _=False, layout=layout: self.store.set({"data.layout": layout}))
        return menu

    def _on_reveal_clicked(self) -> None:
        path = text_to_path(self.store.experiment.data.source)
        QDesktopServices.openUrl(QUrl.fromLocalFile(path if os.path.isdir(path) else os.path.dirname(path)))

    def _on_sort_clicked(self) -> None:
        self._sort = "name" if self._sort == "count" else "count"
        self.sort_button.setText("Count" if self._sort == "count" else "Name")
        self.sort_button.setAccessibleName(f"Sorted by {self._sort}; change")
        if self.store.dataset is not None:
            self._show_dataset()

    # The large view

    def show_large(self, row: int) -> None:
        if not 0 <= row < len(self.images.grid.keys):
            return
        self.images.grid.set_current_row(row)
        thumb = self.images.grid.thumb(row)
        sample = self.images.sample_at(row)
        label, part, facts = (shown(sample.label), PART_TITLES[sample.split], size_words(sample)) if sample else ("", "left out", "")
        self.large.show_image(thumb.path, shown(thumb.key), label, part, facts)

    def _on_large_step_wanted(self, by: int) -> None:
        self.show_large(max(0, min(len(self.images.grid.keys) - 1, self.images.grid.current_row + by)))

    def _on_large_key_pressed(self, event) -> None:
        self.images.take_key(event)
        if event.isAccepted():
            self.show_large(max(0, self.images.grid.current_row)) if self.images.grid.keys else self.large.close_view()

    def fit(self) -> None:
        if self.large.isVisible():
            self.large.setGeometry(self.rect())

    # What the window asks

    def shortcuts(self):
        return (
            ("U", "Undo the last edit", self.store.undo),
            ("B", "Choose the bands of multi-spectral images", self.bands.focus_choice),
        )

    @classmethod
    def screenshot_states(cls):
        return states()

    def focus_search(self) -> bool:
        if self.stack.currentWidget() is not self.full:
            return False
        self.images.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.images.search.selectAll()
        return True

    def show_argument(self, argument: object) -> None:
        """A class name, or ids of images to show."""
        if isinstance(argument, str):
            self.class_list.choose((argument,))
            self.images.choose_classes((argument,))
        elif isinstance(argument, tuple):
            self.images.show_ids(argument, "Chosen images")


def _fixed_split_reason(dataset) -> str:
    """Why the shares cannot be dragged; empty when they can."""
    if dataset.layout == "split folders":
        return "The folders say what trains and what validates."
    return ""
