"""Which corner of the learning-rate plot has room for the legend."""

from __future__ import annotations

import numpy as np

Corner = tuple[float, float]  # share of the free width from the left, of the free height from the top

_CORNERS: tuple[Corner, ...] = ((0.5, 1.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.5, 0.0), (0.0, 0.0))
_MOST_HIDDEN = 0.04  # of the points of the curves


def free_corner(y: np.ndarray, size: tuple[float, float], word: tuple[float, float] | None) -> tuple[Corner, bool]:
    """The corner that hides the least, and whether that is little enough.

    y: float[n, curves], heights at n places evenly over the width, 0 at the top and 1 at the bottom. size: width and height of the legend as
    shares of the plot. word: from where to where, as shares of the width, a word stands at the bottom; it must not be covered.
    """
    x = np.linspace(0, 1, len(y))

    def hidden(corner: Corner) -> int:
        left, top = corner[0] * (1 - size[0]), corner[1] * (1 - size[1])
        inside = (x >= left) & (x <= left + size[0])
        is_on_word = word is not None and top + size[1] > 0.85 and word[0] < left + size[0] and word[1] > left
        return int(((y[inside] >= top) & (y[inside] <= top + size[1])).sum()) + is_on_word * y.size

    best = min(_CORNERS, key=hidden)
    return best, hidden(best) <= _MOST_HIDDEN * y.size
