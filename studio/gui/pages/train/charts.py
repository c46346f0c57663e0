"""Loss, accuracy, learning rate and gradient of a run over one x axis of steps, epochs or time, with earlier runs and what happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PySide6.QtCore import QObject, Signal

from studio.catalog.schedules import head_lr
from studio.core.curve import Curve, Smoother, thinned
from studio.core.edit import edited
from studio.core.experiment import Experiment, Schedule
from studio.core.fold import MAX_POINTS, RunState
from studio.core.path_text import shown
from studio.core.trace import Trace
from studio.gui.widgets.curve_plot import CurvePlot
from studio.gui.widgets.curve_style import CurveStyle
from studio.gui.widgets.plot_axis import LogAxis, PlainAxis, TimeAxis
from studio.gui.wording import clock, count, percent, rate

MODES = ("steps", "epochs", "time")
_AXES = {"steps": "step", "epochs": "epoch", "time": "running time"}
MAX_MARKS = 24
_ONE_GHOST = ("text2", (3, 4))
_GHOSTS = (("series.4", (3, 4)), ("series.5", (8, 3, 2, 3)), ("series.6", (6, 4)), ("series.7", (2, 3)))
MAX_GHOSTS = len(_GHOSTS)
_UNMARKED = {"phase", "epoch", "best", "checkpoint", "end"}  # the axis, the best mark and the list of events say these
_MARKS = {
    "start": ("resumed", "muted"), "edit": ("edited", "accent"), "thaw": ("thawed", "trains"), "warning": ("warning", "warn"), "pause": ("paused", "muted"),
    "failure": ("failed", "bad"),
}  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """One run as the page draws it."""

    name: str
    experiment: Experiment
    state: RunState
    title: str = ""  # for people

    @property
    def steps_per_epoch(self) -> int:
        return self.state.description.steps_per_epoch if self.state.description else 1


def positions(shown_run: Shown, steps: np.ndarray, mode: str) -> np.ndarray:
    """Where steps (done) lie on the x axis: float64 like `steps`, in steps, epochs or seconds of running time."""
    match mode:
        case "epochs":
            return steps / shown_run.steps_per_epoch
        case "time":
            times = shown_run.state.step_time
            if not len(times):
                return np.zeros_like(steps, dtype=float)
            return np.interp(np.asarray(steps) - 1, times.x, times.y)
    return np.asarray(steps, float)


class LiveCurve:
    """A curve over steps of the run that is shown, raw and smoothed; what is new is added, what was there stays."""

    def __init__(self, curve_name: str):
        self._curve_name = curve_name
        self._key: tuple = ()
        self.raw, self.smooth, self._smoother = Trace(), Trace(), Smoother(0.0)

    def follow(self, run: Shown, mode: str, weight: float) -> bool:
        """Take in what the run has that is not here yet; True when there was something."""
        curve: Curve = getattr(run.state, self._curve_name)
        key = (run.name, curve.origin, mode, weight, run.steps_per_epoch)
        if key != self._key or len(curve) < len(self.raw):
            self._key = key
            self.raw, self.smooth, self._smoother = Trace(), Trace(), Smoother(weight)
        new = slice(len(self.raw), len(curve))
        x, y = positions(run, curve.x[new] + 1, mode), curve.y[new]
        self.raw.extend(x, y)
        self.smooth.extend(x, self._smoother.extended(y))
        return len(x) > 0


@lru_cache(maxsize=8)
def _plan(schedules: tuple[tuple[int, Schedule], ...], num_steps: int, steps_per_epoch: int, steps_per_x: int) -> Trace:
    """The planned rate over x = steps done / steps_per_x, of schedules that count from their steps on.

    It stays the same while the run goes on unchanged, and takes longer to compute than to draw.
    """
    trace, rates = Trace(LogAxis.to_plot), np.empty(num_steps)
    for first, schedule in schedules:
        rates[first:] = head_lr(schedule, np.arange(min(first, num_steps), num_steps), steps_per_epoch)
    x = np.arange(1, num_steps + 1) / steps_per_x
    while len(x) > MAX_POINTS:
        x, rates = thinned(x, rates)
    trace.extend(x, rates)
    return trace


def _schedules(run: Shown) -> tuple[tuple[int, Schedule], ...]:
    """What the run began with, and what it was changed to in flight."""
    edits = edited(run.experiment, run.state.edits) if run.state.edits else ()
    return ((0, run.experiment.schedule), *((edit.step, edit.experiment.schedule) for edit in edits))


class TrainCharts(QObject):
    """Owns the four plots and draws one run, with another as a ghost. GUI thread."""

    range_moved = Signal()
    fit_requested = Signal()
    crossed = Signal(object)  # x under the pointer, or None

    def __init__(self, parent: QObject | None = None, *, in_pieces: bool = False):
        """`in_pieces`: `pieces` still have to be taken, as of a page."""
        super().__init__(parent)
        self.pieces = self._make()
        if not in_pieces:
            for _ in self.pieces:
                pass

    def _make(self) -> Iterator[None]:
        self.mode = "epochs"
        self.weight = 0.9
        self._bottoms: dict[CurvePlot, PlainAxis] = {}
        self.loss = self._plot("train.loss", "Loss", LogAxis("left"), "cross-entropy", "top right")
        yield
        self.accuracy = self._plot("train.accuracy", "Accuracy", PlainAxis("left", factor=100), "%", "bottom right")
        yield
        self.rate = self._plot("train.rate", "Learning rate", LogAxis("left", powers_only=True), "", "bottom left")
        yield
        self.gradient = self._plot("train.gradient", "Gradient norm", LogAxis("left"), "", "top right")
        self.plots = (self.loss, self.accuracy, self.rate, self.gradient)
        self._run: Shown | None = None
        self._ghosts: tuple[Shown, ...] = ()
        self._live = {name: LiveCurve(name) for name in ("train_loss", "train_top1", "lr", "grad_norm")}
        self._is_all = False
        self._is_framed_by_user = False
        for plot in self.plots:
            plot.hovered.connect(self._on_plot_hovered)
            plot.range_moved.connect(lambda plot=plot: self._on_plot_range_moved(plot))
            plot.fit_requested.connect(self._on_plot_fit_requested)
            plot.show_x = self._say_x

    def _plot(self, name: str, title: str, left, label: str, corner: str) -> CurvePlot:
        plot = CurvePlot(name, title, left=left, left_label=label, corner=corner, bottom=_ModeAxis())
        return plot

    def set_mode(self, mode: str) -> None:
        self.mode = mode
        self._is_framed_by_user = False
        self.redraw()

    def set_weight(self, weight: float) -> None:
        """Smoothing of the train curves, in [0, 1)."""
        self.weight = weight
        self.redraw()

    def set_all(self, is_all: bool) -> None:
        """Show the whole plan, or follow what has happened."""
        self._is_all = is_all
        self._is_framed_by_user = False
        self._frame(*self.plots)

    def set_run(self, run: Shown | None, ghosts: Sequence[Shown] = ()) -> None:
        """What to draw; `draw` each plot afterwards. Apart, so that one turn of the event loop does not draw all four."""
        if run is None or self._run is None or run.name != self._run.name:
            self._is_framed_by_user = False
            for plot in self.plots:
                plot.clear()
        self._run, self._ghosts = run, tuple(ghosts)

    def draw(self, index: int) -> None:
        """Bring one of `plots` up to date."""
        plot = self.plots[index]
        plot.plot.getAxis("bottom").set_mode(self.mode)
        plot.set_x_label(_AXES[self.mode])
        if self._run is not None:
            self._frame(plot)
            (self._draw_loss, self._draw_accuracy, self._draw_rate, self._draw_gradient)[index](self._run)
            plot.set_marks(self._marks(self._run, with_words=plot is self.loss))
            plot.legend.settle()

    def redraw(self) -> None:
        for index in range(len(self.plots)):
            self.draw(index)

    def set_cross(self, x: float | None) -> None:
        for plot in self.plots:
            plot.set_cross(x)

    def position_of(self, step: int) -> float:
        """x of a step of the run that is shown, in the present mode."""
        return float(positions(self._run, np.array([float(step)]), self.mode)[0]) if self._run else 0.0

    # Drawing

    def _draw_live(self, plot: CurvePlot, run: Shown, name: str, key: str, raw: CurveStyle, smooth: CurveStyle) -> LiveCurve:
        live = self._live[name]
        has_grown = live.follow(run, self.mode, self.weight)
        plot.set_trace(f"{key}.raw", live.raw, raw, has_grown=has_grown)
        plot.set_trace(key, live.smooth, smooth, has_grown=has_grown)
        return live

    def _draw_loss(self, run: Shown) -> None:
        live = self._draw_live(
            self.loss, run, "train_loss", "train", CurveStyle("train, each step", "series.0", "raw"), CurveStyle("train", "series.0")
        )
        self._validation(self.loss, run, "validation", run.state.validation_loss, CurveStyle("validation", "series.1", "marks"))
        self._draw_ghosts(self.loss, "validation_loss", "validation", lambda v: f"{v:.3f}")
        self.loss.describe(self._say_curve(run, "loss", run.state.validation_loss.y, lambda v: f"{v:.3f}", min))
        low, high = _extent([self.loss.curve_extent("train"), run.state.validation_loss.y, _usual_range(live.raw)])
        self._frame_y(self.loss, low / 1.15, high * 1.15)

    def _draw_accuracy(self, run: Shown) -> None:
        state = run.state
        raw = CurveStyle("train top-1, each step", "series.0", "raw", percent)
        self._draw_live(self.accuracy, run, "train_top1", "train", raw, CurveStyle("train top-1", "series.0", show=percent))
        self._validation(
            self.accuracy, run, "validation", state.validation_top1, CurveStyle("validation top-1", "series.1", "marks", percent)
        )
        if len(state.validation_top5):
            self._validation(
                self.accuracy, run, "top5", state.validation_top5, CurveStyle("validation top-5", "series.2", "marks", percent, 1, (6, 4))
            )
        self._draw_ghosts(self.accuracy, "validation_top1", "top-1", percent)
        self.accuracy.describe(self._say_curve(run, "top-1 accuracy", state.validation_top1.y, percent, max))
        lows = [y[np.isfinite(y)] for y in (self.accuracy.curve_extent("train"), state.validation_top1.y)]
        low = min((float(y.min()) for y in lows if len(y)), default=0.0)
        self._frame_y(self.accuracy, max(0.0, np.floor(low * 10) / 10), 1.005)

    def _draw_rate(self, run: Shown) -> None:
        state, num_steps = run.state, run.state.num_steps
        live = self._live["lr"]
        has_grown = live.follow(run, self.mode, 0.0)
        if num_steps and self.mode != "time":
            plan = _plan(_schedules(run), num_steps, run.steps_per_epoch, run.steps_per_epoch if self.mode == "epochs" else 1)
            self.rate.set_trace("planned", plan, CurveStyle("planned", "series.0", "planned", rate))
            frame = self.rate.curve_extent("planned")
        else:
            self.rate.remove_curve("planned")
            frame = None
        self.rate.set_trace("applied", live.raw, CurveStyle("applied", "series.0", show=rate), has_grown=has_grown)
        reached = self.rate.curve_extent("applied")
        low, high = _extent([reached if frame is None else frame])
        self._frame_y(self.rate, low / 1.5, high * 1.5)
        if len(live.raw):
            highest = rate(float(reached[1])) if np.isfinite(reached[1]) else "0"
            self.rate.describe(f"Learning rate {rate(float(live.raw.y[-1]))} at step {state.step:,}, highest so far {highest}.")

    def _draw_gradient(self, run: Shown) -> None:
        raw = CurveStyle("each step", "series.3", "raw", lambda v: f"{v:.2f}")
        live = self._draw_live(
            self.gradient, run, "grad_norm", "norm", raw, CurveStyle("gradient norm", "series.3", show=lambda v: f"{v:.2f}")
        )
        clip, has_points = run.experiment.optimiser.clip_norm, len(live.raw) > 0
        low, high = _extent([_usual_range(live.raw), self.gradient.curve_extent("norm"), np.array([clip]) if clip else np.empty(0)])
        self.gradient.set_guide("clip", clip if clip and has_points else None, "warn", "clipped above")
        self._frame_y(self.gradient, low / 1.3, high * 1.3)
        if has_points:
            self.gradient.describe(f"Gradient norm {live.raw.y[-1]:.2f}, highest {self.gradient.curve_extent('norm.raw')[1]:.2f}.")

    def _validation(self, plot: CurvePlot, run: Shown, key: str, curve: Curve, style: CurveStyle) -> None:
        if run.state.is_measured:
            plot.set_curve(key, positions(run, curve.x, self.mode), curve.y, style)
        else:
            plot.remove_curve(key)

    def _draw_ghosts(self, plot: CurvePlot, curve_name: str, what: str, show: Callable[[float], str]) -> None:
        """Earlier runs under this one. The only one is grey; several have a colour and a dash each."""
        for i in range(MAX_GHOSTS):
            key = f"ghost.{i}" if i else "ghost"
            if i >= len(self._ghosts):
                plot.remove_curve(key)
                continue
            ghost, (token, dash) = self._ghosts[i], _GHOSTS[i] if len(self._ghosts) > 1 else _ONE_GHOST
            curve = getattr(ghost.state, curve_name)
            plot.set_curve(key, positions(ghost, curve.x, self.mode), curve.y, CurveStyle(f"{shown(ghost.title)} {what}", token, "ghost", show, dash=dash))  # fmt: skip

    def _marks(self, run: Shown, *, with_words: bool) -> list[tuple[float, str, str]]:
        """The best epoch and what happened, each a line: (x, word, colour token). The last ones, where there are many."""
        happened = []
        for notice in run.state.notices:
            if notice.kind in _UNMARKED or (notice.kind == "start" and not (notice.step and "resumed" in notice.sentence)):
                continue
            word, token = _MARKS.get(notice.kind, (notice.kind, "muted"))
            if not happened or happened[-1] != (notice.step, word, token):
                happened.append((notice.step, word, token))
        happened = happened[-MAX_MARKS:]
        if (best := run.state.best) and run.state.is_measured:
            happened.append((best.step, "best", "good"))
        return [(self.position_of(step), word if with_words else "", token) for step, word, token in happened]

    # Framing

    def _frame(self, *plots: CurvePlot) -> None:
        run = self._run
        if run is None or self._is_framed_by_user:
            return
        total = positions(run, np.array([float(run.state.num_steps)]), self.mode)[0] if run.state.num_steps else 1.0
        now = self.position_of(run.state.step)
        if self.mode == "time":
            left = run.state.seconds_left
            total = run.state.t + left if left is not None else max(now, run.state.t)
        low = float(run.state.step_time.y[0]) if self.mode == "time" and len(run.state.step_time) else 0.0
        is_over = not run.state.status.is_active
        high = total if self._is_all else now if is_over else self._just_past(run, now, total)
        for plot in plots:
            whole = plot is self.rate and self.mode != "time"
            plot.set_x_range(0.0 if whole else low, max(total if whole else high, 1e-9))

    def _frame_y(self, plot: CurvePlot, low: float, high: float) -> None:
        if not self._is_framed_by_user:
            plot.set_y_range(low, high)

    def _just_past(self, run: Shown, now: float, total: float) -> float:
        """The right edge while following: the end of the epoch after this one, so that the view steps and does not crawl."""
        epoch = 1.0 if self.mode == "epochs" else float(run.steps_per_epoch)
        if self.mode == "time":
            return _next_round(now)
        return min(total, (np.floor(now / epoch) + 2) * epoch)

    def _on_plot_range_moved(self, plot: CurvePlot) -> None:
        self._is_framed_by_user = True
        low, high = plot.view.viewRange()[0]
        for other in self.plots:
            if other is not plot:
                other.view.setXRange(low, high, padding=0)
        self.range_moved.emit()

    def _on_plot_fit_requested(self) -> None:
        self._is_framed_by_user = False
        for plot in self.plots:
            plot.forget_frame()
        self.redraw()
        self.fit_requested.emit()

    def _on_plot_hovered(self, x: float | None) -> None:
        self.set_cross(x)
        self.crossed.emit(x)

    def _say_x(self, x: float) -> str:
        if self.mode == "time":
            return clock(x)
        step = x * (self._run.steps_per_epoch if self._run and self.mode == "epochs" else 1)
        return f"epoch {x:.2f}, step {count(step)}" if self.mode == "epochs" else f"step {count(step)}"

    @staticmethod
    def _say_curve(run: Shown, what: str, values: np.ndarray, show, best) -> str:
        if run.state.epochs and not run.state.is_measured:
            return f"No images are held back, so there is no validation {what}. {run.state.step:,} steps done."
        if not len(values):
            return f"Validation {what} comes after the first epoch. {run.state.step:,} steps done."
        trend = ""
        if len(values) > 1:
            trend = ", falling" if values[-1] < values[-2] else ", rising" if values[-1] > values[-2] else ", level"
        return f"Validation {what} {show(float(values[-1]))} after epoch {len(values)}{trend}, best {show(float(best(values)))}."


class _ModeAxis(TimeAxis):
    """Counts in steps and epochs, a clock in time."""

    def __init__(self):
        super().__init__("bottom")
        self._mode = "epochs"
        self._plain = PlainAxis("bottom", is_whole=True)

    def set_mode(self, mode: str) -> None:
        if mode != self._mode:
            self._mode = mode
            self.picture = None
            self.update()

    def tickValues(self, minVal, maxVal, size):
        is_time = self._mode == "time"
        return super().tickValues(minVal, maxVal, size) if is_time else PlainAxis.tickValues(self._plain, minVal, maxVal, size)

    def tickStrings(self, values, scale, spacing):
        is_time = self._mode == "time"
        return super().tickStrings(values, scale, spacing) if is_time else self._plain.tickStrings(values, scale, spacing)


def _usual_range(trace: Trace) -> np.ndarray:
    """The range without the wildest steps; of a sample, because it only frames."""
    y = trace.sample(2000)
    good = y[np.isfinite(y) & (y > 0)]
    return np.percentile(good, [1, 99]) if len(good) else np.empty(0)


def _next_round(seconds: float) -> float:
    """A right edge somewhat past now that stays for a while: each change of the frame draws the axes anew."""
    step = 10.0 ** np.floor(np.log10(max(seconds, 1.0))) / 2
    return float((np.floor(seconds / step) + 1) * step)


def _extent(parts: list[np.ndarray]) -> tuple[float, float]:
    """Least and greatest positive value; a range to draw on where there is none."""
    values = np.concatenate([p[np.isfinite(p) & (p > 0)] for p in parts]) if parts else np.empty(0)
    return (float(values.min()), float(values.max())) if len(values) else (0.1, 1.0)
