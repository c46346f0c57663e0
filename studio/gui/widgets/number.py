"""A field for one number: takes 1e-3, 3/4 and 50 %; arrow keys step, and its label can be dragged sideways."""

from __future__ import annotations

import math
import re

from PySide6.QtCore import QEvent, QPoint, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QLineEdit, QWidget

from studio.core.words import MINUS, format_number
from studio.gui.widgets.label import PlainLabel, restyle, set_plain_tooltip

_TERM = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$")


def parse_number(text: str) -> float:
    """The number in `text`: "0.05", "1e-3", "3/4", "50 %", "1,000", with a true minus sign. ValueError when there is none."""
    text = text.strip().replace(MINUS, "-").replace(",", "").replace("\N{NO-BREAK SPACE}", " ").lower()
    factor = 1.0
    if text.endswith("%"):
        text, factor = text[:-1], 0.01
    top, slash, bottom = (part.strip() for part in text.partition("/"))
    if not _TERM.match(top) or slash and not _TERM.match(bottom):
        raise ValueError(f"“{text}” is not a number")
    value = float(top) * factor
    if slash:
        if float(bottom) == 0:
            raise ValueError("division by zero")
        value /= float(bottom)
    if not math.isfinite(value):
        raise ValueError("the number is too large")
    return value


