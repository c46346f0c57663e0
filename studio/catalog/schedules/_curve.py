"""Pieces that several shapes share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio.core.experiment import Schedule

TINY = 1e-100  # a factor below it counts as 0: quotients of smaller numbers overflow


@dataclass(frozen=True)
class Body:
    """The part of a run that a shape fills: between warm-up and cool-down."""

    first: int  # steps of warm-up before it
    num_steps: int
    num_cooldown: int  # steps of cool-down behind it
    steps_per_epoch: int

    def to_steps(self, epochs: float) -> int:
        """Epochs in whole steps, at least one."""
        return max(1, round(epochs * self.steps_per_epoch))


def share_of(steps: np.ndarray, body: Body) -> np.ndarray:
    """Time from 0 at the first step of the body to 1 at its last."""
    return steps / max(1, body.num_steps - 1)


def cosine_between(start: float, end: float, fraction: np.ndarray) -> np.ndarray:
    """Half a cosine from `start` at fraction 0 to `end` at fraction 1 (Loshchilov and Hutter, arXiv 1608.03983, eq. 5)."""
    return np.maximum(end + (start - end) / 2.0 * (np.cos(np.pi * fraction) + 1), np.minimum(start, end))  # rounding must not pass an end


def line_between(start: float, end: float, fraction: np.ndarray) -> np.ndarray:
    """A line from `start` at fraction 0 to `end` at fraction 1, which rounding does not carry past either."""
    return start * (1.0 - fraction) + end * fraction


def warmup(schedule: Schedule, steps: np.ndarray, num_warmup: int) -> np.ndarray:
    """A line from start_factor at step 0 to 1 at step `num_warmup`, as torch's LinearLR(start_factor, total_iters=num_warmup)."""
    return line_between(schedule.start_factor, 1.0, steps / num_warmup)


def cooldown(schedule: Schedule, steps: np.ndarray, num_cooldown: int, top: float) -> np.ndarray:
    """A line that goes on from `top`, the factor one step before, to final_factor at step `num_cooldown` − 1."""
    return line_between(top, schedule.final_factor, (steps + 1) / num_cooldown)
