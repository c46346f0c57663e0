"""How the C library's malloc treats large pieces of memory. Nothing where it is another one than glibc."""

from __future__ import annotations

import contextlib
import ctypes

EVERYTHING = -1
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of glibc's malloc.h


def map_from(num_bytes: int, *, keep_bytes: int = EVERYTHING, most_arenas: int = 0) -> None:
    """What is as large has pages of its own, which go back when it is freed; by itself glibc raises the bound to 32 MB as such pieces are freed.

    `keep_bytes`: so much that is free at the end of the heap stays, for what comes next. `most_arenas`: heaps that threads may have, 0 for as
    many as they like.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, num_bytes)
        mallopt(_M_TRIM_THRESHOLD, keep_bytes)
        if most_arenas:
            mallopt(_M_ARENA_MAX, most_arenas)


def trim() -> None:
    """Give back what is free."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
