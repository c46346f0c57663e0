"""Icons of one family (Phosphor), drawn in the colour of a token at the moment of painting, so that they follow the theme.

The font and its table of names come with qtawesome and are read directly: importing qtawesome loads a dozen other fonts and
costs 150 ms at start-up.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PySide6.QtCore import QPoint, QRect, QSize, Qt
from PySide6.QtGui import QFont, QFontDatabase, QIcon, QIconEngine, QPainter, QPixmap
from PySide6.QtWidgets import QAbstractButton

from studio.gui.theme import colour


def icon(name: str, token: str = "text2", *, is_last: bool = False) -> QIcon:
    """The icon "ph.<name>", for example icon("play-fill", "onAccent"). `is_last`: it stands behind words. KeyError for an unknown name."""
    return QIcon(_GlyphEngine(_glyph(name), token, is_last))


def put_icon(target: QAbstractButton, name: str, token: str = "text2") -> None:
    """Give a button an icon unless it has it already: every setIcon lays out the bar it stands in anew."""
    if target.property("put_icon") != f"{name} {token}":
        target.setProperty("put_icon", f"{name} {token}")
        target.setIcon(icon(name, token))


def paint_icon(painter: QPainter, rect: QRect, name: str, token: str = "text2") -> None:
    """Draw an icon centred in `rect`, its side the shorter one of the rectangle."""
    _paint(painter, rect, _glyph(name), token)


class _GlyphEngine(QIconEngine):
    def __init__(self, glyph: str, token: str, is_last: bool):
        super().__init__()
        self._glyph, self._token, self._is_last = glyph, token, is_last

    def clone(self) -> QIconEngine:
        return _GlyphEngine(self._glyph, self._token, self._is_last)

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        place = Qt.AlignmentFlag.AlignHCenter
        if rect.width() > rect.height():  # the rest is the gap to a button's words
            place = Qt.AlignmentFlag.AlignRight if self._is_last else Qt.AlignmentFlag.AlignLeft
        _paint(painter, rect, self._glyph, "disabled" if mode == QIcon.Mode.Disabled else self._token, place)

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        pixmap = QPixmap(size)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        self.paint(painter, QRect(QPoint(0, 0), size), mode, state)
        painter.end()
        return pixmap


def _paint(
    painter: QPainter, rect: QRect, glyph: str, token: str, place: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignHCenter
) -> None:  # fmt: skip
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.TextAntialiasing)
    painter.setFont(_font(min(rect.width(), rect.height())))
    painter.setPen(colour(token))
    painter.drawText(rect, int(place | Qt.AlignmentFlag.AlignVCenter), glyph)
    painter.restore()


@cache
def _font(side_px: int) -> QFont:
    font = QFont(_family())
    font.setPixelSize(max(1, side_px))
    font.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    return font


@cache
def _fonts_dir() -> Path:
    return Path(find_spec("qtawesome").origin).parent / "fonts"


@cache
def _family() -> str:
    number = QFontDatabase.addApplicationFont(str(next(_fonts_dir().glob("phosphor-[0-9]*.ttf"))))
    return QFontDatabase.applicationFontFamilies(number)[0]


@cache
def _table() -> dict[str, str]:
    return json.loads(next(_fonts_dir().glob("phosphor-charmap-*.json")).read_text(encoding="utf-8"))


def _glyph(name: str) -> str:
    return chr(int(_table()[name.removeprefix("ph.")], 16))
