"""Growing series of numbers, cheap to extend and to hold on to, and their reduction for drawing."""

from __future__ import annotations

import numpy as np


class _Buffer:
    __slots__ = ("data", "used")

    def __init__(self, capacity: int):
        self.data = np.empty((2, capacity))
        self.used = 0


class Curve:
    """An immutable series of points (x, y), float64. `extended` returns a longer curve in amortised constant time per point:
    curves share one buffer, and a curve only ever sees its own length of it."""

    __slots__ = ("_buffer", "_length", "origin")

    def __init__(self, _buffer: _Buffer | None = None, _length: int = 0, _origin: object = None):
        self._buffer = _buffer or _Buffer(256)
        self._length = _length
        self.origin = _origin or object()  # of two curves with the same origin, the shorter is how the longer one begins

    def __len__(self) -> int:
        return self._length

    @property
    def x(self) -> np.ndarray:
        """float64[len(self)], read-only view."""
        return self._view(0)

    @property
    def y(self) -> np.ndarray:
        """float64[len(self)], read-only view."""
        return self._view(1)

    def _view(self, row: int) -> np.ndarray:
        view = self._buffer.data[row, : self._length]
        view.flags.writeable = False
        return view

    def extended(self, x, y) -> Curve:
        """This curve followed by the points (x, y)."""
        x, y = np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(y, float))
        buffer, end = self._buffer, self._length + len(x)
        origin = self.origin if buffer.used == self._length else None  # a second continuation is another curve
        if buffer.used != self._length or end > buffer.data.shape[1]:
            buffer = _Buffer(max(256, 2 * end))
            buffer.data[:, : self._length] = self._buffer.data[:, : self._length]
        buffer.data[0, self._length : end] = x
        buffer.data[1, self._length : end] = y
        buffer.used = end
        return Curve(buffer, end, origin)

    def before(self, x: float) -> Curve:
        """The points with abscissa < x; x must ascend along the curve. Used when a resume goes back behind the last report."""
        end = int(np.searchsorted(self.x, x, side="left"))
        return self if end == self._length else Curve().extended(self.x[:end], self.y[:end])


def thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half of the points: of every four in a row the least and the greatest, so that no extreme and no gap is lost."""
    whole = len(y) // 4 * 4
    fours = y[:whole].reshape(-1, 4)
    low = np.argmin(fours, axis=1)  # a nan is taken for the least, so that the gap stays
    high = np.argmax(np.where(np.isnan(fours), -np.inf, fours), axis=1)
    first, second = np.minimum(low, high), np.maximum(low, high)
    is_same = first == second
    first, second = np.where(is_same & (second != 0), 0, first), np.where(is_same & (second == 0), 3, second)
    start = np.arange(0, whole, 4)
    kept = np.concatenate([np.column_stack([start + first, start + second]).ravel(), np.arange(whole, len(y))])
    return x[kept], y[kept]


def smoothed(y: np.ndarray, weight: float) -> np.ndarray:
    """Exponential moving average with bias correction (as Adam's moments, arXiv 1412.6980); weight in [0, 1), 0 is off."""
    return Smoother(weight).extended(y)


class Smoother:
    """The average of `smoothed` over a series that arrives in parts: each part goes on where the one before it ended.

    A value that is not finite counts as the one before it. A million points take a few milliseconds: blocks are summed by numpy
    and only their carries go through Python.
    """

    def __init__(self, weight: float):
        self.weight = weight
        self._num_seen = 0
        self._last = 0.0  # the last finite value
        self._mean = 0.0  # before its bias is corrected

    def extended(self, y: np.ndarray) -> np.ndarray:
        """The averages at the values y, float64 like y, which follow all that were given before."""
        weight, n = self.weight, len(y)
        if weight <= 0 or n == 0:
            return y
        last = np.maximum.accumulate(np.where(np.isfinite(y), np.arange(n), -1))
        filled = np.where(last >= 0, y[np.maximum(last, 0)], self._last)
        size = 128 if weight >= 0.05 else 32  # weight ** -size must stay far from overflow
        num_blocks = -(-n // size)
        blocks = np.zeros((num_blocks, size))
        blocks.ravel()[:n] = filled
        powers = weight ** np.arange(1, size + 1)
        sums = (1 - weight) * np.cumsum(blocks / powers, axis=1) * powers
        carries = np.empty(num_blocks)
        carry = self._mean
        for i, end in enumerate(sums[:, -1].tolist()):
            carries[i] = carry
            carry = carry * powers[-1] + end
        mean = (sums + carries[:, None] * powers).ravel()[:n]
        self._last, self._mean = float(filled[-1]), float(mean[-1])
        num_biased = int(np.log(1e-17) / np.log(weight)) + 1 - self._num_seen  # after that the correction is 1 to the last bit
        if num_biased > 0:
            first = mean[:num_biased]
            first /= 1 - weight ** np.arange(self._num_seen + 1, self._num_seen + 1 + len(first))
        self._num_seen += n
        return mean
