"""The preview's processes: two that share the pictures of a grid, where the computer has two cores.

Threads would not help: what albumentations does between OpenCV's calls holds the interpreter.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from PySide6.QtCore import QObject

from studio.gui.workers import WorkerClient
from studio.supervise.worker import WorkerError, WorkerKind

_SHARED = "tiles"  # the method whose pictures do not depend on one another
_FEWEST_SHARED = 6
_NICENESS = 5  # of the second: the window and the first picture of a grid come before it
_BESIDE = frozenset({"gallery", "strip", "look"})  # long ones, which would slow the grid down in its own process


@dataclass
class _Shared:
    """One question that is in two processes: the first two tiles and every other one in the first, the rest in the second."""

    on_result: Callable[[dict], object]
    on_error: Callable[[WorkerError], object] | None
    second: int | None = None  # the request there, once it is sent
    instead: int | None = None  # the first's request for the rest, where the second could not give them
    is_over: bool = False
    results: list[dict] = field(default_factory=list)

    def finish(self, result: dict) -> None:
        self.results.append(result)
        if len(self.results) == 2 and not self.is_over:
            self.is_over = True
            spent = [each["ms_per_image"] for each in self.results if each["ms_per_image"] is not None]
            self.on_result(
                {"count": sum(each["count"] for each in self.results), "ms_per_image": sum(spent) / len(spent) if spent else None}
            )

    def fail(self, error: WorkerError) -> None:
        if not self.is_over:
            self.is_over = True
            if self.on_error:
                self.on_error(error)


class PairedWorker(WorkerClient):
    """To its callers one worker. The second process is asked when the first picture of a grid has come: that one should not wait for a core."""

    def __init__(self, kind: WorkerKind, parent: QObject | None = None):
        super().__init__(kind, parent)
        self._second = WorkerClient(kind, self, niceness=_NICENESS) if (os.cpu_count() or 1) > 1 else None
        self._shared: dict[str, tuple[int, _Shared]] = {}  # by key: the newest request of the first process

    def call(
        self,
        method: str,
        params: dict[str, Any],
        on_result: Callable[[dict], object],
        on_error: Callable[[WorkerError], object] | None = None,
        on_progress: Callable[[int, int | None, str], object] | None = None,
        *,
        on_part: Callable[[dict], object] | None = None,
        key: str | None = None,
    ) -> int:
        key = method if key is None else key
        self._give_up(key)
        subjects = params.get("subjects", ())
        if self._second is not None and method in _BESIDE:
            return -self._second.call(method, params, on_result, on_error, on_progress, on_part=on_part, key=key)
        if self._second is None or method != _SHARED or len(subjects) < _FEWEST_SHARED:
            return super().call(method, params, on_result, on_error, on_progress, on_part=on_part, key=key)
        shared = _Shared(on_result, on_error)
        places = [0, 1, *range(2, len(subjects), 2)], range(3, len(subjects), 2)  # the first is a picture ahead when the second begins
        early, late = (params | {"subjects": [subjects[i] for i in each]} for each in places)
        ask_first = super().call

        def do_without_second(_: WorkerError) -> None:
            """It cannot live, for want of memory perhaps. What is wrong with the question itself the first says too."""
            if not shared.is_over:
                shared.instead = ask_first(method, late, shared.finish, shared.fail, on_part=part_of(1), key=f"{key} rest")

        def part_of(half: int) -> Callable[[dict], None]:
            def pass_on(part: dict) -> None:
                if shared.is_over:
                    return
                if on_part:
                    on_part(part | {"tile": places[half][part["tile"]]})
                if shared.second is None and not shared.is_over:
                    shared.second = self._second.call(method, late, shared.finish, do_without_second, on_part=part_of(1), key=key)

            return pass_on

        first = ask_first(method, early, shared.finish, shared.fail, on_progress, on_part=part_of(0), key=key)
        self._shared[key] = first, shared
        return first

    def _give_up(self, key: str) -> None:
        """A newer question of the key has come, or nobody waits for it any more."""
        _, shared = self._shared.pop(key, (0, None))
        if shared is not None:
            shared.is_over = True
            if shared.second is not None:
                self._second.cancel(shared.second)
            if shared.instead is not None:
                super().cancel(shared.instead)

    @property
    def is_busy(self) -> bool:
        return super().is_busy or self._second is not None and self._second.is_busy

    def cancel(self, request: int) -> None:
        if request < 0:  # the second's own
            self._second.cancel(-request)
            return
        super().cancel(request)
        for key, (first, _) in list(self._shared.items()):
            if first == request:
                self._give_up(key)

    def warm_up(self) -> None:
        super().warm_up()
        if self._second is not None:
            self._second.warm_up()

    def rest(self) -> None:
        super().rest()
        if self._second is not None:
            self._second.rest()

    def close(self) -> None:
        if self._second is None:
            super().close()
            return
        beside = threading.Thread(target=self._second.close, name="close-second")  # each waits for its process
        beside.start()
        super().close()
        beside.join()
