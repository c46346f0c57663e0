"""The backbone table: search, filter chips, sorting, and choosing by Enter or double-click."""

from __future__ import annotations

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPainterPath
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QStackedLayout,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from studio.catalog.backbones import BackboneInfo
from studio.core.path_text import shown
from studio.gui.icon import icon
from studio.gui.pages.model.listing import COLUMNS, GROUPS, Filter, arranged, cell_words, facts, group_of
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets import Chip, EmptyState, Panel, plain_tooltip

Key = tuple[str, str]  # source, name
_SHAPES = "ostd"


def key_of(info: BackboneInfo) -> Key:
    return info.source, info.name


def group_token(group: str) -> str:
    index = GROUPS.index(group)
    return "muted" if group == "Other" else f"series.{index}"


def group_symbol(group: str) -> str:
    """o, s, t, d as pyqtgraph names them."""
    return _SHAPES[GROUPS.index(group) % len(_SHAPES)]


def symbol_path(symbol: str, centre: QPointF, radius: float) -> QPainterPath:
    path = QPainterPath()
    x, y, r = centre.x(), centre.y(), radius
    match symbol:
        case "o":
            path.addEllipse(centre, r, r)
        case "s":
            path.addRect(QRectF(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8))
        case "t":
            path.moveTo(x, y - r * 1.1)
            path.lineTo(x + r * 1.1, y + r * 0.9)
            path.lineTo(x - r * 1.1, y + r * 0.9)
            path.closeSubpath()
        case _:
            path.moveTo(x, y - r * 1.25)
            path.lineTo(x + r * 1.25, y)
            path.lineTo(x, y + r * 1.25)
            path.lineTo(x - r * 1.25, y)
            path.closeSubpath()
    return path


class BackboneModel(QAbstractTableModel):
    """The rows that the filter lets through, sorted. Roles: UserRole gives the BackboneInfo."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._all: tuple[BackboneInfo, ...] = ()
        self.rows: list[BackboneInfo] = []
        self._filter = Filter()
        self._sort = (3, True)  # the most accurate first

    @property
    def num_all(self) -> int:
        return len(self._all)

    def set_infos(self, infos: tuple[BackboneInfo, ...]) -> None:
        self._all = infos
        self._arrange()

    def set_filter(self, wanted: Filter) -> None:
        self._filter = wanted
        self._arrange()

    def row_of(self, key: Key) -> int:
        return next((i for i, info in enumerate(self.rows) if key_of(info) == key), -1)

    def info(self, key: Key) -> BackboneInfo | None:
        return next((info for info in self._all if key_of(info) == key), None)

    def _arrange(self) -> None:
        self.beginResetModel()
        self.rows = arranged(self._all, self._filter, *self._sort)
        self.endResetModel()

    @property
    def sorting(self) -> tuple[int, bool]:
        """Column, and whether the largest come first."""
        return self._sort

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        self._sort = (column, order == Qt.SortOrder.DescendingOrder)
        self._arrange()
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, len(COLUMNS) - 1)

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(COLUMNS)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        info = self.rows[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                words = cell_words(info, index.column())
                return words if COLUMNS[index.column()].is_number else shown(words)
            case Qt.ItemDataRole.UserRole:
                return info
            case Qt.ItemDataRole.ToolTipRole:
                state = "on this computer" if info.is_installed else "to be downloaded"
                return plain_tooltip(f"{shown(info.title)}, {info.source}, {state}\n{facts(info)}\n{shown(info.name)}")
            case Qt.ItemDataRole.TextAlignmentRole:
                side = Qt.AlignmentFlag.AlignRight if COLUMNS[index.column()].is_number else Qt.AlignmentFlag.AlignLeft
                return side | Qt.AlignmentFlag.AlignVCenter
            case Qt.ItemDataRole.AccessibleTextRole:
                words = cell_words(info, index.column())
                mark = (", installed" if info.is_installed else ", not installed") if index.column() == 0 else ""
                return f"{COLUMNS[index.column()].title} {words}{mark}"
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole):
        if orientation != Qt.Orientation.Horizontal:
            return None
        column = COLUMNS[section]
        if role == Qt.ItemDataRole.DisplayRole:
            arrow = (" ↓" if self._sort[1] else " ↑") if section == self._sort[0] else ""
            return column.title + arrow
        if role == Qt.ItemDataRole.ToolTipRole and column.help:
            return plain_tooltip(column.help)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return (Qt.AlignmentFlag.AlignRight if column.is_number else Qt.AlignmentFlag.AlignLeft) | Qt.AlignmentFlag.AlignVCenter
        return None


class _RowDelegate(QStyledItemDelegate):
    """Rows of 25 px; the first cell has the family's mark, the chosen backbone a bar at its left."""

    def __init__(self, view: QTableView):
        super().__init__(view)
        self.chosen: Key = ("", "")

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        return QSize(super().sizeHint(option, index).width(), px(25))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        info: BackboneInfo = index.data(Qt.ItemDataRole.UserRole)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        is_chosen = key_of(info) == self.chosen
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect, colour("accentWash"))
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(option.rect, colour("hover"))
        painter.fillRect(QRectF(option.rect.left(), option.rect.bottom(), option.rect.width(), 1), colour("border"))
        rect = QRectF(option.rect).adjusted(px(8), 0, -px(8), 0)
        if index.column() == 0:
            if is_chosen:
                painter.fillRect(QRectF(option.rect.left(), option.rect.top(), 3, option.rect.height()), colour("accent"))
            group = group_of(info)
            path = symbol_path(group_symbol(group), QPointF(rect.left() + px(5), rect.center().y()), px(4))
            painter.setPen(pen(group_token(group), 1.6))
            painter.setBrush(colour(group_token(group)) if info.is_installed else Qt.BrushStyle.NoBrush)
            painter.drawPath(path)
            rect.setLeft(rect.left() + px(17))
        is_number = COLUMNS[index.column()].is_number
        painter.setFont(font("strong" if is_chosen and index.column() == 0 else "number" if is_number else "label"))
        text = index.data()
        painter.setPen(colour("muted" if text == "–" else "text" if index.column() == 0 or is_number else "text2"))
        text = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, int(rect.width()))
        painter.drawText(rect, int(index.data(Qt.ItemDataRole.TextAlignmentRole)), text)
        painter.restore()


