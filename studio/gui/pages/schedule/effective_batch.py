"""How many images a step takes in, and a hint when that is no longer what the peak was set for."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtWidgets import QVBoxLayout, QWidget

from studio.core.experiment import Training, bounds
from studio.core.words import counted, format_number
from studio.gui.pages.schedule.hint import HintLine
from studio.gui.pages.schedule.row import LABEL_PX, narrow
from studio.gui.store import ExperimentStore
from studio.gui.theme import px
from studio.gui.widgets import PlainLabel
from studio.gui.widgets.form import FormRow
from studio.gui.wording import count, rate


class EffectiveBatch(QWidget):
    """Which batch a peak was set for is remembered while the window is open: the one there was when the draft first had that peak."""

    def __init__(self, store: ExperimentStore, parent: QWidget | None = None):
        super().__init__(parent)
        self._store = store
        self._set_for: dict[float, int] = {}  # peak: images of a step
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(2))
        self.row = narrow(FormRow(store, "training.accumulation", label_width=LABEL_PX))
        self.words_label = PlainLabel("", "caption", "text2")
        self.hint = HintLine("schedule.batch.hint")
        for part in (self.row, self.words_label, self.hint):
            column.addWidget(part)
        store.experiment_changed.connect(lambda old, new: self.refresh())
        self.refresh()

    def refresh(self) -> None:
        experiment = self._store.experiment
        training, peak = experiment.training, experiment.schedule.peak_lr
        images = _images(training)
        before = self._set_for.setdefault(peak, images)
        product = f"{count(training.batch_size)} × {count(training.accumulation)} = " if training.accumulation > 1 else ""
        self.words_label.setText(f"{product}{counted(images, 'image')} per step")
        if images == before:
            self.hint.show_hint("")
            return
        factor, rule = _scaling(experiment.optimiser.kind, images / before)
        self.hint.show_hint(
            f"The peak of {rate(peak)} was set for {count(before)} images per step, now there are {count(images)}. {rule.sentence}",
            [
                (f"Scale the peak by {_short(factor)}", rule.paper, self._scale),
                ("Keep it", "The peak stays, and counts as set for this batch", self._keep),
            ],
        )

    def _scale(self) -> None:
        experiment, (low, high) = self._store.experiment, bounds("schedule.peak_lr")
        peak, images = experiment.schedule.peak_lr, _images(experiment.training)
        factor, _ = _scaling(experiment.optimiser.kind, images / self._set_for[peak])
        scaled = float(f"{min(high, max(low, peak * factor)):.3g}")
        self._set_for[scaled] = images
        self._store.set({"schedule.peak_lr": scaled}, f"peak scaled by {_short(factor)}")

    def _keep(self) -> None:
        experiment = self._store.experiment
        self._set_for[experiment.schedule.peak_lr] = _images(experiment.training)
        self.refresh()


def _images(training: Training) -> int:
    return training.batch_size * training.accumulation


@dataclass(frozen=True)
class _Rule:
    sentence: str
    paper: str


_LINEAR = _Rule("SGD’s rate usually grows in line with the batch.", "Linear scaling: Goyal et al., arXiv 1706.02677")
_ROOT = _Rule(
    "For optimisers like Adam the rate usually grows with the square root of the batch.",
    "Square-root scaling: Malladi et al., arXiv 2205.10287",
)


def _scaling(kind: str, times: float) -> tuple[float, _Rule]:
    """What the peak is multiplied by when a step has so many times as many images, and why."""
    return (times, _LINEAR) if kind == "sgd" else (times**0.5, _ROOT)


def _short(factor: float) -> str:
    return format_number(float(f"{factor:.2g}"))
