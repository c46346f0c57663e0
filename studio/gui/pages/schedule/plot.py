"""The learning rate over the whole run: a curve per stage that trains, with handles on the head's curve."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, QSize, Qt, Signal
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent, QKeyEvent
from PySide6.QtWidgets import QGraphicsItem, QVBoxLayout, QWidget

from studio.core.experiment import Schedule
from studio.core.words import format_number
from studio.gui.pages.schedule.corner import free_corner
from studio.gui.pages.schedule.curve import FLOOR, Curves, Length
from studio.gui.pages.schedule.grips import GripLayer, Mark, Name
from studio.gui.pages.schedule.handles import Handle, handles_of, settings_at
from studio.gui.pages.schedule.keys import PlotKeys
from studio.gui.pages.schedule.lines import StageLines, stroke_of
from studio.gui.pages.schedule.momentum import MomentumPlot
from studio.gui.pages.schedule.now_line import NowLine
from studio.gui.pages.schedule.pointer import PlotPointer
from studio.gui.pages.schedule.stroke import Stroke
from studio.gui.pages.schedule.tick import Scale, Ticks, Time, rate_ticks, time_ticks
from studio.gui.theme import colour, px
from studio.gui.widgets.plot_style import QuietPlot, WordAxis, set_axis_label

LEFT_PX = 118  # of the axes: the timeline below has the names of its rows there
_LEGEND_ROWS = 4  # more names would cover the curve; the column beside the plot has them all
_LEGEND_LEAST_PX = 110  # height of a plot with a legend
_NOW_PX = 100  # of the words beside the line of the run


@dataclass(frozen=True)
class Shown:
    """What is drawn now."""

    schedule: Schedule
    length: Length
    curves: Curves


@dataclass(frozen=True)
class _Also:
    """What others draw here."""

    names: tuple[Name, ...] = ()
    num_steps: float = 0.0
    highest: float = 0.0  # rate
    words_at: Callable[[float], str] | None = None


class RatePlot(QWidget):
    """Draws the curves it is given. Handles report wishes: `edited` carries settings, between `drag_started` and `drag_ended`.

    What the mouse does is in `pointer`, what keys do in `keys`; Esc drops a drag.
    """

    edited = Signal(dict)  # {"schedule.peak_lr": 1e-3}; within a drag the whole change since it started
    nudged = Signal(dict, str)  # as `edited`, by an arrow key, and the handle: presses in a row belong together
    chosen = Signal()  # another handle is, or none any more
    drag_started = Signal()
    drag_ended = Signal(bool)  # False when it was dropped: all is to be as before
    hovered = Signal(str)
    resized = Signal()

    def __init__(self, *, name: str = "", parent: QWidget | None = None):
        super().__init__(parent)
        self.setObjectName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Learning rate over the run")
        self.shown: Shown | None = None
        self._time: Time = "epochs"
        self.scale: Scale = "log"
        self._has_momentum = False
        self._range: tuple[float, float] | None = None
        self._in_sight: tuple[float, float] | None = None
        self._also = _Also()
        self.strong_stage: str | None = None  # drawn strongly
        self._shown_words: tuple = ()  # of legend and axes: dear to set
        self._is_held = False
        self._now_way: int | None = None  # how far the run is, in fiftieths
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self.graphics = pg.GraphicsLayoutWidget()
        self.graphics.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.graphics.setFocusProxy(self)
        self.graphics.ci.setContentsMargins(0, 4, 8, 0)
        self.graphics.ci.setSpacing(4)
        column.addWidget(self.graphics)
        rate_axis = WordAxis("left", lambda low, high, pixels: rate_ticks(low, high, pixels, self.scale))
        self.plot = QuietPlot(rate_axis, WordAxis("bottom", self._time_ticks), axis_width_px=px(LEFT_PX))
        self.graphics.addItem(self.plot, 0, 0)
        self.momentum_plot = MomentumPlot(WordAxis("bottom", self._time_ticks), axis_width_px=px(LEFT_PX))
        self.momentum_plot.setXLink(self.plot)
        for side in ("left", "bottom"):  # they stay while a curve is dragged; painting their words takes 2 ms
            self.plot.getAxis(side).setCacheMode(QGraphicsItem.CacheMode.DeviceCoordinateCache)
        self._lines = StageLines(self.plot, self.to_y)
        self._now_line = NowLine()
        self.plot.addItem(self._now_line, ignoreBounds=True)
        self.grips = GripLayer(self.to_y)
        self.plot.addItem(self.grips, ignoreBounds=True)
        self.pointer = PlotPointer(self)
        self.keys = PlotKeys(self)
        self.plot.getViewBox().sigResized.connect(lambda *_: self._place_legend())
        self.restyle()

    # what is shown

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self.resized.emit()

    def sizeHint(self) -> QSize:
        return QSize(px(400), self.minimumHeight())  # it takes what the others leave

    def show_curves(self, schedule: Schedule, length: Length, curves: Curves) -> None:
        self.shown = Shown(schedule, length, curves)
        self.draw()

    def set_time(self, time: Time) -> None:
        self._time = time
        self.draw()

    def set_scale(self, scale: Scale) -> None:
        self.scale = scale
        self.draw()

    def set_momentum_visible(self, on: bool) -> None:
        self._has_momentum = on
        self.draw()

    def keep_in_sight(self, low: float | None, high: float | None) -> None:
        """Rates that the axis shows whatever the curve is; None and None frees it."""
        self._in_sight = None if low is None else (low, high)
        self.draw()

    def show_also(
        self, *, names: tuple[Name, ...] = (), num_steps: float = 0.0, highest: float = 0.0, words_at: Callable[[float], str] | None = None
    ) -> None:
        """What is drawn here besides the draft: its rows of the legend, what has to be in sight, and its words at a step."""
        self._also = _Also(names, num_steps, highest, words_at)
        self._shown_words = ()
        self.draw()

    def set_held(self, is_held: bool) -> None:
        """Whether something that changes the curves is in the hand: legend and description wait until it is let go."""
        self._is_held = is_held
        if not is_held:
            self.draw()

    def show_now(self, step: int | None, words: str = "") -> None:
        """A line where the active run stands; None takes it away."""
        self._now_line.show_step(step, words)
        way = None if step is None or self.shown is None else round(50 * step / max(1, self.shown.length.num_steps))
        if way != self._now_way and not self._is_in_hand:
            self._now_way = way
            self._draw_words()  # the legend makes room

    def show_marks(self, marks: Sequence[Mark]) -> None:
        """Where in time something is wrong."""
        self.grips.marks = tuple(marks)
        self.grips.update()

    def show_stage(self, name: str | None) -> None:
        """Draw the curve of a stage strongly; None draws all as usual."""
        self.strong_stage = name
        self.draw()

    # what is read

    def head_points(self) -> tuple[np.ndarray, np.ndarray]:
        """Steps and rates of the head's curve as they are drawn: float64[n] each."""
        x, y = self._lines.head_points()
        return x, 10**y if self.scale == "log" else y

    @property
    def names_shown(self) -> tuple[str, ...]:
        """The rows of the legend."""
        return tuple(name.text for name in self.grips.names)

    @property
    def strokes(self) -> dict[str, Stroke]:
        """How the curve of each stage is drawn."""
        return dict(zip(self.shown.curves.stages, self._lines.strokes, strict=True))

    @property
    def handles(self) -> tuple[Handle, ...]:
        return self.grips.handles

    @property
    def active_handle(self) -> Handle | None:
        """The handle that keys move."""
        return next((h for h in self.handles if h.key == self.grips.active), None)

    @property
    def bottom(self) -> float:
        """The least rate in sight, in units of the axis."""
        return self._range[0]

    def place_of(self, key: str) -> QPointF:
        """Where a handle is on the viewport of the graphics, px."""
        handle = next(h for h in self.handles if h.key == key)
        return QPointF(self.graphics.mapFromScene(self.grips.place(handle)))

    def also_words_at(self, step: float) -> str:
        """What others who draw here have to say of a step; empty for nothing."""
        return self._also.words_at(step) if self._also.words_at else ""

    # what is asked for

    def move_handle(self, key: str, step: float, rate: float) -> None:
        """Ask for a handle to be at a place, as a drag does."""
        handle = next(h for h in self.handles if h.key == key)
        self.ask(settings_at(self.shown.schedule, self.shown.length, handle, step, rate))

    def ask(self, settings: dict) -> None:
        """Wish for settings, unless there are none."""
        if settings:
            self.edited.emit(settings)

    def hold_drag(self, key: str, dx: float, dy: float) -> None:
        """A handle in mid-drag, so many pixels away; for pictures."""
        at = self.grips.place(next(h for h in self.handles if h.key == key))
        self.pointer.take(self.grips.handle_at(at), at)
        to = at + QPointF(dx, dy)
        self.pointer.drag_to(to, Qt.KeyboardModifier.NoModifier, self.graphics.mapToGlobal(self.graphics.mapFromScene(to)))

    # drawing

    @property
    def _is_in_hand(self) -> bool:
        return self._is_held or self.pointer.drag is not None

    def restyle(self) -> None:
        """Take the tokens of the current theme."""
        self.graphics.setBackground(colour("surface"))
        self.plot.restyle()
        self.momentum_plot.restyle()
        self._now_line.restyle()
        self._shown_words = ()
        self.draw()

    def to_y(self, rates: np.ndarray | float):
        """Rates in the units of the axis; on a logarithmic one not below the floor."""
        if self.scale == "lin" or self.shown is None:
            return rates
        return np.log10(np.maximum(rates, self.shown.schedule.peak_lr * FLOOR))

    def draw(self) -> None:
        view = self.shown
        if view is None:
            return
        curves, grips = view.curves, self.grips
        self._lines.draw(curves, self.strong_stage, is_dragged=self.pointer.drag is not None, is_held=self._is_held)
        self._draw_momentum(curves)
        before = grips.handles, grips.end_of_curve, grips.note, grips.names
        grips.handles = handles_of(view.schedule, view.length)
        self._fit_range(curves)
        grips.end_of_curve = (float(curves.steps[-1]), float(curves.head[-1]))
        is_certain = curves.certain_steps >= view.length.num_steps
        grips.note = None if is_certain else (curves.certain_steps, "from here on the validation loss decides")
        self._draw_words()
        if not self._is_held or before != (grips.handles, grips.end_of_curve, grips.note, grips.names):
            grips.update()

    def _draw_momentum(self, curves: Curves) -> None:
        is_shown = self._has_momentum and curves.momentum is not None
        if is_shown != (self.momentum_plot in self.graphics.ci.items):
            if is_shown:
                self.graphics.addItem(self.momentum_plot, 1, 0)
            else:
                self.graphics.removeItem(self.momentum_plot)
        if is_shown:
            self.momentum_plot.show_curves(curves)

    def _fit_range(self, curves: Curves) -> None:
        """The axes hold the whole curve with some room; while something is dragged they grow when the room is used up, and never shrink."""
        length, (low, high) = float(max(1, self.shown.length.num_steps, self._also.num_steps)), self._extent(curves)
        room = (0.08, 0.14) if self.scale == "log" else (0.03, 0.15)
        y = low - room[0] * (high - low), high + room[1] * (high - low)
        if self._is_in_hand and self._range is not None:
            length = max(length, float(self.pointer.drag.length.num_steps)) if self.pointer.drag is not None else length
            y = (
                min(y[0], self._range[0]) if low < self._range[0] else self._range[0],
                max(y[1], self._range[1]) if high > self._range[1] else self._range[1],
            )
        x = -0.014 * length, 1.014 * length
        if self.plot.getViewBox().viewRange() != [list(x), list(y)]:
            self.plot.setRange(xRange=x, yRange=y, padding=0)
        self._range = y

    def _extent(self, curves: Curves) -> tuple[float, float]:
        """What has to be in sight, in units of the axis."""
        peak = max(self.shown.schedule.peak_lr, float(np.nanmax(curves.head)))  # a run may have begun with a higher one
        if self.scale == "lin":
            return 0.0, max(peak, self._also.highest, self._in_sight[1] if self._in_sight else 0.0)
        held = [h.rate for h in self.handles if h.look != "edge" and h.rate > 0]
        low = float(np.log10(max(min(curves.rates[curves.rates > 0].min(initial=peak), *held, peak), peak * FLOOR)))
        high = math.log10(max(peak, self._also.highest))
        if self._in_sight:
            low, high = min(low, math.log10(self._in_sight[0])), max(high, math.log10(self._in_sight[1]))
        return min(low, high - 1.0), high

    def _draw_words(self) -> None:
        """Labels of the axes, the legend and the description: only what has changed, as each costs milliseconds."""
        view = self.shown
        curves = view.curves
        has_momentum = self.momentum_plot in self.graphics.ci.items
        is_in_hand = self._is_in_hand
        thaws = () if is_in_hand else curves.thaws  # the bubble says what changes at every move; words are dear
        names = (curves.stages, curves.factors, thaws, self.strong_stage)
        axes = (self.scale, self._time, view.length.steps_per_epoch, has_momentum, curves.momentum_name)
        if is_in_hand and self._shown_words[:1] == (None,):  # there was no room
            names = None
        if (names,) != self._shown_words[:1]:
            rows = list(reversed(range(len(curves.stages))))[:_LEGEND_ROWS]
            rows = rows[:1] if self._also.names else rows
            own = tuple(Name(_name_of(curves, place, thaws), stroke_of(curves, place, self.strong_stage).pen()) for place in rows)
            self.grips.show_names((*own, *self._also.names))
        if (axes,) != self._shown_words[1:]:
            each = f" ({view.length.steps_per_epoch:,} steps each)" if self._time == "epochs" else ""
            set_axis_label(self.plot, "left", f"Learning rate{' (log)' if self.scale == 'log' else ''}")
            set_axis_label(self.momentum_plot, "left", curves.momentum_name)
            for plot, is_lowest in ((self.plot, not has_momentum), (self.momentum_plot, True)):
                set_axis_label(plot, "bottom", f"{'epoch' if self._time == 'epochs' else 'step'}{each}" if is_lowest else "")
                plot.getAxis("bottom").showLabel(is_lowest)
                plot.getAxis("bottom").picture = None
                plot.getAxis("bottom").update()
        self._shown_words = (names, axes)
        if not is_in_hand:
            self._place_legend()
            self.describe()

    def _time_ticks(self, low: float, high: float, pixels: float) -> Ticks:
        return time_ticks(low, high, pixels, self.shown.length, self._time) if self.shown else []

    def _place_legend(self) -> None:
        """Where it hides the least of the curves; nowhere where the plot has no room."""
        if self.shown is None or self._range is None:
            return
        box, grips, curves = self.plot.getViewBox(), self.grips, self.shown.curves
        width, height = box.width(), box.height()
        own_width, own_height = grips.legend_size
        size = min(1.0, (own_width + 24) / max(1.0, width)), min(1.0, (own_height + 24) / max(1.0, height))
        x = np.linspace(0, max(1, self.shown.length.num_steps), 200)
        y = np.stack([np.interp(x, curves.steps, self.to_y(np.nan_to_num(column))) for column in curves.rates.T], 1)
        y = 1 - (y - self._range[0]) / (self._range[1] - self._range[0])  # 0 at the top
        now, wide = self._now_line.value() / x[-1], px(_NOW_PX) / max(1.0, width)
        grips.corner, is_free = free_corner(y, size, (now - wide, now + wide) if self._now_line.isVisible() else None)
        if height < _LEGEND_LEAST_PX or not self._also.names and not is_free:  # the column beside the plot names the stages too
            grips.show_names(())
            self._shown_words = (None, *self._shown_words[1:])
        grips.update()

    # for those who do not see it

    def describe(self) -> None:
        """Say the course of the curve, and which handle has the keys."""
        view, handle = self.shown, self.active_handle
        head = view.curves.head
        at = view.curves.peak_step / view.length.steps_per_epoch
        course = f"Starts at {head[0]:.2g}, highest {head.max():.2g} in epoch {at:.1f}, ends at {head[-1]:.2g}. "
        now = f"{handle.words(view.length)}. " if handle and self.hasFocus() else ""
        self.setAccessibleDescription(
            f"{now}{course}Tab goes through the handles, arrow keys move them; the fields below hold the same numbers."
        )

    def announce(self, words: str) -> None:
        if QAccessible.isActive():
            QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, words))

    # the keyboard

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Tab goes through the handles and leaves after the last one."""
        return self.keys.go(forward) or super().focusNextPrevChild(forward)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        is_dragged = self.pointer.drag is not None
        if event.key() == Qt.Key.Key_Escape and is_dragged:
            self.pointer.release(is_kept=False)
        elif self.shown is None or is_dragged or not self.keys.press(event):
            super().keyPressEvent(event)

    def focusInEvent(self, event) -> None:
        super().focusInEvent(event)
        self.keys.take_focus(event.reason())

    def focusOutEvent(self, event) -> None:
        super().focusOutEvent(event)
        self.grips.has_focus = False
        self.grips.update()
        self.chosen.emit()
        self.hovered.emit("")


def _name_of(curves: Curves, place: int, thaws: Sequence[int]) -> str:
    thaw = thaws[place] if thaws else 0
    return f"{curves.stages[place]} × {format_number(float(f'{curves.factors[place]:.2g}'))}" + (f" from epoch {thaw}" if thaw else "")
