"""Pieces that several shapes share."""

from __future__ import annotations

import numpy as np

from studio.core.experiment import Schedule


def cosine_between(start: float, end: float, fraction: np.ndarray) -> np.ndarray:
    """Half a cosine from `start` at fraction 0 to `end` at fraction 1 (Loshchilov and Hutter, arXiv 1608.03983, eq. 5)."""
    return end + (start - end) / 2.0 * (np.cos(np.pi * fraction) + 1)


def num_warmup_steps(schedule: Schedule, num_steps: int) -> int:
    """Whole steps of warm-up; at least one step stays for what follows."""
    return min(int(round(schedule.warmup_fraction * num_steps)), max(0, num_steps - 1))


def with_warmup(schedule: Schedule, num_steps: int, body: np.ndarray) -> np.ndarray:
    """A linear climb from start_factor to 1 over the warm-up steps, then `body`, which fills the rest of `num_steps`.

    As torch's LinearLR(start_factor, total_iters=warm-up) chained by SequentialLR.
    """
    n = num_warmup_steps(schedule, num_steps)
    climb = schedule.start_factor + (1 - schedule.start_factor) * np.arange(n) / max(n, 1)
    return np.concatenate([climb, body])
