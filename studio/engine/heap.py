"""What the C library does with memory that a training step has freed. Nothing where it is another one than glibc.

Kept, the next step need not take it again page by page: a step of EfficientNet-Lite0 at batch 16 took 200,000 page faults and 0.77 s, without
them 0.58 s. But the heap that keeps it falls into pieces: ResNet-18 at batch 64 held 3.8 GB for what takes 2.5. So only small steps keep
everything; in large ones each large tensor has pages of its own again, which are of 2 MB where the kernel has those: EfficientNet-Lite0 at
batch 16 took 430,000 page faults and 3.3 s of processor time a step in pages of 4 KB, 46,000 and 1.9 s so, and 1.9 s in a heap. Imports no torch.
"""

from __future__ import annotations

import os

from studio.core import malloc

LARGE_TENSOR_BYTES = 4 << 20  # ResNet-18 at batch 64 in all, from 24 MB on 2.32 GB, from 4 MB on 2.12, in the same time
_EVERYTHING = 2**31 - 1


def keep_freed_memory() -> None:
    """As a process begins, before torch is loaded."""
    malloc.map_from(_EVERYTHING)
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch asks Linux for pages of 2 MB (c10/core/impl/alloc_cpu.cpp)


def suit_step(*, is_large: bool) -> None:
    """Before steps that are large, or for which memory is tight. What trials before them have left behind is given back."""
    malloc.map_from(LARGE_TENSOR_BYTES if is_large else _EVERYTHING)
    malloc.trim()
