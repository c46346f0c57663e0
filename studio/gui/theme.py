"""How everything looks, from tokens: palette, style sheet, fonts, pens. No other module holds a colour or a font size.

One application has one look, as it has one QPalette, so the current theme is module state here and nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Literal

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QBrush, QColor, QFont, QFontDatabase, QFontInfo, QGuiApplication, QPainter, QPalette, QPen, QPixmap, QTransform
from PySide6.QtWidgets import QApplication

from studio.core.resource import resource

Mode = Literal["dark", "light"]
Choice = Literal["system", "dark", "light"]

# Text styles: points at 96 dpi, weight, monospaced. 8.0 pt is the least anywhere.
STYLES: dict[str, tuple[float, int, bool]] = {
    "metric": (19.5, 600, True),
    "title": (17.0, 600, False),
    "page": (13.5, 600, False),
    "big": (11.0, 400, False),
    "panel": (9.75, 600, False),
    "body": (9.75, 400, False),
    "label": (9.0, 400, False),
    "strong": (9.0, 600, False),
    "number": (9.0, 400, True),
    "caption": (8.25, 400, False),
    "tick": (8.0, 400, True),
}
BODY_PT = 9.75
DASHES: tuple[tuple[float, ...], ...] = ((), (), (), (), (), (6, 4), (6, 4), (2, 3), (2, 3), (8, 3, 2, 3))
SYMBOLS = ("o", "s", "t", "d")

_ROLES = {
    "Window": "window", "Base": "field", "AlternateBase": "raised", "Button": "raised", "Mid": "border", "Text": "text",
    "WindowText": "text", "ButtonText": "text", "BrightText": "text", "Highlight": "accentFill", "HighlightedText": "onAccent",
    "PlaceholderText": "muted", "ToolTipBase": "pressed", "ToolTipText": "text", "Link": "accent", "LinkVisited": "accent",
    "Light": "hover", "Midlight": "hover", "Dark": "border2", "Shadow": "window", "Accent": "accentFill",
}  # fmt: skip


class Theme(QObject):
    """Applies tokens to the application and says when they change. Make one per application with `install`."""

    changed = Signal()

    def __init__(self, app: QApplication, choice: Choice = "system", scale: float = 1.0):
        super().__init__(app)
        self._app = app
        self._choice: Choice = choice
        self._scale = scale
        self._families = _load_fonts()
        self.tokens: dict = {}
        self.made: dict[tuple, object] = {}  # colours, pens and fonts of these tokens at this scale
        app.setStyle("Fusion")
        app.styleHints().colorSchemeChanged.connect(self._on_hints_scheme_changed)

    @property
    def choice(self) -> Choice:
        return self._choice

    @property
    def scale(self) -> float:
        """The user's factor for text and controls, 0.9 to 1.5."""
        return self._scale

    @property
    def mode(self) -> Mode:
        if self._choice != "system":
            return self._choice
        return "light" if self._app.styleHints().colorScheme() == Qt.ColorScheme.Light else "dark"

    def set_choice(self, choice: Choice) -> None:
        self._choice = choice
        self.apply()

    def set_scale(self, scale: float) -> None:
        self._scale = min(1.5, max(0.9, scale))
        self.apply()

    def apply(self) -> None:
        """Build palette, fonts and style sheet from the tokens and put them on the application."""
        self.tokens = dict(_all_tokens()[self.mode])
        self.made.clear()
        if _wants_contrast(self._app):
            self.tokens["border"] = self.tokens["border2"] = self.tokens["outline"]
        if self._app.styleSheet():
            self._app.setStyleSheet("")  # changing from sheet to sheet takes four times as long: 740 ms against 190 on 1,800 widgets
        self._app.setPalette(self._palette())
        self._app.setFont(self.font("body"))
        self._app.setStyleSheet(self._style_sheet())
        self.changed.emit()

    def font(self, style: str) -> QFont:
        points, weight, is_mono = STYLES[style]
        font = QFont(self._families[1] if is_mono else self._families[0])
        font.setPointSizeF(max(8.0, points * self._scale * self._families[2]))
        font.setWeight(QFont.Weight(weight))
        if not is_mono:
            font.setFeature(QFont.Tag("tnum"), 1)
        return font

    def px(self, pixels: float) -> int:
        """A length of the 100 % design at the user's scale."""
        return round(pixels * self._scale)

    def _palette(self) -> QPalette:
        palette = QPalette()
        for role, token in _ROLES.items():
            palette.setColor(QPalette.ColorRole[role], QColor(self.tokens[token]))
        for role in ("Text", "WindowText", "ButtonText", "HighlightedText"):
            palette.setColor(QPalette.ColorGroup.Disabled, QPalette.ColorRole[role], QColor(self.tokens["disabled"]))
        return palette

    def _style_sheet(self) -> str:
        """The template with @token, @px(28) and @type(panel) replaced."""
        text = resource("style.qss").read_text(encoding="utf-8")
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        text = re.sub(r"@px\((-?[\d.]+)\)", lambda m: f"{self.px(float(m[1]))}px", text)
        text = re.sub(r"@type\((\w+)\)", lambda m: self._type_rule(m[1]), text)
        return re.sub(r"@([a-zA-Z]\w*)", lambda m: self.tokens[m[1]], text)

    def _type_rule(self, style: str) -> str:
        font = self.font(style)
        return f'font-family: "{font.family()}"; font-size: {font.pointSizeF():g}pt; font-weight: {int(font.weight())};'

    def _on_hints_scheme_changed(self) -> None:
        if self._choice == "system":
            self.apply()


