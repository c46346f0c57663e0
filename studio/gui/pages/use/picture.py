"""One picture as large as it fits, with the heat map of where the network looked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QSizePolicy, QWidget

from studio.core.path_text import shown
from studio.core.reading import Reading
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets.thumb import image_of, paint_whole

SHOWN_PX = 1400  # longer sides are shrunk before they are kept: more than a screen shows of this panel


@dataclass(frozen=True)
class Picture:
    """A picture made ready for showing. `width` and `height` are those of the upright original."""

    path: str  # as the operating system wants it
    image: QImage
    width: int
    height: int


def read_picture(path: str, reading: Reading) -> Picture:
    """Decode a file, as the run does that answers. Raises ImageRefused or OSError. Called in a pool thread."""
    from PIL import Image

    from studio.dataset.image import read_image

    pixels = read_image(path, reading)
    height, width = pixels.shape[:2]
    if max(height, width) > SHOWN_PX:
        small = Image.fromarray(pixels)
        small.thumbnail((SHOWN_PX, SHOWN_PX), Image.Resampling.LANCZOS, reducing_gap=2.0)
        pixels = np.asarray(small)
    return Picture(path, image_of(pixels), width, height)


class PictureView(QWidget):
    """Shows a picture, its name, and a heat map over the part that the network saw; an empty ground until there is one."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setObjectName("use.picture")
        self._picture: Picture | None = None
        self._pixmap: QPixmap | None = None
        self._heat: QPixmap | None = None
        self._box = QRectF()
        self._opacity = 0.6
        self._caption = ""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(px(180), px(110))
        self.setAccessibleName("No picture yet")

    def sizeHint(self) -> QSize:
        return QSize(px(390), px(260))

    @property
    def has_heat(self) -> bool:
        return self._heat is not None

    def show_picture(self, picture: Picture | None, name: str = "") -> None:
        """None takes it away. A heat map stays: its answer may come before the file is read."""
        self._picture = picture
        self._heat = self._heat if picture else None
        self._pixmap = QPixmap.fromImage(picture.image) if picture else None
        self._caption = f"{shown(name)} · {picture.width:,} × {picture.height:,} px" if picture else ""
        self.setAccessibleName(self._caption or "No picture yet")
        self.update()

    def show_heat(self, heat: QImage | None, box: tuple[int, int, int] = (0, 0, 0)) -> None:
        """`box`: left, top and side of the square that the network saw, in px of the original."""
        self._heat = QPixmap.fromImage(heat) if heat is not None else None
        self._box = QRectF(box[0], box[1], box[2], box[2])
        self.update()

    def set_opacity(self, opacity: float) -> None:
        self._opacity = opacity
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("plot"))
        painter.drawRoundedRect(QRectF(self.rect()), 4, 4)
        if self._pixmap is None or self._picture is None:
            painter.end()
            return
        place = paint_whole(painter, QRectF(self.rect()), self._pixmap)
        if self._heat is not None and self._opacity > 0:
            scale = place.width() / self._picture.width
            corner = place.topLeft() + self._box.topLeft() * scale
            box = QRectF(corner, self._box.size() * scale)
            painter.save()
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.setOpacity(self._opacity)
            painter.drawPixmap(box, self._heat, QRectF(self._heat.rect()))
            painter.restore()
            painter.setPen(pen("text", 1, 0.35, (3, 3)))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(box.adjusted(0.5, 0.5, -0.5, -0.5))
        self._paint_caption(painter, place)
        painter.end()

    def _paint_caption(self, painter: QPainter, place: QRectF) -> None:
        """In the upper left corner of the picture; a narrow picture is overlapped rather than the name cut."""
        painter.setFont(font("caption"))
        metrics = painter.fontMetrics()
        text = metrics.elidedText(self._caption, Qt.TextElideMode.ElideMiddle, self.width() - px(32))
        left = min(place.left() + px(8), self.width() - metrics.horizontalAdvance(text) - px(20))
        rect = QRectF(max(px(8), left), place.top() + px(8), metrics.horizontalAdvance(text) + px(12), px(20))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("surface", 0.86))
        painter.drawRoundedRect(rect, 4, 4)
        painter.setPen(colour("text"))
        painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, text)
