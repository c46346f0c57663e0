"""Which samples a step sees: a function of the seed, the epoch and the step, never of what ran before."""

from __future__ import annotations

from collections.abc import Iterator

from studio.core.rng import epoch_order, sample_seed
from studio.engine.loader import Request


def steps_per_epoch(num_samples: int, batch_size: int) -> int:
    """Optimiser steps in one epoch. A last batch is kept unless it holds one image: batch norm cannot learn from a single one."""
    whole, rest = divmod(num_samples, batch_size)
    return whole + (rest > 1 or whole == 0)


def training_requests(seed: int, epoch: int, num_samples: int, batch_size: int, first_step: int = 0) -> Iterator[Request]:
    """The batches of one epoch from step `first_step` (within the epoch) on."""
    order = epoch_order(seed, epoch, num_samples)
    for step in range(first_step, steps_per_epoch(num_samples, batch_size)):
        indices = tuple(int(i) for i in order[step * batch_size : (step + 1) * batch_size])
        yield Request(indices, tuple(sample_seed(seed, epoch, i) for i in indices))


def evaluation_requests(first_index: int, num_samples: int, batch_size: int) -> Iterator[Request]:
    """Batches of evaluation views over `num_samples` consecutive samples."""
    end = first_index + num_samples
    for start in range(first_index, end, batch_size):
        yield Request(tuple(range(start, min(start + batch_size, end))))
