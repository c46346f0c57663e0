"""Loss, accuracy, learning rate and gradient of a run over one x axis of steps, epochs or time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PySide6.QtCore import QObject, Signal

from studio.catalog.schedules import learning_rates
from studio.core.curve import Curve, decimated, smoothed
from studio.core.experiment import Experiment, Schedule
from studio.core.fold import RunState
from studio.core.path_text import shown
from studio.gui.widgets.curve_plot import CurvePlot, CurveStyle
from studio.gui.widgets.plot_axis import LogAxis, PlainAxis, TimeAxis
from studio.gui.wording import clock, count, percent, rate

MODES = ("steps", "epochs", "time")
_AXES = {"steps": "step", "epochs": "epoch", "time": "running time"}
_MANY_CLASSES = 5  # top-5 says something above this


@dataclass(frozen=True)
class Shown:
    """One run as the page draws it."""

    name: str
    experiment: Experiment
    state: RunState

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
            return np.interp(steps, times.x + 1, times.y)
    return np.asarray(steps, float)


def train_points(shown_run: Shown, curve: Curve, mode: str, weight: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, raw y and smoothed y of a curve over steps; every point of the journal is in them."""
    return positions(shown_run, curve.x + 1, mode), curve.y, smoothed(curve.y, weight)


@lru_cache(maxsize=8)
def _plan(schedule: Schedule, num_steps: int, steps_per_epoch: int) -> np.ndarray:
    """The curve stays the same while the run goes on; a long one takes longer to compute than to draw."""
    return learning_rates(schedule, num_steps, steps_per_epoch)


