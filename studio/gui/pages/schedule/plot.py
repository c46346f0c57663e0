"""The learning rate over the whole run: a curve per stage that trains, with handles on the head's curve."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, QSize, Qt, Signal
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QGraphicsItem, QVBoxLayout, QWidget

from studio.core.experiment import Schedule
from studio.gui.pages.schedule.curve import FLOOR, Curves, Length
from studio.gui.pages.schedule.grips import GripLayer, Mark, Name
from studio.gui.pages.schedule.hand import Drag, nudged
from studio.gui.pages.schedule.handles import Handle, added_at, handles_of, removed, settings_at
from studio.gui.pages.schedule.stroke import Points, Stroke, with_jumps
from studio.gui.pages.schedule.tick import Scale, Ticks, Time, few_ticks, rate_ticks, time_ticks
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets import Bubble, format_number
from studio.gui.widgets.curve_item import CurveItem
from studio.gui.widgets.plot_style import QuietPlot, WordAxis, set_axis_label

LEFT_PX = 118  # of the axes: the timeline below has the names of its rows there
_LEGEND_ROWS = 4  # more names would cover the curve; the column beside the plot has them all
_CORNERS = ((0.5, 1.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.5, 0.0), (0.0, 0.0))
_NOW_PX = 100  # of the words beside the line of the run
_KEY_REASONS = (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason, Qt.FocusReason.ShortcutFocusReason)
_GRAB = {"both": Qt.CursorShape.OpenHandCursor, "time": Qt.CursorShape.SplitHCursor, "rate": Qt.CursorShape.SplitVCursor}


@dataclass(frozen=True)
class _View:
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

    The mouse: Ctrl snaps to epochs, Shift locks the other axis, Alt moves finely, Esc drops the drag. Keys: Tab goes through the handles,
    arrows move the one that is chosen by 1 % (Shift ten times, Alt a tenth as far, Ctrl to the next epoch), Home and End choose the first
    and the last, Insert adds behind it and Delete takes away where the shape has a list.
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
        self._view: _View | None = None
        self._time: Time = "epochs"
        self._scale: Scale = "log"
        self._has_momentum = False
        self._drag: Drag | None = None
        self._range: tuple[float, float] | None = None
        self._in_sight: tuple[float, float] | None = None
        self._also = _Also()
        self._stage: str | None = None  # drawn strongly
        self._shown_words: tuple = ()  # of legend and axes: dear to set
        self._bubble: Bubble | None = None
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
        rate_axis = WordAxis("left", lambda low, high, pixels: rate_ticks(low, high, pixels, self._scale))
        self.plot = QuietPlot(rate_axis, WordAxis("bottom", self._time_ticks), axis_width_px=px(LEFT_PX))
        self.graphics.addItem(self.plot, 0, 0)
        self.momentum_plot = QuietPlot(WordAxis("left", few_ticks), WordAxis("bottom", self._time_ticks), axis_width_px=px(LEFT_PX))
        self.momentum_plot.setXLink(self.plot)
        self.momentum_plot.setMaximumHeight(px(100))
        for side in ("left", "bottom"):  # they stay while a curve is dragged; painting their words takes 2 ms
            self.plot.getAxis(side).setCacheMode(QGraphicsItem.CacheMode.DeviceCoordinateCache)
        self._lines: list[CurveItem] = []  # of the stages, the head last
        self._rest = CurveItem(Points(), Stroke("series.0", 1.6, (2, 3)))  # of the head, where the run decides
        self._rest.setZValue(4)
        self.plot.addItem(self._rest, ignoreBounds=True)
        self._momentum_line = CurveItem(Points(), Stroke("series.2", 1.6))
        self.momentum_plot.addItem(self._momentum_line, ignoreBounds=True)
        label = {"position": 0.04, "anchors": [(-0.06, 0.5), (1.06, 0.5)]}
        self._now_line = pg.InfiniteLine(0, angle=90, label="", labelOpts=label)
        self._now_line.setZValue(8)
        self._now_line.hide()
        self.plot.addItem(self._now_line, ignoreBounds=True)
        self.grips = GripLayer(self.to_y)
        self.plot.addItem(self.grips, ignoreBounds=True)
        viewport = self.graphics.viewport()
        viewport.setMouseTracking(True)
        viewport.setCursor(Qt.CursorShape.CrossCursor)
        viewport.installEventFilter(self)
        self.plot.getViewBox().sigResized.connect(lambda *_: self._place_legend())
        self._apply_style()

    # what is shown

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self.resized.emit()

    def sizeHint(self) -> QSize:
        return QSize(px(400), self.minimumHeight())  # it takes what the others leave

    def show_curves(self, schedule: Schedule, length: Length, curves: Curves) -> None:
        self._view = _View(schedule, length, curves)
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

    def keep_in_sight(self, low: float | None, high: float | None) -> None:
        """Rates that the axis shows whatever the curve is; None and None frees it."""
        self._in_sight = None if low is None else (low, high)
        self._draw()

    def show_also(
        self, *, names: tuple[Name, ...] = (), num_steps: float = 0.0, highest: float = 0.0, words_at: Callable[[float], str] | None = None
    ) -> None:
        """What is drawn here besides the draft: its rows of the legend, what has to be in sight, and its words at a step."""
        self._also = _Also(names, num_steps, highest, words_at)
        self._shown_words = ()
        self._draw()

    def set_held(self, is_held: bool) -> None:
        """Whether something that changes the curves is in the hand: legend and description wait until it is let go."""
        self._is_held = is_held
        if not is_held:
            self._draw()

    def show_now(self, step: int | None, words: str = "") -> None:
        """A line where the active run stands; None takes it away."""
        self._now_line.setVisible(step is not None)
        if step is not None:
            self._now_line.setPos(step)
            self._now_line.label.setFormat(words)
        way = None if step is None or self._view is None else round(50 * step / max(1, self._view.length.num_steps))
        if way != self._now_way and self._drag is None and not self._is_held:
            self._now_way = way
            self._draw_words()  # the legend makes room

    def show_marks(self, marks: Sequence[Mark]) -> None:
        """Where in time something is wrong."""
        self.grips.marks = tuple(marks)
        self.grips.update()

    def show_stage(self, name: str | None) -> None:
        """Draw the curve of a stage strongly; None draws all as usual."""
        self._stage = name
        self._draw()

    def head_points(self) -> tuple[np.ndarray, np.ndarray]:
        """Steps and rates of the head's curve as they are drawn (for tests and for reading values)."""
        parts = self._lines[-1].trace, self._rest.trace
        x, y = np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts])
        return x, 10**y if self._scale == "log" else y

    @property
    def names_shown(self) -> tuple[str, ...]:
        """The rows of the legend."""
        return tuple(name.text for name in self.grips.names)

    @property
    def strokes(self) -> dict[str, Stroke]:
        """How the curve of each stage is drawn."""
        return {stage: line.style for stage, line in zip(self._view.curves.stages, self._lines, strict=True)}

    @property
    def is_bubble_shown(self) -> bool:
        return self._bubble is not None and self._bubble.isVisible()

    @property
    def handles(self) -> tuple[Handle, ...]:
        return self.grips.handles

    @property
    def active_handle(self) -> Handle | None:
        """The handle that keys move."""
        return next((h for h in self.handles if h.key == self.grips.active), None)

    def place_of(self, key: str) -> QPointF:
        """Where a handle is on the viewport of the graphics, px."""
        handle = next(h for h in self.handles if h.key == key)
        return QPointF(self.graphics.mapFromScene(self.grips.place(handle)))

    def move_handle(self, key: str, step: float, rate: float) -> None:
        """Ask for a handle to be at a place, as a drag does."""
        handle = next(h for h in self.handles if h.key == key)
        self._ask(settings_at(self._view.schedule, self._view.length, handle, step, rate))

    def _ask(self, settings: dict) -> None:
        if settings:
            self.edited.emit(settings)

    def hold_drag(self, key: str, dx: float, dy: float) -> None:
        """A handle in mid-drag, so many pixels away; for pictures."""
        at = self.grips.place(next(h for h in self.handles if h.key == key))
        self._take(self.grips.handle_at(at), at)
        to = at + QPointF(dx, dy)
        self._drag_to(to, Qt.KeyboardModifier.NoModifier, self.graphics.mapToGlobal(self.graphics.mapFromScene(to)))

    # drawing

    def restyle(self) -> None:
        """Take the tokens of the current theme."""
        self._apply_style()

    def _apply_style(self) -> None:
        self.graphics.setBackground(colour("surface"))
        self.plot.restyle()
        self.momentum_plot.restyle()
        self._now_line.setPen(pen("trains", 1.5))
        self._now_line.label.setColor(colour("onTrains"))
        self._now_line.label.fill = pg.mkBrush(colour("trainsFill"))
        self._now_line.label.textItem.setFont(font("caption"))
        self._shown_words = ()
        self._draw()

    def to_y(self, rates: np.ndarray | float):
        """Rates in the units of the axis; on a logarithmic one not below the floor."""
        if self._scale == "lin" or self._view is None:
            return rates
        return np.log10(np.maximum(rates, self._view.schedule.peak_lr * FLOOR))

    def _draw(self) -> None:
        view = self._view
        if view is None:
            return
        curves, grips = view.curves, self.grips
        self._draw_lines(curves)
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

    def _draw_lines(self, curves: Curves) -> None:
        count = len(curves.stages)
        while len(self._lines) < count:
            self._lines.insert(0, CurveItem(Points(), Stroke("series.0")))
            self.plot.addItem(self._lines[0], ignoreBounds=True)
        while len(self._lines) > count:
            self.plot.removeItem(self._lines.pop(0))
        steps, rates = with_jumps(curves)
        y, num_certain = self.to_y(rates.T), int(np.searchsorted(steps, curves.certain_steps))
        for place, line in enumerate(self._lines):
            is_head = place == count - 1
            was_held = line.is_in_hand and self._is_held
            before = line.style, line.zValue(), line.isVisible()
            line.is_in_hand = self._drag is not None or self._is_held
            line.style = self._stroke_of(place, count)
            if line.is_in_hand and not is_head:
                line.style = replace(line.style, width=1.0)  # a tenth of the time of a wider one
            line.setZValue(5 if is_head or curves.stages[place] == self._stage else 2)
            points = Points(steps[:num_certain], y[place, :num_certain]) if is_head else Points(steps, y[place])
            is_like_head = not is_head and curves.factors[place] == 1.0 and np.array_equal(y[place], y[-1])
            line.setVisible(not is_like_head or curves.stages[place] == self._stage)  # the head's stronger line lies on it from end to end
            if not was_held or before != (line.style, line.zValue(), line.isVisible()):
                line.trace = points
                line.update()
            elif span := line.trace.span_of_change(points):  # a mark is being dragged: most of the plot stays as it is
                line.trace = points
                line.update_between(*span)
        self._rest.trace = Points(steps[num_certain:], y[-1, num_certain:])
        if not self._is_held:
            self._rest.update()

    def _stroke_of(self, place: int, count: int) -> Stroke:
        order = min(count - 1 - place, 9)  # the head is the first series
        is_chosen = self._view.curves.stages[place] == self._stage
        alpha = 1.0 if self._stage is None or is_chosen else 0.35
        if order == 0:
            return Stroke("series.0", 2.2, alpha=alpha)
        return Stroke(f"series.{order}", 2.2 if is_chosen else 1.4, (6, 4), alpha)

    def _draw_momentum(self, curves: Curves) -> None:
        is_shown = self._has_momentum and curves.momentum is not None
        if is_shown != (self.momentum_plot in self.graphics.ci.items):
            if is_shown:
                self.graphics.addItem(self.momentum_plot, 1, 0)
            else:
                self.graphics.removeItem(self.momentum_plot)
        if is_shown:
            self._momentum_line.trace = Points(curves.steps, curves.momentum)
            self._momentum_line.update()
            low, high = float(curves.momentum.min()), float(curves.momentum.max())
            room = max(0.01, (high - low) * 0.15)
            self.momentum_plot.setYRange(low - room, high + room, padding=0)

    def _fit_range(self, curves: Curves) -> None:
        """The axes hold the whole curve with some room; while something is dragged they grow when the room is used up, and never shrink."""
        length, (low, high) = float(max(1, self._view.length.num_steps, self._also.num_steps)), self._extent(curves)
        room = (0.08, 0.14) if self._scale == "log" else (0.03, 0.15)
        y = low - room[0] * (high - low), high + room[1] * (high - low)
        if (self._drag is not None or self._is_held) and self._range is not None:
            length = max(length, float(self._drag.length.num_steps)) if self._drag is not None else length
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
        peak = max(self._view.schedule.peak_lr, float(np.nanmax(curves.head)))  # a run may have begun with a higher one
        if self._scale == "lin":
            return 0.0, max(peak, self._also.highest, self._in_sight[1] if self._in_sight else 0.0)
        held = [h.rate for h in self.handles if h.look != "edge" and h.rate > 0]
        low = float(np.log10(max(min(curves.rates[curves.rates > 0].min(initial=peak), *held, peak), peak * FLOOR)))
        high = math.log10(max(peak, self._also.highest))
        if self._in_sight:
            low, high = min(low, math.log10(self._in_sight[0])), max(high, math.log10(self._in_sight[1]))
        return min(low, high - 1.0), high

    def _draw_words(self) -> None:
        """Labels of the axes, the legend and the description: only what has changed, as each costs milliseconds."""
        view = self._view
        curves = view.curves
        has_momentum = self.momentum_plot in self.graphics.ci.items
        is_in_hand = self._drag is not None or self._is_held
        thaws = () if is_in_hand else curves.thaws  # the bubble says what changes at every move; words are dear
        names = (curves.stages, curves.factors, thaws, self._stage)
        axes = (self._scale, self._time, view.length.steps_per_epoch, has_momentum, curves.momentum_name)
        if is_in_hand and self._shown_words[:1] == (None,):  # there was no room
            names = None
        if (names,) != self._shown_words[:1]:
            rows = list(reversed(range(len(curves.stages))))[:_LEGEND_ROWS]
            rows = rows[:1] if self._also.names else rows
            own = tuple(Name(_name_of(curves, place, thaws), self._stroke_of(place, len(curves.stages)).pen()) for place in rows)
            self.grips.show_names((*own, *self._also.names))
        if (axes,) != self._shown_words[1:]:
            each = f" ({view.length.steps_per_epoch:,} steps each)" if self._time == "epochs" else ""
            set_axis_label(self.plot, "left", f"Learning rate{' (log)' if self._scale == 'log' else ''}")
            set_axis_label(self.momentum_plot, "left", curves.momentum_name)
            for plot, is_lowest in ((self.plot, not has_momentum), (self.momentum_plot, True)):
                set_axis_label(plot, "bottom", f"{'epoch' if self._time == 'epochs' else 'step'}{each}" if is_lowest else "")
                plot.getAxis("bottom").showLabel(is_lowest)
                plot.getAxis("bottom").picture = None
                plot.getAxis("bottom").update()
        self._shown_words = (names, axes)
        if not is_in_hand:
            self._place_legend()
            self._say()

    def _time_ticks(self, low: float, high: float, pixels: float) -> Ticks:
        return time_ticks(low, high, pixels, self._view.length, self._time) if self._view else []

    def _place_legend(self) -> None:
        """Where it hides the least of the curves; nowhere where the plot has no room."""
        if self._view is None or self._range is None:
            return
        box, grips, curves = self.plot.getViewBox(), self.grips, self._view.curves
        width, height = box.width(), box.height()
        own_width, own_height = grips.legend_size
        share = min(1.0, (own_width + 24) / max(1.0, width)), min(1.0, (own_height + 24) / max(1.0, height))
        x = np.linspace(0, max(1, self._view.length.num_steps), 200)
        y = np.stack([np.interp(x, curves.steps, self.to_y(np.nan_to_num(column))) for column in curves.rates.T], 1)
        y = 1 - (y - self._range[0]) / (self._range[1] - self._range[0])  # 0 at the top
        now, wide = self._now_line.value() / x[-1], px(_NOW_PX) / max(1.0, width)
        word = (now - wide, now + wide) if self._now_line.isVisible() else (2.0, 2.0)  # of the run, at the bottom of the plot
        x = x / x[-1]

        def hidden(corner: tuple[float, float]) -> int:
            left, top = corner[0] * (1 - share[0]), corner[1] * (1 - share[1])
            inside = (x >= left) & (x <= left + share[0])
            is_on_word = top + share[1] > 0.85 and word[0] < left + share[0] and word[1] > left
            return int(((y[inside] >= top) & (y[inside] <= top + share[1])).sum()) + is_on_word * y.size

        grips.corner = min(_CORNERS, key=hidden)
        if height < 110 or not self._also.names and hidden(grips.corner) > 0.04 * y.size:  # the column beside the plot names the stages too
            grips.show_names(())
            self._shown_words = (None, *self._shown_words[1:])
        grips.update()

    def _say(self) -> None:
        view, handle = self._view, self.active_handle
        head = view.curves.head
        at = view.curves.peak_step / view.length.steps_per_epoch
        course = f"Starts at {head[0]:.2g}, highest {head.max():.2g} in epoch {at:.1f}, ends at {head[-1]:.2g}. "
        now = f"{handle.words(view.length)}. " if handle and self.hasFocus() else ""
        self.setAccessibleDescription(
            f"{now}{course}Tab goes through the handles, arrow keys move them; the fields below hold the same numbers."
        )

    # the mouse

    def eventFilter(self, watched, event: QEvent) -> bool:
        if not isinstance(event, QMouseEvent) or self._view is None:
            if event.type() == QEvent.Type.Leave and self._drag is None:
                self._hover(None, None)
            return super().eventFilter(watched, event)
        at = self.graphics.mapToScene(event.position().toPoint())
        match event.type():
            case QEvent.Type.MouseButtonPress if event.button() == Qt.MouseButton.LeftButton:
                handle = self.grips.handle_at(at)
                if handle is not None:
                    self._take(handle, at)
                    return True
            case QEvent.Type.MouseMove if self._drag is not None:
                self._drag_to(at, event.modifiers(), event.globalPosition().toPoint())
                return True
            case QEvent.Type.MouseMove:
                self._hover(self.grips.handle_at(at), at)
            case QEvent.Type.MouseButtonRelease if self._drag is not None and event.button() == Qt.MouseButton.LeftButton:
                self._release()
                return True
            case QEvent.Type.MouseButtonDblClick if event.button() == Qt.MouseButton.LeftButton:
                return self._add(at)
        return super().eventFilter(watched, event)

    def _take(self, handle: Handle, at: QPointF) -> None:
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        self.grips.has_focus = False  # the ring is for keys
        self.grips.active = self.grips.hovered = handle.key
        box = self.plot.getViewBox()
        inverse = box.childGroup.sceneTransform().inverted()[0]
        offset = box.mapViewToScene(QPointF(handle.step, float(self.to_y(handle.rate)))) - at
        if handle.look == "edge":
            offset.setY(0)
        self._drag = Drag(handle, self._view.schedule, self._view.length, self._scale, at, inverse, self._range[0], offset, at, at)
        self.graphics.viewport().setCursor(Qt.CursorShape.ClosedHandCursor if handle.axes == "both" else _GRAB[handle.axes])
        if self._bubble is None or self._bubble.parentWidget() is not self.window():
            self._bubble = Bubble(self.window(), second="caption")
        self.drag_started.emit()
        self.hovered.emit("Ctrl: epochs · Shift: one axis · Alt: fine · Esc: back")
        self.grips.update()

    def _drag_to(self, at: QPointF, mods: Qt.KeyboardModifier, place) -> None:
        drag = self._drag
        self._ask(settings_at(drag.schedule, drag.length, drag.handle, *drag.moved_to(at, mods)))
        self._show_bubble(place)

    def _release(self, *, is_kept: bool = True) -> None:
        self._drag = None
        self.graphics.viewport().setCursor(Qt.CursorShape.CrossCursor)
        self.hide_bubble()
        self.drag_ended.emit(is_kept)
        self._draw()
        if self.active_handle:
            self._announce(self.active_handle.words(self._view.length))

    def _show_bubble(self, place) -> None:
        handle = next((h for h in self.handles if h.key == self._drag.handle.key), None)
        if handle is None:
            return
        self._bubble.show_at(place, handle.words(self._view.length), f"sets the {handle.sets}", beside=self)

    def hide_bubble(self) -> None:
        if self._bubble is not None:
            self._bubble.hide()

    def _hover(self, handle: Handle | None, at: QPointF | None) -> None:
        key = handle.key if handle else None
        if key != self.grips.hovered:
            self.grips.hovered = key
            self.grips.update()
            self.graphics.viewport().setCursor(_GRAB[handle.axes] if handle else Qt.CursorShape.CrossCursor)
        if handle is not None:
            self.hovered.emit(f"{handle.words(self._view.length)}: sets the {handle.sets}")
        elif at is not None and self.plot.getViewBox().sceneBoundingRect().contains(at):
            self.hovered.emit(self._words_at(at))
        else:
            self.hovered.emit("")

    def _words_at(self, at: QPointF) -> str:
        """The head's rate there, and that of another stage whose curve is under the pointer."""
        length, curves = self._view.length, self._view.curves
        box = self.plot.getViewBox()
        place = box.mapSceneToView(at)
        step = round(min(max(0.0, place.x()), length.num_steps - 1))
        near = min(int(np.searchsorted(curves.steps, step)), len(curves.steps) - 1)
        words = f"epoch {step / length.steps_per_epoch:.2f}, step {step:,}: {curves.head[near]:.2e}"
        away = np.abs(self.to_y(np.nan_to_num(curves.rates[near])) - place.y()) / box.viewPixelSize()[1]
        stage = int(np.argmin(away))
        if stage < len(curves.stages) - 1 and away[stage] < 6:
            words += f", {curves.stages[stage]} {curves.rates[near, stage]:.2e}"
        if self._also.words_at and (more := self._also.words_at(step)):
            words += f"; {more}"
        return words

    def _add(self, at: QPointF) -> bool:
        """A point, milestone or piece more, where the pointer is."""
        place = self.plot.getViewBox().mapSceneToView(at)
        rate = 10 ** place.y() if self._scale == "log" else max(0.0, place.y())
        settings = added_at(self._view.schedule, self._view.length, place.x(), rate)
        if settings is None or self.grips.handle_at(at) is not None:
            return False
        self._ask(settings)
        self._choose(min((h for h in self.handles if h.look != "edge"), key=lambda h: abs(h.step - place.x())).key)
        return True

    # the keyboard

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Tab goes through the handles and leaves after the last one."""
        keys = [h.key for h in self.handles]
        place = keys.index(self.grips.active) + (1 if forward else -1) if self.grips.active in keys else -1
        if self.hasFocus() and 0 <= place < len(keys):
            self._choose(keys[place])
            return True
        return super().focusNextPrevChild(forward)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        keys = [h.key for h in self.handles]
        if event.key() == Qt.Key.Key_Escape and self._drag is not None:
            self._release(is_kept=False)
        elif self._view is None or self._drag is not None or not keys or not self._on_key(event, keys):
            super().keyPressEvent(event)

    def _on_key(self, event: QKeyEvent, keys: list[str]) -> bool:
        way = {Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0), Qt.Key.Key_Up: (0, 1), Qt.Key.Key_Down: (0, -1)}.get(event.key())
        handle = self.active_handle
        match event.key():
            case Qt.Key.Key_Home:
                self._choose(keys[0])
            case Qt.Key.Key_End:
                self._choose(keys[-1])
            case Qt.Key.Key_Delete | Qt.Key.Key_Backspace if handle and (settings := removed(self._view.schedule, handle)):
                self._ask(settings)
                left = [h.key for h in self.handles]
                self._choose(left[min(keys.index(handle.key), len(left) - 1)], "Removed. ")
            case Qt.Key.Key_Insert if handle:
                self._insert(handle)
            case _ if way and handle:
                self._move_by_key(handle, way, event.modifiers())
            case _:
                return False
        return True

    def _move_by_key(self, handle: Handle, way: tuple[int, int], mods: Qt.KeyboardModifier) -> None:
        view = self._view
        step, rate = nudged(handle, way, mods, view.schedule, view.length, self._scale)
        if settings := settings_at(view.schedule, view.length, handle, step, rate):
            self.nudged.emit(settings, handle.key)
        self._choose(handle.key)

    def _insert(self, handle: Handle) -> None:
        """A point, milestone or piece more, half-way to the handle after this one."""
        view = self._view
        after = next((h for h in self.handles if h.step > handle.step + 1), None)
        step = (handle.step + (after.step if after else view.length.num_steps)) / 2
        settings = added_at(view.schedule, view.length, step, float(np.interp(step, view.curves.steps, view.curves.head)))
        if settings:
            self._ask(settings)
            self._choose(min((h for h in self.handles if h.look != "edge"), key=lambda h: abs(h.step - step)).key, "Added. ")

    def _choose(self, key: str, before: str = "") -> None:
        """Make a handle the one that keys move, and say it."""
        if key != self.grips.active:
            self.chosen.emit()
        self.grips.active = key
        self.grips.has_focus = self.hasFocus()
        self.grips.update()
        self._say()
        if handle := self.active_handle:
            words = handle.words(self._view.length)
            self.hovered.emit(f"{before}{words}: sets the {handle.sets}")
            self._announce(before + words)

    def _announce(self, words: str) -> None:
        if QAccessible.isActive():
            QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, words))

    def focusInEvent(self, event) -> None:
        super().focusInEvent(event)
        self.grips.has_focus = event.reason() in _KEY_REASONS
        keys = [h.key for h in self.handles]
        if not keys:
            return
        if event.reason() == Qt.FocusReason.BacktabFocusReason:
            self._choose(keys[-1])
        elif event.reason() == Qt.FocusReason.TabFocusReason or self.grips.active not in keys:
            self._choose(keys[0])
        self.grips.update()

    def focusOutEvent(self, event) -> None:
        super().focusOutEvent(event)
        self.grips.has_focus = False
        self.grips.update()
        self.chosen.emit()
        self.hovered.emit("")


def _name_of(curves: Curves, place: int, thaws: Sequence[int]) -> str:
    thaw = thaws[place] if thaws else 0
    return f"{curves.stages[place]} × {format_number(float(f'{curves.factors[place]:.2g}'))}" + (f" from epoch {thaw}" if thaw else "")
