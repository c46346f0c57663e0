"""The original and its variants in a grid that fills its place."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPixmap, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from studio.gui.theme import colour, pen, px
from studio.gui.widgets.thumb import paint_cover
from studio.gui.widgets.thumb_grid import paint_badge

NUM_VARIANTS = 15  # with the original 16 tiles


@dataclass(frozen=True)
class Variant:
    """One tile. `epoch` counts from 0 and is None for the original."""

    pixmap: QPixmap
    epoch: int | None = None
    seed: int | None = None

    @property
    def title(self) -> str:
        return "original" if self.epoch is None else f"epoch {self.epoch + 1}"

    @property
    def in_words(self) -> str:
        return "The original" if self.epoch is None else f"Epoch {self.epoch + 1}, seed {self.seed}"


class VariantGrid(QWidget):
    """Square tiles. Arrow keys move, Enter and click open one; while newer tiles are on their way these are muted."""

    opened = Signal(int)

    def __init__(self, *, name: str = "", parent: QWidget | None = None):
        super().__init__(parent)
        self.setObjectName(name)
        self.variants: list[Variant] = []
        self._small: dict[tuple[int, int], QPixmap] = {}  # index, side: painting a large picture small would alias
        self._current = 0
        self._hovered = -1
        self._is_stale = False
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._describe()

    def sizeHint(self) -> QSize:
        return QSize(px(480), px(480))

    def minimumSizeHint(self) -> QSize:
        return QSize(px(200), px(200))

    @property
    def current(self) -> int:
        return self._current

    @property
    def is_stale(self) -> bool:
        return self._is_stale

    def show_variants(self, variants: list[Variant]) -> None:
        self.variants = variants
        self._small.clear()
        self._is_stale = False
        self._current = min(self._current, max(0, len(variants) - 1))
        self._describe()
        self.update()

    def set_stale(self, is_stale: bool) -> None:
        self._is_stale = is_stale
        self.update()

    def set_current(self, index: int) -> None:
        self._current = max(0, min(len(self.variants) - 1, index))
        self._describe()
        self.update()

    def _describe(self) -> None:
        self.setAccessibleName(f"Preview: the original and {max(0, len(self.variants) - 1)} variants")
        self.setAccessibleDescription(self.variants[self._current].in_words if self.variants else "No pictures yet")

    def layout_of(self, num: int) -> tuple[int, float, float, float]:
        """Columns, side, left and top (the tiles hang from the top) so that `num` square tiles are as large as possible."""
        gap = px(6)
        best = (1, 0.0)
        for columns in range(1, num + 1):
            rows = math.ceil(num / columns)
            side = min((self.width() - gap * (columns - 1)) / columns, (self.height() - gap * (rows - 1)) / rows)
            if side > best[1] + 0.5 and rows * columns - num < columns:
                best = (columns, side)
        columns, side = best
        left = (self.width() - columns * side - gap * (columns - 1)) / 2
        return columns, side, max(0.0, left), 0.0

    def tile(self, index: int) -> QRectF:
        columns, side, left, top = self.layout_of(max(len(self.variants), NUM_VARIANTS + 1))
        row, column = divmod(index, columns)
        step = side + px(6)
        return QRectF(left + column * step, top + row * step, side, side)

    def index_at(self, pos) -> int:
        return next((i for i in range(len(self.variants)) if self.tile(i).contains(pos)), -1)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """No higher than its four rows, so that what is below follows them."""
        self._small.clear()
        self.setMaximumHeight(max(self.minimumSizeHint().height(), self.width()))

    def _small_picture(self, index: int, side: float) -> QPixmap:
        pixmap, wanted = self.variants[index].pixmap, round(side * self.devicePixelRatioF())
        if min(pixmap.width(), pixmap.height()) <= wanted:
            return pixmap
        if (index, wanted) not in self._small:
            expand, smooth = Qt.AspectRatioMode.KeepAspectRatioByExpanding, Qt.TransformationMode.SmoothTransformation
            self._small[index, wanted] = pixmap.scaled(wanted, wanted, expand, smooth)
        return self._small[index, wanted]

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        index = self.index_at(event.position())
        if index != self._hovered:
            self._hovered = index
            self.setCursor(Qt.CursorShape.PointingHandCursor if index >= 0 else Qt.CursorShape.ArrowCursor)
            QToolTip.showText(event.globalPosition().toPoint(), self.variants[index].in_words if index >= 0 else "", self)
            self.update()

    def leaveEvent(self, event) -> None:
        self._hovered = -1
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        index = self.index_at(event.position())
        if index >= 0 and event.button() == Qt.MouseButton.LeftButton:
            self.set_current(index)
            self.opened.emit(index)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        columns = self.layout_of(max(len(self.variants), NUM_VARIANTS + 1))[0]
        move = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Up: -columns, Qt.Key.Key_Down: columns}.get(event.key())
        if move is not None and self.variants:
            self.set_current(self._current + move)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and self.variants:
            self.opened.emit(self._current)
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not self.variants:
            for index in range(NUM_VARIANTS + 1):
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(colour("raised"))
                painter.drawRoundedRect(self.tile(index), 4, 4)
        for index, variant in enumerate(self.variants):
            tile = self.tile(index)
            paint_cover(painter, tile, self._small_picture(index, tile.width()), opacity=0.4 if self._is_stale else 1.0)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            if variant.epoch is None:
                painter.setPen(pen("text2", 2))
                painter.drawRoundedRect(tile.adjusted(1, 1, -1, -1), 4, 4)
                paint_badge(painter, tile, "original")
            elif index == self._hovered:
                painter.setPen(pen("outline"))
                painter.drawRoundedRect(tile.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
            if self.hasFocus() and index == self._current:
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.setPen(pen("focus", 2))
                painter.drawRoundedRect(tile.adjusted(1, 1, -1, -1), 4, 4)
        painter.end()
