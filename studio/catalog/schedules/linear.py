"""A straight line from the peak to the final rate, as torch's LinearLR from 1 to the final factor."""

from __future__ import annotations

import numpy as np

from studio.catalog.schedules._curve import Body, line_between
from studio.core.experiment import Schedule

TITLE = "Linear"
HELP = "A straight line down to the final rate. As good as cosine in many comparisons; BERT and most language models were tuned with it."
PAPER = "Devlin et al., arXiv 1810.04805"
FIELDS = ("peak_lr", "warmup_fraction", "start_factor", "final_factor", "cooldown_fraction")


def factors(schedule: Schedule, steps: np.ndarray, body: Body) -> np.ndarray:
    return line_between(1.0, schedule.final_factor, steps / body.num_steps)


def python_lines(schedule: Schedule, body: Body) -> list[str]:
    return [f"return line(1.0, {schedule.final_factor!r}, i / {body.num_steps})"]


def torch_call(schedule: Schedule, body: Body) -> str | None:
    return f"LinearLR(optimizer, start_factor=1.0, end_factor={schedule.final_factor!r}, total_iters={body.num_steps})"
