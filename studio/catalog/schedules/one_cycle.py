"""One climb and one fall, with the momentum going the other way, as torch's OneCycleLR (cosine)."""

from __future__ import annotations

import numpy as np

from studio.catalog.schedules._curve import Body, cosine_between
from studio.core.experiment import Schedule

TITLE = "One-cycle"
HELP = "Climbs to a high rate and falls far below the start, while momentum does the reverse. Fast: often half the epochs."
PAPER = "Smith and Topin, arXiv 1708.07120"
FIELDS = ("peak_lr", "warmup_fraction", "start_factor", "final_factor")
HAS_WARMUP = HAS_COOLDOWN = False  # its climb is the warm-up, its fall the cool-down

MOMENTUM_DIP = 0.1  # momentum falls this far below its base at the peak of the rate: 0.95 to 0.85 in the paper


def factors(schedule: Schedule, steps: np.ndarray, body: Body) -> np.ndarray:
    """As OneCycleLR(pct_start=warmup_fraction, div_factor=1/start_factor); the last rate is final_factor times the peak."""
    return _cycle(schedule, steps, body, schedule.start_factor, 1.0, schedule.final_factor)


def momenta(schedule: Schedule, base: float, steps: np.ndarray, body: Body) -> np.ndarray:
    """Momentum from `base` down to `base` − 0.1 at the peak and back: float64[len(steps)]."""
    return _cycle(schedule, steps, body, base, max(0.0, base - MOMENTUM_DIP), base)


def python_lines(schedule: Schedule, body: Body) -> list[str]:
    return _cycle_lines(schedule, body, schedule.start_factor, 1.0, schedule.final_factor)


def momentum_lines(schedule: Schedule, base: float, body: Body) -> list[str]:
    return _cycle_lines(schedule, body, base, max(0.0, base - MOMENTUM_DIP), base)


def torch_call(schedule: Schedule, body: Body) -> str | None:
    start, final = schedule.start_factor, schedule.final_factor
    top = schedule.warmup_fraction * body.num_steps - 1
    if not (start > 0 and final > 0 and 0 < top < body.num_steps - 1):
        return None  # torch divides by zero there
    return (
        f"OneCycleLR(optimizer, max_lr={schedule.peak_lr!r}, total_steps={body.num_steps}, pct_start={schedule.warmup_fraction!r}, "
        f"div_factor={1 / start!r}, final_div_factor={start / final!r}, cycle_momentum=False)"
    )


def _cycle_lines(schedule: Schedule, body: Body, start: float, peak: float, end: float) -> list[str]:
    top, last = max(schedule.warmup_fraction * body.num_steps - 1.0, 0.0), body.num_steps - 1.0
    lines = [f"if i <= {top!r}:", f"    return cosine({start!r}, {peak!r}, i / {top!r})" if top > 0 else f"    return {peak!r}"]
    return [*lines, f"return cosine({peak!r}, {end!r}, (i - {top!r}) / {last - top!r})" if last > top else f"return {peak!r}"]


def _cycle(schedule: Schedule, steps: np.ndarray, body: Body, start: float, peak: float, end: float) -> np.ndarray:
    top, last = max(schedule.warmup_fraction * body.num_steps - 1.0, 0.0), body.num_steps - 1.0
    up = cosine_between(start, peak, steps / top) if top > 0 else np.full(len(steps), peak)
    down = cosine_between(peak, end, (steps - top) / (last - top)) if last > top else np.full(len(steps), peak)
    return np.where(steps <= top, up, down)
