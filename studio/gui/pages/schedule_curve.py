"""What the learning-rate plot draws: the very arrays that the engine applies, cut down for drawing. No Qt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio.catalog.schedules import group_learning_rates, momenta, stage_factors
from studio.catalog.schedules.warm_restarts import restart_steps
from studio.core.experiment import Experiment
from studio.core.problem import Problem, warning
from studio.dataset.dataset import Dataset

MAX_POINTS = 2000  # more on a 2 px curve is slow and not seen
MAX_STEPS = 2_000_000  # a longer plan is drawn from this many steps per epoch scaled down
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
    """Curves over steps. `rates` is float64[points, groups]: one column per trainable stage, the head last."""

    steps: np.ndarray
    rates: np.ndarray
    factors: tuple[float, ...]
    momentum: np.ndarray | None
    momentum_name: str  # "Momentum", or "Beta 1" where the optimiser calls it so
    peak_step: int
    jumps: tuple[int, ...]  # steps that take another rate at once: restarts, drops

    @property
    def head(self) -> np.ndarray:
        return self.rates[:, -1]


def length_of(experiment: Experiment, dataset: Dataset | None) -> Length:
    """Epochs and optimiser updates per epoch as the engine counts them; without a data set an assumed number."""
    epochs = experiment.schedule.epochs
    if dataset is None:
        return Length(epochs, ASSUMED_STEPS, is_assumed=True)
    num_train = len(dataset.part("train"))
    return Length(epochs, steps_per_epoch(num_train, experiment.training.batch_size))


def steps_per_epoch(num_train: int, batch_size: int) -> int:
    """A last batch is kept unless it holds one image. As studio.engine.plan counts (a test compares them)."""
    whole, rest = divmod(num_train, batch_size)
    return whole + (rest > 1 or whole == 0)


def trained_factors(train_stages: int, lr_factor_per_stage: float, num_stages: int | None) -> tuple[float, ...]:
    """Rate multipliers of the stages that train, the head last.

    `num_stages` counts the network's stages with its head; None where it is not known, and then "everything" shows the head only.
    """
    backbone = None if num_stages is None else num_stages - 1
    if train_stages < 0:
        count = backbone or 0
    else:
        count = train_stages if backbone is None else min(train_stages, backbone)
    return tuple(stage_factors(count + 1, lr_factor_per_stage))


def make_curves(experiment: Experiment, length: Length, num_stages: int | None = None) -> Curves:
    """The curves of the draft. The first and the last step, the peak and every jump are always among the points."""
    schedule = experiment.schedule
    per_epoch = length.steps_per_epoch
    if length.num_steps > MAX_STEPS:
        per_epoch = max(1, MAX_STEPS // length.epochs)
    num_steps = length.epochs * per_epoch
    factors = trained_factors(experiment.model.train_stages, experiment.optimiser.stage_lr_factor, num_stages)
    head = group_learning_rates(schedule, (1.0,), num_steps, per_epoch)[:, 0]
    speed = momenta(schedule, experiment.optimiser, num_steps)
    peak = int(np.argmax(head))
    match schedule.shape:
        case "warm_restarts":
            jumps = np.asarray(restart_steps(schedule, num_steps, per_epoch), int)
        case "step":
            jumps = np.flatnonzero(head[1:] < 0.95 * head[:-1]) + 1
        case _:
            jumps = np.empty(0, int)
    marked = jumps[:: len(jumps) // 200 + 1]  # more are a comb: the even grid shows it as well as anything
    marks = np.concatenate([[peak], marked, marked - 1])
    grid = np.linspace(0, num_steps - 1, min(num_steps, MAX_POINTS)).round().astype(int)
    picked = np.unique(np.concatenate([grid, marks]).astype(int))
    scale = per_epoch / length.steps_per_epoch
    return Curves(
        steps=picked / scale,
        rates=head[picked, None] * np.asarray(factors),
        factors=factors,
        momentum=None if speed is None else speed[picked],
        momentum_name="Momentum" if experiment.optimiser.kind == "sgd" else "Beta 1",
        peak_step=round(peak / scale),
        jumps=tuple(round(j / scale) for j in marked),
    )


def notes_on(experiment: Experiment, length: Length, num_train: int | None) -> tuple[Problem, ...]:
    """What about this schedule deserves a sentence: settings that have no effect or will disappoint."""
    schedule, training = experiment.schedule, experiment.training
    found = []
    if num_train is not None and training.batch_size > num_train:
        found.append(
            warning(
                "training.batch_size",
                f"A batch of {training.batch_size:,} is more than the {num_train:,} training images. Take {num_train:,} or fewer.",
            )
        )
    if schedule.shape == "step" and schedule.step_epochs >= schedule.epochs:
        found.append(
            warning(
                "schedule.step_epochs",
                f"The first drop would come after {schedule.step_epochs:,} epochs, the run ends after {schedule.epochs:,}. Make it smaller than {schedule.epochs:,}.",
            )
        )
    if schedule.shape == "warm_restarts" and schedule.cycle_epochs >= schedule.epochs:
        found.append(
            warning(
                "schedule.cycle_epochs",
                f"The first restart would come after {schedule.cycle_epochs:,} epochs, the run ends after {schedule.epochs:,}. This is a plain cosine.",
            )
        )
    if 0 < training.early_stop_epochs >= schedule.epochs:
        found.append(
            warning(
                "training.early_stop_epochs",
                f"Stopping after {training.early_stop_epochs:,} poor epochs cannot happen in a run of {schedule.epochs:,}.",
            )
        )
    if experiment.optimiser.kind != "sgd" and schedule.peak_lr > 0.02:
        found.append(
            warning(
                "schedule.peak_lr",
                f"{schedule.peak_lr:g} is high for {experiment.optimiser.kind.replace('adamw', 'AdamW').replace('adam', 'Adam')}; 1e-4 to 5e-3 is usual.",
            )
        )
    return tuple(found)
