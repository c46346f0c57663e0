"""The built-in test picture for when no images are chosen: an arrow, corners and colours show what each change does."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QImage, QLinearGradient, QPainter, QPolygonF

from studio.core.place import cache_dir
from studio.gui.theme import colour, font

SIDE_PX = 480
_VERSION = 1


def test_card_path() -> str:
    """The path of the picture, written into the cache when it is not there. Raises OSError when the cache cannot be written."""
    path = Path(cache_dir()) / f"test-card-{_VERSION}.png"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not draw_test_card().save(str(path), "PNG"):
            raise OSError(f"{path} cannot be written")
    return str(path)


def draw_test_card() -> QImage:
    side = SIDE_PX
    image = QImage(side, side, QImage.Format.Format_RGB888)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    sky = QLinearGradient(0, 0, 0, side)
    sky.setColorAt(0, QColor.fromHsvF(0.58, 0.25, 0.95))
    sky.setColorAt(1, QColor.fromHsvF(0.12, 0.25, 0.97))
    painter.fillRect(image.rect(), sky)
    painter.setPen(Qt.PenStyle.NoPen)
    for index in range(8):
        painter.setBrush(QColor.fromHsvF(index / 8, 0.75, 0.85))
        painter.drawRect(QRectF(index * side / 8, side * 0.80, side / 8 + 1, side * 0.11))
        grey = index / 7
        painter.setBrush(QColor.fromRgbF(grey, grey, grey))
        painter.drawRect(QRectF(index * side / 8, side * 0.91, side / 8 + 1, side * 0.09))
    painter.setBrush(colour("accentFill"))
    painter.drawEllipse(QPointF(side / 2, side * 0.42), side * 0.30, side * 0.30)
    painter.setBrush(colour("onAccent"))
    arrow = [(0.34, 0.38), (0.52, 0.38), (0.52, 0.30), (0.68, 0.42), (0.52, 0.54), (0.52, 0.46), (0.34, 0.46)]
    painter.drawPolygon(QPolygonF([QPointF(x * side, y * side) for x, y in arrow]))
    style = QFont(font("metric"))
    style.setPixelSize(int(side * 0.11))
    painter.setFont(style)
    for text, x, y in (("A", 0.04, 0.03), ("B", 0.85, 0.03), ("C", 0.04, 0.66), ("D", 0.85, 0.66)):
        painter.setPen(QColor.fromHsvF(0.6, 0.5, 0.25))
        painter.drawText(QRectF(x * side, y * side, side * 0.13, side * 0.13), Qt.AlignmentFlag.AlignCenter, text)
    painter.end()
    return image