MOST_MADE = 4000  # colours, pens and fonts that are kept

_current: Theme | None = None


def install(app: QApplication, choice: Choice = "system", scale: float = 1.0) -> Theme:
    """Make the application's theme and apply it. Called once, before the first widget."""
    global _current  # noqa: PLW0603 - one application, one look
    _current = Theme(app, choice, scale)
    _current.apply()
    return _current


def theme() -> Theme:
    """The theme of the running application."""
    assert _current is not None, "theme.install(app) comes first"
    return _current


def colour(token: str, alpha: float = 1.0) -> QColor:
    """The colour of a token in the current theme; "series.0" to "series.9" are the ten curve colours."""
    return QColor(_kept(_make_colour, token, alpha))


def font(style: str) -> QFont:
    """A font by its name in STYLES: metric, title, page, panel, body, label, strong, number, caption, tick."""
    return QFont(_kept(theme().font, style))


def px(pixels: float) -> int:
    return theme().px(pixels)


def pen(token: str, width: float = 1.0, alpha: float = 1.0, dash: tuple[float, ...] = ()) -> QPen:
    """A pen for painters and plots; cosmetic, so that plots do not scale it."""
    return QPen(_kept(_make_pen, token, width, alpha, dash))


def _kept(make: Callable, *what):
    """What `make` makes of `what`, made once while the theme stays: painting asks for a hundred of these in a frame."""
    made, key = theme().made, (make.__name__, *what)
    if key not in made:
        if len(made) > MOST_MADE:
            made.clear()
        made[key] = make(*what)
    return made[key]


def _make_colour(token: str, alpha: float) -> QColor:
    name, _, index = token.partition(".")
    value = theme().tokens[name]
    result = QColor(value[int(index) % len(value)] if index else value)
    if alpha < 1:
        result.setAlphaF(alpha)
    return result


def _make_pen(token: str, width: float, alpha: float, dash: tuple[float, ...]) -> QPen:
    result = QPen(colour(token, alpha), width)
    result.setCosmetic(True)
    if dash:
        result.setDashPattern([d / max(width, 1) for d in dash])
    return result


def series_pen(index: int, width: float = 2.2, alpha: float = 1.0) -> QPen:
    """The pen of the n-th curve or run: ten colours, then again with a new dash."""
    dash = DASHES[index % 10] if index < 10 else (4, 3)
    return pen(f"series.{index % 10}", width, alpha, dash)


def hatch(foreground: QColor, background: QColor | None = None, step: float = 8, width: float = 2.4) -> QBrush:
    """A 45 degree hatch as a seamless texture in device pixels; Qt's own patterns are 1 px wide and do not scale."""
    ratio = max(1.0, QGuiApplication.primaryScreen().devicePixelRatio())
    side = max(2, int(step * ratio))
    tile = QPixmap(side, side)
    tile.fill(background or Qt.GlobalColor.transparent)
    painter = QPainter(tile)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(foreground, width * ratio / 2**0.5))
    for shift in (-side, 0, side):
        painter.drawLine(shift - 2, side + 2, shift + side + 2, -2)
    painter.end()
    brush = QBrush(tile)
    brush.setTransform(QTransform.fromScale(1 / ratio, 1 / ratio))
    return brush


@cache
def _all_tokens() -> dict[str, dict]:
    return json.loads(resource("tokens.json").read_text(encoding="utf-8"))


def _wants_contrast(app: QApplication) -> bool:
    hints = app.styleHints()
    accessibility = getattr(hints, "accessibility", None)  # Qt 6.10
    if accessibility is None or accessibility() is None:
        return False
    return accessibility().contrastPreference() == Qt.ContrastPreference.HighContrast


def _load_fonts() -> tuple[str, str, float]:
    """The families for text and for numbers, and the system's own size factor.

    The user's system fonts are used where they are good; Inter and JetBrains Mono are shipped for systems without.
    """
    for name in ("JetBrainsMono-Regular.ttf", "JetBrainsMono-SemiBold.ttf"):
        QFontDatabase.addApplicationFont(str(resource(f"fonts/{name}")))
    general = QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont)
    is_headless = QGuiApplication.platformName() in ("offscreen", "minimal", "vnc")
    is_poor = QFontInfo(general).family().lower().startswith(("dejavu", "bitstream", "sans", "fixed", "helvetica"))
    if is_headless or is_poor:
        for name in ("Inter-Regular.otf", "Inter-SemiBold.otf"):
            QFontDatabase.addApplicationFont(str(resource(f"fonts/{name}")))
        return "Inter", "JetBrains Mono", 1.0
    points = general.pointSizeF()
    factor = min(1.4, max(0.85, points / BODY_PT)) if points > 0 else 1.0
    return general.family(), "JetBrains Mono", factor
