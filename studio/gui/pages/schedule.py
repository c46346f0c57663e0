"""Schedule: the learning rate over the run, the optimiser, and how the run is carried out."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from studio.catalog.schedules import SHAPES
from studio.core.experiment import Experiment
from studio.core.problem import BadInput
from studio.gui.context import Context
from studio.gui.page import Page
from studio.gui.pages.model_network import Network, network_from
from studio.gui.pages.schedule_curve import length_of, make_curves, notes_on, steps_per_epoch
from studio.gui.pages.schedule_form import FORM_LABEL_PX, BatchRow, DepthRates, OptimiserForm, narrow, section
from studio.gui.pages.schedule_plot import RatePlot
from studio.gui.pages.schedule_shapes import ShapeRow
from studio.gui.runs import RunEntry
from studio.gui.theme import px, theme
from studio.gui.widgets import Banner, Panel, PlainLabel, Segmented, SliderField, Toggle, button, scrolling, splitter
from studio.gui.widgets.form import FormRow, field_editor
from studio.gui.wording import duration

_SHAPES = {shape.key: shape for shape in SHAPES}
_RESET_SECTIONS = ("schedule", "optimiser", "training")
_KEPT_ON_RESET = ("training.device",)  # belongs to the computer, and is chosen in the top bar


class SchedulePage(Page):
    key, title = "schedule", "Schedule"

    def __init__(self, context: Context, parent: QWidget | None = None):
        super().__init__(context, parent)
        self._is_in_front = False
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
        columns = splitter(Qt.Orientation.Horizontal, self._make_left(), self._make_right(), stretch=(3, 1), name="schedule.columns")
        columns.setSizes([px(760), px(300)])
        self.body.addWidget(columns, 1)
        self.store.experiment_changed.connect(self._on_store_experiment_changed)
        self.store.dataset_changed.connect(lambda _: self._refresh())
        context.estimates.changed.connect(self._refresh)
        context.runs.state_changed.connect(self._on_run_state_changed)
        context.runs.active_changed.connect(lambda _: self._show_now())
        theme().changed.connect(self.plot.restyle)
        self._refresh()

    # parts

    def _make_left(self) -> QWidget:
        self.curve_panel = Panel(name="schedule.curve")
        self.curve_panel.setAccessibleName("Learning rate")
        self.shapes = ShapeRow()
        self.shapes.chosen.connect(lambda key: self.store.set({"schedule.shape": key}))
        self.time_choice = Segmented([("epochs", "Epochs"), ("steps", "Steps")], name="schedule.time")
        self.scale_choice = Segmented([("log", "log"), ("lin", "lin")], name="schedule.scale")
        self.curve_panel.body.addWidget(self.shapes)
        self.reading_label = PlainLabel(_HINT, "caption", "muted", elide=Qt.TextElideMode.ElideRight)
        self.momentum_toggle = Toggle("Momentum", name="schedule.momentum")
        choices = QHBoxLayout()
        choices.setSpacing(px(8))
        choices.addWidget(self.reading_label, 1)
        for widget in (self.momentum_toggle, self.time_choice, self.scale_choice):
            choices.addWidget(widget)
        self.curve_panel.body.addLayout(choices)
        self.plot = RatePlot(name="schedule.plot")
        self.plot.setMinimumHeight(px(150))
        self.curve_panel.body.addWidget(self.plot, 1)
        self.time_choice.value_changed.connect(self.plot.set_time)
        self.scale_choice.value_changed.connect(self.plot.set_scale)
        self.momentum_toggle.toggled.connect(self.plot.set_momentum_visible)
        self.plot.edited.connect(self._on_plot_edited)
        self.plot.drag_started.connect(self.store.begin_drag)
        self.plot.drag_ended.connect(self.store.end_drag)
        self.plot.hovered.connect(self._on_plot_hovered)
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(12))
        column.addWidget(self.curve_panel, 1)
        column.addWidget(self._make_numbers())
        return left

    def _make_numbers(self) -> QWidget:
        self.numbers_panel = Panel("Curve", name="schedule.numbers")
        self.banner = Banner(name="schedule.note")
        outer = self.numbers_panel.body
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(px(20))
        self._grid.setVerticalSpacing(px(2))
        self._grid.setColumnStretch(0, 1)
        self._grid.setColumnStretch(1, 1)
        names = dict.fromkeys(name for shape in SHAPES for name in shape.fields)
        self.rows = {name: _shrinking(FormRow(self.store, f"schedule.{name}", label_width=106)) for name in names}
        outer.addLayout(self._grid)
        self.help_label = PlainLabel("", "label", "text2", wrap=True)
        outer.addWidget(self.help_label)
        outer.addWidget(self.banner)
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        policy.setHeightForWidth(True)
        self.numbers_panel.setSizePolicy(policy)
        self.banner.setSizePolicy(policy)
        return self.numbers_panel

    def _make_right(self) -> QWidget:
        panel = Panel(name="schedule.settings", margins=False)
        panel.setAccessibleName("Optimiser and run")
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(px(12), px(8), px(12), px(12))
        column.setSpacing(px(4))
        section(column, "Optimiser", first=True)
        self.optimiser_form = OptimiserForm(self.store)
        column.addWidget(self.optimiser_form)
        section(column, "Learning rate by depth", "× peak")
        self.depth_rates = DepthRates(self.store)
        column.addWidget(self.depth_rates)
        self._batch_caption = section(column, "Batch size")
        self.batch_row = BatchRow()
        self.batch_row.chosen.connect(lambda size: self.store.set({"training.batch_size": size}))
        column.addWidget(self.batch_row)
        column.addWidget(narrow(FormRow(self.store, "training.batch_size", label="Another size", label_width=FORM_LABEL_PX)))
        section(column, "Precision")
        precision = field_editor(self.store, "training.precision")
        precision.control.stretch()
        column.addWidget(precision)
        section(column, "Run")
        for name in ("label_smoothing", "early_stop_epochs", "seed", "checkpoint_seconds", "workers"):
            column.addWidget(narrow(FormRow(self.store, f"training.{name}", label_width=FORM_LABEL_PX)))
        column.addStretch(1)
        panel.body.addWidget(scrolling(content, name="schedule.settings.area"))
        panel.setMinimumWidth(px(288))
        return panel

    # following the draft

    def _on_store_experiment_changed(self, old: Experiment, new: Experiment) -> None:
        if (old.schedule, old.optimiser, old.training, old.model) != (new.schedule, new.optimiser, new.training, new.model):
            self._refresh()

    def _network(self) -> Network | None:
        described = self.context.estimates.model
        return network_from(described) if described else None

    def _refresh(self) -> None:
        experiment, dataset = self.store.experiment, self.store.dataset
        network = self._network()
        num_stages = len(network.stages) if network else None
        length = length_of(experiment, dataset)
        curves = make_curves(experiment, length, num_stages)
        shape = _SHAPES[experiment.schedule.shape]
        self.plot.show_curves(experiment.schedule, length, curves, _group_names(network, len(curves.factors)))
        self.shapes.set_shape(shape.key)
        self.momentum_toggle.setEnabled(curves.momentum is not None)
        self.momentum_toggle.setText(curves.momentum_name)
        self.momentum_toggle.setAccessibleName(curves.momentum_name)
        self.numbers_panel.set_title(f"{shape.title} curve", shape.paper)
        self.help_label.setText(shape.help)
        self._show_rows(shape.fields)
        self.optimiser_form.refresh()
        self.depth_rates.show_rates(_depth_rates(network, curves.factors))
        num_train = len(dataset.part("train")) if dataset else None
        self.batch_row.set_size(experiment.training.batch_size)
        self._batch_caption.setText("steps per epoch" if num_train is not None else "images per step")
        for size, cell in self.batch_row.cells.items():
            cell.set_facts(steps_per_epoch(num_train, size) if num_train is not None else None, num_train)
        self._show_notes(experiment, length, num_train)
        self._show_now()
        time = self.context.estimates.time
        cost = f" · about {duration(time.seconds_per_epoch * length.epochs)}" if time else ""
        self.set_subtitle(length.words + cost)

    def _show_rows(self, fields: tuple[str, ...]) -> None:
        for name, row in self.rows.items():
            self._grid.removeWidget(row)
            row.setVisible(name in fields)
        for place, name in enumerate(fields):
            self._grid.addWidget(self.rows[name], place // 2, place % 2)

    def _show_notes(self, experiment: Experiment, length, num_train: int | None) -> None:
        notes = notes_on(experiment, length, num_train)
        if notes:
            self.banner.show_message("warning", notes[0].sentence, "\n".join(n.sentence for n in notes[1:]))
        else:
            self.banner.hide()

    def activate(self) -> None:
        self._is_in_front = True
        self._show_now()

    def deactivate(self) -> None:
        self._is_in_front = False

    def _on_run_state_changed(self, entry: RunEntry) -> None:
        if self._is_in_front and entry is self.context.runs.active:
            self._show_now()

    def _show_now(self) -> None:
        """Where the active run stands on this curve; nothing when the draft's curve is another one."""
        entry = self.context.runs.active
        described = entry.state.description if entry else None
        length = length_of(self.store.experiment, self.store.dataset)
        is_same = described is not None and entry.experiment.schedule == self.store.experiment.schedule
        if is_same and described.steps_per_epoch == length.steps_per_epoch:
            self.plot.show_now(entry.state.step, f"{entry.name}, step {entry.state.step:,}")
        else:
            self.plot.show_now(None)

    # the hand

    def _on_plot_edited(self, settings: dict) -> None:
        try:
            self.store.set(settings)
        except BadInput as exc:
            self.reading_label.setText(exc.problems[0].sentence)

    def _on_plot_hovered(self, words: str) -> None:
        self.reading_label.setText(words or _HINT)

    def _on_reset(self) -> None:
        defaults = Experiment()
        values = {
            f"{part}.{name}": getattr(getattr(defaults, part), name)
            for part in _RESET_SECTIONS
            for name in type(getattr(defaults, part)).model_fields
        }
        for path in _KEPT_ON_RESET:
            values.pop(path)
        self.store.set(values, "schedule to defaults")
        self.context.shell.toast("Schedule, optimiser and run settings are back at their defaults.", "Undo", self.store.undo)

    def resizeEvent(self, event) -> None:
        """A narrow page keeps the numbers and lets the sliders beside them go."""
        super().resizeEvent(event)
        for row in self.rows.values():
            if isinstance(row.editor.control, SliderField):
                control = row.editor.control
                control.slider.setVisible(self.width() >= px(880))
                control.layout().setAlignment(control.field, Qt.AlignmentFlag.AlignLeft)

    def shortcuts(self):
        return (
            ("L", "Logarithmic or linear", self._toggle_scale),
            ("T", "Epochs or steps", self._toggle_time),
        )

    def _toggle_scale(self) -> None:
        self.scale_choice.set_value("lin" if self.scale_choice.value == "log" else "log")
        self.plot.set_scale(self.scale_choice.value)

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
            "momentum": lambda page: page.momentum_toggle.click(),
        }


