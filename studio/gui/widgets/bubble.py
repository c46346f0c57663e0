"""What a drag would change, beside the pointer."""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QPoint, QRectF, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from studio.gui.picture import kept_picture
from studio.gui.theme import colour, font, pen, px, theme

_ALIGN = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)


class Bubble(QWidget):
    """A strong first line and a second one. A child of the window; painted by hand, as labels in a layout take a millisecond a move."""

    def __init__(self, parent: QWidget, *, second: str = "number"):
        """second: the style of the second line."""
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._styles = ("strong", second)
        self.words = ("", "")
        self._middle = 0  # where the second line begins, px
        self.hide()

    def show_at(self, global_pos: QPoint, first: str, second: str = "", *, beside: QWidget | None = None) -> None:
        """`beside`: to whose width it keeps, the window's where none is given."""
        if (first, second) != self.words:
            self.words = first, second
            self._fit()
            self.update()
        host = self.parentWidget()
        pos = host.mapFromGlobal(global_pos) + QPoint(14, 14)
        left, right = 4, host.width() - 4
        if beside is not None:
            left = max(left, beside.mapTo(host, QPoint(0, 0)).x())
            right = min(right, left + beside.width())
        self.move(
            max(left, min(pos.x(), right - self.width())),
            pos.y() if pos.y() + self.height() < host.height() - 4 else pos.y() - self.height() - 28,
        )
        if not self.isVisible():
            self.show()
            self.raise_()

    def _fit(self) -> None:
        widths, heights = zip(*(_size_of(*line) for line in zip(self._styles, self.words, strict=True)), strict=True)
        self._middle = px(6) + heights[0]
        self.setFixedSize(max(widths) + 2 * px(9), sum(heights) + 2 * px(6))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        size = self.width(), self.height()
        key = f"bubble {size} {self._styles[1]} {self.words[1]}"
        painter.drawPixmap(0, 0, kept_picture(key, self.devicePixelRatioF(), lambda: size, self._paint_ground))
        painter.setFont(font(self._styles[0]))
        painter.setPen(colour("text"))
        painter.drawText(px(9), px(6), self.width(), self._middle - px(6), _ALIGN, self.words[0])
        painter.end()

    def _paint_ground(self, painter: QPainter) -> None:
        """All but the first line: that alone changes at every move."""
        painter.setPen(pen("outline"))
        painter.setBrush(colour("pressed"))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        painter.setFont(font(self._styles[1]))
        painter.setPen(colour("text2" if self._styles[1] == "caption" else "text"))
        painter.drawText(px(9), self._middle, self.width(), self.height() - self._middle - px(6), _ALIGN, self.words[1])


@lru_cache(maxsize=64)
def _size_in(key: str, words: str) -> tuple[int, int]:
    metrics = QFontMetrics(font(key.split()[0]))
    return metrics.horizontalAdvance(words), metrics.height() if words else 0


def _size_of(style: str, words: str) -> tuple[int, int]:
    """Width and height of a line, px; none where there are no words."""
    return _size_in(f"{style} {theme().scale}", words)