class NumberField(QLineEdit):
    """A number within bounds. `value_changed` fires for the user's valid entries (Enter, leaving the field, steps, drags).

    Up and Down step, Shift ×10, Alt ÷10; a logarithmic field multiplies. `drag_started` and `drag_ended` enclose a drag.
    """

    value_changed = Signal(object)
    refused = Signal(str)  # what was typed and cannot be; the value before stands again
    drag_started = Signal()
    drag_ended = Signal()

    def __init__(
        self, value: float = 0, *, low: float | None = None, high: float | None = None, integer: bool = False, log: bool = False,
        step: float | None = None, low_open: bool = False, high_open: bool = False, digits: int = 6, name: str = "",
        parent: QWidget | None = None,
    ):  # fmt: skip
        """low_open, high_open: the bound itself is not allowed. digits: that are shown, as of `format_number`; the value keeps all."""
        super().__init__(parent)
        self._low, self._high, self._integer, self._log = low, high, integer, log
        self._low_open, self._high_open = low_open, high_open
        self._digits = digits
        self._step = step or (1 if integer else _nice_step(low, high))
        self._value = value
        self._drag: tuple[float, float] | None = None
        self.is_stepping = False  # while a value that a key stepped to is told
        self.setProperty("number", "true")
        self.setObjectName(name)
        self.setFixedWidth(self.fontMetrics().horizontalAdvance("0") * 9 + 20)
        self.setText(format_number(value, digits))
        self.editingFinished.connect(self._on_editing_finished)
        self.textEdited.connect(lambda _: self._mark(self._problem_of(self.text())))

    @property
    def value(self) -> float | int:
        return self._value

    def set_value(self, value: float | int) -> None:
        """Show a value without a signal. An edit that is being typed stays."""
        self._value = value
        if not (self.hasFocus() and self.isModified()):
            text = format_number(value, self._digits)
            if text != self.text() or self.isModified():
                self.setText(text)
            self._mark("")

    def step(self, steps: float) -> None:
        """Change by so many steps, as the arrow keys do."""
        if self._log and self._value > 0:
            value = self._value * 10 ** (steps * 0.1)
            value = float(f"{value:.2g}") if abs(steps) < 10 else value
        else:
            value = self._value + steps * self._step
            value = round(value, 10)
        self.is_stepping = True
        self._take(self._clamped(value))
        self.is_stepping = False

    def make_draggable(self, label: QWidget) -> None:
        """Dragging `label` sideways changes the value, 4 px a step."""
        label.setCursor(Qt.CursorShape.SizeHorCursor)
        label.installEventFilter(self)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        move = {Qt.Key.Key_Up: 1, Qt.Key.Key_Down: -1}.get(event.key())
        if move is not None:
            mods = event.modifiers()
            size = 10 if mods & Qt.KeyboardModifier.ShiftModifier else 0.1 if mods & Qt.KeyboardModifier.AltModifier else 1
            self._commit_text()
            self.step(move * (max(1, size) if self._integer else size))
        elif event.key() == Qt.Key.Key_Escape and self.isModified():
            self._show_value()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        if event.reason() != Qt.FocusReason.MouseFocusReason:
            self.selectAll()

    def eventFilter(self, watched, event: QEvent) -> bool:
        if isinstance(event, QMouseEvent) and self.isEnabled():
            if event.type() == QEvent.Type.MouseButtonPress and event.button() == Qt.MouseButton.LeftButton:
                self._drag = (event.globalPosition().x(), float(self._value))
                self.drag_started.emit()
                return True
            if event.type() == QEvent.Type.MouseMove and self._drag:
                x, start = self._drag
                steps = round((event.globalPosition().x() - x) / 4)
                value = start * 10 ** (steps * 0.05) if self._log and start > 0 else start + steps * self._step
                self._take(self._clamped(float(f"{value:.3g}") if not self._integer else value))
                return True
            if event.type() == QEvent.Type.MouseButtonRelease and self._drag:
                self._drag = None
                self.drag_ended.emit()
                return True
        return super().eventFilter(watched, event)

    def _on_editing_finished(self) -> None:
        self._commit_text()

    def _commit_text(self) -> None:
        if not self.isModified():
            return
        problem = self._problem_of(self.text())
        if problem:
            typed = self.text()
            self._show_value()
            self._say(problem)
            self.refused.emit(typed)
            return
        value = parse_number(self.text())
        self._show_value()
        self._take(int(value) if self._integer else value)

    def _take(self, value: float | int) -> None:
        if self._integer:
            value = round(value)
        changed = value != self._value
        self._value = value
        self._show_value()
        if changed:
            self.value_changed.emit(value)

    def _show_value(self) -> None:
        self.setModified(False)
        self.setText(format_number(self._value, self._digits))
        self._mark("")

    def _problem_of(self, text: str) -> str:
        try:
            value = parse_number(text)
        except ValueError:
            return f"“{text[:30]}” is not a number."
        if self._integer and value != int(value):
            return "A whole number is needed."
        low, high = self._low, self._high
        if low is not None and (value < low or self._low_open and value == low):
            return f"{'More than' if self._low_open else 'At least'} {format_number(low)}."
        if high is not None and (value > high or self._high_open and value == high):
            return f"{'Less than' if self._high_open else 'At most'} {format_number(high)}."
        return ""

    def _clamped(self, value: float) -> float:
        """The nearest allowed value; a step that would reach an open bound stays where it is."""
        if self._low is not None:
            value = max(self._low, value)
        if self._high is not None:
            value = min(self._high, value)
        is_open_low = self._low_open and value == self._low
        is_open_high = self._high_open and value == self._high
        return self._value if is_open_low or is_open_high else value

    def _mark(self, problem: str) -> None:
        wanted = "true" if problem else "false"
        if self.property("invalid") != wanted:
            self.setProperty("invalid", wanted)
            restyle(self)
        if problem:
            self._say(problem)

    def _say(self, problem: str) -> None:
        from PySide6.QtWidgets import QToolTip

        if self.isVisible():
            QToolTip.showText(self.mapToGlobal(QPoint(0, self.height())), problem, self)


class NumberLabel(PlainLabel):
    """The label of a NumberField: shows the unit in its tooltip and drags the value."""

    def __init__(self, text: str, field: NumberField, help_: str = ""):
        super().__init__(text, "label")
        field.make_draggable(self)
        set_plain_tooltip(self, help_)
        self.setBuddy(field)


def _nice_step(low: float | None, high: float | None) -> float:
    if low is None or high is None:
        return 0.1
    return 10.0 ** math.floor(math.log10(max(high - low, 1e-9)) - 1.5)
