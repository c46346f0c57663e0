"""A free curve through points, monotone between them: PCHIP, Fritsch and Butland, SIAM J. Sci. Stat. Comput. 5 (1984) 300."""

from __future__ import annotations

import numpy as np

from studio.catalog.schedules._curve import TINY, Body, share_of
from studio.core.experiment import Schedule

TITLE = "Free curve"
HELP = "Draw it: a smooth curve through your points that never overshoots them. Double-click adds a point, Delete takes one away."
PAPER = "Fritsch and Butland 1984"
FIELDS = ("peak_lr", "points")
HAS_WARMUP = HAS_COOLDOWN = False


def knots(schedule: Schedule) -> tuple[np.ndarray, np.ndarray]:
    """Times and factors in the order of time; of points at the same time, to a billionth of the run, the last counts."""
    of = {round(time, 9): factor for time, factor in sorted(schedule.points, key=lambda point: point[0])}
    y = np.array(list(of.values()))
    return np.array(list(of.keys())), np.where(y < TINY, 0.0, y)


def factors(schedule: Schedule, steps: np.ndarray, body: Body) -> np.ndarray:
    """Level before the first point and after the last."""
    x, y = knots(schedule)
    time = np.clip(share_of(steps, body), x[0], x[-1])
    if len(x) == 1:
        return np.full(len(steps), y[0])
    slopes = _slopes(x, y)
    piece = np.clip(np.searchsorted(x, time, side="right") - 1, 0, len(x) - 2)
    length = (x[1:] - x[:-1])[piece]
    t = (time - x[piece]) / length
    value = (
        (1 + 2 * t) * (1 - t) ** 2 * y[piece]
        + t * (1 - t) ** 2 * length * slopes[piece]
        + t**2 * (3 - 2 * t) * y[piece + 1]
        + t**2 * (t - 1) * length * slopes[piece + 1]
    )
    return np.clip(value, np.minimum(y[piece], y[piece + 1]), np.maximum(y[piece], y[piece + 1]))


def python_lines(schedule: Schedule, body: Body) -> list[str]:
    x, y = knots(schedule)
    slopes = _slopes(x, y) if len(x) > 1 else np.zeros(1)
    return [
        f"x = {x.tolist()}",
        f"y = {y.tolist()}",
        f"slope = {slopes.tolist()}",
        f"t = min(max(i / {max(1, body.num_steps - 1)}, x[0]), x[-1])",
        "k = max(0, min(sum(at <= t for at in x) - 1, len(x) - 2))",
        "length = x[k + 1] - x[k]",
        "u = (t - x[k]) / length",
        "value = (1 + 2 * u) * (1 - u) ** 2 * y[k] + u * (1 - u) ** 2 * length * slope[k]",
        "value += u**2 * (3 - 2 * u) * y[k + 1] + u**2 * (u - 1) * length * slope[k + 1]",
        "return min(max(value, min(y[k], y[k + 1])), max(y[k], y[k + 1]))",
    ] if len(x) > 1 else [f"return {float(y[0])!r}"]  # fmt: skip


def torch_call(schedule: Schedule, body: Body) -> str | None:
    return None


def _slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The slope at every knot: the weighted harmonic mean of its two pieces, 0 at an extreme; three-point formulas at the ends."""
    length, rise = np.diff(x), np.diff(y) / np.diff(x)
    if len(x) == 2:
        return np.repeat(rise, 2)
    before, after = rise[:-1], rise[1:]
    first, second = 2 * length[1:] + length[:-1], length[1:] + 2 * length[:-1]
    is_monotone = before * after > 0
    inner = np.zeros(len(x) - 2)
    inner[is_monotone] = ((first + second) / (first / np.where(is_monotone, before, 1.0) + second / np.where(is_monotone, after, 1.0)))[
        is_monotone
    ]
    return np.array([_end_slope(length[0], length[1], rise[0], rise[1]), *inner, _end_slope(length[-1], length[-2], rise[-1], rise[-2])])


def _end_slope(near: float, far: float, rise: float, next_rise: float) -> float:
    """As Moler, Numerical Computing with MATLAB, 3.6: kept from overshooting."""
    slope = ((2 * near + far) * rise - near * next_rise) / (near + far)
    if np.sign(slope) != np.sign(rise):
        return 0.0
    if np.sign(rise) != np.sign(next_rise) and abs(slope) > 3 * abs(rise):
        return 3 * rise
    return slope
