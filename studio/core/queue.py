"""The runs that wait, in their order: one list beside the runs, shared by all windows, of which one at a time starts what waits."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from studio.core.file import write_atomically
from studio.core.json_text import parse_json
from studio.core.run_folder import EngineLock

QUEUE, STARTER = ".queue.json", ".queue.lock"


class RunQueue:
    """Folder names of waiting runs. One object per process: it may hold the right to start runs until it is closed."""

    def __init__(self, runs: str | os.PathLike):
        self._runs = Path(runs)
        self._stamp: tuple[int, int] | None = None
        self._names: tuple[str, ...] = ()
        self._lock: EngineLock | None = None
        self._is_starter = False

    @property
    def names(self) -> tuple[str, ...]:
        """As the file says now; empty where there is none or it is damaged. Costs microseconds while it stays the same."""
        try:
            info = os.stat(self._runs / QUEUE)
        except OSError:
            return ()
        if (info.st_mtime_ns, info.st_ino) != self._stamp:
            try:
                found = parse_json((self._runs / QUEUE).read_bytes())
                self._names = tuple(name for name in found if isinstance(name, str)) if isinstance(found, list) else ()
            except (OSError, ValueError):
                self._names = ()
            self._stamp = (info.st_mtime_ns, info.st_ino)
        return self._names

    def change(self, edit: Callable[[list[str]], list[str]]) -> None:
        """Replace the list by what `edit` makes of it as it stands now. OSError when it cannot be written."""
        new = list(dict.fromkeys(edit(list(self.names))))
        self._runs.mkdir(parents=True, exist_ok=True)
        write_atomically(self._runs / QUEUE, json.dumps(new).encode(), is_durable=False)

    def may_start(self) -> bool:
        """Whether this process starts what waits: the first that asks, until it ends; then another may."""
        if not self._is_starter:
            with contextlib.suppress(OSError):
                self._runs.mkdir(parents=True, exist_ok=True)
                self._lock = self._lock or EngineLock(self._runs / STARTER)
                self._is_starter = self._lock.acquire(tries=1)
        return self._is_starter

    def close(self) -> None:
        """Leave the right to others."""
        if self._lock is not None:
            self._lock.release()
        self._lock, self._is_starter = None, False
