"""Half a cosine from the peak to the final rate, as torch's CosineAnnealingLR."""

from __future__ import annotations

import numpy as np

from studio.catalog.schedules._curve import cosine_between, num_warmup_steps, with_warmup
from studio.core.experiment import Schedule

TITLE = "Cosine"
HELP = "Falls slowly, then faster, then slowly to the final rate. Hard to get wrong; a good first choice with a short warm-up."
PAPER = "Loshchilov and Hutter, arXiv 1608.03983"
FIELDS = ("peak_lr", "warmup_fraction", "start_factor", "final_factor")


def factors(schedule: Schedule, num_steps: int, steps_per_epoch: int) -> np.ndarray:
    n = num_steps - num_warmup_steps(schedule, num_steps)
    return with_warmup(schedule, num_steps, cosine_between(1.0, schedule.final_factor, np.arange(n) / n))
