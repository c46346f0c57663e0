"""Work on a thread of its own, for which the caller waits and stays able to listen: a read from a drive that hangs cannot be broken off."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")

TICK_S = 0.5  # how often who waits may do something else


class Aside:
    """One thread, one piece of work at a time. It ends with `close`, or with the process should it hang."""

    def __init__(self):
        self._wanted: queue.SimpleQueue = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def begin(self, work: Callable[[], T]) -> Future[T]:
        """Have it done; what it gives is for `wait`."""
        if self._thread is None:
            self._thread = threading.Thread(target=_serve, args=(self._wanted,), name="aside", daemon=True)
            self._thread.start()
        done: Future[T] = Future()
        self._wanted.put((work, done))
        return done

    def wait(self, done: Future[T], on_wait: Callable[[float], None], tick_s: float = TICK_S) -> T:
        """What work returned or raised. While it takes long, `on_wait` is called every `tick_s` with the seconds so far, and with 0 when the wait
        is over; what that raises ends the wait, and the work is left to itself."""
        num_ticks = 0
        while not wait([done], tick_s).done:
            num_ticks += 1
            on_wait(num_ticks * tick_s)
        if num_ticks:
            on_wait(0.0)
        return done.result()

    def run(self, work: Callable[[], T], on_wait: Callable[[float], None]) -> T:
        """`begin` and `wait`."""
        return self.wait(self.begin(work), on_wait)

    def close(self) -> None:
        """End the thread; one that hangs in a read is not waited for."""
        self._wanted.put(None)
        if self._thread is not None:
            self._thread.join(TICK_S)
            self._thread = None


def _serve(wanted: queue.SimpleQueue) -> None:
    while (item := wanted.get()) is not None:
        work, done = item
        try:
            done.set_result(work())
        except BaseException as exc:
            done.set_exception(exc)
        del work, done, item