class _Table(QTableView):
    chosen = Signal(object)  # BackboneInfo

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.chosen.emit(self.currentIndex().data(Qt.ItemDataRole.UserRole))
        else:
            super().keyPressEvent(event)


class BackbonePanel(Panel):
    """Search field, chips and table. `selected` follows the current row, `chosen` is Enter or a double-click."""

    selected = Signal(object)  # BackboneInfo | None
    chosen = Signal(object)  # BackboneInfo
    rows_changed = Signal()

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
        tools.addWidget(self.search_field)
        chips = QHBoxLayout()
        chips.setSpacing(px(2))
        labels = (("installed", "Installed"), ("small", "≤ 30 M"), ("bundled", "bundled"), ("torchvision", "torchvision"), ("timm", "timm"))
        self.chips = {key: Chip(label, name=f"model.filter.{key}") for key, label in labels}
        for chip in self.chips.values():
            chip.toggled.connect(lambda _: self._on_filter_changed())
            chips.addWidget(chip)
        chips.addStretch(1)
        tools.addLayout(chips)
        self.body.addLayout(tools)
        self.setMinimumWidth(chips.sizeHint().width() + px(16))
        self.table = self._make_table()
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
        self._delegate = _RowDelegate(table)
        table.setItemDelegate(self._delegate)
        table.setShowGrid(False)
        table.setMouseTracking(True)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
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
        for index, width in enumerate((150, 67, 56, 73, 50, 70, 120, 84, 104)):
            table.setColumnWidth(index, px(width))
        table.selectionModel().currentRowChanged.connect(
            lambda now, _: self.selected.emit(now.data(Qt.ItemDataRole.UserRole) if now.isValid() else None)
        )
        table.doubleClicked.connect(lambda index: self.chosen.emit(index.data(Qt.ItemDataRole.UserRole)))
        table.chosen.connect(self.chosen)
        return table

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

    def clear_filters(self) -> None:
        self.search_field.clear()
        for chip in self.chips.values():
            chip.setChecked(False)

    def filter(self) -> Filter:
        sources = frozenset(s for s in ("bundled", "torchvision", "timm") if self.chips[s].isChecked())
        return Filter(self.search_field.text(), sources, self.chips["installed"].isChecked(), self.chips["small"].isChecked())

    def _on_filter_changed(self) -> None:
        current = self.current_key()
        self.model.set_filter(self.filter())
        self._after_change(current)

    def _after_change(self, current: Key | None) -> None:
        if current:
            self.select(current)
        self._stack.setCurrentIndex(0 if self.model.rows or not self.model.num_all else 1)
        self.empty.set_texts("No backbone matches", _filter_words(self.filter()))
        self.rows_changed.emit()

    def resizeEvent(self, event) -> None:
        """The name takes what the three figures beside it leave."""
        super().resizeEvent(event)
        room = self.width() - sum(self.table.columnWidth(i) for i in (1, 2, 3)) - px(14)
        self.table.setColumnWidth(0, max(px(110), min(px(260), room)))


def _filter_words(wanted: Filter) -> str:
    parts = []
    if wanted.text:
        parts.append(f"“{shown(wanted.text[:40])}”")
    if wanted.installed_only:
        parts.append("on this computer")
    if wanted.small_only:
        parts.append("at most 30 M parameters")
    if wanted.sources:
        parts.append(" or ".join(sorted(wanted.sources)))
    return "Looking for: " + ", ".join(parts) if parts else ""
