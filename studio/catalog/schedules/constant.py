"""One rate throughout, as torch's ConstantLR with factor 1."""

from __future__ import annotations

import numpy as np

from studio.catalog.schedules._curve import Body
from studio.core.experiment import Schedule

TITLE = "Constant"
HELP = "The same rate from start to end. A baseline to compare others with; good when you stop by hand."
PAPER = ""
FIELDS = ("peak_lr", "warmup_fraction", "start_factor", "final_factor", "cooldown_fraction")


def factors(schedule: Schedule, steps: np.ndarray, body: Body) -> np.ndarray:
    return np.ones(len(steps))


def python_lines(schedule: Schedule, body: Body) -> list[str]:
    return ["return 1.0"]


def torch_call(schedule: Schedule, body: Body) -> str | None:
    return "ConstantLR(optimizer, factor=1.0, total_iters=1)"