_HINT = "Drag the handles or use the fields below."


def _shrinking(row: FormRow) -> FormRow:
    """A row whose slider asks for no width of its own."""
    if isinstance(row.editor.control, SliderField):
        row.editor.control.slider.setMinimumWidth(1)
        row.editor.control.slider.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return narrow(row)


def _group_names(network: Network | None, count: int) -> tuple[str, ...]:
    """Names of the groups that train, the head last; counted from the head where the network is not known."""
    if network is not None and len(network.stages) >= count:
        return tuple(s.name for s in network.stages[-count:])
    before = [f"{n} before head" for n in range(count - 1, 0, -1)]
    return (*before, "head")


def _depth_rates(network: Network | None, factors: tuple[float, ...]) -> list[tuple[str, float | None]]:
    """Rows for DepthRates: the head first; the frozen stages as one row."""
    names = _group_names(network, len(factors))
    rows: list[tuple[str, float | None]] = [(n[:1].upper() + n[1:], f) for n, f in zip(reversed(names), reversed(factors), strict=True)]
    frozen = network.stages[: len(network.stages) - len(factors)] if network else ()
    if frozen:
        first, last = frozen[0].title, frozen[-1].name
        rows.append((first if len(frozen) == 1 else f"{first} to {last}", None))
    return rows
