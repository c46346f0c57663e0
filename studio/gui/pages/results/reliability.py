"""The reliability diagram: how often an answer is right against how sure it was said to be."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from studio.core.reliability import Bins
from studio.core.words import counted
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets.label import set_plain_tooltip
from studio.gui.wording import percent

_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
_COUNT_PX = 16  # height of the strip that says how many answers a bin has


class ReliabilityDiagram(QWidget):
    """A bar per bin, as high as its answers are right; a line marks how sure they are, and what is missing up to it is filled.

    Left and Right go from bin to bin; what stands at the pointer or was gone to is said in words. Answers below `set_least` are muted.
    """

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._bins: Bins | None = None
        self._least = 0.0
        self._at: int | None = None
        self.setObjectName("results.reliability")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setMouseTracking(True)
        self.setMinimumSize(px(160), px(96))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        return QSize(px(280), px(170))

    def show_bins(self, bins: Bins | None) -> None:
        self._bins, self._at = bins, None
        filled = self._filled
        words = "; ".join(self.sentence(index) for index in filled)
        self.setAccessibleName("Reliability diagram: Left and Right go through its bars")
        self.setAccessibleDescription(words)
        set_plain_tooltip(self, "")
        self.update()

    def set_least(self, confidence: float) -> None:
        """Answers that are less sure are not given."""
        if confidence != self._least:
            self._least = confidence
            self.update()

    @property
    def _filled(self) -> list[int]:
        return np.flatnonzero(self._bins.count_B).tolist() if self._bins else []

    def sentence(self, index: int) -> str:
        bins = self._bins
        says, does, n = bins.confidence_B[index], bins.accuracy_B[index], int(bins.count_B[index])
        return f"{counted(n, 'answer')}, {percent(says, 0)} sure on average: right {percent(does, 0)} of the time"

    # mouse and keys

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        plot = self._plot()
        index = int((event.position().x() - plot.left()) / plot.width() * self._num_bins)
        self._go_to(index if index in self._filled else None)

    def leaveEvent(self, event) -> None:
        self._go_to(None)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(event.key())
        filled = self._filled
        if step is None or not filled:
            super().keyPressEvent(event)
            return
        place = filled.index(self._at) + step if self._at in filled else (len(filled) - 1 if step < 0 else 0)
        self._go_to(filled[min(len(filled) - 1, max(0, place))])

    def _go_to(self, index: int | None) -> None:
        if index == self._at:
            return
        self._at = index
        if index is not None:
            self.setAccessibleDescription(self.sentence(index))
        set_plain_tooltip(self, "" if index is None else self.sentence(index))
        self.update()

    # painting

    @property
    def _num_bins(self) -> int:
        return len(self._bins.count_B) if self._bins else 1

    def _plot(self) -> QRectF:
        return QRectF(px(34), px(6), max(1, self.width() - px(46)), max(1, self.height() - px(6 + 18 + _COUNT_PX + 4)))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        plot = self._plot()
        painter.fillRect(plot, colour("plot"))
        self._paint_axes(painter, plot)
        if self._bins is not None:
            self._paint_bars(painter, plot)
            self._paint_counts(painter, QRectF(plot.left(), plot.bottom() + px(18) + 3, plot.width(), px(_COUNT_PX)))
        painter.setPen(pen("outline", 1.4, dash=(4, 3)))
        painter.drawLine(plot.bottomLeft(), plot.topRight())
        if self._least > 0:
            x = plot.left() + self._least * plot.width()
            painter.setPen(pen("text", 1.4))
            painter.drawLine(QPointF(x, plot.top()), QPointF(x, plot.bottom()))
        if self.hasFocus():
            painter.setPen(pen("focus", 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 4, 4)
        painter.end()

    def _paint_axes(self, painter: QPainter, plot: QRectF) -> None:
        painter.setFont(font("tick"))
        height = painter.fontMetrics().height()
        for tick in _TICKS:
            x, y = plot.left() + tick * plot.width(), plot.bottom() - tick * plot.height()
            painter.setPen(pen("border"))
            painter.drawLine(QPointF(plot.left(), y), QPointF(plot.right(), y))
            painter.drawLine(QPointF(x, plot.top()), QPointF(x, plot.bottom()))
            painter.setPen(colour("muted"))
            words = f"{tick * 100:.0f}"
            painter.drawText(
                QRectF(0, y - height / 2, plot.left() - px(5), height), Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, words
            )
            painter.drawText(QRectF(x - px(20), plot.bottom() + 2, px(40), height), Qt.AlignmentFlag.AlignHCenter, words)

    def _paint_bars(self, painter: QPainter, plot: QRectF) -> None:
        bins, width = self._bins, plot.width() / self._num_bins
        for index in self._filled:
            says, does = bins.confidence_B[index], bins.accuracy_B[index]
            left = plot.left() + index * width + 1
            strength = 1.0 if (index + 1) / self._num_bins > self._least else 0.3  # some of the bin's answers are given
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour("accent", strength * (1.0 if index == self._at else 0.7)))
            painter.drawRect(QRectF(left, plot.bottom() - does * plot.height(), width - 2, does * plot.height()))
            if says > does:
                painter.setBrush(colour("warnDot", 0.35 * strength))
                painter.drawRect(QRectF(left, plot.bottom() - says * plot.height(), width - 2, (says - does) * plot.height()))
            painter.setPen(pen("warnDot", 2, alpha=strength))
            y = plot.bottom() - says * plot.height()
            painter.drawLine(QPointF(left, y), QPointF(left + width - 2, y))

    def _paint_counts(self, painter: QPainter, strip: QRectF) -> None:
        bins, width = self._bins, strip.width() / self._num_bins
        most = int(bins.count_B.max()) or 1
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("border2"))
        for index in self._filled:
            height = max(2.0, strip.height() * int(bins.count_B[index]) / most)
            painter.drawRect(QRectF(strip.left() + index * width + 1, strip.bottom() - height, width - 2, height))
        painter.setPen(colour("muted"))
        painter.setFont(font("tick"))
        painter.drawText(
            QRectF(0, strip.top(), strip.left() - px(5), strip.height()), Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom, "n"
        )
