"""How the C library's malloc treats large pieces of memory. Nothing where it is another one than glibc."""

from __future__ import annotations

import contextlib
import ctypes

EVERYTHING = -1
PIECE_BYTES = 1 << 30  # malloc takes more than 2 GB from the system alone, outside of the heap
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


def take(num_bytes: int) -> list[tuple[int, int]]:
    """(address, bytes) of pieces of this thread's heap, as many as there are, whose pages come as they are written to; for `give`. To be called
    while everything comes from the heap."""
    pieces: list[tuple[int, int]] = []
    with contextlib.suppress(OSError, AttributeError, TypeError):
        malloc = ctypes.CDLL(None).malloc
        malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
        while num_bytes > 0 and (address := malloc(size := min(num_bytes, PIECE_BYTES))):
            pieces.append((address, size))
            num_bytes -= size
    return pieces


def give(pieces: list[tuple[int, int]]) -> None:
    """Pieces that were taken, to whatever is allocated next."""
    if pieces:
        free = ctypes.CDLL(None).free
        free.argtypes = [ctypes.c_void_p]
        for address, _ in pieces:
            free(address)
