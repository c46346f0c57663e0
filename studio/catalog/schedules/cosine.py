"""Half a cosine from the peak to the final rate, as torch's CosineAnnealingLR."""

from __future__ import annotations

import numpy as np

from studio.catalog.schedules._curve import Body, cosine_between
from studio.core.experiment import Schedule

TITLE = "Cosine"
HELP = "Falls slowly, then faster, then slowly to the final rate. Hard to get wrong; a good first choice with a short warm-up."
PAPER = "Loshchilov and Hutter, arXiv 1608.03983"
FIELDS = ("peak_lr", "warmup_fraction", "start_factor", "final_factor", "cooldown_fraction")


def factors(schedule: Schedule, steps: np.ndarray, body: Body) -> np.ndarray:
    return cosine_between(1.0, schedule.final_factor, steps / body.num_steps)


def python_lines(schedule: Schedule, body: Body) -> list[str]:
    return [f"return cosine(1.0, {schedule.final_factor!r}, i / {body.num_steps})"]


def torch_call(schedule: Schedule, body: Body) -> str | None:
    return f"CosineAnnealingLR(optimizer, T_max={body.num_steps}, eta_min={schedule.final_factor * schedule.peak_lr!r})"
