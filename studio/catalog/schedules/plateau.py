"""A drop when the validation loss no longer falls, exactly as torch's ReduceLROnPlateau, stepped once after every epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from studio.catalog.schedules._curve import Body
from studio.core.experiment import Schedule

TITLE = "On plateau"
HELP = "Holds the rate and drops it when the validation loss stops falling. Drawn is what is certain; the drops depend on the run."
PAPER = "torch.optim.lr_scheduler.ReduceLROnPlateau"
FIELDS = (
    "peak_lr", "step_factor", "patience_epochs", "warmup_fraction", "start_factor", "final_factor", "cooldown_fraction",
)  # fmt: skip
IS_OPEN_LOOP = False

THRESHOLD = 1e-4  # a loss is better when it is lower by this share; as EPSILON, torch's default
EPSILON = 1e-8  # a drop smaller than this is not made


def factors(schedule: Schedule, steps: np.ndarray, body: Body, validation_losses: Sequence[float] = ()) -> np.ndarray:
    """`validation_losses` are those of the epochs that have ended; the rate drops at the start of an epoch, to the final rate at least."""
    after = np.array(_rates(schedule, validation_losses))
    num_ended = np.minimum((steps + body.first) // body.steps_per_epoch, len(after) - 1)
    return after[num_ended] / schedule.peak_lr


def python_lines(schedule: Schedule, body: Body) -> list[str]:
    return ["return 1.0  # and ReduceLROnPlateau on top of it, stepped after every epoch"]


def torch_call(schedule: Schedule, body: Body) -> str | None:
    return (
        f"ReduceLROnPlateau(optimizer, factor={schedule.step_factor!r}, patience={schedule.patience_epochs}, "
        f"min_lr={schedule.final_factor * schedule.peak_lr!r})"
    )


def _rates(schedule: Schedule, validation_losses: Sequence[float]) -> list[float]:
    """The rate before the first loss is known, and after each."""
    rate, least = schedule.peak_lr, schedule.final_factor * schedule.peak_lr
    best, num_bad, rates = math.inf, 0, [rate]
    for loss in validation_losses:
        if loss < best * (1.0 - THRESHOLD):
            best, num_bad = loss, 0
        else:
            num_bad += 1
        if num_bad > schedule.patience_epochs:
            lower, num_bad = max(rate * schedule.step_factor, least), 0
            rate = lower if rate - lower > EPSILON else rate
        rates.append(rate)
    return rates
