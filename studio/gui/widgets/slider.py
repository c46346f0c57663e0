"""Sliders over real numbers, linear or logarithmic. The wheel never changes a value."""

from __future__ import annotations

import math

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QHBoxLayout, QSlider, QWidget

from studio.gui.theme import colour, pen, px
from studio.gui.widgets.number import NumberField

_TICKS = 1000


class Slider(QSlider):
    """A horizontal slider over floats. `value_changed` fires for the user's moves only; double-click resets to `default`.

    A logarithmic slider whose low bound is 0 starts at a ten-thousandth of its high bound; its left end is then 0.
    """

    value_changed = Signal(float)
    default_wanted = Signal()  # by a double-click, after value_changed
    drag_started = Signal()
    drag_ended = Signal()

    def __init__(
        self, low: float, high: float, value: float, *, log: bool = False, integer: bool = False, default: float | None = None,
        token: str = "accent", name: str = "", parent: QWidget | None = None,
    ):  # fmt: skip
        """token: the colour of the filled part."""
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.low, self.high, self._log, self._integer, self._token = low, high, log, integer, token
        self._default = default
        self._is_own_change = False
        self.setRange(0, _TICKS)
        self.setSingleStep(10)
        self.setPageStep(100)
        self.setObjectName(name)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setMinimumWidth(px(56))
        self.set_number(value)
        self.valueChanged.connect(self._on_value_changed)
        self.sliderPressed.connect(self.drag_started)
        self.sliderReleased.connect(self.drag_ended)

    @property
    def number(self) -> float:
        value = self._at(self.value() / _TICKS)
        return round(value) if self._integer else float(f"{value:.3g}")

    def set_number(self, value: float) -> None:
        self._is_own_change = True
        self.setValue(round(self._fraction(value) * _TICKS))
        self._is_own_change = False

    def set_default(self, default: float) -> None:
        """Where a double-click goes."""
        self._default = default

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A press anywhere takes the handle there at once and drags on."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.setSliderDown(True)
            self._move_to(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self.isSliderDown():
            self._move_to(event.position().x())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self.setSliderDown(False)

    def _move_to(self, x: float) -> None:
        side = px(14)
        self.setValue(round(_TICKS * (x - side / 2) / max(1, self.width() - side)))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self._default is not None:
            self.setValue(round(self._fraction(self._default) * _TICKS))
            self.default_wanted.emit()

    def _on_value_changed(self) -> None:
        if not self._is_own_change:
            self.value_changed.emit(self.number)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Groove 4 px, filled up to the handle of 14 px. Style sheets draw the two parts of a groove apart from each other."""
        side, middle = px(14), self.height() / 2
        x = side / 2 + (self.value() / _TICKS) * (self.width() - side)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("border2"))
        painter.drawRoundedRect(QRectF(0, middle - 2, self.width(), 4), 2, 2)
        if self.isEnabled():
            painter.setBrush(colour(self._token))
            painter.drawRoundedRect(QRectF(0, middle - 2, x, 4), 2, 2)
        painter.setPen(pen("focus", 2) if self.hasFocus() else pen("outline"))
        painter.setBrush(colour("onAccent" if self.isEnabled() else "disabled"))
        radius = side / 2 - 0.5
        painter.drawEllipse(QRectF(x - radius, middle - radius, 2 * radius, 2 * radius))
        painter.end()

    def _floor(self) -> float:
        return self.low if self.low > 0 else self.high * 1e-4

    def _at(self, fraction: float) -> float:
        if self._log:
            if fraction <= 0 and self.low <= 0:
                return self.low
            floor = self._floor()
            return floor * (self.high / floor) ** fraction
        return self.low + fraction * (self.high - self.low)

    def _fraction(self, value: float) -> float:
        if self._log:
            floor = self._floor()
            fraction = math.log(max(value, floor) / floor) / math.log(self.high / floor)
        else:
            fraction = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, fraction))


class SliderField(QWidget):
    """A slider and a number field that show the same value. The slider may cover a narrower, more useful range than the field."""

    value_changed = Signal(object)
    drag_started = Signal()
    drag_ended = Signal()

    def __init__(self, slider: Slider, field: NumberField, *, name: str = "", parent: QWidget | None = None):
        super().__init__(parent)
        self.slider, self.field = slider, field
        self.setObjectName(name)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(8))
        row.addWidget(slider, 1)
        row.addWidget(field)
        slider.value_changed.connect(self._on_slider_value_changed)
        field.value_changed.connect(self._on_field_value_changed)
        for part in (slider, field):
            part.drag_started.connect(self.drag_started)
            part.drag_ended.connect(self.drag_ended)
        self.setFocusProxy(field)

    @property
    def value(self) -> float | int:
        return self.field.value

    def set_value(self, value: float | int) -> None:
        self.field.set_value(value)
        self.slider.set_number(value)

    def _on_slider_value_changed(self, value: float) -> None:
        self.field.set_value(value)
        self.value_changed.emit(value)

    def _on_field_value_changed(self, value: float | int) -> None:
        self.slider.set_number(value)
        self.value_changed.emit(value)


class RangeSlider(QWidget):
    """Two handles on one track: a low and a high value. Left and Right move the active handle, Up and Down change handles.

    Values may lie beyond the ends of the track; the handle then rests at the end. A double click resets to `default`.
    """

    range_changed = Signal(float, float)
    drag_started = Signal()
    drag_ended = Signal()

    def __init__(
        self, low: float, high: float, values: tuple[float, float], *, integer: bool = False, default: tuple[float, float] | None = None,
        name: str = "", parent: QWidget | None = None,
    ):  # fmt: skip
        super().__init__(parent)
        self._low, self._high, self._integer, self._default = low, high, integer, default
        self._values = list(values)
        self._active = 0
        self._is_dragging = False
        self.setObjectName(name)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setMinimumSize(px(72), px(24))

    def sizeHint(self) -> QSize:
        return QSize(px(140), px(24))

    @property
    def values(self) -> tuple[float, float]:
        return self._values[0], self._values[1]

    def set_values(self, values: tuple[float, float]) -> None:
        self._values = list(values)
        self.update()

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        x = event.position().x()
        distances = [abs(self._x(v) - x) for v in self._values]
        self._active = 0 if distances[0] < distances[1] or distances[0] == distances[1] and x < self._x(self._values[0]) else 1
        self._is_dragging = True
        self.drag_started.emit()
        self._move_to(x)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._is_dragging:
            self._move_to(event.position().x())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._is_dragging:
            self._is_dragging = False
            self.drag_ended.emit()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self._default is not None and self._default != self.values:
            self._values = list(self._default)
            self.update()
            self.range_changed.emit(*self._values)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        move = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(event.key())
        if move is not None:
            size = (0.1 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 0.01) * (self._high - self._low)
            self._set_active(self._values[self._active] + move * (max(1, round(size)) if self._integer else size))
        elif event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Space):
            self._active = 1 - self._active
            self.update()
        else:
            super().keyPressEvent(event)

    def _x(self, value: float) -> float:
        edge = px(8)
        share = min(1.0, max(0.0, (value - self._low) / (self._high - self._low)))
        return edge + share * (self.width() - 2 * edge)

    def _move_to(self, x: float) -> None:
        edge = px(8)
        self._set_active(self._low + (x - edge) / max(1, self.width() - 2 * edge) * (self._high - self._low))

    def _set_active(self, value: float) -> None:
        first = self._low if self._active == 0 else self._values[0]
        last = self._high if self._active == 1 else self._values[1]
        value = min(last, max(first, value))
        value = round(value) if self._integer else float(f"{value:.3g}")
        if value != self._values[self._active]:
            self._values[self._active] = value
            self.range_changed.emit(*self._values)
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle = self.height() / 2
        left, right = self._x(self._values[0]), self._x(self._values[1])
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("border2"))
        painter.drawRoundedRect(QRectF(px(8), middle - 2, self.width() - 2 * px(8), 4), 2, 2)
        painter.setBrush(colour("accent" if self.isEnabled() else "outline"))
        painter.drawRoundedRect(QRectF(left, middle - 2, right - left, 4), 2, 2)
        for index, x in enumerate((left, right)):
            has_ring = self.hasFocus() and index == self._active
            painter.setPen(pen("focus", 2) if has_ring else pen("outline"))
            painter.setBrush(colour("onAccent" if self.isEnabled() else "disabled"))
            painter.drawEllipse(QRectF(x - px(7) + 0.5, middle - px(7) + 0.5, px(14) - 1, px(14) - 1))
        painter.end()
