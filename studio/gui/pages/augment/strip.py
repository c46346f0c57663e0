"""Five pictures from the low to the high end of a parameter. A click on one sets the end of the range that is nearer."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from studio.gui.pages.augment.words import value_in_words
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets import plain_tooltip
from studio.gui.widgets.thumb import paint_cover

NUM_STEPS = 5


def strip_values(low: float, high: float, *, is_whole: bool) -> tuple[float, ...]:
    """Evenly spaced values over the useful range of a parameter."""
    values = [low + (high - low) * i / (NUM_STEPS - 1) for i in range(NUM_STEPS)]
    return tuple(round(v) for v in values) if is_whole else tuple(float(f"{v:.3g}") for v in values)


class StrengthStrip(QWidget):
    """Steps inside the chosen range are bright, the others muted. Left and Right move, Enter takes the step."""

    step_chosen = Signal(int)

    def __init__(self, values: tuple[float, ...], *, name: str = "", parent: QWidget | None = None):
        super().__init__(parent)
        self.values = values
        self.pixmaps: list[QPixmap | None] = [None] * len(values)
        self._small: dict[int, tuple[QSize, QPixmap]] = {}  # scaled once
        self._range: tuple[float, float] = (values[0], values[-1])
        self._current, self._hovered = 0, -1
        self._failure = ""
        self._verdicts: dict[int, tuple[float, str, str]] = {}  # ratio, token, sentence
        self.setObjectName(name)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._describe()

    def sizeHint(self) -> QSize:
        return QSize(px(220), px(34) + QFontMetrics(font("tick")).height() + px(2))

    def show_range(self, low: float, high: float) -> None:
        """The values that are chosen now; the same twice for a single value."""
        before, self._range = [self.is_inside(i) for i in range(len(self.values))], (low, high)
        if before != [self.is_inside(i) for i in range(len(self.values))]:  # it is painted again with few moves of its slider
            self.update()

    def show_picture(self, index: int, picture: QPixmap | None, failure: str = "") -> None:
        self.pixmaps[index] = picture
        self._small.pop(index, None)
        self._failure = failure
        self.update()

    def show_verdict(self, index: int, ratio: float, token: str, sentence: str) -> None:
        """Whether the label is safe at this strength: a bar under the picture, full where another class is reached."""
        self._verdicts[index] = (ratio, token, sentence)
        self.update()

    def verdict_words(self, index: int) -> str:
        """What was measured at a step; empty where nothing was."""
        return self._verdicts[index][2] if index in self._verdicts else ""

    def is_inside(self, index: int) -> bool:
        low, high = self._range
        slack = 1e-6 * max(1.0, abs(high), abs(low))
        if high - low <= slack:  # one value: the nearest step
            return index == min(range(len(self.values)), key=lambda i: abs(self.values[i] - low))
        return low - slack <= self.values[index] <= high + slack

    def _describe(self) -> None:
        self.setAccessibleDescription(
            f"Step {self._current + 1} of {len(self.values)}: {value_in_words(self.values[self._current])}. {self.verdict_words(self._current)}"
        )

    def tile(self, index: int) -> QRectF:
        gap = px(4)
        width = (self.width() - gap * (len(self.values) - 1)) // len(self.values)  # whole pixels: painted without scaling
        return QRectF(index * (width + gap), 0, width, px(34))

    def _index_at(self, pos) -> int:
        return next((i for i in range(len(self.values)) if self.tile(i).adjusted(0, 0, 0, px(16)).contains(pos)), -1)

    def _small_picture(self, index: int, tile: QRectF) -> QPixmap | None:
        """The picture as large as its tile."""
        picture = self.pixmaps[index]
        if picture is None:
            return None
        size = (tile.size() * self.devicePixelRatioF()).toSize()
        if self._small.get(index, (None,))[0] != size:
            expand, smooth = Qt.AspectRatioMode.KeepAspectRatioByExpanding, Qt.TransformationMode.SmoothTransformation
            scaled = picture.scaled(size, expand, smooth)
            left, top = (scaled.width() - size.width()) // 2, (scaled.height() - size.height()) // 2
            self._small[index] = (size, scaled.copy(left, top, size.width(), size.height()))
        return self._small[index][1]

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        index = self._index_at(event.position())
        if index != self._hovered:
            self._hovered = index
            lines = [self._failure or f"Set the nearer end to {value_in_words(self.values[index])}", self.verdict_words(index)]
            QToolTip.showText(event.globalPosition().toPoint(), plain_tooltip("\n".join(filter(None, lines))) if index >= 0 else "", self)
            self.update()

    def leaveEvent(self, event) -> None:
        self._hovered = -1
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        index = self._index_at(event.position())
        if index >= 0 and event.button() == Qt.MouseButton.LeftButton:
            self._current = index
            self.step_chosen.emit(index)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        by = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(event.key())
        if by is not None:
            self._current = max(0, min(len(self.values) - 1, self._current + by))
            self._describe()
            self.update()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.step_chosen.emit(self._current)
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        style = font("tick")
        painter.setFont(style)
        for index, value in enumerate(self.values):
            tile, is_inside = self.tile(index), self.is_inside(index)
            paint_cover(painter, tile, self._small_picture(index, tile), opacity=1.0 if is_inside else 0.4)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            if self.hasFocus() and index == self._current:
                painter.setPen(pen("focus", 2))
                painter.drawRoundedRect(tile.adjusted(1, 1, -1, -1), 4, 4)
            elif self._failure and self.pixmaps[index] is None:
                painter.setPen(pen("bad"))
                painter.drawRoundedRect(tile.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
            elif index == self._hovered:
                painter.setPen(pen("outline"))
                painter.drawRoundedRect(tile.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
            if index in self._verdicts:
                ratio, token, _ = self._verdicts[index]
                bar = QRectF(tile.left() + 3, tile.bottom() - px(6), tile.width() - 6, px(3))
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(colour("window", 0.84))
                painter.drawRoundedRect(bar.adjusted(-1, -1, 1, 1), 2, 2)
                painter.setBrush(colour(token))
                painter.drawRoundedRect(
                    QRectF(bar.left(), bar.top(), max(bar.height(), bar.width() * min(1.0, ratio)), bar.height()), 1.5, 1.5
                )
            painter.setPen(colour("text2" if is_inside else "muted"))
            place = QRectF(tile.left() - px(3), tile.bottom() + 1, tile.width() + px(6), self.height() - tile.bottom())
            painter.drawText(place, int(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop), value_in_words(value))
        painter.end()
