"""Work on a thread of its own, for which the caller waits and stays able to listen: a read from a drive that hangs cannot be broken off."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

TICK_S = 0.5  # how often who waits may do something else


class Aside:
    """One thread, one piece of work at a time. It ends with `close`, or with the process should it hang."""

    def __init__(self):
        self._wanted: queue.SimpleQueue = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def run(self, work: Callable[[], T], on_wait: Callable[[float], None]) -> T:
        """What `work` returns or raises. While it takes long, `on_wait` is called every half second with the seconds so far, and with 0 when
        the wait is over; what that raises ends the wait, and the work is left to itself."""
        if self._thread is None:
            self._thread = threading.Thread(target=_serve, args=(self._wanted,), name="aside", daemon=True)
            self._thread.start()
        answers: queue.SimpleQueue = queue.SimpleQueue()
        self._wanted.put((work, answers))
        num_ticks = 0
        while True:
            try:
                result, fault = answers.get(timeout=TICK_S)
                break
            except queue.Empty:
                num_ticks += 1
                on_wait(num_ticks * TICK_S)
        if num_ticks:
            on_wait(0.0)
        if fault is not None:
            raise fault
        return result

    def close(self) -> None:
        """End the thread; one that hangs in a read is not waited for."""
        self._wanted.put(None)
        if self._thread is not None:
            self._thread.join(TICK_S)
            self._thread = None


def _serve(wanted: queue.SimpleQueue) -> None:
    while (item := wanted.get()) is not None:
        work, answers = item
        try:
            answers.put((work(), None))
        except BaseException as exc:
            answers.put((None, exc))
        del work, answers, item
