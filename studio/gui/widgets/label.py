"""Text that comes from anywhere, shown as plain text: Qt guesses rich text, and a class name may be `<img src=file://...>`."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from studio.core.path_text import shown
from studio.gui.theme import colour, font, px


class PlainLabel(QLabel):
    """Plain text in one of the styles of theme.STYLES; `tone` is a token for its colour: text, text2, muted, good, bad, ...

    With `elide` the label may shrink. Where the text does not fit then, `short` stands in its place, or of parts that " · " divides as many
    as fit, the first ones first; only what is still too long is cut with "…". The whole stands in the tooltip.
    """

    def __init__(
        self, text: str = "", style: str = "body", tone: str = "", *, elide: Qt.TextElideMode | None = None, short: str = "",
        wrap: bool = False, parent: QWidget | None = None,
    ):  # fmt: skip
        super().__init__(parent)
        self._elide, self._short = elide, short
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setProperty("type", style)
        if tone:
            self.setProperty("tone", tone)
        self.setWordWrap(wrap)
        if elide is not None:
            self.setSizePolicy(QSizePolicy.Policy.Ignored if elide is not None else QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setText(text)

    def setText(self, text: str) -> None:
        if text != self.text():
            super().setText(text)
            self._update_tooltip()

    def set_texts(self, text: str, short: str) -> None:
        """`short` stands where the whole does not fit."""
        self._short = short
        self.setText(text)

    def set_tone(self, tone: str) -> None:
        if self.property("tone") != tone:
            self.setProperty("tone", tone)
            restyle(self)

    def minimumSizeHint(self) -> QSize:
        hint = super().minimumSizeHint()
        return QSize(0, hint.height()) if self._elide is not None else hint

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._update_tooltip()

    def _update_tooltip(self) -> None:
        if self._elide is not None:
            set_plain_tooltip(self, self.text() if self.fontMetrics().horizontalAdvance(self.text()) > self.width() else "")

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._elide is None:
            super().paintEvent(event)
            return
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        rect = self.contentsRect()
        painter.drawText(rect, int(self.alignment() | Qt.AlignmentFlag.AlignVCenter), self.fitting(rect.width()))
        painter.end()

    def fitting(self, width: int) -> str:
        """What of the text is shown in so many px."""
        return fitting(self.text(), self.fontMetrics(), width, self._elide, self._short)


def fitting(text: str, metrics: QFontMetrics, width: int, elide: Qt.TextElideMode = Qt.TextElideMode.ElideRight, short: str = "") -> str:
    """What of a text is shown in so many px: see PlainLabel."""
    text = text.replace("\n", " ")
    parts = text.split(" · ")
    ways = [short] if short else [" · ".join(parts[:n]) for n in range(len(parts) - 1, 0, -1)]
    found = next((way for way in (text, *ways) if metrics.horizontalAdvance(way) <= width), None)
    return metrics.elidedText(text, elide, width) if found is None else found


class SteadyLabel(PlainLabel):
    """A figure that changes all the time. Its width is fixed, and fixed anew only where the text no longer fits or leaves much room:
    a label that may have another size for every text lays out everything around it, up to the window, at every change."""

    def __init__(self, text: str = "", style: str = "number", tone: str = "", *, least_px: int = 0, parent: QWidget | None = None):
        self._least_px = least_px
        super().__init__(text, style, tone, parent=parent)

    def setText(self, text: str) -> None:
        if text != self.text():
            self._fit(text)
            super().setText(text)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit(self.text(), is_new_font=True)

    def _fit(self, text: str, *, is_new_font: bool = False) -> None:
        metrics = self.fontMetrics()
        wanted = max(self._least_px, metrics.horizontalAdvance(text) + 2 if text else 0)
        if is_new_font or not wanted <= self.maximumWidth() <= wanted + metrics.averageCharWidth():
            self.setFixedSize(wanted, metrics.height())


class Metric(QWidget):
    """A large figure with its unit, small and muted, on one baseline."""

    def __init__(self, value: str = "…", unit: str = "", parent: QWidget | None = None):
        super().__init__(parent)
        self._value, self._unit, self._is_stale = value, unit, False
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    @property
    def text(self) -> str:
        return f"{self._value} {self._unit}".strip()

    def set(self, value: str, unit: str = "", *, is_stale: bool = False) -> None:
        """is_stale: a new figure is on its way; this one is shown muted."""
        if (value, unit, is_stale) != (self._value, self._unit, self._is_stale):
            self._value, self._unit, self._is_stale = value, unit, is_stale
            self.setAccessibleName(self.text)
            self.updateGeometry()
            self.update()

    def sizeHint(self) -> QSize:
        large, small = QFontMetrics(font("metric")), QFontMetrics(font("label"))
        gap = px(4) if self._unit else 0
        return QSize(large.horizontalAdvance(self._value) + gap + small.horizontalAdvance(self._unit) + 2, large.height())

    def minimumSizeHint(self) -> QSize:
        return QSize(0, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        metrics = QFontMetrics(font("metric"))
        baseline = metrics.ascent()
        painter.setFont(font("metric"))
        painter.setPen(colour("muted" if self._is_stale else "text"))
        painter.drawText(0, baseline, self._value)
        left = metrics.horizontalAdvance(self._value) + px(4)
        painter.setFont(font("label"))
        painter.setPen(colour("muted"))
        unit = painter.fontMetrics().elidedText(self._unit, Qt.TextElideMode.ElideRight, self.width() - left)
        painter.drawText(left, baseline, unit)
        painter.end()


class Tag(PlainLabel):
    """A small word on a ground of its meaning: live, run, good, warn, bad, frozen, trains, key or plain."""

    def __init__(self, text: str = "", kind: str = "plain", parent: QWidget | None = None):
        super().__init__(shown(text), "caption", parent=parent)
        self.setProperty("tag", kind)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)

    def set_kind(self, kind: str) -> None:
        self.setProperty("tag", kind)
        restyle(self)


TAKES_TAG = {"live": "live", "next epoch": "good", "new run": "run"}


def takes_tag(takes: str) -> Tag:
    """The tag of a setting: when a change of it reaches a run."""
    return Tag(takes, TAKES_TAG.get(takes, "plain"))


def set_plain_tooltip(widget: QWidget, text: str) -> None:
    """A tooltip that is never read as rich text."""
    tip = plain_tooltip(text)
    if widget.toolTip() != tip:
        widget.setToolTip(tip)


def plain_tooltip(text: str) -> str:
    """`text` in a form that a tooltip shows as it stands."""
    if not text:
        return ""
    from html import escape

    return f"<span>{escape(text).replace(chr(10), '<br>')}</span>"


def tell_size(widget: QWidget) -> None:
    """What `widget` needs has changed: let all above it know. By itself a layout does not tell its parent where it was laid out anew meanwhile."""
    at: QWidget | None = widget
    while at is not None and not at.isWindow():
        at.updateGeometry()
        at = at.parentWidget()


def restyle(widget: QWidget) -> None:
    """Look the style sheet up again after a dynamic property changed."""
    style = widget.style()
    style.unpolish(widget)
    style.polish(widget)
    widget.update()
