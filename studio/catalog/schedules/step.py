"""A drop every few epochs, as torch's StepLR over epochs."""

from __future__ import annotations

import numpy as np

from studio.catalog.schedules._curve import num_warmup_steps, with_warmup
from studio.core.experiment import Schedule

TITLE = "Step"
HELP = "Holds the rate and drops it every few epochs. The classic of AlexNet and ResNet; the drops show as steps in the loss."
PAPER = "He et al., arXiv 1512.03385"
FIELDS = ("peak_lr", "step_epochs", "step_factor", "warmup_fraction", "start_factor")


def factors(schedule: Schedule, num_steps: int, steps_per_epoch: int) -> np.ndarray:
    warmup = num_warmup_steps(schedule, num_steps)
    epoch = np.arange(warmup, num_steps) // steps_per_epoch
    return with_warmup(schedule, num_steps, schedule.step_factor ** (epoch // schedule.step_epochs).astype(float))
