"""What the C library does with memory that a training step has freed. Nothing where it is another one than glibc.

Kept, the next step need not take it again page by page: a step of EfficientNet-Lite0 at batch 16 took 200,000 page faults and 0.77 s, without
them 0.58 s. But the heap that keeps it falls into pieces: ResNet-18 at batch 64 held 3.8 GB for what takes 2.5. So only small steps keep
everything. Of large ones a share stays, and what finds no room there has pages of its own again, which are of 2 MB where the kernel has those:
EfficientNet-Lite0 at batch 16 took 430,000 page faults and 3.3 s of processor time a step in pages of 4 KB, 46,000 and 1.9 s so, and 1.9 s in a
heap. But pages of any size are filled with zeros first. Seconds of a step of EfficientNet-Lite0 at batch 32 in the kernel, and the process at its
largest: 1.15 and 2.33 GB where nothing stays, 0.61 and 2.45 of a half, 0.37 and 2.64 of 0.8, 0.28 and 2.81 of all, 0.03 and 3.18 where nothing goes
back (a step then takes 2.03 s, with 0.8 of it 2.3, with nothing 2.75). ResNet-18 at batch 64: 1.6 and 2.18 GB of nothing, 1.1 and 2.18 of 0.3, 0.8
and 2.42 of 0.6. Imports no torch.
"""

from __future__ import annotations

import os

from studio.core import malloc

LARGE_TENSOR_BYTES = 4 << 20  # ResNet-18 at batch 64 in all, from 24 MB on 2.32 GB, from 4 MB on 2.12, in the same time
MUCH, LITTLE = 0.8, 0.2  # of what a pass takes; little costs next to no memory
_EVERYTHING = 2**31 - 1


def keep_freed_memory() -> None:
    """As a process begins, before torch is loaded."""
    malloc.map_from(_EVERYTHING)
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch asks Linux for pages of 2 MB (c10/core/impl/alloc_cpu.cpp)


def suit_step(*, is_large: bool, kept_bytes: int = 0) -> None:
    """Before steps that are large, or for which memory is tight; of these so much stays. What trials before them have left behind is given back."""
    malloc.map_from(_EVERYTHING)
    malloc.trim()
    if is_large:
        malloc.give(malloc.take(kept_bytes))  # the heap grows by it, and its end is not given back
        malloc.map_from(LARGE_TENSOR_BYTES)
