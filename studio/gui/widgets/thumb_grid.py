"""A grid of pictures that fills its width: any number of files, read as they come into view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QAbstractListModel, QItemSelection, QModelIndex, QPoint, QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QCursor, QFontMetrics, QKeyEvent, QPainter, QPaintEvent, QRegion, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QFrame, QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from studio.core.path_text import shown
from studio.gui.icon import paint_icon
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets.label import plain_tooltip
from studio.gui.widgets.thumb import ThumbLoader, paint_cover

_GAP = 6


@dataclass(frozen=True, slots=True)
class Thumb:
    """One tile. `key` is the caller's name for it, `path` what is opened."""

    key: str
    path: str
    caption: str = ""
    tooltip: str = ""
    mark: str = ""  # an icon name in the upper right corner
    mark_text: str = ""
    is_muted: bool = False


class ThumbModel(QAbstractListModel):
    """Tiles are made when they are looked at: a list of 100,000 keys is set in no time."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self.keys: Sequence[str] = ()
        self._make: Callable[[str], Thumb] | None = None
        self._made: dict[str, Thumb] = {}

    def set_keys(self, keys: Sequence[str], make: Callable[[str], Thumb]) -> None:
        self.beginResetModel()
        self.keys, self._make = keys, make
        self._made.clear()
        self.endResetModel()

    def thumb(self, row: int) -> Thumb:
        key = self.keys[row]
        if key not in self._made:
            if len(self._made) > 5000:
                self._made.clear()
            self._made[key] = self._make(key)
        return self._made[key]

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self.keys)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            thumb = self.thumb(index.row())
            return f"{shown(thumb.key)}, {shown(thumb.caption)}" if thumb.caption else shown(thumb.key)
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tooltip(self.thumb(index.row()).tooltip)
        return None


class ThumbGrid(QListView):
    """Tiles in columns of equal width. Signals carry rows; what keys do beyond moving is the page's to say.

    The loader is the caller's, so that several views share what was read.
    """

    chosen_changed = Signal()
    opened = Signal(int)  # double click or Enter
    menu_wanted = Signal(int, QPoint)  # row, global position
    key_pressed = Signal(object)  # QKeyEvent of Space, Delete, digits, letters; call accept() to take it

    def __init__(self, loader: ThumbLoader, *, name: str = "", parent: QWidget | None = None):
        super().__init__(parent)
        self._loader = loader
        self._side = 96
        self._cell, self._columns = 96, 1
        self._model = ThumbModel(self)
        self.setModel(self._model)
        self.setItemDelegate(_TileDelegate(self))
        self.setObjectName(name)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setMouseTracking(True)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._on_menu_requested)
        self.selectionModel().selectionChanged.connect(lambda *_: self.chosen_changed.emit())
        self.activated.connect(lambda index: self.opened.emit(index.row()))
        self._repaint = QTimer(self, singleShot=True, interval=30)  # many pictures arrive at once; one repaint serves them all
        self._repaint.timeout.connect(self.viewport().update)
        loader.loaded.connect(self._on_loader_loaded)

    @property
    def keys(self) -> Sequence[str]:
        return self._model.keys

    def thumb(self, row: int) -> Thumb:
        return self._model.thumb(row)

    @property
    def chosen_rows(self) -> list[int]:
        return sorted(index.row() for index in self.selectionModel().selectedIndexes())

    @property
    def chosen_keys(self) -> tuple[str, ...]:
        return tuple(self.keys[row] for row in self.chosen_rows)

    @property
    def current_row(self) -> int:
        """-1 when there is none."""
        return self.currentIndex().row()

    def set_keys(self, keys: Sequence[str], make: Callable[[str], Thumb]) -> None:
        """Replace the tiles; `make` gives a key its tile. What is chosen stays chosen where it is still there; where the current
        tile is gone, its neighbour becomes the current one."""
        old_row = self.current_row
        current = self.keys[old_row] if 0 <= old_row < len(self.keys) else None
        chosen = set(self.chosen_keys)
        at = self.verticalScrollBar().value()
        self._model.set_keys(keys, make)
        self._fit()
        if (current is not None or chosen) and keys:
            rows = {key: row for row, key in enumerate(keys)} if chosen or current is not None else {}
            flags = self.selectionModel().SelectionFlag
            for key in chosen & rows.keys():
                self.selectionModel().select(self._model.index(rows[key]), flags.Select)
            row = rows.get(current, min(max(0, old_row), len(keys) - 1))
            was_chosen = current in chosen and current not in rows and not chosen & rows.keys()
            self.selectionModel().setCurrentIndex(self._model.index(row), flags.Select if was_chosen else flags.NoUpdate)
            self.verticalScrollBar().setValue(at)

    def set_current_row(self, row: int, *, choose: bool = True) -> None:
        index = self._model.index(row)
        flags = self.selectionModel().SelectionFlag
        self.selectionModel().setCurrentIndex(index, flags.ClearAndSelect if choose else flags.NoUpdate)
        self.scrollTo(index)

    def set_side(self, side_px: int) -> None:
        """The least side of a tile; tiles grow to fill the width."""
        self._side = side_px
        self._fit()

    @property
    def source_side(self) -> int:
        """The side that pictures are read at: few steps, so that a slider does not read everything anew."""
        ratio = self.devicePixelRatioF()
        wanted = self._cell * ratio
        return next((side for side in (96, 160, 256, 384) if side >= wanted * 0.9), 384)

    # Geometry. QListView lays out every item: 0.7 s for 100,000. In a grid of equal cells a place is a division.

    @property
    def cell(self) -> int:
        """The side of a cell in pixels: the tile and the gap around it."""
        return self._cell

    @property
    def columns(self) -> int:
        return self._columns

    def _fit(self) -> None:
        width = max(40, self.viewport().width() - 1)
        self._columns = max(1, round((width + _GAP) / (px(self._side) + _GAP)))
        self._cell = max(24, width // self._columns)
        self.updateGeometries()
        self.viewport().update()

    def doItemsLayout(self) -> None:
        QAbstractItemView.doItemsLayout(self)

    def updateGeometries(self) -> None:
        QAbstractItemView.updateGeometries(self)
        rows = -(-len(self.keys) // self._columns)
        bar, page = self.verticalScrollBar(), self.viewport().height()
        bar.setRange(0, max(0, rows * self._cell - page))
        bar.setPageStep(page)
        bar.setSingleStep(max(8, self._cell // 3))

    def resizeEvent(self, event: QResizeEvent) -> None:
        QAbstractItemView.resizeEvent(self, event)
        self._fit()

    def horizontalOffset(self) -> int:
        return 0

    def verticalOffset(self) -> int:
        return self.verticalScrollBar().value()

    def isIndexHidden(self, index: QModelIndex) -> bool:
        return False

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        self.viewport().update()

    def visualRect(self, index: QModelIndex) -> QRect:
        if not index.isValid():
            return QRect()
        row, column = divmod(index.row(), self._columns)
        return QRect(column * self._cell, row * self._cell - self.verticalOffset(), self._cell, self._cell)

    def indexAt(self, pos: QPoint) -> QModelIndex:
        column, row = pos.x() // self._cell, (pos.y() + self.verticalOffset()) // self._cell
        number = row * self._columns + column
        is_inside = 0 <= column < self._columns and 0 <= number < len(self.keys)
        return self._model.index(number) if is_inside else QModelIndex()

    def scrollTo(self, index: QModelIndex, hint=QAbstractItemView.ScrollHint.EnsureVisible) -> None:
        rect, page, bar = self.visualRect(index), self.viewport().height(), self.verticalScrollBar()
        if rect.top() < 0:
            bar.setValue(bar.value() + rect.top())
        elif rect.bottom() > page:
            bar.setValue(bar.value() + rect.bottom() - page)

    def moveCursor(self, action, modifiers) -> QModelIndex:
        A = QAbstractItemView.CursorAction
        per_page = max(1, self.viewport().height() // self._cell) * self._columns
        last = len(self.keys) - 1
        steps = {
            A.MoveLeft: -1, A.MovePrevious: -1, A.MoveRight: 1, A.MoveNext: 1, A.MoveUp: -self._columns, A.MoveDown: self._columns,
            A.MovePageUp: -per_page, A.MovePageDown: per_page, A.MoveHome: -last - 1, A.MoveEnd: last + 1,
        }  # fmt: skip
        if last < 0:
            return QModelIndex()
        at, step = self.currentIndex().row(), steps[action]
        if at < 0:
            return self._model.index(0)
        if abs(step) == self._columns and not 0 <= at + step <= last:  # up from the first row, down from the last one
            return self._model.index(last if step > 0 and at // self._columns < last // self._columns else at)
        return self._model.index(max(0, min(last, at + step)))

    def _rows_in(self, rect: QRect) -> range:
        """Numbers of the tiles whose line of cells meets the rectangle (viewport coordinates)."""
        first = max(0, (rect.top() + self.verticalOffset()) // self._cell) * self._columns
        end = ((rect.bottom() + self.verticalOffset()) // self._cell + 1) * self._columns
        return range(min(first, len(self.keys)), max(0, min(end, len(self.keys))))

    def setSelection(self, rect: QRect, flags) -> None:
        """A click, a range with Shift (Qt gives the rectangle from the anchor to the tile), or what a drag covers."""
        start, end = self.indexAt(rect.topLeft()), self.indexAt(rect.bottomRight())
        if self.state() != QAbstractItemView.State.DragSelectingState and start.isValid() and end.isValid():
            first, last = sorted((start.row(), end.row()))
            selection = QItemSelection(self._model.index(first), self._model.index(last))
        else:
            selection, covered = QItemSelection(), rect.normalized()
            for row in self._rows_in(covered):
                index = self._model.index(row)
                if self.visualRect(index).intersects(covered):
                    selection.select(index, index)
        self.selectionModel().select(selection, flags)

    def visualRegionForSelection(self, selection: QItemSelection) -> QRegion:
        return QRegion(self.viewport().rect())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        option = QStyleOptionViewItem()
        self.initViewItemOption(option)
        is_focused = self.hasFocus()
        base = option.state & ~(QStyle.StateFlag.State_HasFocus | QStyle.StateFlag.State_MouseOver | QStyle.StateFlag.State_Selected)
        hovered = self.indexAt(self.viewport().mapFromGlobal(QCursor.pos())).row() if self.viewport().underMouse() else -1
        chosen, current = self.selectionModel(), self.current_row
        for row in self._rows_in(event.rect()):
            index = self._model.index(row)
            option.rect = self.visualRect(index)
            option.state = base
            if chosen.isSelected(index):
                option.state |= QStyle.StateFlag.State_Selected
            if row == current and is_focused:
                option.state |= QStyle.StateFlag.State_HasFocus
            if row == hovered:
                option.state |= QStyle.StateFlag.State_MouseOver
            self.itemDelegate().paint(painter, option, index)
        painter.end()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        is_command = bool(event.modifiers() & ~(Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.KeypadModifier))
        is_typing = len(event.text()) == 1 and event.text().isprintable() or event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace)
        if is_typing and not is_command:
            event.ignore()
            self.key_pressed.emit(event)
            return
        super().keyPressEvent(event)

    def keyboardSearch(self, search: str) -> None:
        """Letters are commands here, not a search by name."""

    def _on_menu_requested(self, pos: QPoint) -> None:
        index = self.indexAt(pos)
        if index.isValid():
            self.menu_wanted.emit(index.row(), self.viewport().mapToGlobal(pos))

    def _on_loader_loaded(self, path: str) -> None:
        if self.isVisible() and not self._repaint.isActive():
            self._repaint.start()


class _TileDelegate(QStyledItemDelegate):
    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        return QSize(self.parent().cell, self.parent().cell)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        grid: ThumbGrid = self.parent()
        thumb = grid.thumb(index.row())
        tile = QRectF(option.rect).adjusted(_GAP / 2, _GAP / 2, -_GAP / 2, -_GAP / 2)
        pixmap = grid._loader.pixmap(thumb.path, grid.source_side)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        paint_cover(painter, tile, pixmap, opacity=0.45 if thumb.is_muted else 1.0)
        if thumb.path in grid._loader.failed:
            side = min(24, int(tile.width() / 3))
            place = QRect(0, 0, side, side)
            place.moveCenter(tile.center().toPoint())
            paint_icon(painter, place, "prohibit", "muted")
        if option.state & QStyle.StateFlag.State_MouseOver:
            painter.setPen(pen("outline"))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(tile.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        if thumb.caption and tile.width() >= 56:
            paint_badge(painter, tile, thumb.caption)
        if thumb.mark:
            _paint_mark(painter, tile, thumb)
        is_chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        has_focus = bool(option.state & QStyle.StateFlag.State_HasFocus) and grid.hasFocus()
        if is_chosen or has_focus:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(pen("focus" if has_focus else "accent", 2))
            painter.drawRoundedRect(tile.adjusted(-1, -1, 1, 1), 5, 5)
            if is_chosen:
                painter.setPen(pen("window", 1))
                painter.drawRoundedRect(tile.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        painter.restore()


def paint_badge(painter: QPainter, tile: QRectF, text: str, *, token: str = "text") -> None:
    """A word on the lower left of a tile, on a ground that reads over any picture."""
    style = font("caption")
    metrics = QFontMetrics(style)
    room = int(tile.width() - 18)
    words = metrics.elidedText(shown(text), Qt.TextElideMode.ElideRight, room)
    box = QRectF(tile.left() + 4, tile.bottom() - 4 - (metrics.height() + 2), metrics.horizontalAdvance(words) + 10, metrics.height() + 2)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour("window", 0.84))
    painter.drawRoundedRect(box, 4, 4)
    painter.setFont(style)
    painter.setPen(colour(token))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, words)


def _paint_mark(painter: QPainter, tile: QRectF, thumb: Thumb) -> None:
    style = font("caption")
    metrics = QFontMetrics(style)
    words = metrics.horizontalAdvance(thumb.mark_text)
    height = metrics.height() + 2
    width = height + (words + 3 if words else 0)
    box = QRectF(tile.right() - 4 - width, tile.top() + 4, width, height)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour("warnWash", 0.94))
    painter.drawRoundedRect(box, 4, 4)
    side = height - 5
    paint_icon(painter, QRect(round(box.left() + 2), round(box.top() + 2), round(side), round(side)), thumb.mark, "warn")
    if words:
        painter.setFont(style)
        painter.setPen(colour("warn"))
        painter.drawText(box.adjusted(height - 1, 0, -2, 0), int(Qt.AlignmentFlag.AlignVCenter), thumb.mark_text)
