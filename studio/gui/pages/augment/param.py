"""Editors of one parameter, made from what the catalogue says of it: ranges, numbers, choices, switches, colours, pairs and boxes."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QColorDialog, QHBoxLayout, QLineEdit, QPushButton, QSizePolicy, QWidget

from studio.gui.theme import colour, px
from studio.gui.widgets import ComboBox, NumberField, PlainLabel, RangeSlider, Slider, Toggle, restyle, set_plain_tooltip

_FIELD_CHARACTERS = 5


class ParamEditor(QWidget):
    """One parameter's controls: they stand in the row of the label, `long` below it over the whole width where there is more. Whoever is told
    of a value shows it by `set_value`."""

    value_changed = Signal(object)
    drag_started = Signal()
    drag_ended = Signal()
    refused = Signal(str)  # why an entry cannot be

    def __init__(self, param: Any, name: str):
        super().__init__()
        self.param = param
        self.setObjectName(name)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(px(4))
        self.long: QWidget | None = None

    @property
    def value(self) -> Any:
        raise NotImplementedError

    def set_value(self, value: Any) -> None:
        raise NotImplementedError

    def _join(self, control: QWidget, words: str = "") -> None:
        """Name a control after the parameter and pass its drags on."""
        unit = f", {self.param.unit}" if self.param.unit else ""
        control.setAccessibleName(f"{self.param.title}{' ' + words if words else ''}{unit}")
        control.setAccessibleDescription(self.param.help)
        for signal, own in (("drag_started", self.drag_started), ("drag_ended", self.drag_ended), ("refused", self.refused)):
            if hasattr(control, signal):
                getattr(control, signal).connect(own)

    def _number_field(self, value: float, name: str, words: str = "") -> NumberField:
        param = self.param
        field = NumberField(
            value, low=param.low, high=param.high, integer=param.is_whole, low_open=param.is_low_open, high_open=param.is_high_open,
            step=step_of(param), digits=4, name=name,
        )  # fmt: skip
        field.setProperty("dense", "true")
        field.setFixedWidth(field.fontMetrics().horizontalAdvance("0") * _FIELD_CHARACTERS + px(14))
        field.setCursorPosition(0)
        self._join(field, words)
        return field


def step_of(param: Any) -> float:
    """What the arrow keys add: a hundredth of the useful range, as a round number."""
    from math import floor, log10

    if param.is_whole:
        return 1
    low, high = param.slider
    return 10.0 ** floor(log10(max(high - low, 1e-9)) - 1.5)


class RangeEditor(ParamEditor):
    """Two typed ends and a slider with two handles. An end that is typed beyond the other one takes it along."""

    def __init__(self, param: Any, value: Any, name: str):
        super().__init__(param, name)
        low, high = _pair(value, param)
        self.low_field = self._number_field(low, f"{name}.low", "from")
        self.high_field = self._number_field(high, f"{name}.high", "to")
        self._row.addWidget(self.low_field)
        self._row.addWidget(PlainLabel("–", "caption"))
        self._row.addWidget(self.high_field)
        if param.unit:
            self._row.addWidget(PlainLabel(param.unit, "caption"))
        default = _pair(param.default, param)
        self.slider = RangeSlider(*param.slider, (low, high), integer=param.is_whole, default=default, name=f"{name}.slider")
        self._join(self.slider, "range")
        self.slider.range_changed.connect(lambda low, high: self.value_changed.emit((low, high)))
        self.low_field.value_changed.connect(lambda v: self.value_changed.emit((v, max(v, self.high_field.value))))
        self.high_field.value_changed.connect(lambda v: self.value_changed.emit((min(v, self.low_field.value), v)))
        self.long = self.slider
        self.setFocusProxy(self.low_field)

    @property
    def value(self) -> tuple[float, float]:
        return self.low_field.value, self.high_field.value

    def set_value(self, value: Any) -> None:
        low, high = _pair(value, self.param)
        _show(self.low_field, low)
        _show(self.high_field, high)
        self.slider.set_values((low, high))


class NumberEditor(ParamEditor):
    def __init__(self, param: Any, value: Any, name: str):
        super().__init__(param, name)
        number = _number(value, param)
        self.field = self._number_field(number, f"{name}.number")
        self._row.addWidget(self.field)
        if param.unit:
            self._row.addWidget(PlainLabel(param.unit, "caption"))
        self.slider = Slider(*param.slider, number, integer=param.is_whole, default=_number(param.default, param), name=f"{name}.slider")
        self._join(self.slider)
        self.slider.value_changed.connect(lambda v: self.value_changed.emit(v))
        self.field.value_changed.connect(lambda v: self.value_changed.emit(v))
        self.long = self.slider
        self.setFocusProxy(self.field)

    @property
    def value(self) -> float:
        return self.field.value

    def set_value(self, value: Any) -> None:
        number = _number(value, self.param)
        _show(self.field, number)
        self.slider.set_number(number)


class NumbersEditor(ParamEditor):
    """A fixed number of numbers side by side: a pair (rows, columns) or a box (left, top, right, bottom)."""

    def __init__(self, param: Any, value: Any, name: str):
        super().__init__(param, name)
        default = param.default if isinstance(param.default, (list, tuple)) else value
        self._length = len(default) if isinstance(default, (list, tuple)) else 4 if param.kind == "box" else 2
        numbers = self._numbers(value)
        self.fields = [self._number_field(number, f"{name}.{i}", f"{i + 1}") for i, number in enumerate(numbers)]
        holder = QWidget() if self._length > 2 else self
        row = QHBoxLayout(holder) if holder is not self else self._row
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(4))
        for field in self.fields:
            field.value_changed.connect(lambda _: self.value_changed.emit(self.value))
            row.addWidget(field)
        if holder is not self:
            row.addStretch(1)
            self.long = holder
        self.setFocusProxy(self.fields[0])

    def _numbers(self, value: Any) -> list[float]:
        if isinstance(value, (list, tuple)) and len(value) == self._length:
            return [_number(each, self.param) for each in value]
        return [_number(value, self.param)] * self._length

    @property
    def value(self) -> tuple[float, ...]:
        return tuple(field.value for field in self.fields)

    def set_value(self, value: Any) -> None:
        for field, number in zip(self.fields, self._numbers(value), strict=True):
            _show(field, number)


class SwitchEditor(ParamEditor):
    def __init__(self, param: Any, value: Any, name: str):
        super().__init__(param, name)
        self.toggle = Toggle(checked=bool(value), name=f"{name}.on")
        self._join(self.toggle)
        self.toggle.clicked.connect(lambda on: self.value_changed.emit(bool(on)))
        self._row.addWidget(self.toggle)
        self.setFocusProxy(self.toggle)

    @property
    def value(self) -> bool:
        return self.toggle.isChecked()

    def set_value(self, value: Any) -> None:
        self.toggle.setChecked(bool(value))


class ChoiceEditor(ParamEditor):
    def __init__(self, param: Any, value: Any, name: str):
        super().__init__(param, name)
        self.box = ComboBox([(_hashable(each.value), each.title) for each in param.choices], _hashable(value), name=f"{name}.choice")
        self._join(self.box)
        self.box.value_changed.connect(lambda v: self.value_changed.emit(self._raw(v)))
        self.box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._row.addWidget(self.box, 1)
        self.setFocusProxy(self.box)

    def _raw(self, value: Any) -> Any:
        return next((each.value for each in self.param.choices if _hashable(each.value) == value), value)

    @property
    def value(self) -> Any:
        return self._raw(self.box.value)

    def set_value(self, value: Any) -> None:
        self.box.set_value(_hashable(value))


class ColourEditor(ParamEditor):
    """A swatch that opens the colour dialog, and a field that takes #RRGGBB or one grey value; words where there are any."""

    def __init__(self, param: Any, value: Any, name: str):
        super().__init__(param, name)
        self._value = value
        self.words: ComboBox | None = None
        if param.choices:
            options = [("", "A colour"), *((each.value, each.title) for each in param.choices)]
            self.words = ComboBox(options, name=f"{name}.words")
            self._join(self.words, "kind")
            self.words.value_changed.connect(self._on_words_chosen)
            self.words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            self.long = self.words
        self.swatch = _Swatch(name=f"{name}.swatch")
        self._join(self.swatch)
        self.swatch.clicked.connect(self._open_dialog)
        self.field = QLineEdit()
        self.field.setObjectName(f"{name}.code")
        self.field.setProperty("dense", "true")
        self.field.setProperty("number", "true")
        self.field.setFixedWidth(px(76))
        self._join(self.field, "code")
        self.field.editingFinished.connect(self._on_field_finished)
        self._row.addWidget(self.swatch)
        self._row.addWidget(self.field)
        self.setFocusProxy(self.field)
        self.set_value(value)

    @property
    def value(self) -> Any:
        return self._value

    def set_value(self, value: Any) -> None:
        self._value = value
        is_word = isinstance(value, str)
        if self.words is not None:
            self.words.set_value(value if is_word else "")
        self.swatch.set_colour(None if is_word or value is None else _rgb(value))
        self.swatch.setEnabled(not is_word)
        self.field.setEnabled(not is_word)
        self.field.setText("" if is_word or value is None else QColor(*_rgb(value)).name().upper())
        self._mark(False)

    def _on_words_chosen(self, word: str) -> None:
        self.value_changed.emit(word or (0, 0, 0))

    def _open_dialog(self) -> None:
        dialog = QColorDialog(QColor(*_rgb(self._value or 0)), self)
        dialog.setOption(QColorDialog.ColorDialogOption.DontUseNativeDialog, True)
        dialog.colorSelected.connect(lambda chosen: self.value_changed.emit((chosen.red(), chosen.green(), chosen.blue())))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _on_field_finished(self) -> None:
        if not self.field.isModified():
            return
        text = self.field.text().strip()
        chosen = QColor(text if text.startswith("#") else f"#{text}")
        if text.isdecimal() and int(text) <= 255:
            self.value_changed.emit((int(text),) * 3)
        elif len(text.lstrip("#")) in (3, 6) and chosen.isValid():
            self.value_changed.emit((chosen.red(), chosen.green(), chosen.blue()))
        else:
            self._mark(True)
            self.refused.emit(f"“{text[:20]}” is not a colour. Give #RRGGBB, or a grey from 0 to 255.")

    def _mark(self, is_wrong: bool) -> None:
        self.field.setProperty("invalid", "true" if is_wrong else "false")
        restyle(self.field)


