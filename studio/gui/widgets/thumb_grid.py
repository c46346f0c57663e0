"""A grid of pictures that fills its width: any number of files, read as they come into view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPoint, QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent, QPainter, QResizeEvent
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
        self._model = ThumbModel(self)
        self.setModel(self._model)
        self.setItemDelegate(_TileDelegate(self))
        self.setObjectName(name)
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setMovement(QListView.Movement.Static)
        self.setUniformItemSizes(True)
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
        wanted = self.gridSize().width() * ratio
        return next((side for side in (96, 160, 256, 384) if side >= wanted * 0.9), 384)

    def _fit(self) -> None:
        width = max(40, self.viewport().width() - 1)
        columns = max(1, round((width + _GAP) / (px(self._side) + _GAP)))
        cell = max(24, width // columns)
        if self.gridSize() != QSize(cell, cell):
            self.setGridSize(QSize(cell, cell))
            self.verticalScrollBar().setSingleStep(max(8, cell // 3))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

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
        return self.parent().gridSize()

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
