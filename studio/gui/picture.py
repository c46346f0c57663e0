"""Pictures that are painted once and kept: words and round corners take ten times as long to paint as to copy."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from PySide6.QtCore import Qt
from PySide6.QtGui import QPainter, QPixmap, QPixmapCache

from studio.gui.theme import theme


def kept_picture(key: str, ratio: float, size: Callable[[], tuple[float, float]], paint: Callable[[QPainter], object]) -> QPixmap:
    """What `paint` paints on a clear ground of `size()` px, for a screen of `ratio` pixels a px; made anew where key or theme are others."""
    key = f"{key} {ratio} {theme().mode} {theme().scale}"
    picture = QPixmap()
    if QPixmapCache.find(key, picture):
        return picture
    width, height = size()
    picture = QPixmap(ceil(width * ratio), ceil(height * ratio))
    picture.setDevicePixelRatio(ratio)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    paint(painter)
    painter.end()
    QPixmapCache.insert(key, picture)
    return picture
