"""One climb and one fall, with the momentum going the other way, as torch's OneCycleLR (cosine)."""

from __future__ import annotations

import numpy as np

from studio.catalog.schedules._curve import cosine_between
from studio.core.experiment import Schedule

TITLE = "One-cycle"
HELP = "Climbs to a high rate and falls far below the start, while momentum does the reverse. Fast: often half the epochs."
PAPER = "Smith and Topin, arXiv 1708.07120"
FIELDS = ("peak_lr", "warmup_fraction", "start_factor", "final_factor")

MOMENTUM_DIP = 0.1  # momentum falls this far below its base at the peak of the rate: 0.95 to 0.85 in the paper


def factors(schedule: Schedule, num_steps: int, steps_per_epoch: int) -> np.ndarray:
    """As OneCycleLR(pct_start=warmup_fraction, div_factor=1/start_factor); the last rate is final_factor times the peak."""
    return _cycle(schedule, num_steps, schedule.start_factor, 1.0, schedule.final_factor)


def momenta(schedule: Schedule, base: float, num_steps: int) -> np.ndarray:
    """Momentum from `base` down to `base` − 0.1 at the peak and back: float64[num_steps]."""
    low = max(0.0, base - MOMENTUM_DIP)
    return _cycle(schedule, num_steps, base, low, base)


def _cycle(schedule: Schedule, num_steps: int, start: float, peak: float, end: float) -> np.ndarray:
    step = np.arange(num_steps, dtype=float)
    top = max(schedule.warmup_fraction * num_steps - 1.0, 0.0)
    last = num_steps - 1.0
    up = cosine_between(start, peak, step / top) if top > 0 else np.full(num_steps, peak)
    down = cosine_between(peak, end, (step - top) / (last - top)) if last > top else np.full(num_steps, peak)
    return np.where(step <= top, up, down)
