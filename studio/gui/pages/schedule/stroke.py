"""What the curves of the Schedule page are drawn from: points, and how a line looks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PySide6.QtGui import QPen

from studio.gui.pages.schedule.curve import Curves
from studio.gui.theme import pen

_NONE = np.empty(0)
_MANY_STEPS = 50_000  # a step is then a twentieth of a pixel or less, and an edge across it upright by itself


@dataclass(frozen=True)
class Stroke:
    """How a curve is drawn."""

    token: str
    width: float = 2.2
    dash: tuple[float, ...] = ()
    alpha: float = 1.0
    kind: str = "line"

    def pen(self) -> QPen:
        return pen(self.token, self.width, self.alpha, self.dash)


class Points:
    """What a CurveItem draws, where there are no more points than can be seen."""

    def __init__(self, x: np.ndarray = _NONE, y: np.ndarray = _NONE):
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def span_of_change(self, other: Points) -> tuple[float, float] | None:
        """From where to where a line through these points differs from that through others; None for nowhere."""
        if len(self) != len(other) or self.x is not other.x and not np.array_equal(self.x, other.x):
            return -np.inf, np.inf
        at = np.flatnonzero((self.y != other.y) & ~(np.isnan(self.y) & np.isnan(other.y)))
        return (float(self.x[max(0, at[0] - 1)]), float(self.x[min(len(self) - 1, at[-1] + 1)])) if len(at) else None

    def seen(self, low: float, high: float, max_blocks: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.x, self.y, self.y


def with_jumps(curves: Curves) -> tuple[np.ndarray, np.ndarray]:
    """Steps and rates of the curves with upright edges at their jumps: a rate holds until the step that takes another one."""
    if not curves.jumps or curves.steps[-1] > _MANY_STEPS:
        return curves.steps, curves.rates
    at = np.searchsorted(curves.steps, curves.jumps)
    at = at[(at > 0) & (at < len(curves.steps))]
    order = np.sort(np.concatenate([np.arange(len(curves.steps)), at]))  # the point of a jump twice
    is_edge = np.append(order[1:] == order[:-1], False)
    return curves.steps[order], curves.rates[order - is_edge]
