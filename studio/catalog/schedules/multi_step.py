"""Drops at chosen epochs, as torch's MultiStepLR; milestones count from the start of the run."""

from __future__ import annotations

import numpy as np

from studio.catalog.schedules._curve import Body
from studio.core.experiment import Schedule

TITLE = "Milestones"
HELP = "Holds the rate and drops it at the epochs you choose. Put each drop where the validation loss has gone flat."
PAPER = "He et al., arXiv 1512.03385"
FIELDS = ("peak_lr", "milestones", "step_factor", "warmup_fraction", "start_factor", "final_factor", "cooldown_fraction")


def factors(schedule: Schedule, steps: np.ndarray, body: Body) -> np.ndarray:
    num_drops = np.searchsorted(_drops(schedule, body), steps + body.first, side="right")
    return schedule.step_factor ** num_drops.astype(float)


def jumps(schedule: Schedule, body: Body) -> np.ndarray:
    """The steps of the run with another rate than the step before."""
    drops = np.unique(_drops(schedule, body))
    return drops[drops < body.first + body.num_steps]


def python_lines(schedule: Schedule, body: Body) -> list[str]:
    drops = _drops(schedule, body).tolist()
    return [f"return {schedule.step_factor!r} ** sum(i + {body.first} >= drop for drop in {drops})"]


def torch_call(schedule: Schedule, body: Body) -> str | None:
    drops = (_drops(schedule, body) - body.first).tolist()
    if any(drop <= 0 for drop in drops):
        return None  # a drop within the warm-up
    return f"MultiStepLR(optimizer, milestones={drops}, gamma={schedule.step_factor!r})"


def _drops(schedule: Schedule, body: Body) -> np.ndarray:
    return np.array(sorted(body.to_steps(epoch) for epoch in schedule.milestones), np.int64)
