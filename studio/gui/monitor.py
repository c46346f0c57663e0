"""Watches run folders on a thread of its own and hands the window what changed, in one batch five times a second at most.

One signal per event collapses at 2,000 events a second (stalls over 600 ms); one batch does not, whatever the rate.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import QObject, QThread, QTimer, Signal

from studio.core.experiment import Experiment
from studio.core.fold import RunState, fold
from studio.core.journal import JournalReader
from studio.core.outcome import Status
from studio.core.problem import BadInput
from studio.core.run_folder import RunFolder, find_runs, is_locked, settled

TICK_MS = 200
TICK_BESIDE_MS = 1000  # while a run computes on the window's own cores: it waits for each batch, and its steps are slow
LOOK_AROUND_S = 1.0
MAX_BYTES_PER_TICK = 4 << 20
FIRST_SLICE_S, SLICE_S, BETWEEN_SLICES_MS = 0.3, 0.3, 200  # pages are being made meanwhile, which needs the same interpreter
NUM_LOOKED_AT = 300  # of the runs that are over, at each look; all of them get their turn
HOT_S = 60.0  # how long a run that was asked to start is looked at every time


@dataclass(frozen=True)
class RunUpdate:
    """What is new about one run. `experiment` is None when its file cannot be read, and stands in the first update only."""

    folder: RunFolder
    state: RunState
    experiment: Experiment | None = None
    is_alive: bool = False
    number: int = 0  # its place among all runs, from 1 for the oldest


@dataclass
class _Watch:
    folder: RunFolder
    reader: JournalReader
    number: int
    state: RunState = RunState()
    is_alive: bool = False
    is_first: bool = True
    size: int = -1
    sent: tuple = field(default_factory=tuple)

    @property
    def is_over(self) -> bool:
        """Nothing is expected of it, though somebody may resume it."""
        return not (self.is_alive or self.is_first or self.size < 0 or self.state.status.is_active or self.state.status is Status.QUEUED)


class RunMonitor(QObject):
    """Owns the thread. `updated` carries all RunUpdates of one tick; `removed` the folders that are gone."""

    updated = Signal(object)  # tuple[RunUpdate, ...]
    removed = Signal(object)  # tuple[RunFolder, ...]
    _poke = Signal(object)  # RunFolder | None
    _end = Signal()

    def __init__(self, runs_dir: Path, parent: QObject | None = None):
        super().__init__(parent)
        self._thread = QThread()
        self._thread.setObjectName("run-monitor")
        self._watcher = _Watcher(runs_dir)
        self._watcher.moveToThread(self._thread)
        self._watcher.updated.connect(self.updated)
        self._watcher.removed.connect(self.removed)
        self._poke.connect(self._watcher.look_now)
        self._thread.started.connect(self._watcher.start)
        self._end.connect(self._watcher.end)

    def start(self) -> None:
        self._thread.start()

    def look_now(self, folder: RunFolder | None = None) -> None:
        """Look at once instead of within a second: a run was made or started."""
        self._poke.emit(folder)

    def close(self) -> None:
        """End the thread; at most the time of one tick."""
        if self._thread.isRunning():
            self._end.emit()
            self._thread.wait()


class _Watcher(QObject):
    """Lives in the monitor's thread."""

    updated = Signal(object)
    removed = Signal(object)

    def __init__(self, runs_dir: Path):
        super().__init__()
        self._runs_dir = runs_dir
        self._watches: dict[Path, _Watch] = {}
        self._unread: list[_Watch] = []  # the newest last
        self._num_numbered = 0
        self._turn = 0
        self._hot: dict[Path, float] = {}  # time.monotonic() until which it is looked at
        self._last_look = 0.0
        self._timer: QTimer | None = None

    def start(self) -> None:
        self._timer = QTimer(interval=TICK_MS)  # made here, in the monitor's thread
        self._timer.timeout.connect(self._on_timer_timeout)
        self._timer.start()
        self.look_around()

    def end(self) -> None:
        """Stop the timer in the thread that owns it, then the thread."""
        self._timer.stop()
        self._timer = None
        self.thread().quit()

    def look_now(self, folder: RunFolder | None) -> None:
        if folder is not None:
            self._hot[folder.path] = time.monotonic() + HOT_S
        self.look_around()

    def look_around(self) -> None:
        """New and vanished folders, locks, and journals that grew though their run had ended."""
        self._last_look = time.monotonic()
        folders = find_runs(self._runs_dir)
        for folder in folders:
            if folder.path not in self._watches:
                self._num_numbered += 1
                watch = self._watches[folder.path] = _Watch(folder, JournalReader(folder.journal_path), self._num_numbered)
                self._unread.append(watch)
        there = {folder.path for folder in folders}
        gone = [watch.folder for path, watch in self._watches.items() if path not in there]
        for folder in gone:
            del self._watches[folder.path]
        if gone:
            self.removed.emit(tuple(gone))
        self._hot = {path: until for path, until in self._hot.items() if until > self._last_look}
        known = self._due()
        for watch in known:
            watch.is_alive = is_locked(watch.folder.lock_path)
        self._read(known)
        if self._unread:
            self._read_unread(FIRST_SLICE_S)

    def _due(self) -> list[_Watch]:
        """Runs of which something may be new, and in turn some of those that are over."""
        read = [watch for watch in self._watches.values() if not watch.is_first]
        over = [watch for watch in read if watch.is_over and watch.folder.path not in self._hot]
        if len(over) <= NUM_LOOKED_AT:
            return read
        self._turn = (self._turn + NUM_LOOKED_AT) % len(over)
        skipped = set(map(id, over)) - set(map(id, (over + over)[self._turn : self._turn + NUM_LOOKED_AT]))
        return [watch for watch in read if id(watch) not in skipped]

    def _read_unread(self, seconds: float = SLICE_S) -> None:
        """Runs that were not read yet, newest first, for some time; the rest follows."""
        end, updates = time.monotonic() + seconds, []
        while self._unread and (not updates or time.monotonic() < end):
            watch = self._unread.pop()
            if self._watches.get(watch.folder.path) is watch and watch.is_first:
                watch.is_alive = is_locked(watch.folder.lock_path)
                updates += self._updates_of([watch])
        if updates:
            self.updated.emit(tuple(updates))
        if self._unread and self._timer is not None:
            QTimer.singleShot(BETWEEN_SLICES_MS, self, self._read_unread)

    def _on_timer_timeout(self) -> None:
        if time.monotonic() - self._last_look >= LOOK_AROUND_S:
            self.look_around()
        else:
            self._read([watch for watch in self._watches.values() if watch.is_alive])
        shares = any(watch.sent and watch.sent[0].shares_cores for watch in self._watches.values())
        self._timer.setInterval(TICK_BESIDE_MS if shares else TICK_MS)

    def _read(self, watches: list[_Watch]) -> None:
        if updates := self._updates_of(watches):
            self.updated.emit(tuple(updates))

    def _updates_of(self, watches: list[_Watch]) -> list[RunUpdate]:
        updates = []
        for watch in watches:
            if self._catch_up(watch):
                experiment = _experiment_of(watch) if watch.is_first else None
                updates.append(RunUpdate(watch.folder, watch.sent[0], experiment, watch.is_alive, watch.number))
                watch.is_first = False
        return updates

    def _catch_up(self, watch: _Watch) -> bool:
        """Read what is new; True when there is something to tell."""
        size = _size_of(watch.folder.journal_path)
        if size != watch.size:
            if size < watch.size:  # replaced by a shorter file: begin again
                watch.reader, watch.state = JournalReader(watch.folder.journal_path), RunState()
            events = watch.reader.read_columns(MAX_BYTES_PER_TICK)
            watch.state = fold(watch.state, events)
            watch.size = size
            if len(events) and size > MAX_BYTES_PER_TICK:
                watch.size = -1  # there may be more
        if watch.state.status.is_active and not watch.is_alive:
            watch.is_alive = is_locked(watch.folder.lock_path)  # an engine may have started since the lock was looked at
        told = (settled(watch.state, is_alive=watch.is_alive), watch.is_alive)
        if not watch.is_first and told[0] == watch.sent[0] and told[1] == watch.sent[1]:
            return False
        watch.sent = told
        return True


def _experiment_of(watch: _Watch) -> Experiment | None:
    try:
        return watch.folder.experiment()
    except BadInput:
        return None


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
