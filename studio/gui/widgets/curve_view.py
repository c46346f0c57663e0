"""What the pointer and the keys do to the range of a CurvePlot: x alone, unless Shift is held."""

from __future__ import annotations

import pyqtgraph as pg
from PySide6.QtCore import QPoint, Qt, Signal


class CurveView(pg.ViewBox):
    """Drag pans x, the wheel zooms x, Shift and wheel zoom y."""

    moved = Signal()  # by the user
    fit_wanted = Signal()
    menu_wanted = Signal(QPoint)  # place on the screen, px

    def __init__(self):
        super().__init__(enableMenu=False)
        self.setMouseEnabled(x=True, y=False)

    def zoom_x(self, factor: float, about: float | None) -> None:
        """Show `factor` times as much of x; `about` (in data units) stays where it is, None is the middle."""
        low, high = self.viewRange()[0]
        about = (low + high) / 2 if about is None else about
        self.setXRange(about + (low - about) * factor, about + (high - about) * factor, padding=0)
        self.moved.emit()

    def pan_x(self, fraction: float) -> None:
        """By a share of what is seen; above 0 to the right."""
        low, high = self.viewRange()[0]
        self.setXRange(low + (high - low) * fraction, high + (high - low) * fraction, padding=0)
        self.moved.emit()

    def wheelEvent(self, ev, axis=None):
        is_shift = bool(ev.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        self.setMouseEnabled(x=not is_shift, y=is_shift)
        super().wheelEvent(ev, axis)
        self.setMouseEnabled(x=True, y=False)
        self.moved.emit()

    def mouseDragEvent(self, ev, axis=None):
        super().mouseDragEvent(ev, axis)
        self.moved.emit()

    def mouseClickEvent(self, ev):
        if ev.double() and ev.button() == Qt.MouseButton.LeftButton:
            ev.accept()
            self.fit_wanted.emit()
        elif ev.button() == Qt.MouseButton.RightButton:
            ev.accept()
            self.menu_wanted.emit(ev.screenPos().toPoint())
        else:
            super().mouseClickEvent(ev)
