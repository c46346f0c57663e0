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

    __slots__ = ("_buffer", "_length")

    def __init__(self, _buffer: _Buffer | None = None, _length: int = 0):
        self._buffer = _buffer or _Buffer(256)
        self._length = _length

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
        if buffer.used != self._length or end > buffer.data.shape[1]:
            buffer = _Buffer(max(256, 2 * end))
            buffer.data[:, : self._length] = self._buffer.data[:, : self._length]
        buffer.data[0, self._length : end] = x
        buffer.data[1, self._length : end] = y
        buffer.used = end
        return Curve(buffer, end)

    def before(self, x: float) -> Curve:
        """The points with abscissa < x; x must ascend along the curve. Used when a resume goes back behind the last report."""
        end = int(np.searchsorted(self.x, x, side="left"))
        return self if end == self._length else Curve().extended(self.x[:end], self.y[:end])


def decimated(x: np.ndarray, y: np.ndarray, max_points: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """At most `max_points` points that keep every extreme: least and greatest y of equal runs of points, in order."""
    n = len(x)
    if n <= max_points:
        return x, y
    size = -(-n // max(1, max_points // 2 - 1))
    whole = n - n % size
    blocks = y[:whole].reshape(-1, size)
    starts = np.arange(0, whole, size)
    with np.errstate(invalid="ignore"):
        low = np.argmin(blocks, axis=1) + starts
        high = np.argmax(blocks, axis=1) + starts
    picks = np.sort(np.stack([low, high]), axis=0).T.ravel()
    if whole < n:
        tail = y[whole:]
        picks = np.concatenate([picks, np.sort([whole + np.argmin(tail), whole + np.argmax(tail)])])
    return x[picks], y[picks]


def smoothed(y: np.ndarray, weight: float) -> np.ndarray:
    """Exponential moving average with bias correction (as Adam's moments, arXiv 1412.6980); weight in [0, 1), 0 is off.

    A value that is not finite counts as the one before it. A million points take a few milliseconds: blocks are summed by numpy
    and only their carries go through Python.
    """
    n = len(y)
    if weight <= 0 or n == 0:
        return y
    last = np.maximum.accumulate(np.where(np.isfinite(y), np.arange(n), -1))
    filled = np.where(last >= 0, y[np.maximum(last, 0)], 0.0)
    size = 128 if weight >= 0.05 else 32  # weight ** -size must stay far from overflow
    num_blocks = -(-n // size)
    blocks = np.zeros((num_blocks, size))
    blocks.ravel()[:n] = filled
    powers = weight ** np.arange(1, size + 1)
    sums = (1 - weight) * np.cumsum(blocks / powers, axis=1) * powers
    carries = np.empty(num_blocks)
    carry = 0.0
    for i, end in enumerate(sums[:, -1].tolist()):
        carries[i] = carry
        carry = carry * powers[-1] + end
    mean = (sums + carries[:, None] * powers).ravel()[:n]
    num_biased = min(n, int(np.log(1e-17) / np.log(weight)) + 1)  # after that the correction is 1 to the last bit
    mean[:num_biased] /= 1 - weight ** np.arange(1, num_biased + 1)
    return mean
