"""The rows of the backbone table and how they are drawn; the marks of the families, which the scatter plot shares."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from PySide6.QtCore import QAbstractTableModel, QEvent, QModelIndex, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPainterPath
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QTableView

from studio.catalog.backbones import BackboneInfo
from studio.core.path_text import shown
from studio.gui.icon import paint_icon
from studio.gui.pages.model.listing import (
    COLUMNS,
    GROUPS,
    NO_COST,
    Cost,
    Filter,
    Key,
    arranged,
    cell_words,
    facts,
    group_of,
    key_of,
    origin_words,
    why_unknown,
)
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets import plain_tooltip

_SHAPES = "ostd"
_FIT_TOKENS = {"fits": "good", "tight": "warn", "will not fit": "bad"}


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
        self.costs: Mapping[Key, Cost] = {}
        self.favourites: frozenset[Key] = frozenset()

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
        self.rows = arranged(self._all, self._filter, *self._sort, self.costs)
        self.endResetModel()

    def cost(self, info: BackboneInfo) -> Cost:
        return self.costs.get(key_of(info), NO_COST)

    def set_costs(self, costs: Mapping[Key, Cost]) -> None:
        """What is known now; rows stay where they are until the next sort."""
        self.costs = costs
        self.refresh()

    def set_favourites(self, favourites: Collection[Key]) -> None:
        self.favourites = frozenset(favourites)
        self.refresh()

    def refresh(self) -> None:
        if self.rows:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.rows) - 1, len(COLUMNS) - 1))

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
                words = cell_words(info, index.column(), self.cost(info))
                return words if COLUMNS[index.column()].is_number else shown(words)
            case Qt.ItemDataRole.UserRole:
                return info
            case Qt.ItemDataRole.ToolTipRole:
                if why := why_unknown(info, index.column(), self.cost(info)):
                    is_of_cost = COLUMNS[index.column()].attribute in ("memory_bytes", "images_per_s")
                    return plain_tooltip(is_of_cost and shown(self.cost(info).problem) or why)
                if origin := origin_words(info, index.column()):
                    return plain_tooltip(origin)
                state = "on this computer" if info.is_installed else "to be downloaded"
                if COLUMNS[index.column()].attribute == "memory_bytes":
                    cost = self.cost(info)
                    return plain_tooltip(f"About {cell_words(info, index.column(), cost)}: {cost.fit or 'estimated'}")
                return plain_tooltip(f"{shown(info.title)}, {info.source}, {state}\n{facts(info)}\n{shown(info.name)}")
            case Qt.ItemDataRole.TextAlignmentRole:
                side = Qt.AlignmentFlag.AlignRight if COLUMNS[index.column()].is_number else Qt.AlignmentFlag.AlignLeft
                return side | Qt.AlignmentFlag.AlignVCenter
            case Qt.ItemDataRole.AccessibleTextRole:
                cost, mark = self.cost(info), ""
                words = cell_words(info, index.column(), cost)
                if index.column() == 0:
                    mark = (", installed" if info.is_installed else ", not installed") + (
                        ", favourite" if key_of(info) in self.favourites else ""
                    )
                elif COLUMNS[index.column()].attribute == "memory_bytes" and cost.fit:
                    mark = f", {cost.fit}"
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


class RowDelegate(QStyledItemDelegate):
    """Rows of 25 px; the first cell has the family's mark and the star, the chosen backbone a bar at its left."""

    starred = Signal(object)  # Key

    def __init__(self, view: QTableView):
        super().__init__(view)
        self.chosen: Key = ("", "")

    def _star(self, rect: QRect) -> QRect:
        side = px(13)
        return QRect(rect.right() - side - px(5), rect.center().y() - side // 2, side, side)

    def editorEvent(self, event: QEvent, model, option: QStyleOptionViewItem, index: QModelIndex) -> bool:
        is_release = isinstance(event, QMouseEvent) and event.type() == QEvent.Type.MouseButtonRelease
        if index.column() == 0 and is_release and self._star(option.rect).adjusted(-6, -6, 6, 6).contains(event.position().toPoint()):
            self.starred.emit(key_of(index.data(Qt.ItemDataRole.UserRole)))
            return True
        return super().editorEvent(event, model, option, index)

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
            is_starred = key_of(info) in index.model().favourites
            if is_starred or option.state & QStyle.StateFlag.State_MouseOver:
                paint_icon(painter, self._star(option.rect), "star-fill" if is_starred else "star", "warn" if is_starred else "muted")
            rect.setLeft(rect.left() + px(17))
            rect.setRight(rect.right() - px(14))
        elif COLUMNS[index.column()].attribute == "memory_bytes":
            rect.setLeft(self._paint_fit(painter, rect, index.model().cost(info)))
        is_number = COLUMNS[index.column()].is_number
        painter.setFont(font("strong" if is_chosen and index.column() == 0 else "number" if is_number else "label"))
        text = index.data()
        painter.setPen(colour("muted" if text == "–" else "text" if index.column() == 0 or is_number else "text2"))
        # Long names of networks are alike at their beginning and differ at their end.
        where = Qt.TextElideMode.ElideMiddle if index.column() == 0 else Qt.TextElideMode.ElideRight
        text = painter.fontMetrics().elidedText(text, where, int(rect.width()))
        painter.drawText(rect, int(index.data(Qt.ItemDataRole.TextAlignmentRole)), text)
        painter.restore()

    def _paint_fit(self, painter: QPainter, rect: QRectF, cost: Cost) -> float:
        """The badge at the left of the memory; gives where it ends."""
        words = "cannot be made" if cost.problem else cost.fit
        if not words:
            return rect.left()
        token = _FIT_TOKENS.get(words, "bad")
        painter.setFont(font("caption"))
        wide = painter.fontMetrics().horizontalAdvance(words)
        badge = QRectF(rect.left(), rect.center().y() - px(8), wide + px(10), px(16))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour(f"{token}Wash"))
        painter.drawRoundedRect(badge, 4, 4)
        painter.setPen(colour(token))
        painter.drawText(badge, int(Qt.AlignmentFlag.AlignCenter), words)
        return badge.right() + px(4)
