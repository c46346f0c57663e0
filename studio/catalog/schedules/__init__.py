"""Learning-rate schedules: pure functions of the experiment, so what is drawn is what is applied.

Each shape is one module with `TITLE`, `HELP`, `PAPER` and `factors(schedule, num_steps, steps_per_epoch) -> float64[num_steps]`,
the learning rate as a share of the peak, plus optionally `momenta(...)`. One line in `_MODULES` registers it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from studio.catalog.schedules import constant, cosine, one_cycle, step, warm_restarts
from studio.core.experiment import Optimiser, Schedule

_MODULES: dict[str, ModuleType] = {
    "constant": constant,
    "step": step,
    "cosine": cosine,
    "warm_restarts": warm_restarts,
    "one_cycle": one_cycle,
}


@dataclass(frozen=True)
class Shape:
    """A family of curves as the gallery shows it. `fields` are the schedule settings that matter for it."""

    key: str
    title: str
    help: str
    paper: str
    fields: tuple[str, ...]


SHAPES: tuple[Shape, ...] = tuple(Shape(key, m.TITLE, m.HELP, m.PAPER, m.FIELDS) for key, m in _MODULES.items())


def learning_rates(schedule: Schedule, num_steps: int, steps_per_epoch: int) -> np.ndarray:
    """The learning rate of every step: float64[num_steps], finite and >= 0. Step i is the i-th optimiser update, from 0."""
    return schedule.peak_lr * _MODULES[schedule.shape].factors(schedule, num_steps, max(1, steps_per_epoch))


def momenta(schedule: Schedule, optimiser: Optimiser, num_steps: int) -> np.ndarray | None:
    """Momentum (SGD) or beta 1 (Adam, AdamW) of every step, float64[num_steps]; None where the shape leaves it alone."""
    cycle = getattr(_MODULES[schedule.shape], "momenta", None)
    base = optimiser.momentum if optimiser.kind == "sgd" else optimiser.beta1
    return cycle(schedule, base, num_steps) if cycle else None


def group_learning_rates(schedule: Schedule, group_factors: Sequence[float], num_steps: int, steps_per_epoch: int) -> np.ndarray:
    """The rate of every parameter group at every step: float64[num_steps, len(group_factors)].

    `group_factors` are multipliers of the head's rate. The engine sets each group's rate from a row of this array and the plot
    draws its columns.
    """
    return learning_rates(schedule, num_steps, steps_per_epoch)[:, None] * np.asarray(group_factors, float)


def stage_factors(num_stages: int, lr_factor_per_stage: float) -> list[float]:
    """Multipliers in execution order with the head last: 1 for the head, times the factor for each stage before it."""
    return [lr_factor_per_stage ** (num_stages - 1 - i) for i in range(num_stages)]
