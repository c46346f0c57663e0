"""Pieces of a pass in which nothing trains, side by side: each is computed by one thread.

Threads that share each layer wait for each other at the end of every one; whatever else runs, such as the reader of the next pictures, then
holds up all of them. Two threads of a two-core machine so took 40 ms for a picture of ResNet-18, where side by side they take 31.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import torch


class Lanes:
    """As many as torch has threads on a processor; one on other devices, which find their own ways to do much at once."""

    def __init__(self, device: torch.device):
        self.count = torch.get_num_threads() if device.type == "cpu" else 1
        self._threads: ThreadPoolExecutor | None = None

    def map(self, compute: Callable[[torch.Tensor], torch.Tensor], pieces: Iterable[torch.Tensor]) -> list[torch.Tensor]:
        """`compute` of each piece, in their order. It sees no mode of the calling thread, such as inference mode. Raises what it raises first."""
        if self.count == 1:
            return [compute(piece) for piece in pieces]
        if self._threads is None:
            self._threads = self._started()
        return list(self._threads.map(compute, pieces))

    def _started(self) -> ThreadPoolExecutor:
        threads, all_there = ThreadPoolExecutor(self.count, "lane"), threading.Barrier(self.count)

        def compute_alone() -> None:
            torch.get_num_threads()  # a thread's first look takes over the number of the process, and would undo the next line later
            all_there.wait()
            torch.set_num_threads(1)  # of this thread, and of those that begin after it

        for done in [threads.submit(compute_alone) for _ in range(self.count)]:
            done.result()
        torch.set_num_threads(self.count)
        return threads

    def close(self) -> None:
        if self._threads:
            self._threads.shutdown()
            self._threads = None
