"""What a drag would change, beside the pointer."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRectF, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from studio.gui.theme import colour, font, pen, px

_ALIGN = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)


class Bubble(QWidget):
    """A strong first line and a second one. A child of the window; painted by hand, as labels in a layout take a millisecond a move."""

    def __init__(self, parent: QWidget, *, second: str = "number"):
        """second: the style of the second line."""
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._styles = ("strong", second)
        self.words = ("", "")
        self.hide()

    def show_at(self, global_pos: QPoint, first: str, second: str = "") -> None:
        if (first, second) != self.words:
            self.words = first, second
            self._fit()
            self.update()
        host = self.parentWidget()
        pos = host.mapFromGlobal(global_pos) + QPoint(14, 14)
        self.move(
            min(max(4, pos.x()), host.width() - self.width() - 4),
            pos.y() if pos.y() + self.height() < host.height() - 4 else pos.y() - self.height() - 28,
        )
        if not self.isVisible():
            self.show()
            self.raise_()

    def _lines(self) -> list[tuple[str, str]]:
        return [(style, words) for style, words in zip(self._styles, self.words, strict=True) if words]

    def _fit(self) -> None:
        sizes = [(m.horizontalAdvance(words), m.height()) for style, words in self._lines() for m in [QFontMetrics(font(style))]]
        self.setFixedSize(max(width for width, _ in sizes) + 2 * px(9), sum(height for _, height in sizes) + 2 * px(6))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(pen("outline"))
        painter.setBrush(colour("pressed"))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        top = px(6)
        for style, words in self._lines():
            painter.setFont(font(style))
            painter.setPen(colour("text2" if style == "caption" else "text"))
            height = painter.fontMetrics().height()
            painter.drawText(px(9), top, self.width(), height, _ALIGN, words)
            top += height
        painter.end()
