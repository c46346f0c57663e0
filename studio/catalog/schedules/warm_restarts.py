"""Cosine cycles that jump back to the peak, as torch's CosineAnnealingWarmRestarts counted in steps."""

from __future__ import annotations

import numpy as np

from studio.catalog.schedules._curve import cosine_between, num_warmup_steps, with_warmup
from studio.core.experiment import Schedule

TITLE = "Warm restarts"
HELP = "Cosine cycles, each longer than the last. The end of every cycle is a good model; restarts can leave a poor valley."
PAPER = "SGDR: Loshchilov and Hutter, arXiv 1608.03983"
FIELDS = ("peak_lr", "cycle_epochs", "cycle_growth", "warmup_fraction", "start_factor", "final_factor")


def factors(schedule: Schedule, num_steps: int, steps_per_epoch: int) -> np.ndarray:
    """Closed form, for any number of steps: cycle k starts at T0 (m^k − 1) / (m − 1)."""
    step = np.arange(num_steps - num_warmup_steps(schedule, num_steps))
    first, growth = schedule.cycle_epochs * steps_per_epoch, schedule.cycle_growth
    if growth == 1:
        position, length = step % first, np.full(len(step), first)
    else:
        starts = [0]
        while starts[-1] <= len(step):
            starts.append(first + starts[-1] * growth)
        starts = np.array(starts)
        cycle = np.searchsorted(starts, step, side="right") - 1
        position, length = step - starts[cycle], starts[cycle + 1] - starts[cycle]
    return with_warmup(schedule, num_steps, cosine_between(1.0, schedule.final_factor, position / length))


def restart_steps(schedule: Schedule, num_steps: int, steps_per_epoch: int) -> list[int]:
    """The steps at which the rate jumps back to the peak, for marks on the plot."""
    length, at, found = schedule.cycle_epochs * steps_per_epoch, num_warmup_steps(schedule, num_steps), []
    while (at := at + length) < num_steps:
        found.append(at)
        length *= schedule.cycle_growth
    return found
