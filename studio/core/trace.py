"""A curve made ready to be drawn, and kept ready while it grows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from studio.core.pyramid import Growing, Pyramid


class Trace:
    """Points (x, y), float64, x ascending, that only grow. What can be seen of them costs what there are pixels, however many there are."""

    def __init__(self, to_plot: Callable[[np.ndarray], np.ndarray] | None = None):
        """to_plot turns y into the units of the plot, log10 on a log axis; the points themselves keep theirs."""
        self._to_plot = to_plot
        self._points = Growing(2)
        self._pyramid = Pyramid()

    def __len__(self) -> int:
        return self._points.used

    @property
    def x(self) -> np.ndarray:
        return self._points.rows[0]

    @property
    def y(self) -> np.ndarray:
        return self._points.rows[1]

    def extend(self, x: np.ndarray, y: np.ndarray) -> None:
        if len(x):
            self._points.extend(x, y)
            self._pyramid.extend(self._to_plot(y) if self._to_plot else y)

    def set_units(self, to_plot: Callable[[np.ndarray], np.ndarray] | None) -> None:
        """Change the units of the plot: all points anew, once."""
        if to_plot is not self._to_plot:
            self._to_plot, self._pyramid = to_plot, Pyramid()
            self._pyramid.extend(to_plot(self.y) if to_plot else self.y)

    def seen(self, low: float, high: float, max_blocks: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What is to be drawn over low <= x <= high: x, least and greatest y in plot units, with one neighbour on each side."""
        first, last = np.searchsorted(self.x, [low, high], side="left")
        starts, size, lows, highs = self._pyramid.extremes(int(first) - 1, int(last) + 1, max_blocks)
        x = self.x[starts]
        if size > 1:
            x = (x + self.x[np.minimum(starts + size, len(self)) - 1]) / 2
        return x, lows, highs

    def value_at(self, x: float) -> float | None:
        """y at x, between its two neighbours; None outside and in a gap."""
        xs, ys = self.x, self.y
        if not len(xs) or x < xs[0] - 1e-9 or x > xs[-1] + 1e-9:
            return None
        right = min(int(np.searchsorted(xs, x)), len(xs) - 1)
        near = slice(max(0, right - 1), right + 1)
        value = float(np.interp(x, xs[near], ys[near]))
        return value if np.isfinite(value) else None

    def extent(self) -> tuple[float, float]:
        """Least and greatest y in plot units; nan when there is none."""
        return self._pyramid.extent()

    def sample(self, most: int) -> np.ndarray:
        """At most `most` of the y values, evenly over the curve."""
        return self.y[:: max(1, -(-len(self) // most))]
