"""The confusion matrix of very many classes as one picture."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QWidget

from studio.gui.pages.results.confusion_model import MANY, ConfusionModel
from studio.gui.theme import colour, pen, px
from studio.gui.widgets.label import set_plain_tooltip


class ConfusionPicture(QWidget):
    """Very many classes: one pixel per cell, scaled; the wheel zooms about the pointer, drag moves."""

    chosen = Signal(object)

    def __init__(self, model: ConfusionModel):
        super().__init__()
        self._model = model
        self._image = QImage()
        self._zoom = 1.0
        self._origin = QPointF(0, 0)  # in cells, of the upper left corner
        self._drag: tuple[QPointF, QPointF, bool] | None = None
        self._cursor = (0, 0)
        self.chosen_cell: tuple[int, int] | None = None
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAccessibleName("Confusion matrix of many classes: arrow keys move, Enter chooses a cell")

    def refresh(self) -> None:
        model = self._model
        n = model.rowCount()
        self._zoom, self._origin, self._cursor = 1.0, QPointF(0, 0), (0, 0)
        if n <= MANY:
            self._image = QImage()
            return
        counts = model.scores.confusion
        base, right, wrong = (np.array(colour(t).getRgb()[:3], float) for t in ("plot", "accent", "bad"))
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        off = counts - np.diag(np.diag(counts))
        alpha = np.where(off > 0, 0.3 + 0.7 * off / max(1, off.max()), 0.0)[..., None]
        pixels = base * (1 - alpha) + wrong * alpha
        diagonal = np.arange(n)
        strength = (0.25 + 0.75 * share[diagonal, diagonal])[:, None]
        pixels[diagonal, diagonal] = base * (1 - strength) + right * strength
        content = np.ascontiguousarray(pixels.round().astype(np.uint8))
        self._image = QImage(content.data, n, n, 3 * n, QImage.Format.Format_RGB888).copy()
        self.update()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:
            self.refresh()

    @property
    def _cell(self) -> float:
        n = max(1, self._model.rowCount())
        return min(self.width(), self.height()) / n * self._zoom

    def _at(self, pos: QPointF) -> tuple[int, int] | None:
        n = self._model.rowCount()
        column, row = int(self._origin.x() + pos.x() / self._cell), int(self._origin.y() + pos.y() / self._cell)
        return (row, column) if 0 <= row < n and 0 <= column < n else None

    def wheelEvent(self, event: QWheelEvent) -> None:
        pos, old = event.position(), self._cell
        under = self._origin + pos / old
        n = self._model.rowCount()
        self._zoom = min(max(1.0, n / 8), max(1.0, self._zoom * 1.0015 ** event.angleDelta().y()))
        self._move_to(under - pos / self._cell)
        event.accept()

    def _move_to(self, origin: QPointF) -> None:
        n = self._model.rowCount()
        most_x, most_y = max(0.0, n - self.width() / self._cell), max(0.0, n - self.height() / self._cell)
        self._origin = QPointF(min(most_x, max(0.0, origin.x())), min(most_y, max(0.0, origin.y())))
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._drag = (event.position(), self._origin, False)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._drag and event.buttons() & Qt.MouseButton.LeftButton:
            start, origin, moved = self._drag
            delta = event.position() - start
            if moved or delta.manhattanLength() > 4:
                self._drag = (start, origin, True)
                self._move_to(origin - delta / self._cell)
            return
        cell = self._at(event.position())
        set_plain_tooltip(self, self._model.sentence(*cell) if cell else "")

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        cell = self._at(event.position())
        if self._drag and not self._drag[2] and cell:
            self._choose(cell)
        self._drag = None

    def keyPressEvent(self, event: QKeyEvent) -> None:
        move = {Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1), Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0)}.get(event.key())
        n = self._model.rowCount()
        if move and n:
            self._cursor = tuple(min(n - 1, max(0, a + b)) for a, b in zip(self._cursor, move))
            self.setAccessibleDescription(self._model.sentence(*self._cursor))
            set_plain_tooltip(self, self._model.sentence(*self._cursor))
            self.update()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and n:
            self._choose(self._cursor)
        elif event.key() == Qt.Key.Key_Escape and self.chosen_cell is not None:
            self.chosen.emit(None)
        else:
            super().keyPressEvent(event)

    def _choose(self, cell: tuple[int, int]) -> None:
        self._cursor = cell
        self.chosen.emit(None if cell == self.chosen_cell else cell)

    def sizeHint(self) -> QSize:
        return QSize(px(300), px(300))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        if not self._image.isNull():
            n, cell = self._image.width(), self._cell
            target = QRectF(-self._origin.x() * cell, -self._origin.y() * cell, n * cell, n * cell)
            painter.drawImage(target, self._image)
            marked = [(self.chosen_cell, "accent")] if self.chosen_cell else []
            if self.hasFocus():
                marked.append((self._cursor, "focus"))
            for (row, column), token in marked:
                painter.setPen(pen(token, 2))
                painter.drawRect(QRectF(target.left() + column * cell, target.top() + row * cell, cell, cell).adjusted(-1, -1, 1, 1))
        painter.end()
