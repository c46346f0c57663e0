"""The same factor at every step, as torch's ExponentialLR with gamma = final^(1 / steps)."""

from __future__ import annotations

import numpy as np

from studio.catalog.schedules._curve import Body
from studio.core.experiment import Schedule

TITLE = "Exponential"
HELP = "Loses the same share at every step: a straight line on the log axis. MobileNet and EfficientNet were trained like this."
PAPER = "EfficientNet: Tan and Le, arXiv 1905.11946"
FIELDS = ("peak_lr", "warmup_fraction", "start_factor", "final_factor", "cooldown_fraction")


def factors(schedule: Schedule, steps: np.ndarray, body: Body) -> np.ndarray:
    """A final factor of 0 is 1 at the first step and 0 from the second on: the limit of the formula."""
    return schedule.final_factor ** (steps / body.num_steps)


def python_lines(schedule: Schedule, body: Body) -> list[str]:
    return [f"return {schedule.final_factor!r} ** (i / {body.num_steps})"]


def torch_call(schedule: Schedule, body: Body) -> str | None:
    return f"ExponentialLR(optimizer, gamma={schedule.final_factor!r} ** (1 / {body.num_steps}))"
