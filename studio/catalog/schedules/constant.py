"""One rate throughout, after an optional warm-up."""

from __future__ import annotations

import numpy as np

from studio.catalog.schedules._curve import num_warmup_steps, with_warmup
from studio.core.experiment import Schedule

TITLE = "Constant"
HELP = "The same rate from start to end. A baseline to compare others with; good when you stop by hand."
PAPER = ""
FIELDS = ("peak_lr", "warmup_fraction", "start_factor")


def factors(schedule: Schedule, num_steps: int, steps_per_epoch: int) -> np.ndarray:
    return with_warmup(schedule, num_steps, np.ones(num_steps - num_warmup_steps(schedule, num_steps)))
