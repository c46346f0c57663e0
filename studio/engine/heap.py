"""What the C library does with memory that a training step has freed. Nothing where it is another one than glibc.

Kept, the next step need not take it again page by page: a step of EfficientNet-Lite0 at batch 16 took 200,000 page faults and 0.77 s, without
them 0.58 s. But the heap that keeps it falls into pieces: ResNet-18 at batch 64 held 3.8 GB for what takes 2.5. So only small steps keep
everything; in large ones each large tensor has pages of its own again, at some per cent of their time. Imports no torch.
"""

from __future__ import annotations

from studio.core import malloc

LARGE_STEP_BYTES = 800_000_000  # what may be lost to pieces of a heap grows with the step: ResNet-18 at batch 64, 1 GB, took 1.6 GB more
LARGE_TENSOR_BYTES = 4 << 20  # ResNet-18 at batch 64 in all, from 24 MB on 2.32 GB, from 4 MB on 2.12, in the same time
_EVERYTHING = 2**31 - 1


def keep_freed_memory(up_to: int = _EVERYTHING) -> None:
    """As a process begins, and for small steps; of pieces that are larger than `up_to` bytes nothing is kept."""
    malloc.map_from(up_to)


def suit_step(num_bytes: int, *, is_tight: bool = False) -> None:
    """Before steps that take so much. What trials before them have left behind is given back. Where memory is `is_tight`, small steps too give
    theirs back: ResNet-18 at batch 64 held 3.5 GB with its activations computed again, and 2.8 GB with all of them kept."""
    malloc.map_from(LARGE_TENSOR_BYTES if num_bytes >= LARGE_STEP_BYTES or is_tight else _EVERYTHING)
    malloc.trim()
