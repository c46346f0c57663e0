"""The right-hand column of the Schedule page: optimiser, rate by depth, batch size, precision, and how the run is carried out."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from studio.gui.pages.model.network import Network
from studio.gui.pages.schedule.batch import BatchRow
from studio.gui.pages.schedule.cache import CacheForm
from studio.gui.pages.schedule.curve import Curves, steps_per_epoch
from studio.gui.pages.schedule.depth import DepthRates
from studio.gui.pages.schedule.effective_batch import EffectiveBatch
from studio.gui.pages.schedule.optimiser import OptimiserForm
from studio.gui.pages.schedule.row import LABEL_PX, narrow
from studio.gui.store import ExperimentStore
from studio.gui.theme import px
from studio.gui.widgets import Panel, PlainLabel, line, scrolling
from studio.gui.widgets.form import FormRow, field_editor

_RUN = (
    "label_smoothing", "class_weights", "early_stop_epochs", "not_finite", "roll_back_steps", "seed", "exact", "checkpointing", "compile",
    "checkpoint_seconds", "workers",
)  # fmt: skip
_SENTENCES = ("not_finite", "class_weights")  # their choices are wider than the column side by side


class SettingsPanel(Panel):
    """Edits the draft in `store`; `refresh` shows what follows from it, once all pieces of `make` are taken."""

    def __init__(self, store: ExperimentStore, parent: QWidget | None = None):
        super().__init__(name="schedule.settings", margins=False, parent=parent)
        self._store = store
        self.setAccessibleName("Optimiser and run")
        self.setMinimumWidth(px(308))  # its widest row and the scroll bar

    def make(self) -> Iterator[None]:
        store, content = self._store, QWidget()
        self.body.addWidget(scrolling(content, name="schedule.settings.area"))
        column = QVBoxLayout(content)
        column.setContentsMargins(px(12), px(8), px(12), px(12))
        column.setSpacing(px(4))
        _section(column, "Optimiser", first=True)
        self.optimiser_form = OptimiserForm(store)
        column.addWidget(self.optimiser_form)
        yield
        _section(column, "Learning rate by depth", "× peak")
        self.depth_rates = DepthRates(store)
        column.addWidget(self.depth_rates)
        self._batch_caption = _section(column, "Batch size")
        self.batch_row = BatchRow()
        self.batch_row.chosen.connect(lambda size: store.set({"training.batch_size": size}))
        column.addWidget(self.batch_row)
        column.addWidget(narrow(FormRow(store, "training.batch_size", label="Another size", label_width=LABEL_PX)))
        self.effective_batch = EffectiveBatch(store)
        column.addWidget(self.effective_batch)
        yield
        _section(column, "Precision")
        precision = field_editor(store, "training.precision")
        precision.control.stretch()
        column.addWidget(precision)
        _section(column, "Run")
        self.run_rows = {}
        for number, name in enumerate(_RUN):
            row = FormRow(store, f"training.{name}", label_width=LABEL_PX, max_segments=2 if name in _SENTENCES else 4)
            self.run_rows[name] = row
            column.addWidget(narrow(row))
            if number % 4 == 3:
                yield
        self.cache_form = CacheForm(store)
        column.addWidget(self.cache_form)
        column.addStretch(1)

    def refresh(self, described: dict | None, network: Network | None, curves: Curves) -> None:
        """`described`: what the probe says of the network, None until it is known, as `network` is that is made of it."""
        experiment, dataset = self._store.experiment, self._store.dataset
        self.optimiser_form.refresh((described or {}).get("num_undecayed"))
        self.depth_rates.show_rates(network, curves)
        num_train = dataset.epoch_size(experiment.data.synthetic_fraction) if dataset else None
        self.batch_row.set_size(experiment.training.batch_size)
        self._batch_caption.setText("steps per epoch" if num_train is not None else "images per step")
        for size, cell in self.batch_row.cells.items():
            cell.set_facts(steps_per_epoch(num_train, size, experiment.training.accumulation) if num_train is not None else None, num_train)
        self.run_rows["roll_back_steps"].setVisible(experiment.training.not_finite == "go back")
        self.cache_form.refresh(described)


def _section(column: QVBoxLayout, title: str, note: str = "", *, first: bool = False) -> PlainLabel:
    """Adds a line and a heading to a column; returns the heading's caption."""
    if not first:
        column.addSpacing(px(6))
        column.addWidget(line())
        column.addSpacing(px(2))
    row, caption = _heading(title, note)
    column.addWidget(row)
    return caption


def _heading(text: str, note: str = "") -> tuple[QWidget, PlainLabel]:
    """A title inside a column, with a caption at its right; and that caption."""
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, px(2), 0, 0)
    layout.addWidget(PlainLabel(text, "panel"))
    layout.addStretch(1)
    caption = PlainLabel(note, "caption")
    layout.addWidget(caption)
    return row, caption


def _show_accumulation(page) -> None:
    page.store.set({"training.accumulation": 4, "optimiser.weight_decay_course": "cosine", "optimiser.ema_decay": 0.999})
    area = page.findChild(QScrollArea, "schedule.settings.area")
    area.verticalScrollBar().rangeChanged.connect(lambda low, high: area.ensureWidgetVisible(page.settings.effective_batch.hint))


SETTINGS_STATES = {
    "accumulation": _show_accumulation,
    "lion": lambda page: page.store.set({"optimiser.kind": "lion", "training.batch_size": 64, "schedule.peak_lr": 5e-3}),
}
