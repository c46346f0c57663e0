"""Which samples a step sees: a function of the seed, the epoch and the step, never of what ran before."""

from __future__ import annotations

from collections.abc import Iterator

from studio.core.batch_plan import batches_per_epoch, steps_per_epoch
from studio.core.rng import sample_seed, training_order
from studio.engine.loader import Request

__all__ = ["batches_per_epoch", "evaluation_requests", "images_of_step", "steps_per_epoch", "training_requests"]


def images_of_step(num_samples: int, batch_size: int, accumulation: int, step: int) -> int:
    """Images that step `step` (within the epoch) sees in all its batches."""
    num_used = min(num_samples, batches_per_epoch(num_samples, batch_size) * batch_size)
    first = step * batch_size * accumulation
    return min(first + batch_size * accumulation, num_used) - first


def training_requests(
    seed: int,
    epoch: int,
    num_samples: int,
    batch_size: int,
    first_step: int = 0,
    accumulation: int = 1,
    *,
    num_synthetic: int = 0,
    num_taken: int = 0,
    draws: bool = True,
) -> Iterator[Request]:
    """The batches of one epoch from step `first_step` (within the epoch) on.

    `num_samples` are the real images; of the `num_synthetic` made ones behind them an epoch takes `num_taken`. Without `draws` nothing says how to
    vary the pictures: their features are there.
    """
    order = training_order(seed, epoch, num_samples, num_synthetic, num_taken)
    for batch in range(first_step * accumulation, batches_per_epoch(len(order), batch_size)):
        indices = tuple(int(i) for i in order[batch * batch_size : (batch + 1) * batch_size])
        yield Request(indices, tuple(sample_seed(seed, epoch, i) for i in indices) if draws else None)


def evaluation_requests(first_index: int, num_samples: int, batch_size: int) -> Iterator[Request]:
    """Batches of evaluation views over `num_samples` consecutive samples."""
    end = first_index + num_samples
    for start in range(first_index, end, batch_size):
        yield Request(tuple(range(start, min(start + batch_size, end))))
