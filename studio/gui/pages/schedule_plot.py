"""The learning rate over the whole run: a curve per stage that trains, with handles on the head's curve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from studio.catalog.schedules import SHAPES
from studio.core.experiment import Schedule, bounds
from studio.gui.pages.schedule_curve import FLOOR, Curves, Length
from studio.gui.theme import colour, font, pen, series_pen
from studio.gui.widgets import format_number
from studio.gui.widgets.plot_style import QuietPlot, WordAxis, nice_step, set_axis_label

Time = Literal["epochs", "steps"]
Scale = Literal["log", "lin"]
Handle = Literal["start", "peak", "final"]
_FIELDS = {shape.key: shape.fields for shape in SHAPES}


@dataclass(frozen=True)
class _View:
    """What is drawn now."""

    schedule: Schedule
    length: Length
    curves: Curves
    names: tuple[str, ...]  # of the groups, the head last


class RatePlot(QWidget):
    """Draws the curves it is given. Handles report wishes: `edited` carries settings, between `drag_started` and `drag_ended`.

    With the keyboard: Space takes the next handle, arrows move it 1 %, Shift ten times, Alt a tenth as far.
    """

    edited = Signal(dict)  # {"schedule.peak_lr": 1e-3}
    drag_started = Signal()
    drag_ended = Signal()
    hovered = Signal(str)

    def __init__(self, *, name: str = "", parent: QWidget | None = None):
        super().__init__(parent)
        self.setObjectName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._view: _View | None = None
        self._time: Time = "epochs"
        self._scale: Scale = "log"
        self._has_momentum = False
        self._dragged: Handle | None = None
        self._active: Handle | None = None
        self._is_placing = False
        self._range: tuple[float, float] | None = None  # fixed while a handle is dragged
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self.graphics = pg.GraphicsLayoutWidget()
        self.graphics.setFocusProxy(self)
        self.graphics.ci.setContentsMargins(0, 4, 8, 0)
        self.graphics.ci.setSpacing(4)
        column.addWidget(self.graphics)
        self.plot = QuietPlot(WordAxis("left", self._rate_ticks), WordAxis("bottom", self._time_ticks))
        self.graphics.addItem(self.plot, 0, 0)
        self.momentum_plot = QuietPlot(WordAxis("left", _few_ticks), WordAxis("bottom", self._time_ticks))
        self.momentum_plot.setXLink(self.plot)
        self.momentum_plot.setMaximumHeight(110)
        self.legend = self.plot.addLegend(offset=None, verSpacing=-6)
        self._lines: list[pg.PlotDataItem] = []
        self._momentum_line = self.momentum_plot.plot()
        self._restart_lines: list[pg.InfiniteLine] = []
        label = {"position": 0.04, "anchors": [(-0.06, 0.5), (1.06, 0.5)]}
        self._now_line = pg.InfiniteLine(0, angle=90, label="", labelOpts=label)
        self._now_line.setZValue(8)
        self._now_line.hide()
        self.plot.addItem(self._now_line, ignoreBounds=True)
        self._handles = {key: self._make_handle(key) for key in ("start", "peak", "final")}
        self.plot.scene().sigMouseMoved.connect(self._on_scene_mouse_moved)
        self._apply_style()

    # what is shown

    def show_curves(self, schedule: Schedule, length: Length, curves: Curves, names: tuple[str, ...]) -> None:
        self._view = _View(schedule, length, curves, names)
        self._draw()

    def set_time(self, time: Time) -> None:
        self._time = time
        self._draw()

    def set_scale(self, scale: Scale) -> None:
        self._scale = scale
        self._draw()

    def set_momentum_visible(self, on: bool) -> None:
        self._has_momentum = on
        self._draw()

    def show_now(self, step: int | None, words: str = "") -> None:
        """A line where the active run stands; None takes it away."""
        self._now_line.setVisible(step is not None)
        if step is not None:
            self._now_line.setPos(step)
            self._now_line.label.setFormat(words)

    def head_points(self) -> tuple[np.ndarray, np.ndarray]:
        """Steps and rates of the head's curve as they are drawn (for tests and for reading values)."""
        x, y = self._lines[-1].getData()
        return x, 10**y if self._scale == "log" else y

    def handle_positions(self) -> dict[Handle, tuple[float, float]]:
        """Step and rate of every handle that the shape has."""
        found = {}
        for key, item in self._handles.items():
            if item.isVisible():
                y = item.pos().y()
                found[key] = (item.pos().x(), 10**y if self._scale == "log" else y)
        return found

    def move_handle(self, key: Handle, step: float, rate: float) -> None:
        """Ask for a handle to be at a place, as a drag does."""
        settings = self._settings_at(key, step, rate)
        if settings:
            self.edited.emit(settings)

    # drawing

    def restyle(self) -> None:
        """Take the tokens of the current theme."""
        self._apply_style()

    def _apply_style(self) -> None:
        self.graphics.setBackground(colour("surface"))
        self.plot.restyle()
        self.momentum_plot.restyle()
        set_axis_label(self.plot, "left", "Learning rate")
        self.legend.setBrush(colour("plot", 0.86))
        self.legend.setPen(None)
        self.legend.setLabelTextColor(colour("text2"))
        self._now_line.setPen(pen("trains", 1.5))
        self._now_line.label.setColor(colour("onTrains"))
        self._now_line.label.fill = pg.mkBrush(colour("trainsFill"))
        self._now_line.label.textItem.setFont(font("caption"))
        for key, item in self._handles.items():
            is_peak = key == "peak"
            item.setPen(pen("text" if is_peak else "series.0", 2))
            item.setBrush(colour("series.0" if is_peak else "plot"))
            item.setHoverPen(pen("focus", 3))
            item.setHoverBrush(colour("series.0"))
        self._draw()

    def _y(self, rates: np.ndarray | float):
        if self._scale == "lin":
            return rates
        peak = self._view.schedule.peak_lr
        return np.log10(np.maximum(rates, peak * FLOOR))

    def _draw(self) -> None:
        view = self._view
        if view is None:
            return
        curves = view.curves
        self._fit_lines(len(curves.factors))
        self.legend.clear()
        shown = range(len(curves.factors))
        for place, line in enumerate(self._lines):
            is_head = place == len(self._lines) - 1
            order = len(self._lines) - 1 - place  # the head is the first series
            line.setPen(series_pen(0) if is_head else pen(f"series.{min(order, 9)}", 1.4, dash=(6, 4)))
            steps, rates = _with_jumps(curves, curves.rates[:, place])
            line.setData(steps, self._y(rates))
        for place in list(reversed(shown))[:4]:  # head first; more names would cover the curve
            self.legend.addItem(self._lines[place], f"{view.names[place]} × {format_number(float(f'{curves.factors[place]:.2g}'))}")
        size = f"{font('caption').pointSizeF():g}pt"
        for _, label in self.legend.items:
            label.setText(label.text, size=size, color=colour("text2").name())
        self._draw_restarts(curves)
        self._draw_momentum(curves)
        self._fit_range(curves)
        self._place_handles()
        words = "epoch" if self._time == "epochs" else "step"
        each = f" ({view.length.steps_per_epoch:,} steps each)" if self._time == "epochs" else ""
        lowest = self.momentum_plot if self.momentum_plot in self.graphics.ci.items else self.plot
        set_axis_label(self.plot, "left", f"Learning rate{' (log)' if self._scale == 'log' else ''}")
        for plot in (self.plot, self.momentum_plot):
            set_axis_label(plot, "bottom", f"{words}{each}" if plot is lowest else "")
            plot.getAxis("bottom").showLabel(plot is lowest)
            plot.getAxis("bottom").picture = None
            plot.getAxis("bottom").update()
        self._place_legend()
        self._say()

    def _fit_lines(self, count: int) -> None:
        while len(self._lines) < count:
            line = self.plot.plot()
            line.setZValue(2)
            self._lines.insert(0, line)
        while len(self._lines) > count:
            self.plot.removeItem(self._lines.pop(0))
        self._lines[-1].setZValue(5)

    def _draw_restarts(self, curves: Curves) -> None:
        for line in self._restart_lines:
            self.plot.removeItem(line)
        marks = curves.jumps[:60] if self._view.schedule.shape == "warm_restarts" else ()
        self._restart_lines = [pg.InfiniteLine(step, angle=90, pen=pen("outline", 1, dash=(2, 3))) for step in marks]
        for line in self._restart_lines:
            line.setZValue(-10)
            self.plot.addItem(line)

    def _draw_momentum(self, curves: Curves) -> None:
        is_shown = self._has_momentum and curves.momentum is not None
        if is_shown != (self.momentum_plot in self.graphics.ci.items):
            if is_shown:
                self.graphics.addItem(self.momentum_plot, 1, 0)
            else:
                self.graphics.removeItem(self.momentum_plot)
        if is_shown:
            self._momentum_line.setPen(series_pen(2, 1.6))
            self._momentum_line.setData(curves.steps, curves.momentum)
            low, high = float(curves.momentum.min()), float(curves.momentum.max())
            room = max(0.01, (high - low) * 0.15)
            self.momentum_plot.setYRange(low - room, high + room, padding=0)
            set_axis_label(self.momentum_plot, "left", curves.momentum_name)

    def _fit_range(self, curves: Curves) -> None:
        self.plot.setXRange(0, max(1, self._view.length.num_steps), padding=0.012)
        if self._range is None or self._dragged is None:
            peak = self._view.schedule.peak_lr
            if self._scale == "lin":
                self._range = (-0.03 * peak, 1.15 * peak)
            else:
                low = float(np.log10(max(curves.rates[curves.rates > 0].min(initial=peak), peak * FLOOR)))
                high = math.log10(peak)
                low = min(low, high - 1.0)
                self._range = (low - 0.08 * (high - low), high + 0.14 * (high - low))
        self.plot.setYRange(*self._range, padding=0)

    def _place_legend(self) -> None:
        """Where it hides the fewest points of the curves; not at all where the plot has no room."""
        if self._view is None:
            return
        view = self.plot.getViewBox()
        width, height = view.width(), view.height()
        self.legend.setVisible(height > 110)
        if height <= 110:
            return
        own = self.legend.boundingRect()
        own_x, own_y = min(1.0, (own.width() + 24) / max(1.0, width)), min(1.0, (own.height() + 24) / height)
        low, high = self._range
        total = max(1, self._view.length.num_steps)
        x = np.linspace(0, 1, 200)
        lines = [np.interp(x * total, *line.getData()) for line in self._lines]
        y = (np.stack(lines, 1) - low) / (high - low)  # [points, groups], 0 at the bottom

        def hidden(place: tuple[float, float]) -> int:
            left, bottom = place[0] * (1 - own_x), (1 - place[1]) * (1 - own_y)
            inside = (x >= left) & (x <= left + own_x)
            return int(((y[inside] >= bottom) & (y[inside] <= bottom + own_y)).sum())

        place = min(((0.5, 1), (0, 1), (1, 1), (1, 0), (0.5, 0), (0, 0)), key=hidden)
        if hidden(place) > 0.04 * y.size:  # the column beside the plot names the stages too
            self.legend.hide()
        offset = (12 * (1 - 2 * place[0]), 12 * (1 - 2 * place[1]))
        self.legend.anchor(place, place, offset=offset)

    def _say(self) -> None:
        view = self._view
        s, head = view.schedule, view.curves.head
        at = view.curves.peak_step / view.length.steps_per_epoch
        self.setAccessibleName("Learning rate over the run")
        self.setAccessibleDescription(
            f"Starts at {head[0]:.2g}, peaks at {s.peak_lr:.2g} in epoch {at:.1f}, ends at {head[-1]:.2g}. "
            "Space takes the next handle, arrow keys move it; the fields below hold the same numbers."
        )

    # ticks

    def _time_ticks(self, low: float, high: float, pixels: float) -> list[tuple[float, str]]:
        if self._view is None:
            return []
        unit = self._view.length.steps_per_epoch if self._time == "epochs" else 1
        step = max(1.0, nice_step((high - low) / unit, max(2, int(pixels / 56))))
        first = math.ceil(max(0.0, low) / unit / step)
        found, k = [], first
        while k * step * unit <= high + unit * 0.02 + 1:
            found.append((min(k * step * unit, high), f"{k * step:,.0f}"))
            k += 1
        return found

    def _rate_ticks(self, low: float, high: float, pixels: float) -> list[tuple[float, str]]:
        if self._scale == "lin":
            step = nice_step(high - low, max(2, int(pixels / 44)))
            return [(k * step, format_number(float(f"{k * step:.3g}"))) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
        decades = range(math.ceil(low), math.floor(high) + 1)
        every = max(1, math.ceil(len(decades) / max(1, pixels / 26)))
        found = [(float(k), f"1e{k}") for k in decades if k % every == 0]
        if high - low < 2.5:
            found += [(k + math.log10(m), f"{m}e{k}") for k in range(math.floor(low), math.floor(high) + 1) for m in (2, 5)]
        return sorted(found)

    # handles

    def _make_handle(self, key: Handle) -> pg.TargetItem:
        item = pg.TargetItem((0, 0), size=15 if key == "peak" else 11, symbol="d" if key == "peak" else "o", movable=True)
        item.setZValue(20)
        item.sigPositionChanged.connect(lambda *_: self._on_handle_moved(key))
        item.sigPositionChangeFinished.connect(lambda *_: self._on_handle_released())
        self.plot.addItem(item, ignoreBounds=True)
        return item

    def _place_handles(self) -> None:
        view = self._view
        fields, head, last = _FIELDS[view.schedule.shape], view.curves.head, view.length.num_steps - 1
        peak = view.schedule.peak_lr
        has_climb = view.schedule.warmup_fraction > 0 and view.curves.peak_step > 0
        places = {
            "start": (0.0, max(head[0], peak * FLOOR)) if "start_factor" in fields and has_climb else None,
            "peak": (float(view.curves.peak_step), peak),
            "final": (float(last), max(head[-1], peak * FLOOR)) if "final_factor" in fields else None,
        }
        self._is_placing = True
        for key, place in places.items():
            item = self._handles[key]
            item.setVisible(place is not None)
            if place is not None and key != self._dragged:
                item.setPos(place[0], float(self._y(place[1])))
            is_active = self.hasFocus() and key == self._active
            item.setPen(pen("focus" if is_active else "text" if key == "peak" else "series.0", 3 if is_active else 2))
        self._is_placing = False

    def _on_handle_moved(self, key: Handle) -> None:
        if self._is_placing or self._view is None:
            return
        if self._dragged is None:
            self._dragged = key
            self.drag_started.emit()
        pos = self._handles[key].pos()
        rate = 10 ** pos.y() if self._scale == "log" else pos.y()
        self.move_handle(key, pos.x(), rate)
        self.hovered.emit(self._words_of(key))

    def _on_handle_released(self) -> None:
        if self._dragged is not None:
            self._dragged = None
            self.drag_ended.emit()
            self._draw()

    def _settings_at(self, key: Handle, step: float, rate: float) -> dict[str, float]:
        view = self._view
        peak, total = view.schedule.peak_lr, view.length.num_steps
        if key == "peak":
            settings = {"schedule.peak_lr": _within("schedule.peak_lr", _short(rate))}
            if "warmup_fraction" in _FIELDS[view.schedule.shape]:
                settings["schedule.warmup_fraction"] = _within("schedule.warmup_fraction", round(max(0.0, step) / max(1, total), 3))
            return settings
        name = "schedule.start_factor" if key == "start" else "schedule.final_factor"
        return {name: _within(name, _short(max(0.0, rate) / peak))}

    def _words_of(self, key: Handle) -> str:
        s, curves = self._view.schedule, self._view.curves
        match key:
            case "peak":
                return f"Peak {_short(s.peak_lr):.1e} at epoch {curves.peak_step / self._view.length.steps_per_epoch:.1f}"
            case "start":
                return f"Start {s.peak_lr * s.start_factor:.1e}, {format_number(s.start_factor)} of the peak"
            case _:
                return f"Final {s.peak_lr * s.final_factor:.1e}, {format_number(s.final_factor)} of the peak"

    def keyPressEvent(self, event: QKeyEvent) -> None:
        shown = [k for k, item in self._handles.items() if item.isVisible()]
        if self._view is None or not shown:
            super().keyPressEvent(event)
            return
        if event.key() == Qt.Key.Key_Space:
            self._active = shown[(shown.index(self._active) + 1) % len(shown)] if self._active in shown else shown[0]
            self._place_handles()
            self.hovered.emit(self._words_of(self._active))
            return
        move = {Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0), Qt.Key.Key_Up: (0, 1), Qt.Key.Key_Down: (0, -1)}.get(event.key())
        if move is None or self._active not in shown:
            super().keyPressEvent(event)
            return
        mods = event.modifiers()
        size = 0.1 if mods & Qt.KeyboardModifier.ShiftModifier else 0.001 if mods & Qt.KeyboardModifier.AltModifier else 0.01
        step, rate = self.handle_positions()[self._active]
        # 1 % of the axis, as a drag would move it
        rate = rate * 10 ** (move[1] * size * 4) if self._scale == "log" else rate + move[1] * size * self._view.schedule.peak_lr
        self.move_handle(self._active, step + move[0] * size * self._view.length.num_steps, rate)
        self.hovered.emit(self._words_of(self._active))

    def focusInEvent(self, event) -> None:
        super().focusInEvent(event)
        if self._active is None:
            self._active = "peak"
        if self._view is not None:
            self._place_handles()

    def focusOutEvent(self, event) -> None:
        super().focusOutEvent(event)
        if self._view is not None:
            self._place_handles()

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self._place_legend()

    def _on_scene_mouse_moved(self, at: QPointF) -> None:
        view = self._view
        if view is None or self._dragged is not None:
            return
        box = self.plot.getViewBox()
        if not box.sceneBoundingRect().contains(at):
            self.hovered.emit("")
            return
        step = round(min(max(0.0, box.mapSceneToView(at).x()), view.length.num_steps - 1))
        rate = float(np.interp(step, view.curves.steps, view.curves.head))
        self.hovered.emit(f"epoch {step / view.length.steps_per_epoch:.2f}, step {step:,}: {rate:.2e}")


def _with_jumps(curves: Curves, rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The curve with upright edges at its jumps: a rate holds until the step that takes another one."""
    at = np.searchsorted(curves.steps, curves.jumps)
    at = at[(at > 0) & (at < len(curves.steps))]
    return np.insert(curves.steps, at, curves.steps[at]), np.insert(rates, at, rates[at - 1])


def _few_ticks(low: float, high: float, pixels: float) -> list[tuple[float, str]]:
    step = nice_step(high - low, max(2, int(pixels / 26)))
    return [(k * step, f"{k * step:.2f}") for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _short(value: float) -> float:
    return float(f"{value:.2g}")


def _within(path: str, value: float) -> float:
    low, high = bounds(path)
    return float(min(high, max(low, value)))
