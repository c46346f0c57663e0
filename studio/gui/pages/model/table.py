"""The backbone table: search, filter chips, favourites, sorting, and choosing by Enter or double-click."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from PySide6.QtCore import QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QMenu,
    QStackedLayout,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from studio.catalog.backbones import BackboneInfo
from studio.core.path_text import shown
from studio.gui.icon import icon
from studio.gui.pages.model.listing import COLUMNS, Cost, Filter, Key, key_of
from studio.gui.pages.model.rows import BackboneModel, RowDelegate
from studio.gui.theme import px
from studio.gui.widgets import Chip, EmptyState, Panel, icon_button, plain_tooltip

_SETTLE_MS = 350  # rows that rush past while scrolling are not asked about


class _Table(QTableView):
    chosen = Signal(object)  # BackboneInfo
    starred = Signal(object)  # Key

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Asterisk and self.currentIndex().isValid():
            self.starred.emit(key_of(self.currentIndex().data(Qt.ItemDataRole.UserRole)))
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.chosen.emit(self.currentIndex().data(Qt.ItemDataRole.UserRole))
        else:
            super().keyPressEvent(event)


class BackbonePanel(Panel):
    """Search field, chips and table. `selected` follows the current row, `chosen` is Enter or a double-click."""

    selected = Signal(object)  # BackboneInfo | None
    chosen = Signal(object)  # BackboneInfo
    rows_changed = Signal()
    favourites_changed = Signal(object)  # frozenset[Key]
    menu_wanted = Signal(object, object)  # BackboneInfo, global place
    rows_seen = Signal(object)  # list[Key] of the rows in view, when they have come to rest

    def __init__(self, parent: QWidget | None = None):
        super().__init__(name="model.backbones", margins=False, parent=parent)
        self.setAccessibleName("Backbones")
        self.model = BackboneModel(self)
        tools = QVBoxLayout()
        tools.setContentsMargins(px(6), px(6), px(6), 0)
        tools.setSpacing(px(6))
        self.search_field = QLineEdit()
        self.search_field.setObjectName("model.search")
        self.search_field.setPlaceholderText("Search backbones")
        self.search_field.setAccessibleName("Search backbones")
        self.search_field.setClearButtonEnabled(True)
        self.search_field.addAction(icon("magnifying-glass", "muted"), QLineEdit.ActionPosition.LeadingPosition)
        self.search_field.textChanged.connect(lambda _: self._on_filter_changed())
        self.search_field.returnPressed.connect(lambda: self.table.setFocus(Qt.FocusReason.TabFocusReason))
        search = QHBoxLayout()
        search.setSpacing(px(4))
        search.addWidget(self.search_field, 1)
        self.funnel = icon_button("funnel", "More filters: size and source", name="model.funnel", on_click=self._open_funnel)
        search.addWidget(self.funnel)
        tools.addLayout(search)
        chips = QHBoxLayout()
        chips.setSpacing(px(4))
        self.chips = {
            key: Chip(label, name=f"model.filter.{key}")
            for key, label in (("installed", "Installed"), ("favourites", "Favourites"), ("short", "Small and good"), ("box", "Box"))
        }
        for chip in self.chips.values():
            chip.toggled.connect(lambda _: self._on_filter_changed())
            chips.addWidget(chip)
        self.chips["box"].hide()
        chips.addStretch(1)
        tools.addLayout(chips)
        self._funnel: dict[str, bool] = dict.fromkeys(("small", "bundled", "torchvision", "timm"), False)
        self._short: frozenset[Key] = frozenset()
        self._box: frozenset[Key] = frozenset()
        self.body.addLayout(tools)
        self.setMinimumWidth(px(300))
        self.table = self._make_table()
        self._settle = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._settle.timeout.connect(lambda: self.rows_seen.emit(self.keys_in_view()))
        self.table.verticalScrollBar().valueChanged.connect(lambda _: self._settle.start())
        self.empty = EmptyState("magnifying-glass", "No backbone matches", "", "Clear filters", self.clear_filters, name="model.nomatch")
        holder = QWidget()
        self._stack = QStackedLayout(holder)
        self._stack.addWidget(self.table)
        self._stack.addWidget(self.empty)
        self.body.addWidget(holder, 1)
        self.body.setContentsMargins(0, 0, 0, px(4))
        self.body.setSpacing(px(4))

    def _make_table(self) -> _Table:
        table = _Table()
        table.setObjectName("model.table")
        table.setAccessibleName("Backbones. Enter chooses one")
        table.setModel(self.model)
        self._delegate = RowDelegate(table)
        table.setItemDelegate(self._delegate)
        table.setShowGrid(False)
        table.setMouseTracking(True)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        table.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        table.setTabKeyNavigation(False)
        table.setWordWrap(False)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(px(25))
        header = table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(px(40))
        header.setSectionsClickable(True)
        header.sectionClicked.connect(self.sort_by)
        table.setCornerWidget(QWidget())
        for index, column in enumerate(COLUMNS):
            table.setColumnWidth(index, px(column.width))
        table.selectionModel().currentRowChanged.connect(
            lambda now, _: self.selected.emit(now.data(Qt.ItemDataRole.UserRole) if now.isValid() else None)
        )
        table.doubleClicked.connect(lambda index: self.chosen.emit(index.data(Qt.ItemDataRole.UserRole)))
        table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        table.customContextMenuRequested.connect(self._on_menu_requested)
        table.chosen.connect(self.chosen)
        table.starred.connect(self.toggle_favourite)
        self._delegate.starred.connect(self.toggle_favourite)
        return table

    def _on_menu_requested(self, at: QPoint) -> None:
        """The pointer's row, or the current one for the menu key."""
        index = self.table.indexAt(at)
        index = index if index.isValid() else self.table.currentIndex()
        if index.isValid():
            self.menu_wanted.emit(index.data(Qt.ItemDataRole.UserRole), self.table.viewport().mapToGlobal(at))

    def sort_by(self, column: int) -> None:
        """Sort by a column; once more turns the order round. Figures start with the largest, words with A."""
        current, is_descending = self.model.sorting
        is_descending = not is_descending if column == current else COLUMNS[column].is_number
        key = self.current_key()
        self.model.sort(column, Qt.SortOrder.DescendingOrder if is_descending else Qt.SortOrder.AscendingOrder)
        if key:
            self.select(key)

    def sort_by_next(self) -> None:
        self.sort_by((self.model.sorting[0] + 1) % len(COLUMNS))
        self.table.scrollTo(self.model.index(max(0, self.table.currentIndex().row()), self.model.sorting[0]))

    # what is shown

    def set_infos(self, infos: tuple[BackboneInfo, ...]) -> None:
        current = self.current_key()
        self.model.set_infos(infos)
        self._after_change(current)

    def set_chosen(self, key: Key) -> None:
        self._delegate.chosen = key
        self.table.viewport().update()

    def current_key(self) -> Key | None:
        info = self.current_info()
        return key_of(info) if info else None

    def current_info(self) -> BackboneInfo | None:
        index = self.table.currentIndex()
        return index.data(Qt.ItemDataRole.UserRole) if index.isValid() else None

    def select(self, key: Key) -> None:
        """Make a row the current one and bring it into view; nothing when the filter hides it."""
        row = self.model.row_of(key)
        if row >= 0:
            self.table.setCurrentIndex(self.model.index(row, 0))
            self.table.scrollTo(self.model.index(row, 0), QAbstractItemView.ScrollHint.EnsureVisible)

    def selected_infos(self) -> list[BackboneInfo]:
        """The marked rows, in the order of the table."""
        return [index.data(Qt.ItemDataRole.UserRole) for index in sorted(self.table.selectionModel().selectedRows(), key=lambda i: i.row())]

    def keys_in_view(self) -> list[Key]:
        first, last = self.table.rowAt(0), self.table.rowAt(self.table.viewport().height() - 1)
        if first < 0:
            return []
        return [key_of(info) for info in self.model.rows[first : (last if last >= 0 else len(self.model.rows)) + 1]]

    def set_costs(self, costs: Mapping[Key, Cost]) -> None:
        self.model.set_costs(costs)

    def set_favourites(self, favourites: Collection[Key]) -> None:
        self.model.set_favourites(favourites)
        if self.chips["favourites"].isChecked():
            self._on_filter_changed()

    def toggle_favourite(self, key: Key) -> None:
        self.set_favourites(self.model.favourites ^ {key})
        self.favourites_changed.emit(self.model.favourites)

    def set_short_list(self, keys: Collection[Key], rule: str) -> None:
        """What "Small and good" means now: the rows, and the rule in words for its tooltip."""
        is_new = frozenset(keys) != self._short
        self._short = frozenset(keys)
        self.chips["short"].setToolTip(plain_tooltip(rule))
        self.chips["short"].setAccessibleDescription(rule)
        if is_new and self.chips["short"].isChecked():
            self._on_filter_changed()

    def set_box(self, keys: Collection[Key]) -> None:
        """Only these, as they were boxed in the plot; none takes the box away."""
        self._box = frozenset(keys)
        chip = self.chips["box"]
        chip.setText(f"Box: {len(self._box)}  ×")
        chip.setAccessibleName(f"Show all again, not only the {len(self._box)} of the box")
        chip.setVisible(bool(self._box))
        if chip.isChecked() == bool(self._box):
            self._on_filter_changed()
        else:
            chip.setChecked(bool(self._box))

    def clear_filters(self) -> None:
        self.search_field.clear()
        self._funnel = dict.fromkeys(self._funnel, False)
        for chip in self.chips.values():
            chip.setChecked(False)
        self._on_filter_changed()

    def _open_funnel(self) -> None:
        menu = self.funnel_menu()
        menu.popup(self.funnel.mapToGlobal(self.funnel.rect().bottomLeft()))

    def funnel_menu(self) -> QMenu:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for key, words in (("small", "At most 30 M parameters"), ("bundled", "Bundled"), ("torchvision", "torchvision"), ("timm", "timm")):
            if key == "bundled":
                menu.addSeparator()
            action = menu.addAction(words, lambda key=key: self.toggle_filter(key))
            action.setCheckable(True)
            action.setChecked(self._funnel[key])
        return menu

    def toggle_filter(self, key: str) -> None:
        """small, or a source: bundled, torchvision, timm."""
        self._funnel[key] = not self._funnel[key]
        self._on_filter_changed()

    def filter(self) -> Filter:
        sources = frozenset(s for s in ("bundled", "torchvision", "timm") if self._funnel[s])
        lists = [
            keys
            for name, keys in (("favourites", self.model.favourites), ("short", self._short), ("box", self._box))
            if self.chips[name].isChecked()
        ]
        only = frozenset.intersection(*lists) if lists else None
        return Filter(self.search_field.text(), sources, self.chips["installed"].isChecked(), self._funnel["small"], only)

    def _on_filter_changed(self) -> None:
        if self._box and not self.chips["box"].isChecked():
            self._box = frozenset()
            self.chips["box"].hide()
        self.funnel.setIcon(
            icon("funnel-fill" if any(self._funnel.values()) else "funnel", "accent" if any(self._funnel.values()) else "text2")
        )
        current = self.current_key()
        self.model.set_filter(self.filter())
        self._after_change(current)

    def _after_change(self, current: Key | None) -> None:
        if current:
            self.select(current)
        self._stack.setCurrentIndex(0 if self.model.rows or not self.model.num_all else 1)
        self.empty.set_texts("No backbone matches", self._filter_words())
        self._settle.start()
        self.rows_changed.emit()

    def resizeEvent(self, event) -> None:
        """The name takes what the three figures beside it leave."""
        super().resizeEvent(event)
        room = self.width() - sum(self.table.columnWidth(i) for i in (1, 2, 3)) - px(14)
        self.table.setColumnWidth(0, max(px(140), min(px(260), room)))

        self._settle.start()

    def _filter_words(self) -> str:
        wanted = self.filter()
        parts = [f"“{shown(wanted.text[:40])}”"] if wanted.text else []
        parts += ["on this computer"] if wanted.installed_only else []
        parts += [
            words
            for name, words in (("favourites", "marked with a star"), ("short", "small and good"), ("box", "in the box"))
            if self.chips[name].isChecked()
        ]
        parts += ["at most 30 M parameters"] if wanted.small_only else []
        parts += [" or ".join(sorted(wanted.sources))] if wanted.sources else []
        return "Looking for: " + ", ".join(parts) if parts else ""
