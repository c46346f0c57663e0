"""Small painted figures: sparkline, progress with epoch marks, stacked bar."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from studio.gui.theme import colour, pen, px
from studio.gui.widgets.label import set_plain_tooltip


class Sparkline(QWidget):
    """The recent course of one figure, without axes."""

    def __init__(self, token: str = "series.0", *, low: float | None = None, high: float | None = None, parent: QWidget | None = None):
        """low, high: fixed ends of the scale; None follows the values."""
        super().__init__(parent)
        self._token, self._low, self._high = token, low, high
        self._values: list[float] = []
        self.setMinimumSize(px(40), px(18))

    def sizeHint(self) -> QSize:
        return QSize(px(60), px(22))

    def set_values(self, values: Sequence[float | None]) -> None:
        self._values = [v for v in values if v is not None and v == v]
        self.update()

    def set_token(self, token: str) -> None:
        self._token = token
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        values = self._values
        if len(values) < 2:
            return
        low = min(values) if self._low is None else self._low
        high = max(values) if self._high is None else self._high
        span = (high - low) or 1.0
        width, height = self.width() - 1, self.height() - 3
        points = [
            QPointF(width * i / (len(values) - 1), 1.5 + height * (1 - min(1.0, max(0.0, (v - low) / span)))) for i, v in enumerate(values)
        ]
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour(self._token, 0.22))
        painter.drawPolygon(QPolygonF([QPointF(0, self.height()), *points, QPointF(width, self.height())]))
        painter.setPen(pen(self._token, 1.4))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(QPolygonF(points))
        painter.end()


class EpochProgress(QWidget):
    """How far a run is, one mark per epoch. A click on a finished epoch emits its number (from 0)."""

    epoch_clicked = Signal(int)

    def __init__(self, height: int = 8, parent: QWidget | None = None):
        super().__init__(parent)
        self._fraction = 0.0
        self._epochs = 0
        self._token = "trainsFill"
        self._tooltips: tuple[str, ...] = ()
        self.setFixedHeight(px(height))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)

    def set_progress(self, fraction: float, epochs: int = 0, *, token: str = "trainsFill", tooltips: tuple[str, ...] = ()) -> None:
        """fraction in [0, 1]; epochs: number of parts the bar is divided into; tooltips: one per finished epoch."""
        self._fraction, self._epochs, self._token, self._tooltips = min(1.0, max(0.0, fraction)), epochs, token, tooltips
        self.setAccessibleName(f"Progress {fraction:.0%}")
        self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        epoch = self._epoch_at(event.position().x())
        set_plain_tooltip(self, self._tooltips[epoch] if epoch < len(self._tooltips) else "")

    def mousePressEvent(self, event: QMouseEvent) -> None:
        epoch = self._epoch_at(event.position().x())
        if epoch < len(self._tooltips):
            self.epoch_clicked.emit(epoch)

    def _epoch_at(self, x: float) -> int:
        return int(max(0.0, min(0.999, x / max(1, self.width()))) * max(1, self._epochs))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        radius = min(2.0, self.height() / 2)
        # More than about 60 marks would be a comb, not a scale.
        parts = self._epochs if 1 < self._epochs <= max(1, self.width() // 6) else 1
        gap = 2 if parts > 1 else 0
        width = (self.width() - gap * (parts - 1)) / parts
        painter.setPen(Qt.PenStyle.NoPen)
        for index in range(parts):
            left = index * (width + gap)
            painter.setBrush(colour("border2"))
            painter.drawRoundedRect(QRectF(left, 0, width, self.height()), radius, radius)
            share = min(1.0, max(0.0, self._fraction * parts - index))
            if share > 0:
                painter.setBrush(colour(self._token))
                painter.drawRoundedRect(QRectF(left, 0, max(1.0, width * share), self.height()), radius, radius)
        painter.end()


class MeterBar(QWidget):
    """One bar of several coloured parts against a total: memory by use, parameters by stage, a split by share."""

    def __init__(self, height: int = 8, parent: QWidget | None = None):
        super().__init__(parent)
        self._parts: tuple[tuple[float, str], ...] = ()
        self._total = 0.0
        self._gap = 0.0
        self.setFixedHeight(px(height))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_parts(self, parts: Sequence[tuple[float, str]], total: float | None = None, *, gap: float = 0) -> None:
        """parts: pairs of amount and colour token, left to right; total: what the full width stands for (None: their sum)."""
        self._parts = tuple(parts)
        self._total = sum(a for a, _ in parts) if total is None else total
        self._gap = gap
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("border2"))
        painter.drawRoundedRect(QRectF(0, 0, self.width(), self.height()), 2, 2)
        left = 0.0
        for amount, token in self._parts:
            width = self.width() * amount / self._total if self._total > 0 else 0.0
            if width > 0:
                painter.setBrush(colour(token))
                end = min(self.width(), left + max(width - self._gap, 1.0))
                painter.drawRoundedRect(QRectF(left, 0, max(0.0, end - left), self.height()), 1.5, 1.5)
            left += width
        painter.end()
