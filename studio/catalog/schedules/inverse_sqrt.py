"""One over the square root of the step, from the end of the warm-up on: Vaswani et al., arXiv 1706.03762, eq. 3."""

from __future__ import annotations

import numpy as np

from studio.catalog.schedules._curve import Body
from studio.core.experiment import Schedule

TITLE = "Inverse root"
HELP = "Falls ever more slowly and has no end: good when you do not know how long you will train. Its warm-up sets how fast it falls."
PAPER = "Vaswani et al., arXiv 1706.03762"
FIELDS = ("peak_lr", "warmup_fraction", "start_factor", "final_factor", "cooldown_fraction")


def factors(schedule: Schedule, steps: np.ndarray, body: Body) -> np.ndarray:
    """sqrt(t0 / (t0 + i)) with t0 the steps of warm-up, at least one."""
    first = max(1, body.first)
    return np.sqrt(first / (first + steps))


def python_lines(schedule: Schedule, body: Body) -> list[str]:
    first = max(1, body.first)
    return [f"return math.sqrt({first} / ({first} + i))"]


def torch_call(schedule: Schedule, body: Body) -> str | None:
    return None
