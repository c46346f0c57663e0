"""A power of the time that is left, as torch's PolynomialLR; to a final rate as timm's PolyLRScheduler."""

from __future__ import annotations

import numpy as np

from studio.catalog.schedules._curve import Body
from studio.core.experiment import Schedule

TITLE = "Polynomial"
HELP = "Falls fast at first and gently at the end; the power says how much. Power 0.9 is the habit of segmentation networks."
PAPER = "DeepLab: Chen et al., arXiv 1606.00915"
FIELDS = ("peak_lr", "power", "warmup_fraction", "start_factor", "final_factor", "cooldown_fraction")


def factors(schedule: Schedule, steps: np.ndarray, body: Body) -> np.ndarray:
    final = schedule.final_factor
    return final + (1.0 - final) * (1.0 - steps / body.num_steps) ** schedule.power


def python_lines(schedule: Schedule, body: Body) -> list[str]:
    final = schedule.final_factor
    return [f"return {final!r} + (1.0 - {final!r}) * (1.0 - i / {body.num_steps}) ** {schedule.power!r}"]


def torch_call(schedule: Schedule, body: Body) -> str | None:
    if schedule.final_factor > 0:
        return None  # torch's goes to 0
    return f"PolynomialLR(optimizer, total_iters={body.num_steps}, power={schedule.power!r})"
