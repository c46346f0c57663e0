"""What lies over a plot of curves: the legend in a corner and the values under the cross-hair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QHelpEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QToolTip, QWidget

from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets.label import fitting, plain_tooltip

if TYPE_CHECKING:
    from studio.gui.widgets.curve_plot import CurvePlot

_CORNERS = ("top right", "bottom right", "top left", "bottom left")
_LOOKS = 24  # places along a legend at which curves are looked for
_LITTLE = 0.1  # of a legend's width, under which curves may run before it goes above the plot
_MOST_ABOVE, _MOST_WHOLE = 0.3, 0.18  # of a plot's height: for a legend above it, and for one of many curves with all words
_FEW = 5  # a legend of more curves stands above the plot: in a corner it would take a quarter of it
_ROW_PX = 16


class _Entry:
    """How an entry is divided, px: line, its words, and what is left and right of them. Of many curves it is closer."""

    def __init__(self, is_close: bool):
        self.left, self.line, self.gap, self.right = (px(v) for v in ((3, 16, 4, 6) if is_close else (6, 18, 6, 10)))

    @property
    def beside(self) -> int:
        return self.left + self.line + self.gap + self.right


class CurveLegend(QWidget):
    """The curves by name: in the corner of the plot where none of them runs, or above the plot where they run in all four or are many.

    Where the names of many are too long for that, their short forms stand there, and the whole in tooltips."""

    def __init__(self, plot: CurvePlot, corner: str):
        super().__init__(plot)
        self._plot, self._home, self._corner = plot, corner, corner
        self._places: list[QRect] = []  # of the entries
        self._words: list[str] = []
        self._entry = _Entry(False)
        self._inside = QSize()  # its size in a corner, wherever it stands
        self._above: list[QRect] = []  # as the entries would lie above the plot
        self._is_above = False
        self._settling = QTimer(self, singleShot=True, interval=0)
        self._settling.timeout.connect(self.settle)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def refresh(self) -> None:
        self.setFont(font("caption"))
        keys, box = self._plot.legend_keys(), self._plot_box()
        styles = [self._plot.style_of(key) for key in keys]
        self._entry = _Entry(self._is_many)
        widths = self._set_words([style.label for style in styles], box.width())
        self._above = _in_rows(widths, max(1, box.width()))
        if self._is_many and _size_of(self._above).height() > _MOST_WHOLE * self._plot.height():
            widths = self._set_words([style.short or style.label for style in styles], box.width())
            self._above = _in_rows(widths, max(1, box.width()))
        inside = _in_columns(widths, max(1, int((box.height() - px(14)) // px(_ROW_PX))))  # what does not fit below goes beside
        self._inside = _size_of(inside)
        self._places = self._above if self._is_above else inside
        self.setFixedSize(_size_of(self._places))
        self.setVisible(len(keys) > 1)
        self._plot.set_room_above(self.height() if self._is_above and len(keys) > 1 else 0)
        self.place()
        self.update()

    @property
    def _is_many(self) -> bool:
        return len(self._plot.legend_keys()) > _FEW

    def _set_words(self, words: list[str], room: int) -> list[int]:
        """What is written of these in so many px; the widths of the entries."""
        metrics = self.fontMetrics()
        self._words = [fitting(each, metrics, max(px(40), room - self._entry.beside)) for each in words]
        return [metrics.horizontalAdvance(each) + self._entry.beside for each in self._words]

    def set_corner(self, corner: str) -> None:
        """Where it stands while no curve runs there."""
        self._home = self._corner = corner
        self.place()

    def settle_soon(self) -> None:
        """After the plot has another size."""
        self._settling.start()

    def settle(self) -> None:
        """Go to the corner in which the least of the curves and of the words beside marks lies; stay where another one is not much better.
        Where something lies in all of them, go above the plot if that leaves it high enough, and come back when a corner is free."""
        if not self.isVisible():
            return
        seen = [self._plot.curve_seen(key) for key in self._plot.legend_keys() if not self._plot.is_curve_hidden(key)]
        corner, least = self._home, self._covered(self._home, seen)
        if least:
            covered = {corner: self._covered(corner, seen) for corner in dict.fromkeys((self._corner, self._home, *_CORNERS))}
            best = min(covered, key=covered.__getitem__)
            corner = best if covered[best] < 0.5 * covered[self._corner] else self._corner
            least = covered[corner]
        has_room = _size_of(self._above).height() <= _MOST_ABOVE * self._plot.height()
        is_above = has_room and (self._is_many or least > (0 if self._is_above else _LITTLE))
        if (corner, is_above) != (self._corner, self._is_above):
            self._corner, self._is_above = corner, is_above
            self.refresh()

    def _covered(self, corner: str, seen: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> float:
        """How much of the legend would lie over curves and words of marks in a corner: shares of its width, summed."""
        (left, right), (bottom, top) = self._plot.view.viewRange()
        box = self._plot_box()
        own = self._inside
        width, height = (right - left) * own.width() / max(1, box.width()), (top - bottom) * (own.height() + px(6)) / max(1, box.height())
        begin = left if "left" in corner else right - width
        low = top - height if "top" in corner else bottom
        at, total = np.linspace(begin, begin + width, _LOOKS), 0.0
        for x, least, most in seen:
            if len(x):
                is_point_in = (x >= begin) & (x <= begin + width) & (most >= low) & (least <= low + height)
                least, most = (np.interp(at, x, y, left=np.nan, right=np.nan) for y in (least, most))
                share = float(np.mean((most >= low) & (least <= low + height)))
                total += max(share, 2 * _LITTLE) if is_point_in.any() else share  # a point alone has no width
        if "bottom" in corner:
            edge = 0 if "left" in corner else box.width() - own.width()
            words = sum(max(0.0, min(right, edge + own.width()) - max(left, edge)) for left, right in self._plot.mark_words())
            total += words / own.width()
        return total

    def _plot_box(self) -> QRect:
        return self._plot.widget.mapFromScene(self._plot.view.sceneBoundingRect()).boundingRect()

    def place(self) -> None:
        box = self._plot_box()
        if self._is_above:
            self.move(box.left(), px(2))
            return
        x = box.left() + 6 if "left" in self._corner else box.right() - self.width() - 4
        y = box.top() + 4 if "top" in self._corner else box.bottom() - self.height() - 4
        self.move(max(0, x), max(0, y))

    def _key_at(self, at: QPointF) -> str | None:
        return next((key for key, place in zip(self._plot.legend_keys(), self._places) if place.contains(at.toPoint())), None)

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            key = self._key_at(QPointF(event.pos()))
            words = self._plot.style_of(key).label if key else ""
            QToolTip.showText(event.globalPos(), "" if words in self._words else plain_tooltip(words), self)
            return True
        return super().event(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        key = self._key_at(event.position())
        if key:
            self._plot.set_curve_hidden(key, not self._plot.is_curve_hidden(key))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        key = self._key_at(event.position())
        if key:
            self._plot.set_curve_hidden(key, False)
            self._plot.show_alone(key)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not self._is_above:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour("plot", 0.86))
            painter.drawRoundedRect(self.rect(), 4, 4)
        painter.setFont(font("caption"))
        entry = self._entry
        for key, place, words in zip(self._plot.legend_keys(), self._places, self._words):
            style, hidden = self._plot.style_of(key), self._plot.is_curve_hidden(key)
            left, middle = place.left() + entry.left, place.center().y() + 1
            painter.setOpacity(0.4 if hidden else 1.0)
            painter.setPen(style.pen())
            painter.drawLine(left, middle, left + entry.line, middle)
            if style.kind == "marks":
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(colour(style.token))
                painter.drawPath(style.point().translated(left + entry.line / 2, middle))
            painter.setPen(colour("text2"))
            room = place.adjusted(entry.left + entry.line + entry.gap, 0, 0, 0)
            painter.drawText(room, int(Qt.AlignmentFlag.AlignVCenter), words)
        painter.end()


def _in_columns(widths: list[int], most_rows: int) -> list[QRect]:
    """Entries of these widths below one another, in as many columns of equal width as that takes."""
    num_columns = -(-len(widths) // most_rows)
    rows, wide = -(-len(widths) // max(1, num_columns)), max(widths, default=0)
    return [QRect(n // rows * wide, px(3) + n % rows * px(_ROW_PX), wide, px(_ROW_PX)) for n in range(len(widths))]


def _in_rows(widths: list[int], room: int) -> list[QRect]:
    """Entries of these widths beside one another, in as many rows as that takes; below one another too where that takes no more of them."""
    places, x, y = [], 0, px(3)
    for width in widths:
        if x and x + width > room:
            x, y = 0, y + px(_ROW_PX)
        places.append(QRect(x, y, width, px(_ROW_PX)))
        x += width
    num_rows, wide = 1 + (y - px(3)) // px(_ROW_PX), max(widths, default=0)
    num_columns = -(-len(widths) // num_rows)
    if num_rows > 1 and num_columns * wide <= room:
        return [QRect(n % num_columns * wide, px(3) + n // num_columns * px(_ROW_PX), wide, px(_ROW_PX)) for n in range(len(widths))]
    return places


def _size_of(places: list[QRect]) -> QSize:
    return QSize(max((p.right() + 1 for p in places), default=0), max((p.bottom() + 1 for p in places), default=0) + px(3))


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
