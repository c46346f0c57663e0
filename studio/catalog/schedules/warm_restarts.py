"""Cosine cycles that jump back up, as torch's CosineAnnealingWarmRestarts; with a decay of the peak as timm's CosineLRScheduler."""

from __future__ import annotations

import math

import numpy as np

from studio.catalog.schedules._curve import Body, cosine_between
from studio.core.experiment import Schedule

TITLE = "Warm restarts"
HELP = "Cosine cycles, each longer than the last. The end of every cycle is a good model; restarts can leave a poor valley."
PAPER = "SGDR: Loshchilov and Hutter, arXiv 1608.03983"
FIELDS = (
    "peak_lr", "cycle_epochs", "cycle_growth", "cycle_decay", "warmup_fraction", "start_factor", "final_factor", "cooldown_fraction",
)  # fmt: skip


def factors(schedule: Schedule, steps: np.ndarray, body: Body) -> np.ndarray:
    """Closed form, for any steps: cycle k starts at T0 (m^k − 1) / (m − 1)."""
    first, growth = _first_cycle(schedule, body), schedule.cycle_growth
    if growth == 1:
        cycle = steps // first
        position, length = steps % first, first
    else:
        starts = _starts(schedule, body)
        cycle = np.searchsorted(starts, steps, side="right") - 1
        position, length = steps - starts[cycle], first * growth**cycle
    return cosine_between(schedule.cycle_decay ** cycle.astype(float), schedule.final_factor, position / length)


def jumps(schedule: Schedule, body: Body) -> np.ndarray:
    """The steps of the run at which the rate jumps back up."""
    if schedule.cycle_growth == 1:
        first = _first_cycle(schedule, body)
        return np.arange(first, body.num_steps, first) + body.first
    return _starts(schedule, body)[1:] + body.first


def python_lines(schedule: Schedule, body: Body) -> list[str]:
    return [
        f"start, length, top = 0, {_first_cycle(schedule, body)}, 1.0",
        "while i >= start + length:",
        f"    start, length, top = start + length, length * {schedule.cycle_growth}, top * {schedule.cycle_decay!r}",
        f"return cosine(top, {schedule.final_factor!r}, (i - start) / length)",
    ]


def torch_call(schedule: Schedule, body: Body) -> str | None:
    if schedule.cycle_decay != 1:
        return None  # torch's peaks stay
    first, final = _first_cycle(schedule, body), schedule.final_factor * schedule.peak_lr
    return f"CosineAnnealingWarmRestarts(optimizer, T_0={first}, T_mult={schedule.cycle_growth}, eta_min={final!r})"


def _first_cycle(schedule: Schedule, body: Body) -> int:
    """Its steps. A part of one counts as one: cycles that fill the run to the last step would else restart just before its end."""
    return max(1, math.ceil(schedule.cycle_epochs * body.steps_per_epoch - 1e-6))


def _starts(schedule: Schedule, body: Body) -> np.ndarray:
    """The first step of every cycle that begins within the body; cycles grow, so there are few."""
    starts, length = [0], _first_cycle(schedule, body)
    while starts[-1] + length < body.num_steps:
        starts.append(starts[-1] + length)
        length *= schedule.cycle_growth
    return np.array(starts)
