"""The median of pairs, and how far it may lie from that of all pairs there could be."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Interval(NamedTuple):
    low: float
    middle: float
    high: float


def median_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """The median, between the order statistics that hold the true one with this probability, whatever the distribution: it lies below a value with
    probability 1/2, so how many lie below it is binomial. Least and most where there are too few (under six)."""
    ordered, count = sorted(values), len(values)
    cut, below = 0, 0.0
    while cut < (count - 1) // 2:
        below += math.comb(count, cut) / 2**count
        if 2 * below > 1 - confidence:
            break
        cut += 1
    cut = max(0, cut - 1)
    return Interval(ordered[cut], statistics.median(ordered), ordered[count - 1 - cut])
