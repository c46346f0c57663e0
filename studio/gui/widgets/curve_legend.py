"""What lies over a plot of curves: the legend in a corner and the values under the cross-hair."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from studio.gui.theme import colour, font, pen, px

if TYPE_CHECKING:
    from studio.gui.widgets.curve_plot import CurvePlot


class CurveLegend(QWidget):
    """The curves by name, in a corner of the plot."""

    def __init__(self, plot: CurvePlot, corner: str):
        super().__init__(plot)
        self._plot, self._corner = plot, corner
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def refresh(self) -> None:
        keys = self._plot.legend_keys()
        metrics = self.fontMetrics()
        self.setFont(font("caption"))
        width = max((metrics.horizontalAdvance(self._plot.style_of(k).label) for k in keys), default=0)
        self.setFixedSize(width + px(40), len(keys) * px(16) + px(6))
        self.setVisible(len(keys) > 1)
        self.place()
        self.update()

    def set_corner(self, corner: str) -> None:
        self._corner = corner
        self.place()

    def place(self) -> None:
        box = self._plot.widget.mapFromScene(self._plot.view.sceneBoundingRect()).boundingRect()
        x = box.left() + 6 if "left" in self._corner else box.right() - self.width() - 4
        y = box.top() + 4 if "top" in self._corner else box.bottom() - self.height() - 4
        self.move(max(0, x), max(0, y))

    def _key_at(self, y: float) -> str | None:
        keys, row = self._plot.legend_keys(), int((y - px(3)) / px(16))
        return keys[row] if 0 <= row < len(keys) else None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        key = self._key_at(event.position().y())
        if key:
            self._plot.set_curve_hidden(key, not self._plot.is_curve_hidden(key))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        key = self._key_at(event.position().y())
        if key:
            self._plot.set_curve_hidden(key, False)
            self._plot.show_alone(key)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("plot", 0.86))
        painter.drawRoundedRect(self.rect(), 4, 4)
        painter.setFont(font("caption"))
        for row, key in enumerate(self._plot.legend_keys()):
            style, hidden = self._plot.style_of(key), self._plot.is_curve_hidden(key)
            middle = px(3) + row * px(16) + px(8)
            painter.setOpacity(0.4 if hidden else 1.0)
            painter.setPen(style.pen())
            painter.drawLine(px(6), middle, px(24), middle)
            if style.kind == "marks":
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(colour(style.token))
                painter.drawEllipse(QRectF(px(15) - 3.5, middle - 3.5, 7, 7))
            painter.setPen(colour("text2"))
            painter.drawText(px(30), middle - px(8), self.width(), px(16), int(Qt.AlignmentFlag.AlignVCenter), style.label)
        painter.end()


class ValueBubble(QWidget):
    """The values under the cross-hair."""

    def __init__(self, plot: CurvePlot):
        super().__init__(plot)
        self._rows: list[tuple[str, str]] = []
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def show_rows(self, rows: list[tuple[str, str]], x: int, box: QRectF) -> None:
        self._rows = rows
        self.setFont(font("number"))
        width = max(self.fontMetrics().horizontalAdvance(text) for text, _ in rows) + px(18)
        self.setFixedSize(width, len(rows) * px(16) + px(8))
        left = x + 10 if x + 12 + width < box.right() else x - width - 10
        self.move(max(0, left), int(box.top()) + px(8))
        self.show()
        self.raise_()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(pen("outline"))
        painter.setBrush(colour("pressed", 0.95))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        for row, (text, token) in enumerate(self._rows):
            painter.setFont(font("strong" if row == 0 else "number"))
            painter.setPen(colour(token))
            painter.drawText(px(8), px(4) + row * px(16), self.width(), px(16), int(Qt.AlignmentFlag.AlignVCenter), text)
        painter.end()
