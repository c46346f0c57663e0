"""The learning-rate curve in small."""

from __future__ import annotations

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPolygonF
from PySide6.QtWidgets import QWidget

from studio.core.experiment import Schedule
from studio.gui.theme import colour, pen, px

POINTS = 240


class MiniCurve(QWidget):
    """Draws the same numbers that the engine applies, thinned to the width. "Now" is the orange line."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._values: list[float] = []
        self._now: float | None = None
        self.setFixedHeight(px(40))
        self.setAccessibleName("Learning rate over the run")

    def set_schedule(self, schedule: Schedule, steps_per_epoch: int) -> None:
        import numpy as np

        from studio.catalog.schedules import head_lr

        # The shape does not depend on the number of steps beyond this resolution.
        per_epoch = max(1, min(steps_per_epoch, -(-POINTS // schedule.epochs) * 4))
        rates = head_lr(schedule, np.arange(schedule.epochs * per_epoch), per_epoch)
        stride = max(1, len(rates) // POINTS)
        self._values = [float(v) for v in rates[::stride]] + [float(rates[-1])]
        self.update()

    def set_now(self, fraction: float | None) -> None:
        if fraction != self._now:
            self._now = fraction
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._values:
            return
        top = max(self._values) or 1.0
        width, height = self.width() - 1, self.height() - 5
        points = [QPointF(width * i / (len(self._values) - 1), 2 + height * (1 - v / top)) for i, v in enumerate(self._values)]
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("series.0", 0.16))
        painter.drawPolygon(QPolygonF([QPointF(0, self.height()), *points, QPointF(width, self.height())]))
        painter.setPen(pen("series.0", 1.6))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(QPolygonF(points))
        if self._now is not None:
            painter.setPen(pen("trains", 1.5, dash=(3, 2)))
            painter.drawLine(QPointF(width * self._now, 0), QPointF(width * self._now, self.height()))
        painter.end()
