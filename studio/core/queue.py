"""The runs that wait, in their order: one list beside the runs, shared by all windows, of which one at a time starts what waits."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

from studio.core.file import write_atomically
from studio.core.file_lock import FileLock, in_turn
from studio.core.json_text import parse_json

QUEUE, STARTER, CHANGE = ".queue.json", ".queue.lock", ".queue-change.lock"
_one_thread = threading.Lock()  # the lock of a file belongs to a process


class RunQueue:
    """Folder names of waiting runs. One object per process: it may hold the right to start runs until it is closed. Any thread may ask and change."""

    def __init__(self, runs: str | os.PathLike):
        self._runs = Path(runs)
        self._stamp: tuple[int, int] | None = None
        self._names: tuple[str, ...] = ()
        self._lock: FileLock | None = None
        self._is_starter = False

    @property
    def names(self) -> tuple[str, ...]:
        """As the file says now; empty where there is none or it is damaged. Costs microseconds while it stays the same."""
        with contextlib.suppress(OSError):  # what was read last counts
            try:
                info = os.stat(self._runs / QUEUE)
            except FileNotFoundError:
                self._names, self._stamp = (), None
            else:
                if (info.st_mtime_ns, info.st_ino) != self._stamp:
                    self._names, self._stamp = self._read(), (info.st_mtime_ns, info.st_ino)
        return self._names

    def _read(self) -> tuple[str, ...]:
        """Raises OSError where there is a list that cannot be read; one that is damaged counts as empty."""
        try:
            found = parse_json((self._runs / QUEUE).read_bytes())
        except (FileNotFoundError, ValueError):
            return ()
        return tuple(name for name in found if isinstance(name, str)) if isinstance(found, list) else ()

    def change(self, edit: Callable[[list[str]], list[str]]) -> None:
        """Replace the list by what `edit` makes of it as it stands now. OSError when it cannot be read or written."""
        self._runs.mkdir(parents=True, exist_ok=True)
        with _one_thread, in_turn(self._runs / CHANGE):
            new = list(dict.fromkeys(edit(list(self._read()))))
            write_atomically(self._runs / QUEUE, json.dumps(new).encode(), is_durable=False)

    def may_start(self) -> bool:
        """Whether this process starts what waits: the first that asks, until it ends; then another may."""
        if not self._is_starter:
            with contextlib.suppress(OSError):
                self._runs.mkdir(parents=True, exist_ok=True)
                self._lock = self._lock or FileLock(self._runs / STARTER)
                self._is_starter = self._lock.acquire(tries=1)
        return self._is_starter

    def close(self) -> None:
        """Leave the right to others."""
        if self._lock is not None:
            self._lock.release()
        self._lock, self._is_starter = None, False