class _Swatch(QPushButton):
    def __init__(self, *, name: str):
        super().__init__()
        self.setObjectName(name)
        self.setProperty("kind", "icon")
        self.setProperty("dense", "true")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        set_plain_tooltip(self, "Choose a colour")
        self._colour: tuple[int, int, int] | None = None

    def set_colour(self, rgb: tuple[int, int, int] | None) -> None:
        self._colour = rgb
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(colour("outline"))
        painter.setBrush(QColor(*self._colour) if self._colour else Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(self.rect().adjusted(4, 4, -5, -5), 3, 3)
        painter.end()


_KINDS = {
    "range": RangeEditor, "number": NumberEditor, "pair": NumbersEditor, "box": NumbersEditor, "switch": SwitchEditor, "choice": ChoiceEditor,
    "colour": ColourEditor,
}  # fmt: skip


def make_editor(param: Any, value: Any, name: str) -> ParamEditor:
    return _KINDS[param.kind](param, value, name)


def _show(field: NumberField, value: float) -> None:
    """Show a value, a long one by its first digits."""
    field.set_value(value)
    if not field.hasFocus():
        field.setCursorPosition(0)


def _number(value: Any, param: Any) -> float:
    if isinstance(value, (list, tuple)):
        value = value[0] if value else 0
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        value = param.slider[0]
    return round(value) if param.is_whole else value


def _pair(value: Any, param: Any) -> tuple[float, float]:
    if isinstance(value, (list, tuple)) and len(value) == 2 and not isinstance(value[0], (list, tuple)):
        return _number(value[0], param), _number(value[1], param)
    number = _number(value, param)
    return number, number


def _rgb(value: Any) -> tuple[int, int, int]:
    if isinstance(value, (list, tuple)):
        channels = [int(max(0, min(255, each))) for each in value[:3]]
        return tuple((channels * 3)[:3]) if len(channels) != 3 else tuple(channels)
    grey = int(max(0, min(255, value))) if isinstance(value, (int, float)) else 0
    return grey, grey, grey


def _hashable(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(sorted((key, _hashable(each)) for key, each in value.items()))
    return tuple(_hashable(each) for each in value) if isinstance(value, (list, tuple)) else value
