"""How an epoch is cut into batches and steps. The engine and the window count by the same functions."""

from __future__ import annotations


def batches_per_epoch(num_samples: int, batch_size: int) -> int:
    """Batches in one epoch. A last batch is kept unless it holds one image: batch norm cannot learn from a single one."""
    whole, rest = divmod(num_samples, batch_size)
    return whole + (rest > 1 or whole == 0)


def steps_per_epoch(num_samples: int, batch_size: int, accumulation: int = 1) -> int:
    """Optimiser steps in one epoch, each of `accumulation` batches; the last may have fewer."""
    return -(-batches_per_epoch(num_samples, batch_size) // accumulation)
