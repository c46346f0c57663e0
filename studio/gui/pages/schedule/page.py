"""Schedule: the learning rate over the run, the optimiser, and how the run is carried out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from studio.catalog.schedules import SHAPES, no_stage
from studio.catalog.schedules.check import schedule_problems
from studio.core.edit import label_of
from studio.core.experiment import Experiment
from studio.core.problem import Problem, Repair
from studio.gui.page import Page
from studio.gui.pages.model.network import Network, network_from
from studio.gui.pages.schedule.curve import Curves, length_of, make_curves
from studio.gui.pages.schedule.export import ScheduleExport
from studio.gui.pages.schedule.finder import FINDER_STATES, FinderView
from studio.gui.pages.schedule.flight import flight_of, in_flight
from studio.gui.pages.schedule.flight_marks import FLIGHT_STATES, FlightMarks
from studio.gui.pages.schedule.grips import Mark
from studio.gui.pages.schedule.notes import ProblemLines
from studio.gui.pages.schedule.numbers import NumbersPanel
from studio.gui.pages.schedule.overlay import RunOverlay
from studio.gui.pages.schedule.plot import RatePlot
from studio.gui.pages.schedule.settings import SETTINGS_STATES, SettingsPanel
from studio.gui.pages.schedule.shapes import ShapeRow
from studio.gui.pages.schedule.thaw import THAW_STATES, ThawPanel
from studio.gui.pages.schedule.wish import HandWish
from studio.gui.run_entry import RunEntry
from studio.gui.store import show_value
from studio.gui.theme import px, theme
from studio.gui.widgets import Panel, PlainLabel, Segmented, Toggle, button, splitter
from studio.gui.widgets.form import PROBLEM_ICONS, field_editor
from studio.gui.wording import duration

_RESET_SECTIONS = ("schedule", "optimiser", "training")
_KEPT_ON_RESET = ("training.device",)  # belongs to the computer, and is chosen in the top bar
_LOW_PX = 720


class SchedulePage(Page):
    key, title = "schedule", "Schedule"

    def make(self) -> Iterator[None]:
        context = self.context
        self._is_in_front = False
        self._refused: Problem | None = None  # what was typed and cannot be, until the draft changes
        self._shown: tuple = ()  # what the plot shows: experiment, length, network
        self._described: dict | None = None  # what the probe says of the draft's network
        self._network: Network | None = None
        self._problem = ""  # why it is not known
        self._seconds_per_epoch: float | None = None  # measured
        self.wish = HandWish(self.store, self)
        self.wish.changed.connect(lambda: self._show_curve(self.wish.experiment))
        self.wish.refused.connect(lambda sentence: self.reading_label.setText(sentence))
        self.finder = FinderView(context, self)
        self.head.addWidget(PlainLabel("Epochs", "label"))
        self.epochs_editor = field_editor(self.store, "schedule.epochs", slider=False)
        self.epochs_editor.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.head.addWidget(self.epochs_editor)
        self.reset_button = button(
            "Reset",
            "arrows-counter-clockwise",
            name="schedule.reset",
            tooltip="Set schedule, optimiser and run settings back to the defaults",
            on_click=self._on_reset,
        )
        self.head.addWidget(self.reset_button)
        self.export = ScheduleExport(context, lambda: self.plot.grab(), self)
        self.head.addWidget(self.export.button)
        self.head.addWidget(self.finder.choice)
        self.epochs_editor.rejected.connect(self._on_entry_rejected)
        left = QWidget()
        self.settings = SettingsPanel(self.store)
        columns = splitter(Qt.Orientation.Horizontal, left, self.settings, stretch=(3, 1), name="schedule.columns")
        self.body.addWidget(columns, 1)
        yield
        yield from self._fill_left(left)  # first, as Tab goes in the order in which parts are made
        yield
        yield from self.settings.make()
        yield
        columns.setSizes([px(760), px(300)])
        yield
        self.store.experiment_changed.connect(self._on_store_experiment_changed)
        self.store.dataset_changed.connect(lambda _: self._refresh())
        context.estimates.changed.connect(self._on_estimates_changed)
        context.runs.state_changed.connect(self._on_run_state_changed)
        context.runs.active_changed.connect(lambda _: self._show_flight())
        theme().changed.connect(self.plot.restyle)
        self._refresh()

    # parts

    def _fill_left(self, left: QWidget) -> Iterator[None]:
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(12))
        self.curve_panel = Panel(name="schedule.curve")
        column.addWidget(self.curve_panel, 1)
        self.curve_panel.setAccessibleName("Learning rate")
        self.shapes = ShapeRow()
        self.shapes.chosen.connect(lambda key: self.store.set({"schedule.shape": key}))
        self.time_choice = Segmented([("epochs", "Epochs"), ("steps", "Steps")], name="schedule.time")
        self.scale_choice = Segmented([("log", "log"), ("lin", "lin")], name="schedule.scale")
        self.curve_panel.body.addWidget(self.shapes)
        self.reading_label = PlainLabel(_HINT, "caption", "muted", elide=Qt.TextElideMode.ElideRight, short=" ")
        self.momentum_toggle = Toggle("Momentum", name="schedule.momentum")
        choices = QHBoxLayout()
        choices.setSpacing(px(8))
        choices.addWidget(self.reading_label, 1)
        for widget in (self.momentum_toggle, self.time_choice, self.scale_choice):
            choices.addWidget(widget)
        self.curve_panel.body.addLayout(choices)
        yield
        self.plot = RatePlot(name="schedule.plot")
        self.plot.setMinimumHeight(px(150))
        yield
        self.overlay = RunOverlay(self.context, self.plot, self)
        choices.insertWidget(1, self.overlay.button)
        self.curve_panel.body.addWidget(self.plot, 1)
        yield
        self.problems = ProblemLines(name="schedule.problems")
        self.problems.repair_wanted.connect(self._on_repair_wanted)
        self.curve_panel.body.addWidget(self.problems)
        self.curve_panel.body.addWidget(self.finder.strip)
        self.finder.attach(self.plot)
        self.finder.band_changed.connect(self.plot.keep_in_sight)
        self.time_choice.value_changed.connect(self.plot.set_time)
        self.scale_choice.value_changed.connect(self._set_scale)
        self.momentum_toggle.toggled.connect(self.plot.set_momentum_visible)
        self.plot.edited.connect(self.wish.set)
        self.plot.nudged.connect(self.wish.nudge)
        self.plot.chosen.connect(self.store.end_burst)
        self.plot.drag_started.connect(self.wish.begin)
        self.plot.drag_ended.connect(self.wish.end)
        self.plot.hovered.connect(self._on_plot_hovered)
        yield
        self.flight_marks = FlightMarks(self.plot.plot, self)
        theme().changed.connect(self.flight_marks.restyle)
        self.thaw = ThawPanel(self.store, self.plot.plot, self.wish)
        self.thaw.stage_hovered.connect(self.plot.show_stage)
        self.thaw.held.connect(self.plot.set_held)
        column.addWidget(self.thaw)
        yield
        self.numbers = NumbersPanel(self.store)
        self.numbers.rejected.connect(self._on_entry_rejected)
        self.numbers.list_editor.wanted.connect(self.wish.set)
        self.numbers.list_editor.refused.connect(self.context.shell.toast)
        column.addWidget(self.numbers)

    # following the draft

    def _on_store_experiment_changed(self, old: Experiment, new: Experiment) -> None:
        if (old.schedule, old.optimiser, old.training, old.model) != (new.schedule, new.optimiser, new.training, new.model):
            self._refused = None
            self._refresh()

    def _on_entry_rejected(self, problem: Problem) -> None:
        """What was typed cannot be: say so where problems stand, with a way out, until the draft changes."""
        kept = show_value(self.store.value(problem.field))
        self._refused = replace(
            problem, sentence=f"{label_of(problem.field)}: {problem.sentence} {kept} stays.", mark=self._mark_of(problem)
        )
        self._refresh()

    def _mark_of(self, problem: Problem) -> float | None:
        """Where the setting of a problem stands on the plot, as a share of the run."""
        at_peak = {"schedule.peak_lr", "schedule.warmup_fraction"}
        peak = self._curves.peak_step / max(1, length_of(self.store.experiment, self.store.dataset).num_steps)
        return peak if problem.field in at_peak else 0.0 if problem.field == "schedule.start_factor" else 1.0

    def _on_estimates_changed(self) -> None:
        if self._take_estimates():
            self._refresh()

    def _take_estimates(self) -> bool:
        """What is known of the network and its speed; whether that is something else than before."""
        estimates = self.context.estimates
        found = (estimates.draft_model, estimates.problem, estimates.time.seconds_per_epoch if estimates.time else None)
        if found == (self._described, self._problem, self._seconds_per_epoch):
            return False
        if found[0] is not self._described:
            self._network = network_from(found[0]) if found[0] else None
        self._described, self._problem, self._seconds_per_epoch = found
        return True

    def _refresh(self) -> None:
        self._take_estimates()
        curves, network = self._show_curve(self.wish.experiment), self._network
        experiment, dataset = self.store.experiment, self.store.dataset
        length = length_of(experiment, dataset)
        self.shapes.set_shape(experiment.schedule.shape)
        self.thaw.show_plan(network, length, self._problem)
        self.momentum_toggle.setEnabled(curves.momentum is not None)
        self.momentum_toggle.setText(curves.momentum_name)
        self.momentum_toggle.setAccessibleName(curves.momentum_name)
        self.numbers.refresh(length)
        self._arrange()
        self.settings.refresh(self._described, network, curves)
        num_train = dataset.epoch_size(experiment.data.synthetic_fraction) if dataset else None
        found = schedule_problems(experiment, stages=network.stage_names if network else None, num_train=num_train)
        self._show_problems([self._refused, *found] if self._refused else found, length.num_steps)
        self._show_now()

    def _show_curve(self, experiment: Experiment) -> Curves:
        """The plot alone, and the length of the run: what has to follow the hand from frame to frame."""
        length, network = length_of(experiment, self.store.dataset), self._network
        stages, partly = (network.stage_names, network.partly) if network else (None, no_stage)
        flight = flight_of(self.context.runs.active, experiment, length.steps_per_epoch)
        flight = None if flight is None or flight.is_as_drawn(experiment) else flight
        shown = (experiment, length, stages, partly, flight)
        if shown != self._shown:
            self._shown = shown
            self._curves = make_curves(experiment, length, stages, partly)
            if flight is not None and stages:
                self._curves = in_flight(self._curves, flight, experiment, length.steps_per_epoch, stages, partly)
            self.plot.show_curves(experiment.schedule, length, self._curves)
            self.overlay.show_on(length, self.scale_choice.value)
        cost = f" · about {duration(self._seconds_per_epoch * length.epochs)}" if self._seconds_per_epoch else ""
        self.set_subtitle(length.words + cost)
        return self._curves

    def _show_problems(self, problems: list[Problem], num_steps: int) -> None:
        self.problems.show_problems(problems)
        self.plot.show_marks([Mark(p.mark * num_steps, PROBLEM_ICONS[p.severity][1]) for p in problems if p.mark is not None])
        self.numbers.show_problems(problems)

    def _on_repair_wanted(self, repair: Repair) -> None:
        self._refused = None
        self.store.set(repair.values, repair.label[:1].lower() + repair.label[1:])
        self._refresh()

    def activate(self) -> None:
        self._is_in_front = True
        self.overlay.refresh()
        self._show_flight()

    def deactivate(self) -> None:
        self._is_in_front = False
        self.finder.close_large()

    def _on_run_state_changed(self, entry: RunEntry) -> None:
        if self._is_in_front and entry is self.context.runs.active:
            self._show_flight()

    def _show_flight(self) -> None:
        """The run that goes on has moved, changed, begun or ended. Its epochs may be what the cost is measured on."""
        if self._take_estimates():
            self._refresh()
            return
        self._show_curve(self.wish.experiment)
        self._show_now()

    def _show_now(self) -> None:
        """Where the active run stands, and what it has done; nothing when it could not take the draft."""
        experiment = self.store.experiment
        flight = flight_of(self.context.runs.active, experiment, length_of(experiment, self.store.dataset).steps_per_epoch)
        step = flight.step if flight else None
        self.plot.show_now(step, f"{flight.name}, step {step:,}" if flight else "")
        self.flight_marks.show(step, flight.edit_steps if flight else ())
        self.thaw.show_now(step)

    def _on_plot_hovered(self, words: str) -> None:
        self.reading_label.set_texts(words or _HINT, "" if words else " ")  # half a hint is none

    def _on_reset(self) -> None:
        defaults = Experiment()
        values = {
            f"{part}.{name}": getattr(getattr(defaults, part), name)
            for part in _RESET_SECTIONS
            for name in type(getattr(defaults, part)).model_fields
        }
        for path in _KEPT_ON_RESET:
            values.pop(path)
        is_changed = self.store.set(values, "schedule to defaults")
        self.context.shell.toast_change("Schedule, optimiser and run settings are back at their defaults.", self.store, is_changed)

    def fit(self) -> None:
        self.shapes.set_low(self.height() < px(_LOW_PX))
        self._arrange()

    def _arrange(self) -> None:
        """Share the room of the page among its parts."""
        self.numbers.arrange(self.width(), is_low=self.height() < px(_LOW_PX))
        self.thaw.set_room(self.height() - self.numbers.list_editor.more_height)

    def show_argument(self, argument: object) -> None:
        """ "find learning rate" starts the test; the path of a setting just shows the page."""
        if argument == "find learning rate" and self.finder.run.state != "running":
            self.finder.run.start()

    def shortcuts(self):
        return (
            ("F", "Find the learning rate, or cancel", self.finder.start_or_cancel),
            ("P", "Compare peaks of a new head, or cancel", self.finder.compare_or_cancel),
            ("L", "Logarithmic or linear", self._toggle_scale),
            ("T", "Epochs or steps", self._toggle_time),
            ("C", "Copy the schedule as code, table or picture", self.export.button.showMenu),
        )

    def _toggle_scale(self) -> None:
        self.scale_choice.set_value("lin" if self.scale_choice.value == "log" else "log")
        self._set_scale(self.scale_choice.value)

    def _set_scale(self, scale: str) -> None:
        self.plot.set_scale(scale)
        self.overlay.show_on(length_of(self.store.experiment, self.store.dataset), scale)
        self.finder.set_scale(scale)

    def _toggle_time(self) -> None:
        self.time_choice.set_value("steps" if self.time_choice.value == "epochs" else "epochs")
        self.plot.set_time(self.time_choice.value)

    @classmethod
    def screenshot_states(cls):
        return {
            "sgd": lambda page: page.store.set({"optimiser.kind": "sgd", "schedule.peak_lr": 0.05, "schedule.shape": "step"}),
            "restarts": lambda page: page.store.set(
                {"schedule.shape": "warm_restarts", "schedule.epochs": 14, "schedule.warmup_fraction": 0.0}
            ),
            **{
                f"shape-{key.replace('_', '-')}": lambda page, key=key: page.store.set(_EXAMPLES | {"schedule.shape": key})
                for key in (shape.key for shape in SHAPES)
            },
            "drag": lambda page: page.plot.hold_drag("peak", 60, 40),
            "keys": lambda page: page.plot.setFocus(Qt.FocusReason.TabFocusReason),
            "problem": lambda page: page.store.set(
                {"schedule.shape": "cosine", "schedule.warmup_fraction": 0.7, "schedule.cooldown_fraction": 0.5, "schedule.peak_lr": 0.5}
            ),
            "momentum": lambda page: page.momentum_toggle.click(),
            "compare": _show_compared,
            **THAW_STATES,
            **SETTINGS_STATES,
            **FLIGHT_STATES,
            **{name: lambda page, name=name: page.finder.show_recorded(name) for name in FINDER_STATES},
        }


_HINT = "Drag the handles or use the fields below."
_EXAMPLES = {"schedule.warmup_fraction": 0.1, "schedule.cooldown_fraction": 0.0, "schedule.final_factor": 1e-3}  # for pictures


def _show_compared(page: SchedulePage) -> None:
    page.store.set({"schedule.shape": "cosine", "schedule.warmup_fraction": 0.1, "schedule.peak_lr": 1e-3})
    for entry in page.context.runs.entries[-2:]:
        page.overlay.set_chosen(entry.folder.name, True)
