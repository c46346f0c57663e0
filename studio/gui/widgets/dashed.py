"""A frame with a dashed edge: a place for something, or a step that cannot be changed. A style sheet draws such dashes as dots."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QWidget

from studio.gui.theme import colour, pen


class DashedFrame(QFrame):
    """`ground` is a token or empty for none. `set_active` shows that something is held over it."""

    def __init__(self, *, ground: str = "", edge: str = "outline", radius: float = 10, parent: QWidget | None = None):
        super().__init__(parent)
        self._ground, self._edge, self._radius = ground, edge, radius
        self._is_active = False

    def set_active(self, is_active: bool) -> None:
        self._is_active = is_active
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        dashes = pen("accent" if self._is_active else self._edge, 1, dash=(4, 4))
        dashes.setCapStyle(Qt.PenCapStyle.FlatCap)
        painter.setPen(dashes)
        ground = "accentWash" if self._is_active else self._ground
        painter.setBrush(colour(ground) if ground else Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), self._radius, self._radius)
        painter.end()
