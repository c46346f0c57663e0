"""Top-5 accuracy: how often the right class is among the five most likely ones."""

from __future__ import annotations

_NUM_BEST = 5


def worth_telling(top5: float | None, num_classes: int) -> float | None:
    """The figure; None where it says nothing: among five classes or fewer the right one is always among the best five."""
    return top5 if num_classes > _NUM_BEST else None
