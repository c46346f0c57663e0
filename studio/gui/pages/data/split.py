"""The split bar: how the images are shared between training, validation and test, with two handles."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QPoint, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets.bubble import Bubble
from studio.gui.widgets.label import set_plain_tooltip

LEAST_VALIDATION, MOST = 0.01, 0.5  # dragging never gets to a run that measures nothing: that is asked for in words
PART_ALPHA = {"train": 1.0, "validation": 0.6, "test": 0.3}
PART_TITLES = {"train": "Train", "validation": "Validation", "test": "Test"}
SHORT_TITLES = {"train": "Train", "validation": "Val", "test": "Test"}


@dataclass(frozen=True)
class Shares:
    """Fractions of validation and test; what is left trains."""

    validation: float
    test: float

    @property
    def train(self) -> float:
        return 1 - self.validation - self.test

    def of(self, part: str) -> float:
        return getattr(self, part)

    def with_first_handle_at(self, position: float) -> Shares:
        """Move the border of train and validation; the test share stays."""
        return Shares(_rounded(min(MOST, max(LEAST_VALIDATION, 1 - self.test - position))), self.test)

    def with_second_handle_at(self, position: float) -> Shares:
        """Move the border of validation and test; the train share stays as far as the bounds allow."""
        held_back = self.validation + self.test
        test = _rounded(min(MOST, max(0.0, 1 - position), held_back - LEAST_VALIDATION))
        return Shares(_rounded(min(MOST, max(LEAST_VALIDATION, held_back - test))), max(0.0, test))


def _rounded(fraction: float) -> float:
    return round(fraction, 2)


class SplitBar(QWidget):
    """Three parts and two handles. `shares_changed` fires while the user moves a handle; the figures shown are the real counts
    at rest and estimates in between. Keys: Left and Right move the active handle by 1 % (Shift: 5 %), Up and Down change handles.
    """

    shares_changed = Signal(object)  # Shares
    drag_started = Signal()
    drag_ended = Signal()

    def __init__(self, *, name: str = "", parent: QWidget | None = None):
        super().__init__(parent)
        self._shares = Shares(0.15, 0.0)
        self._counts = {"train": 0, "validation": 0, "test": 0}
        self._fixed_reason = ""
        self._active = 0
        self._is_dragging = False
        self._has_estimates = False
        self._bubble: Bubble | None = None
        self.setObjectName(name)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._describe()

    def sizeHint(self) -> QSize:
        return QSize(px(300), px(24))

    def minimumSizeHint(self) -> QSize:
        return QSize(px(160), px(24))

    @property
    def shares(self) -> Shares:
        return self._shares

    def set_state(self, shares: Shares, counts: dict[str, int], fixed_reason: str = "") -> None:
        """`counts`: images per part. With `fixed_reason` the parts are given by the folder and the handles are gone."""
        self._fixed_reason = fixed_reason
        total = sum(counts.values())
        if fixed_reason and total:
            shares = Shares(counts["validation"] / total, counts["test"] / total)
        self._has_estimates = False
        self._shares, self._counts = shares, dict(counts)
        set_plain_tooltip(self, fixed_reason or "Drag a handle, or use Left and Right. Up and Down change handles.")
        self._describe()
        self.update()

    def _describe(self) -> None:
        words = ", ".join(f"{PART_TITLES[p].lower()} {self._shares.of(p):.0%}, {self._counts[p]:,} images" for p in PART_ALPHA)
        self.setAccessibleName(f"Split: {words}")
        which = ("train and validation", "validation and test")[self._active]
        self.setAccessibleDescription(self._fixed_reason or f"Left and Right move the border of {which}; Up and Down choose the border.")

    # The parts are drawn by their counts at rest, and by their shares while they are only wanted.

    def _borders(self) -> tuple[float, float]:
        """x of the two handles."""
        total = sum(self._counts.values())
        if self._has_estimates or not total:
            first, second = self._shares.train, 1 - self._shares.test
        else:
            first = self._counts["train"] / total
            second = first + self._counts["validation"] / total
        return first * self.width(), second * self.width()

    def _take(self, shares: Shares, at: QPoint | None) -> None:
        if shares != self._shares:
            total = sum(self._counts.values())
            self._shares = shares
            self._has_estimates = True
            self._counts = {p: round(shares.of(p) * total) for p in PART_ALPHA}
            self._describe()
            self.update()
            self.shares_changed.emit(shares)
        if at is not None:
            self._show_bubble(at)

    def _show_bubble(self, at: QPoint) -> None:
        if self._bubble is None:
            self._bubble = Bubble(self.window())
        parts = [p for p in PART_ALPHA if p != "test" or self._shares.test > 0]
        first = "   ".join(f"{SHORT_TITLES[p]} {self._shares.of(p):.0%}" for p in parts)
        self._bubble.show_at(at, first, "   ".join(f"about {self._counts[p]:,}" for p in parts))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self._fixed_reason or event.button() != Qt.MouseButton.LeftButton:
            return
        x = event.position().x()
        near = [abs(x - b) for b in self._borders()]
        if min(near) > px(12):
            return
        # Where both handles meet at the right end, the left half of the grip is the first one's.
        self._active = 0 if near[0] < near[1] or near[0] == near[1] and x < self._borders()[0] else 1
        self._is_dragging = True
        self.drag_started.emit()
        self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        x = event.position().x()
        if self._is_dragging:
            position = x / max(1, self.width())
            move = self._shares.with_second_handle_at if self._active else self._shares.with_first_handle_at
            self._take(move(position), event.globalPosition().toPoint())
        elif not self._fixed_reason:
            is_near = min(abs(x - b) for b in self._borders()) <= px(12)
            self.setCursor(Qt.CursorShape.SplitHCursor if is_near else Qt.CursorShape.ArrowCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._is_dragging:
            self._is_dragging = False
            if self._bubble is not None:
                self._bubble.hide()
            self.drag_ended.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(event.key())
        if step is not None and not self._fixed_reason:
            size = 0.05 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 0.01
            if self._active:
                self._take(self._shares.with_second_handle_at(1 - self._shares.test + step * size), None)
            else:
                self._take(self._shares.with_first_handle_at(self._shares.train + step * size), None)
        elif event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self._active = 1 - self._active
            self._describe()
            self.update()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event) -> None:
        super().focusInEvent(event)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        whole = QRectF(self.rect()).adjusted(0, 1, 0, -1)
        clip = QPainterPath()
        clip.addRoundedRect(whole, 4, 4)
        first, second = self._borders()
        edges = {"train": (0.0, first), "validation": (first, second), "test": (second, whole.width())}
        painter.save()
        painter.setClipPath(clip)
        for part, (left, right) in edges.items():
            rect = QRectF(left, whole.top(), right - left, whole.height())
            painter.fillRect(rect, colour("raised"))
            painter.fillRect(rect, colour("accentFill", {"train": 1.0, "validation": 0.45, "test": 0.22}[part]))
            self._paint_words(painter, part, rect)
        painter.restore()
        if not self._fixed_reason and sum(self._counts.values()):
            for index, x in enumerate((first, second)):
                self._paint_handle(painter, x, whole, self.hasFocus() and index == self._active)
        painter.end()

    def _paint_words(self, painter: QPainter, part: str, rect: QRectF) -> None:
        title, share = SHORT_TITLES[part], f"{self._shares.of(part) * 100:.0f} %"
        total = sum(self._counts.values())
        if total and not self._has_estimates:
            share = f"{self._counts[part] / total * 100:.0f} %"
        approx = "≈ " if self._has_estimates else ""
        long_count = f"{approx}{self._counts[part]:,} images"
        strong, number = font("strong"), font("number")
        room = rect.width() - px(14)
        x = rect.left() + px(8)
        tone = colour("onAccent" if part == "train" else "text")
        for pieces in ([(title, strong), (share, number), (long_count, number)], [(title, strong), (share, number)], [(title, strong)]):
            widths = [QFontMetrics(f).horizontalAdvance(t) for t, f in pieces]
            if sum(widths) + px(6) * (len(pieces) - 1) <= room:
                break
        else:
            return
        painter.setPen(tone)
        for (text, style), width in zip(pieces, widths, strict=True):
            painter.setFont(style)
            painter.drawText(QRectF(x, rect.top(), width + 2, rect.height()), int(Qt.AlignmentFlag.AlignVCenter), text)
            x += width + px(6)

    def _paint_handle(self, painter: QPainter, x: float, whole: QRectF, has_ring: bool) -> None:
        x = min(max(x, 3), self.width() - 3)
        painter.setPen(pen("surface", 2))
        painter.setBrush(colour("text"))
        painter.drawRoundedRect(QRectF(x - 3, 0.5, 6, self.height() - 1), 3, 3)
        if has_ring:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(pen("focus", 2))
            painter.drawRoundedRect(QRectF(x - 5, 1, 10, self.height() - 2), 4, 4)
