"""Earlier runs over the schedule: the rate they planned, the rate that was applied by their journal, and their losses below.

How the Schedule page takes it in:

    self.overlay = RunOverlay(context, self.plot, self)   # lives as long as the page
    choices.addWidget(self.overlay.button)                # "Compare", a list of runs to tick
    self.overlay.show_on(length, scale)                   # whenever the draft's length or the axis changes
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pyqtgraph as pg
from PySide6.QtCore import QObject
from PySide6.QtWidgets import QMenu, QWidget

from studio.core.curve import Curve, Smoother
from studio.core.trace import Trace
from studio.core.words import counted
from studio.gui.context import Context
from studio.gui.pages.schedule.curve import Length, make_curves
from studio.gui.pages.schedule.grips import Name
from studio.gui.pages.schedule.plot import LEFT_PX, RatePlot
from studio.gui.pages.schedule.stroke import Points, Stroke
from studio.gui.pages.schedule.tick import Scale
from studio.gui.run_entry import RunEntry
from studio.gui.theme import colour, font, px, theme
from studio.gui.widgets import button, set_plain_tooltip
from studio.gui.widgets.chip_row import menu_text
from studio.gui.widgets.curve_item import CurveItem
from studio.gui.widgets.curve_style import CurveStyle
from studio.gui.widgets.plot_axis import LogAxis
from studio.gui.widgets.plot_style import QuietPlot, WordAxis, nice_step, set_axis_label
from studio.gui.wording import rate

LOOKS = ("series.4", "series.5", "series.6", "series.7")  # as earlier runs have on the Train page
_LOSS_HEIGHT_PX, _LEAST_HEIGHT_PX = 104, 300  # of the losses, and of both plots together to show them
_SMOOTHING = 0.9
_NOTHING = "Tick runs to draw the rates they planned and applied, and their losses."


@dataclass
class _Followed:
    """A curve of a run as it is drawn: what is new is added, what was there stays."""

    name: str
    smoothing: float = 0.0
    trace: Trace = field(default_factory=Trace)
    key: tuple = ()
    smoother: Smoother = field(default_factory=lambda: Smoother(0.0))

    def follow(self, curve: Curve, steps_to_x: float, to_plot=None) -> None:
        key = (curve.origin, steps_to_x)
        if key != self.key or len(curve) < len(self.trace):
            self.key, self.trace, self.smoother = key, Trace(to_plot), Smoother(self.smoothing)
        new = slice(len(self.trace), len(curve))
        self.trace.extend(curve.x[new] * steps_to_x, self.smoother.extended(curve.y[new]))
        self.trace.set_units(to_plot)


class _Run:
    """The curves of one run, in its colour."""

    def __init__(self, entry: RunEntry, token: str, plot, loss_plot):
        self.entry, self.token = entry, token
        self._plot, self._loss_plot = plot, loss_plot
        self.applied, self.train = _Followed("lr"), _Followed("train_loss", _SMOOTHING)
        self.validation = _Followed("validation_loss")
        self.planned_item = CurveItem(Points(), Stroke(token, 1.4, (3, 4), 0.85, "ghost"))
        self.applied_item = CurveItem(self.applied.trace, Stroke(token, 1.8))
        self.train_item = CurveItem(self.train.trace, Stroke(token, 1.4, alpha=0.6))
        self.validation_item = CurveItem(self.validation.trace, CurveStyle("", token, "marks"))
        for item, z in ((self.planned_item, 3), (self.applied_item, 4)):
            item.setZValue(z)
            plot.addItem(item, ignoreBounds=True)
        for item in (self.train_item, self.validation_item):
            loss_plot.addItem(item, ignoreBounds=True)

    @property
    def steps_per_epoch(self) -> int | None:
        described = self.entry.state.description
        return described.steps_per_epoch if described else None

    @property
    def has_loss(self) -> bool:
        return len(self.train.trace) > 0

    def draw(self, length: Length, to_y, scale: Scale) -> None:
        experiment, own = self.entry.experiment, self.steps_per_epoch or length.steps_per_epoch
        to_x = length.steps_per_epoch / own  # runs are laid over each other by epochs
        curves = make_curves(experiment, Length(experiment.schedule.epochs, own))
        self.planned_item.trace = Points(curves.steps * to_x, to_y(curves.head))
        self.extent = curves.steps[-1] * to_x, float(curves.head.max())
        self.applied.follow(self.entry.state.lr, to_x, LogAxis.to_plot if scale == "log" else None)
        self.train.follow(self.entry.state.train_loss, to_x)
        self.validation.follow(self.entry.state.validation_loss, to_x)
        for item, followed in (
            (self.applied_item, self.applied), (self.train_item, self.train), (self.validation_item, self.validation),
        ):  # fmt: skip
            item.trace = followed.trace
            item.update()
        self.planned_item.update()

    def names(self) -> tuple[Name, ...]:
        planned = Name(f"{self.entry.name}, planned", self.planned_item.style.pen())
        return (Name(f"{self.entry.name}, applied", self.applied_item.style.pen()), planned) if len(self.applied.trace) else (planned,)

    def words_at(self, x: float) -> str:
        applied, loss = self.applied.trace.value_at(x), self.train.trace.value_at(x)
        words = [f"{self.entry.name} {rate(applied)}" if applied is not None else "", f"loss {loss:.3f}" if loss is not None else ""]
        return ", ".join(word for word in words if word)

    def remove(self) -> None:
        for item in (self.planned_item, self.applied_item):
            self._plot.removeItem(item)
        for item in (self.train_item, self.validation_item):
            self._loss_plot.removeItem(item)


class RunOverlay(QObject):
    """Owns the button, the curves over the rate plot and the plot of the losses under it."""

    def __init__(self, context: Context, plot: RatePlot, parent: QWidget):
        super().__init__(parent)
        self._context, self._plot = context, plot
        self._length, self._scale = Length(1, 1), "log"
        self._runs: dict[str, _Run] = {}  # by folder name, in the order of choice
        self.button = button(
            "Compare", "git-diff", kind="quiet", small=True, name="schedule.compare",
            tooltip="Draw the rates and losses of earlier runs over this schedule",
        )  # fmt: skip
        self.menu = QMenu(self.button)
        self.menu.aboutToShow.connect(self._fill_menu)
        self.button.setMenu(self.menu)
        self.loss_plot = QuietPlot(WordAxis("left", _ticks), WordAxis("bottom", lambda *_: []), axis_width_px=px(LEFT_PX))
        self._key = pg.TextItem("line: training   dots: validation", anchor=(1, 0))
        self.loss_plot.addItem(self._key, ignoreBounds=True)
        self.loss_plot.getViewBox().sigRangeChanged.connect(lambda *_: self._place_key())
        self.loss_plot.setXLink(plot.plot)
        self.loss_plot.setMaximumHeight(px(_LOSS_HEIGHT_PX))
        self.loss_plot.setPreferredHeight(px(_LOSS_HEIGHT_PX))
        plot.resized.connect(self._place_losses)
        context.runs.entries_changed.connect(self._on_runs_entries_changed)
        context.runs.state_changed.connect(self._on_runs_state_changed)
        theme().changed.connect(self._restyle)
        self._restyle()
        self._refresh_button()

    @property
    def chosen(self) -> tuple[str, ...]:
        """Folder names of the runs that are drawn."""
        return tuple(self._runs)

    def set_chosen(self, name: str, on: bool) -> None:
        """Draw a run, by its folder name, or take it away."""
        entry = next((e for e in self._context.runs.entries if e.folder.name == name), None)
        if on and entry is not None and name not in self._runs and len(self._runs) < len(LOOKS):
            taken = {run.token for run in self._runs.values()}
            self._runs[name] = _Run(entry, next(token for token in LOOKS if token not in taken), self._plot.plot, self.loss_plot)
        elif not on and name in self._runs:
            self._runs.pop(name).remove()
        self._draw()

    def show_on(self, length: Length, scale: Scale) -> None:
        """The draft's length, whose epochs the runs are laid over, and its axis."""
        if (length.steps_per_epoch, scale) != (self._length.steps_per_epoch, self._scale):
            self._length, self._scale = length, scale
            self._draw()

    def refresh(self) -> None:
        """What was read of its runs while nobody looked."""
        if self._runs:
            self._draw()

    def _draw(self) -> None:
        runs = tuple(self._runs.values())
        self._context.runs.read_whole(*(run.entry for run in runs))
        for run in runs:
            run.draw(self._length, self._plot.to_y, self._scale)
        self._plot.show_also(
            names=tuple(name for run in runs for name in run.names()),
            num_steps=max((run.extent[0] for run in runs), default=0.0),
            highest=max((run.extent[1] for run in runs), default=0.0),
            words_at=(lambda x: "; ".join(words for run in runs if (words := run.words_at(x)))) if runs else None,
        )
        self._frame_losses(runs)
        self._place_losses()
        self._refresh_button()

    def _frame_losses(self, runs: tuple[_Run, ...]) -> None:
        extents = [t.extent() for run in runs for t in (run.train.trace, run.validation.trace) if len(t)]
        if extents:
            low, high = min(e[0] for e in extents), max(e[1] for e in extents)
            if math.isfinite(low) and math.isfinite(high):
                room = max(high - low, 1e-3) * 0.08
                self.loss_plot.setYRange(low - room, high + room, padding=0)

    def _place_losses(self) -> None:
        items = self._plot.graphics.ci.items
        is_wanted = any(run.has_loss for run in self._runs.values()) and self._plot.height() >= px(_LEAST_HEIGHT_PX)
        if is_wanted and self.loss_plot not in items:
            self._plot.graphics.addItem(self.loss_plot, 2, 0)
        elif not is_wanted and self.loss_plot in items:
            self._plot.graphics.removeItem(self.loss_plot)

    def _place_key(self) -> None:
        (_, right), (_, top) = self.loss_plot.getViewBox().viewRange()
        self._key.setPos(right, top)

    def _fill_menu(self) -> None:
        self.menu.clear()
        entries = list(reversed(self._context.runs.started_entries))
        for entry in entries[:20]:
            name = entry.folder.name
            top1 = f", {entry.summary.top1:.1%}" if entry.summary.top1 is not None else ""
            action = self.menu.addAction(menu_text(f"{entry.title}{top1}"))
            action.setCheckable(True)
            action.setChecked(name in self._runs)
            action.setEnabled(name in self._runs or len(self._runs) < len(LOOKS))
            action.triggered.connect(lambda on, name=name: self.set_chosen(name, on))
        if not entries:
            self.menu.addAction("No runs yet").setEnabled(False)
        if self._runs:
            self.menu.addSeparator()
            self.menu.addAction("Show none").triggered.connect(lambda *_: self.clear())

    def clear(self) -> None:
        for name in tuple(self._runs):
            self._runs.pop(name).remove()
        self._draw()

    def _refresh_button(self) -> None:
        self.button.setEnabled(self._context.runs.latest is not None)
        self.button.setText(f"Compare · {len(self._runs)}" if self._runs else "Compare")
        self.button.setAccessibleName("Compare with earlier runs")
        drawn = ", ".join(run.entry.name for run in self._runs.values())
        words = f"{counted(len(self._runs), 'run')} drawn: {drawn}." if self._runs else _NOTHING
        self.button.setAccessibleDescription(words)
        set_plain_tooltip(self.button, words if self.button.isEnabled() else "There is no run to compare with yet.")

    def _on_runs_entries_changed(self) -> None:
        gone = [name for name, run in self._runs.items() if run.entry not in self._context.runs]
        for name in gone:
            self._runs.pop(name).remove()
        if gone:
            self._draw()
        self._refresh_button()

    def _on_runs_state_changed(self, entry: RunEntry) -> None:
        if entry.folder.name in self._runs and self.button.isVisible():
            self._draw()
        elif not self.button.isEnabled():
            self._refresh_button()

    def _restyle(self) -> None:
        self.loss_plot.restyle()
        set_axis_label(self.loss_plot, "left", "Loss")
        self._key.setColor(colour("text2"))
        self._key.setFont(font("caption"))
        self._draw()


def _ticks(low: float, high: float, pixels: float) -> list[tuple[float, str]]:
    step = nice_step(high - low, max(3, int(pixels / 20)))
    return [(k * step, f"{k * step:.3g}") for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