class TrainCharts(QObject):
    """Owns the four plots and draws one run, with another as a ghost. GUI thread."""

    range_moved = Signal()
    fit_requested = Signal()
    crossed = Signal(object)  # x under the pointer, or None

    def __init__(self, parent: QObject | None = None):
        super().__init__(parent)
        self.mode = "epochs"
        self.weight = 0.9
        self._bottoms: dict[CurvePlot, PlainAxis] = {}
        self.loss = self._plot("train.loss", "Loss", LogAxis("left"), "cross-entropy (log)", "top right")
        self.accuracy = self._plot("train.accuracy", "Accuracy", PlainAxis("left", factor=100), "%", "bottom right")
        self.rate = self._plot("train.rate", "Learning rate", LogAxis("left", powers_only=True), "", "bottom left")
        self.gradient = self._plot("train.gradient", "Gradient norm", LogAxis("left"), "", "top right")
        self.plots = (self.loss, self.accuracy, self.rate, self.gradient)
        self._run: Shown | None = None
        self._ghost: Shown | None = None
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

    def set_run(self, run: Shown | None, ghost: Shown | None) -> None:
        """What to draw; `draw` each plot afterwards. Apart, so that one turn of the event loop does not draw all four."""
        if run is None or self._run is None or run.name != self._run.name:
            self._is_framed_by_user = False
            for plot in self.plots:
                plot.clear()
        self._run, self._ghost = run, ghost

    def draw(self, index: int) -> None:
        """Bring one of `plots` up to date."""
        plot = self.plots[index]
        plot.plot.getAxis("bottom").set_mode(self.mode)
        plot.set_x_label(_AXES[self.mode])
        if self._run is not None:
            self._frame(plot)
            (self._draw_loss, self._draw_accuracy, self._draw_rate, self._draw_gradient)[index](self._run)

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

    def _draw_loss(self, run: Shown) -> None:
        x, raw, smooth = train_points(run, run.state.train_loss, self.mode, self.weight)
        self.loss.set_curve("train.raw", x, raw, CurveStyle("train, each step", "series.0", "raw"))
        self.loss.set_curve("train", x, smooth, CurveStyle("train", "series.0"))
        self._validation(self.loss, run, "validation", run.state.validation_loss, CurveStyle("validation", "series.1", "marks"))
        self._ghost_curve(self.loss, "validation_loss", "validation", lambda v: f"{v:.3f}")
        self._mark_sessions(run)
        self.loss.describe(self._say_curve(run, "loss", run.state.validation_loss.y, lambda v: f"{v:.3f}", min))
        low, high = _extent([smooth, run.state.validation_loss.y, *_percentiles(raw)])
        self.loss.set_y_range(low / 1.15, high * 1.15)

    def _draw_accuracy(self, run: Shown) -> None:
        state = run.state
        x, raw, smooth = train_points(run, state.train_top1, self.mode, self.weight)
        self.accuracy.set_curve("train.raw", x, raw, CurveStyle("train top-1, each step", "series.0", "raw", percent))
        self.accuracy.set_curve("train", x, smooth, CurveStyle("train top-1", "series.0", show=percent))
        self._validation(
            self.accuracy, run, "validation", state.validation_top1, CurveStyle("validation top-1", "series.1", "marks", percent)
        )
        num_classes = len(state.description.classes) if state.description else 0
        if num_classes > _MANY_CLASSES:
            self._validation(
                self.accuracy, run, "top5", state.validation_top5, CurveStyle("validation top-5", "series.2", "marks", percent, 1)
            )
        self._ghost_curve(self.accuracy, "validation_top1", "top-1", percent)
        self.accuracy.describe(self._say_curve(run, "top-1 accuracy", state.validation_top1.y, percent, max))
        lows = [y for y in (smooth, state.validation_top1.y) if len(y)]
        low = min((float(np.nanmin(y)) for y in lows), default=0.0)
        self.accuracy.set_y_range(max(0.0, np.floor(low * 10) / 10), 1.005)

    def _draw_rate(self, run: Shown) -> None:
        state, num_steps = run.state, run.state.num_steps
        applied_x, applied = decimated(positions(run, state.lr.x + 1, self.mode), state.lr.y)
        if num_steps and self.mode != "time":
            planned = _plan(run.experiment.schedule, num_steps, run.steps_per_epoch)
            x, y = decimated(positions(run, np.arange(1, num_steps + 1, dtype=float), self.mode), planned)
            self.rate.set_curve("planned", x, y, CurveStyle("planned", "series.0", "planned", rate))
            low, high = _extent([y])
        else:
            self.rate.remove_curve("planned")
            low, high = _extent([applied])
        self.rate.set_curve("applied", applied_x, applied, CurveStyle("applied", "series.0", show=rate))
        self.rate.set_y_range(low / 1.5, high * 1.5)
        if len(applied):
            self.rate.describe(
                f"Learning rate {rate(float(applied[-1]))} at step {state.step:,}, highest so far {rate(float(applied.max()))}."
            )

    def _draw_gradient(self, run: Shown) -> None:
        x, raw, smooth = train_points(run, run.state.grad_norm, self.mode, self.weight)
        self.gradient.set_curve("norm.raw", x, raw, CurveStyle("each step", "series.3", "raw", lambda v: f"{v:.2f}"))
        self.gradient.set_curve("norm", x, smooth, CurveStyle("gradient norm", "series.3", show=lambda v: f"{v:.2f}"))
        clip = run.experiment.optimiser.clip_norm
        low, high = _extent([*_percentiles(raw), smooth, np.array([clip]) if clip else np.empty(0)])
        self.gradient.set_guide("clip", clip if clip and len(raw) else None, "warn", "clipped above")
        self.gradient.set_y_range(low / 1.3, high * 1.3)
        if len(raw):
            self.gradient.describe(f"Gradient norm {raw[-1]:.2f}, highest {np.nanmax(raw):.2f}.")

    def _validation(self, plot: CurvePlot, run: Shown, key: str, curve: Curve, style: CurveStyle) -> None:
        plot.set_curve(key, positions(run, curve.x, self.mode), curve.y, style)

    def _ghost_curve(self, plot: CurvePlot, curve_name: str, what: str, show) -> None:
        if self._ghost is None:
            plot.remove_curve("ghost")
            return
        curve = getattr(self._ghost.state, curve_name)
        style = CurveStyle(f"{shown(self._ghost.name)} {what}", "text2", "ghost", show)
        plot.set_curve("ghost", positions(self._ghost, curve.x, self.mode), curve.y, style)

    def _mark_sessions(self, run: Shown) -> None:
        """A line where the run was resumed."""
        marks = []
        for notice in run.state.notices:
            if notice.kind == "start" and "resumed" in notice.sentence:
                marks.append((self.position_of(notice.step), "resumed", "muted"))
        self.loss.set_marks(marks)

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

    def _just_past(self, run: Shown, now: float, total: float) -> float:
        """The right edge while following: the end of the epoch after this one, so that the view steps and does not crawl."""
        epoch = 1.0 if self.mode == "epochs" else float(run.steps_per_epoch)
        if self.mode == "time":
            return max(now * 1.1, 1.0)
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


def _percentiles(y: np.ndarray) -> list[np.ndarray]:
    """The range without the wildest steps."""
    good = y[np.isfinite(y) & (y > 0)]
    return [np.percentile(good, [1, 99])] if len(good) else []


def _extent(parts: list[np.ndarray]) -> tuple[float, float]:
    """Least and greatest positive value; a range to draw on where there is none."""
    values = np.concatenate([p[np.isfinite(p) & (p > 0)] for p in parts]) if parts else np.empty(0)
    return (float(values.min()), float(values.max())) if len(values) else (0.1, 1.0)
