"""What the learning-rate plot draws: the very arrays that the engine applies, cut down for drawing. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from studio.catalog.optimisers import kind_of
from studio.catalog.schedules import Partly, body_of, head_lr, jumps, lr, momentum, no_stage, rate_epochs, shape_of, stage_factors
from studio.core.batch_plan import steps_per_epoch
from studio.core.experiment import Experiment, Schedule
from studio.dataset.dataset import Dataset

MAX_POINTS = 1200  # more than there are columns of pixels
MAX_JUMPS = 700
MAX_EPOCHS = 100  # of a run whose curves have a point at the start of every epoch
MAX_KEPT = 4  # curves
ASSUMED_STEPS = 100
FLOOR = 1e-7  # share of the peak below which a logarithmic axis does not go


@dataclass(frozen=True)
class Length:
    """How many steps the draft's run has. `is_assumed` where there is no data set yet."""

    epochs: int
    steps_per_epoch: int
    is_assumed: bool = False

    @property
    def num_steps(self) -> int:
        return self.epochs * self.steps_per_epoch

    @property
    def words(self) -> str:
        """ "8 epochs · 83 steps each · 664 steps"."""
        epochs = "1 epoch" if self.epochs == 1 else f"{self.epochs:,} epochs"
        steps = "1 step each" if self.steps_per_epoch == 1 else f"{self.steps_per_epoch:,} steps each"
        note = f" · assuming {ASSUMED_STEPS} steps per epoch until images are open" if self.is_assumed else ""
        return f"{epochs} · {steps} · {self.num_steps:,} steps{note}" if not note else f"{epochs}{note}"


@dataclass(frozen=True)
class Curves:
    """Curves over steps. `rates` is float64[points, stages]: a column per stage that ever trains, the head last; nan while it is frozen."""

    steps: np.ndarray  # int64, ascending
    rates: np.ndarray
    stages: tuple[str, ...]  # names of the columns
    factors: tuple[float, ...]  # of the head's rate
    thaws: tuple[int, ...]  # the epoch from which each column trains, or single layers of it do
    momentum: np.ndarray | None
    momentum_name: str  # "Momentum", or "Beta 1" where the optimiser calls it so
    peak_step: int
    jumps: tuple[int, ...]  # steps that take another rate at once: restarts, drops; of very many some
    certain_steps: int  # all, or those before the run's own losses can change the rate

    @property
    def head(self) -> np.ndarray:
        return self.rates[:, -1]


def length_of(experiment: Experiment, dataset: Dataset | None) -> Length:
    """Epochs and optimiser updates per epoch as the engine counts them; without a data set an assumed number."""
    epochs = experiment.schedule.epochs
    if dataset is None:
        return Length(epochs, ASSUMED_STEPS, is_assumed=True)
    num_train = dataset.epoch_size(experiment.data.synthetic_fraction)
    return Length(epochs, steps_per_epoch(num_train, experiment.training.batch_size, experiment.training.accumulation))


def stage_names(experiment: Experiment, known: Sequence[str] | None = None) -> tuple[str, ...]:
    """The network's stages with its head; where they are not known those that train, counted from the head."""
    if known:
        return tuple(known)
    return (*(f"{n} before head" for n in range(max(0, experiment.model.train_stages), 0, -1)), "head")


def make_curves(experiment: Experiment, length: Length, stages: Sequence[str] | None = None, partly: Partly = no_stage) -> Curves:
    """The rates that the engine applies, at steps picked for drawing.

    Among them are always the first and the last step, the peak, the ends of warm-up and cool-down, every thaw, and every jump with the
    step before it; of more jumps than columns of pixels one a column. `partly` as in `schedules.lr`.
    """
    per_epoch, names = length.steps_per_epoch, stage_names(experiment, stages)
    thaws = rate_epochs(experiment.model, names, partly)
    used = [i for i, epoch in enumerate(thaws) if epoch is not None and epoch < length.epochs]
    starts = np.array([thaws[i] * per_epoch for i in used])
    whole = _untouched(experiment, length, names, tuple(starts.tolist()))
    rates = whole.rates[:, used]
    rates[whole.steps[:, None] < starts] = np.nan
    factors = stage_factors(experiment.optimiser, names)
    return replace(
        whole,
        rates=rates,
        stages=tuple(names[i] for i in used),
        factors=tuple(factors[i] for i in used),
        thaws=tuple(thaws[i] for i in used),
    )


