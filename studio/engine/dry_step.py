"""A step tried on a GPU before the first one, where the estimate of its memory comes near to what is free. docs/decisions/0006 says why not always."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from studio.engine.loader import Batch
from studio.engine.memory import StepMemory, is_out_of_memory, let_go
from studio.engine.step_trial import nothing_changed, one_pass

if TYPE_CHECKING:
    from studio.engine.setup import Setup

NEAR = 0.5  # of the free memory: below, an estimate that is 15 % off does no harm, and the start need not wait for a pass


def put_right(need: StepMemory, num_images: int, free: int, peak_of: Callable[[int], int]) -> tuple[StepMemory, int]:
    """(`need` by what a real pass took, the images that went through at once); as it came, with all images, where it is far from what is free.

    `peak_of` gives the bytes that the pass of so many images takes at its peak, and raises as torch does where they are not there: then half as
    many are tried.
    """
    if need.peak(num_images) < NEAR * free:
        return need, num_images
    while True:
        try:
            return replace(need, factor=peak_of(num_images) / need.of_pass(num_images)), num_images
        except (MemoryError, RuntimeError) as exc:
            if not is_out_of_memory(exc):
                raise
            let_go(exc)
            if num_images == 1:
                return need, 1
            num_images = -(-num_images // 2)


def taken_by(s: Setup, num_images: int) -> int:
    """Bytes that torch's allocator gives out on a GPU for the forward and backward pass of so many images, at the peak. Nothing is changed."""
    size = s.view["input_size"]
    batch = Batch(np.zeros((num_images, size, size, 3), np.uint8), np.arange(num_images))
    with nothing_changed(s):
        torch.cuda.reset_peak_memory_stats(s.device)
        before = torch.cuda.memory_allocated(s.device)
        one_pass(s, batch, s.inputs(batch), s.network.module)
        return torch.cuda.max_memory_allocated(s.device) - before
