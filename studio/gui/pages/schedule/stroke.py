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