_kept: list[tuple[tuple, Curves]] = []  # what _untouched gave last, with what for


def _untouched(experiment: Experiment, length: Length, names: tuple[str, ...], starts: tuple[int, ...]) -> Curves:
    """The curves of all stages as if each trained from the first step. Kept: while a thaw is dragged they stay, as the steps of short runs
    have the start of every epoch among them."""
    if length.epochs <= MAX_EPOCHS:
        starts = tuple(range(0, length.num_steps, length.steps_per_epoch))
    key = (experiment.schedule, experiment.optimiser, length, names, starts)
    found = next((curves for kept, curves in _kept if kept == key), None)
    if found is None:
        found = _make_untouched(experiment, length, names, np.array(starts))
        _kept[:] = [(key, found), *_kept[: MAX_KEPT - 1]]
    return found


def _make_untouched(experiment: Experiment, length: Length, names: tuple[str, ...], starts: np.ndarray) -> Curves:
    schedule, per_epoch, last = experiment.schedule, length.steps_per_epoch, length.num_steps - 1
    experiment = experiment.model_copy(update={"model": experiment.model.model_copy(update={"train_stages": -1, "thaw": {}})})
    found = jumps(schedule, per_epoch)
    if len(found) > MAX_JUMPS:
        found = found[_ascending(np.searchsorted(found, np.linspace(found[0], found[-1], MAX_JUMPS)))]
    body = body_of(schedule, per_epoch)
    end = body.first + body.num_steps
    marks = np.concatenate([[0, last, body.first - 1, body.first, end - 1, end], found, found - 1, starts, starts - 1])
    grid = np.linspace(0, last, min(last + 1, MAX_POINTS - len(found))).round()  # many jumps are a grid themselves
    picked = _ascending(np.clip(np.concatenate([grid, marks]), 0, last).astype(np.int64))
    rates = lr(experiment, picked, stages=names, steps_per_epoch=per_epoch)
    highest = int(np.argmax(rates[:, -1]))
    peak, low, high = (int(picked[i]) for i in (highest, max(0, highest - 1), min(len(picked) - 1, highest + 1)))
    if high - low > 2:  # steps were left out beside it
        peak = low + int(np.argmax(head_lr(schedule, np.arange(low, high + 1), per_epoch)))
        if peak not in picked:
            place = int(np.searchsorted(picked, peak))
            highest_rates = lr(experiment, [peak], stages=names, steps_per_epoch=per_epoch)
            picked, rates = np.insert(picked, place, peak), np.insert(rates, place, highest_rates, axis=0)
    return Curves(
        steps=picked,
        rates=rates,
        stages=names,
        factors=(),
        thaws=(),
        momentum=momentum(experiment, picked, steps_per_epoch=per_epoch),
        momentum_name="Momentum" if "momentum" in kind_of(experiment.optimiser.kind).fields else "Beta 1",
        peak_step=peak,
        jumps=tuple(found.tolist()),
        certain_steps=_certain_steps(schedule, length),
    )


def _ascending(values: np.ndarray) -> np.ndarray:
    """Each once, in order; numpy's `unique` hashes, which takes three times as long here."""
    values = np.sort(values)
    return values[np.append(True, values[1:] != values[:-1])]


def _certain_steps(schedule: Schedule, length: Length) -> int:
    """The first epoch sets the best loss; after patience + 1 worse ones the rate may drop."""
    if shape_of(schedule.shape).is_open_loop:
        return length.num_steps
    return min(length.num_steps, (schedule.patience_epochs + 2) * length.steps_per_epoch)
