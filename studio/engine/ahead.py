"""Memory for the first step, taken page by page beside the loading of libraries, which keeps a single core busy.

The first step of EfficientNet-Lite0 at batch 32 met 670,000 page faults, 2 s of the processor's time; later steps find the pages in the heap.
How much a step keeps there was measured in the first run of the same network and size; no more than it was estimated to take, since a heap also
counts what is free between its pieces, and what was taken ahead stays until the run ends. Nothing where the C library is another one than glibc.

Pages are taken by writing to them, which costs 0.6 s more on the core that is idle than asking the kernel for many at once (MADV_POPULATE_WRITE).
But meanwhile nothing else can be mapped, and every call hands Python's lock back and forth: beside that `import torch` stood still for 0.5 to
1.2 s in pieces of any size from 64 KB to 4 MB, and for 0.04 s beside this. Imports no torch.
"""

from __future__ import annotations

import ctypes
import json
import threading
from collections.abc import Callable

import psutil

from studio.core import malloc
from studio.core.experiment import Experiment
from studio.engine.verdict import remember, remembered

MOST = 0.25  # of the memory that is free
TICK_S = 0.02  # how often somebody who waits for it may do something else
CHUNK_BYTES = 32 << 20  # written in one call, for which `hand_over` may have to wait: about 25 ms
_VERDICTS = "heap-5"
_DECIDES = {  # how much memory a step takes
    "model": {"source", "backbone", "cut", "head", "input_size", "train_stages", "thaw", "layers", "batch_norm"},
    "optimiser": {"kind", "ema_decay"},
    "training": {"batch_size", "precision", "checkpointing", "compile", "feature_cache", "device"},
}


class _Use(ctypes.Structure):
    """mallinfo2 of glibc's malloc.h."""

    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]


class Ahead:
    """One for a process, since there is one heap: `begin` as it starts, `hand_over` before the first step, `note` after some steps."""

    def __init__(self):
        self._pieces: list[tuple[int, int]] = []
        self._thread: threading.Thread | None = None
        self._stops = threading.Event()
        self._begun = ""  # key of what it was begun for
        self._noted = ""  # key of what is measured; empty where that was done before
        self._used_before: int | None = None
        self.num_bytes = 0  # taken and not handed over yet

    def begin(self, experiment: Experiment, num_processes: int = 1) -> None:
        """Take what the first run of the same size had, in a thread; of all processes together at most a share of the memory that is free.
        What was begun for such a run already goes on."""
        key = key_of(experiment)
        if key == self._begun and self._pieces:
            return
        self.give_back()  # what was taken for a step of another size, and what is free of trials before
        self._begun, self._used_before, self._stops = key, None, threading.Event()
        wish = remembered(_VERDICTS, key)
        self._noted = (
            "" if wish is not None else key
        )  # measured again, what was taken ahead would count too, and the figure grow from run to run
        if isinstance(wish, int) and 0 < wish < MOST * psutil.virtual_memory().available / num_processes:
            self._pieces = malloc.take(wish)  # by this thread: others have heaps of their own
            self._thread = threading.Thread(target=self._write, args=(self._pieces,), name="memory ahead", daemon=True)
            self._thread.start()

    def _write(self, pieces: list[tuple[int, int]]) -> None:
        for piece, size in pieces:
            for at in range(0, size, CHUNK_BYTES):
                if self._stops.is_set():
                    return
                num_bytes = min(CHUNK_BYTES, size - at)
                ctypes.memset(piece + at, 0, num_bytes)  # lets go of Python's lock
                self.num_bytes += num_bytes

    @property
    def held_bytes(self) -> int:
        """Of all pieces, written or not."""
        return sum(size for _, size in self._pieces)

    def wait(self, is_over: Callable[[], bool]) -> None:
        """Until all of it is taken, or `is_over`, which is asked many times a second."""
        while self._thread is not None and self._thread.is_alive() and not is_over():
            self._thread.join(TICK_S)

    def hand_over(self) -> None:
        """To whatever is allocated next; what is not taken yet is left."""
        self._stops.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        malloc.give(self._pieces)
        self._pieces, self.num_bytes = [], 0
        if self._used_before is None and (use := _use()):
            self._used_before = use.uordblks

    def give_back(self) -> None:
        """To the system. Of what is begun again later, as much is taken again."""
        self.hand_over()
        malloc.trim()

    def note(self, most: int) -> None:
        """Remember for later runs what the steps so far have had of the heap, or `most` bytes; once, in the first run of its size."""
        if self._noted and self._used_before is not None and (use := _use()):
            remember(_VERDICTS, self._noted, max(0, min(most, use.arena - self._used_before)))
            self._noted = ""


def key_of(experiment: Experiment) -> str:
    """Of runs whose steps take as much memory."""
    return json.dumps(experiment.model_dump(mode="json", include=_DECIDES), sort_keys=True, separators=(",", ":"))


def _library() -> ctypes.CDLL | None:
    """The C library; None on Windows, where ctypes raises TypeError."""
    try:
        return ctypes.CDLL(None)
    except (OSError, TypeError):
        return None


def _use() -> _Use | None:
    mallinfo = getattr(_library(), "mallinfo2", None)  # glibc 2.33
    if mallinfo is None:
        return None
    mallinfo.restype = _Use
    return mallinfo()


ahead = Ahead()
