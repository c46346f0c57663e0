"""The least and the greatest of a growing series at every zoom: a million points are drawn with as many as there are pixels."""

from __future__ import annotations

import numpy as np


class Growing:
    """Rows of float64 that grow at their end in amortised constant time. `rows` is a view of float64[num_rows, used]."""

    __slots__ = ("_data", "used")

    def __init__(self, num_rows: int, capacity: int = 256):
        self._data = np.empty((num_rows, capacity))
        self.used = 0

    @property
    def rows(self) -> np.ndarray:
        return self._data[:, : self.used]

    def extend(self, *rows: np.ndarray) -> None:
        end = self.used + len(rows[0])
        if end > self._data.shape[1]:
            grown = np.empty((len(rows), 2 * end))
            grown[:, : self.used] = self.rows
            self._data = grown
        for row, values in zip(self._data, rows, strict=True):
            row[self.used : end] = values
        self.used = end


class Pyramid:
    """Extremes of runs of 1, 2, 4, 8, ... values of an append-only series, amortised O(1) per value.

    A value that is not finite is a gap, nan. A block is nan where all of its values are, so every gap of two blocks shows at any zoom.
    """

    __slots__ = ("_levels",)

    def __init__(self):
        self._levels = [Growing(2)]  # level k holds lows and highs of blocks of 2**k values, whole blocks only

    def __len__(self) -> int:
        return self._levels[0].used

    def extend(self, y: np.ndarray) -> None:
        y = np.where(np.isfinite(y), y, np.nan)
        below = self._levels[0]
        below.extend(y, y)
        level = 1
        while below.used >= 2:
            if level == len(self._levels):
                self._levels.append(Growing(2))
            blocks = self._levels[level]
            if blocks.used == below.used // 2:
                break
            lows, highs = below.rows[:, 2 * blocks.used : below.used // 2 * 2]
            blocks.extend(np.fmin(lows[0::2], lows[1::2]), np.fmax(highs[0::2], highs[1::2]))
            below, level = blocks, level + 1

    def extremes(self, first: int, last: int, max_blocks: int) -> tuple[np.ndarray, int, np.ndarray, np.ndarray]:
        """Blocks over the values first to last (exclusive): where each begins, their size, least and greatest (float64 each).

        At most `max_blocks` and two at the rims; these may take in values just outside. The end of the series makes a shorter block.
        """
        first, last = max(0, first), min(last, len(self))
        level = 0
        while (last - first) >> level > max_blocks:
            level += 1
        begin, end = first >> level, min(-(-last >> level), self._levels[level].used)
        lows, highs = self._levels[level].rows[:, begin:end]
        starts = np.arange(begin, max(begin, end)) << level
        rest = max(begin, end) << level
        if rest < last:
            low, high = self._rest(rest)
            starts, lows, highs = np.append(starts, rest), np.append(lows, low), np.append(highs, high)
        return starts, 1 << level, lows, highs

    def extent(self) -> tuple[float, float]:
        """Least and greatest of all; nan when there is none."""
        return self._rest(0)

    def _rest(self, start: int) -> tuple[float, float]:
        """Extremes from `start` to the end, by the largest whole blocks there are. start: a multiple of a power of two above the rest, or 0."""
        low = high = np.nan
        for level in range(len(self._levels) - 1, -1, -1):
            blocks = self._levels[level]
            index = start >> level
            if index << level == start and index < blocks.used:
                low, high = np.fmin(low, blocks.rows[0, index]), np.fmax(high, blocks.rows[1, index])
                start += 1 << level
        return float(low), float(high)
