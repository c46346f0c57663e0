"""Watches run folders on a thread of its own and hands the window what changed, in one batch five times a second at most.

One signal per event collapses at 2,000 events a second (stalls over 600 ms); one batch does not, whatever the rate.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QThread, QTimer, Signal

from studio.core.experiment import Experiment
from studio.core.file_lock import is_locked
from studio.core.fold import RunState, fold
from studio.core.journal import JournalReader
from studio.core.outcome import Status
from studio.core.problem import BadInput
from studio.core.run_digest import RunDigest
from studio.core.run_folder import RunFolder, run_names, settled
from studio.core.run_index import RunIndex, Stamp, stamp_of

TICK_MS = 200
TICK_BESIDE_MS = 1000  # while a run computes on the window's own cores: it waits for each batch, and its steps are slow
MOST_TICK_MS, UNWATCHED_SHARE = 5000, 0.01  # beside such a run while nobody watches: so rarely that the window takes this much of a core
LOOK_AROUND_S = 1.0
MAX_BYTES_PER_TICK = 4 << 20
FIRST_SLICE_S, SLICE_S, BETWEEN_SLICES_MS = 0.3, 0.3, 200  # pages are being made meanwhile, which needs the same interpreter
SLICE_BESIDE_S = 0.05  # and a slice in TICK_BESIDE_MS, while a run computes on the same cores: a twentieth of one of them
AT_ONCE, MOST_AT_ONCE = (
    500,
    2000,
)  # runs of the index in one batch: soon something to see, then few batches, each taken between two pictures
NUM_WHOLE = 16  # of the runs that are over, the first that are read are told with all their points, so that they need not be read twice
NUM_LOOKED_AT = 300  # of the runs that are over, at each look; all of them get their turn
NUM_CHECKED = 200  # of those told from the index without a look at their files, at each tick between two looks
HOT_S = 60.0  # how long a run that was asked to start is looked at every time


@dataclass(frozen=True, slots=True)
class RunUpdate:
    """What is new about one run. `experiment` is None when its file cannot be read, and stands in the first update only. `state` is None
    where nothing but the digest is known."""

    folder: RunFolder
    state: RunState | None
    experiment: Experiment | None = None
    is_alive: bool = False
    number: int = 0  # its place among all runs, from 1 for the oldest
    digest: RunDigest | None = None


@dataclass(slots=True)
class _Watch:
    folder: RunFolder
    number: int
    reader: JournalReader | None = None  # None while nobody follows the journal
    state: RunState = RunState()
    is_alive: bool = False
    is_first: bool = True
    is_wanted: bool = False  # whole, because somebody looks at it
    stamp: Stamp = (-1, -1, -1, -1)
    sent: tuple[RunState, bool] | None = None  # None where nothing but the digest was
    digest: RunDigest | None = None

    @property
    def status(self) -> Status:
        return self.digest.summary.status if self.digest is not None else self.state.status

    @property
    def is_over(self) -> bool:
        """Nothing is expected of it, though somebody may resume it."""
        return not (self.is_alive or self.is_first or self.stamp[0] < 0 or self.status.is_active or self.status is Status.QUEUED)


class RunMonitor(QObject):
    """Owns the thread. `updated` carries all RunUpdates of one tick; `removed` the folders that are gone."""

    updated = Signal(object)  # tuple[RunUpdate, ...]
    removed = Signal(object)  # tuple[RunFolder, ...]
    listed = Signal()  # once, when all runs that the index knows have been told
    progressed = Signal(int, int)  # runs read, runs there; while they are read for the first time
    _poke = Signal(object)  # RunFolder | None
    _want = Signal(object)  # RunFolder
    _end = Signal()

    def __init__(self, runs_dir: Path, parent: QObject | None = None, *, is_watched: Callable[[], bool] = lambda: True):
        """is_watched: whether somebody looks at the window; asked in the monitor's thread."""
        super().__init__(parent)
        self._thread = QThread()
        self._thread.setObjectName("run-monitor")
        self._watcher = _Watcher(runs_dir, is_watched)
        self._watcher.moveToThread(self._thread)
        self._untold: deque[tuple[str, tuple]] = deque()
        self._next = QTimer(self, singleShot=True, interval=0)
        self._next.timeout.connect(self._pass_on)
        self._watcher.told.connect(self._on_watcher_told)
        self._poke.connect(self._watcher.look_now)
        self._want.connect(self._watcher.read_whole)
        self._thread.started.connect(self._watcher.start)
        self._end.connect(self._watcher.end)

    def start(self) -> None:
        self._thread.start()

    def _on_watcher_told(self, what: str, values: tuple) -> None:
        """One batch in each turn of the event loop, so that between two of them the window can paint and answer."""
        self._untold.append((what, values))
        self._next.start()

    def _pass_on(self) -> None:
        what, values = self._untold.popleft()
        if self._untold:
            self._next.start()
        getattr(self, what).emit(*values)

    def look_now(self, folder: RunFolder | None = None) -> None:
        """Look at once instead of at the next tick: a run was made or started, or somebody came."""
        self._poke.emit(folder)

    def read_whole(self, folder: RunFolder) -> None:
        """Read the journal of a run of which only the digest is known; an update with its state follows."""
        self._want.emit(folder)

    def close(self) -> None:
        """End the thread; at most the time of one tick."""
        self._next.stop()
        self._untold.clear()
        if self._thread.isRunning():
            self._end.emit()
            self._thread.wait()


class _Watcher(QObject):
    """Lives in the monitor's thread."""

    told = Signal(str, object)  # which signal of RunMonitor, with what

    def __init__(self, runs_dir: Path, is_watched: Callable[[], bool]):
        super().__init__()
        self._is_watched = is_watched
        self._runs_dir = str(runs_dir.absolute())
        self._watches: dict[str, _Watch] = {}  # by folder name
        self._unread: list[_Watch] = []  # the next one last
        self._index: RunIndex | None = None
        self._indexed: dict[str, tuple[Stamp, RunDigest]] = {}  # not used yet
        self._to_keep: list[tuple[str, Stamp, RunDigest]] = []
        self._unchecked: list[_Watch] = []  # told as the index has them; the next one last
        self._is_listed = False
        self._num_whole = 0  # runs that are over and were told with all their points
        self._numbers: dict[str, int] = {}  # by folder name; a run that was taken back from the bin has the one it had
        self._turn = 0
        self._hot: dict[str, float] = {}  # time.monotonic() until which it is looked at
        self._last_look = 0.0
        self._used_s = 0.0  # of the processor by the whole window, up to the last tick
        self._timer: QTimer | None = None
        self._next_slice: QTimer | None = None

    def start(self) -> None:
        self._timer = QTimer(interval=TICK_MS)  # made here, in the monitor's thread
        self._timer.timeout.connect(self._on_timer_timeout)
        self._timer.start()
        self._next_slice = QTimer(singleShot=True)
        self._next_slice.timeout.connect(self._read_unread)
        self._index = RunIndex(self._runs_dir)
        self._indexed = self._index.load()
        self.look_around()
        if self._indexed and self._watches:
            self._index.forget(self._indexed)  # their folders are gone, or have changed and are read anew
        self._indexed = {}

    def end(self) -> None:
        """Stop the timer in the thread that owns it, then the thread."""
        self._timer.stop()
        self._next_slice.stop()
        self._timer = self._next_slice = None
        self._keep()
        self._index.close()
        self.thread().quit()

    def look_now(self, folder: RunFolder | None) -> None:
        if folder is not None:
            self._hot[folder.name] = time.monotonic() + HOT_S
        self.look_around()
        self._timer.setInterval(self._wait_ms())

    def read_whole(self, folder: RunFolder) -> None:
        watch = self._watches.get(folder.name)
        if watch is not None and not watch.is_wanted:
            watch.is_wanted = True
            self._unread.append(watch)
            self._read_unread()

    def look_around(self) -> None:
        """New and vanished folders, locks, and journals that grew though their run had ended."""
        self._last_look = time.monotonic()
        try:
            names = run_names(self._runs_dir, self._watches or self._indexed)
        except OSError:  # not there yet, or out of reach for a while: nothing is known of the runs, least of all that they are gone
            self._tell_listed()
            return
        new = sorted(names - self._watches.keys())
        for name in new:
            number = self._numbers.setdefault(name, len(self._numbers) + 1)
            self._watches[name] = _Watch(RunFolder.below(self._runs_dir, name), number)
        self._take_indexed(new)
        self._tell_listed()
        self._unread += [watch for name in new if (watch := self._watches[name]).is_first]
        gone = [self._watches.pop(name) for name in self._watches.keys() - names]
        if gone:
            self._index.forget(watch.folder.name for watch in gone)
            self.told.emit("removed", (tuple(watch.folder for watch in gone),))
        self._hot = {path: until for path, until in self._hot.items() if until > self._last_look}
        known = self._due()
        for watch in known:
            watch.is_alive = is_locked(_lock(watch))
        self._read(known)
        if self._unread and not self._next_slice.isActive():
            self._read_unread(FIRST_SLICE_S)
        self._keep()

    def _take_indexed(self, names: list[str]) -> None:
        """Runs of the index, newest first, in parts that the window takes between two pictures. Those that somebody may ask for at once, and
        those that wait for their start, only where their digest still holds; the others are looked at soon."""
        updates, at_once, is_trusted = [], AT_ONCE, False
        for name in reversed(names):
            stamp, digest = self._indexed.get(name, (None, None))
            watch = self._watches[name]
            if digest is None:
                continue
            if (not is_trusted or digest.summary.status is Status.QUEUED) and stamp != stamp_of(watch.folder):
                continue
            del self._indexed[name]
            watch.stamp, watch.digest, watch.is_first = stamp, digest, False
            if is_trusted:
                self._unchecked.append(watch)
            updates.append(RunUpdate(watch.folder, None, None, False, watch.number, digest))
            if len(updates) == at_once:
                self.told.emit("updated", (tuple(updates),))
                updates, at_once, is_trusted = [], min(2 * at_once, MOST_AT_ONCE), True
        if updates:
            self.told.emit("updated", (tuple(updates),))
        self._unchecked.reverse()

    def _tell_listed(self) -> None:
        if not self._is_listed:
            self._is_listed = True
            self.told.emit("listed", ())

    def _due(self) -> list[_Watch]:
        """Runs of which something may be new, and in turn some of those that are over."""
        read = [watch for watch in self._watches.values() if not watch.is_first and not watch.is_wanted]
        over = [watch for watch in read if watch.is_over and watch.folder.name not in self._hot]
        if len(over) <= NUM_LOOKED_AT:
            return read
        self._turn = (self._turn + NUM_LOOKED_AT) % len(over)
        skipped = set(map(id, over)) - set(map(id, (over + over)[self._turn : self._turn + NUM_LOOKED_AT]))
        return [watch for watch in read if id(watch) not in skipped]

    def _read_unread(self, seconds: float = SLICE_S) -> None:
        """Runs that were not read yet, newest first, for some time; the rest follows."""
        is_beside = self._shares_cores()
        end, updates, is_time_left = time.monotonic() + (SLICE_BESIDE_S if is_beside else seconds), [], True
        while self._unread and is_time_left:
            watch = self._unread.pop()
            if self._watches.get(watch.folder.name) is watch and (watch.is_first or watch.is_wanted):
                watch.is_alive = is_locked(_lock(watch))
                updates += self._updates_of([watch])
                if watch.is_wanted:  # a long journal, and somebody waits for it
                    self._unread.append(watch)
                elif watch.is_first:  # a long journal: the others come first
                    self._unread.insert(0, watch)
            is_time_left = time.monotonic() < end
        self._tell(updates)
        self.told.emit("progressed", (len(self._watches) - len(self._unread), len(self._watches)))
        if self._unread and not self._next_slice.isActive():
            self._next_slice.start(TICK_BESIDE_MS if is_beside else BETWEEN_SLICES_MS)

    def _shares_cores(self) -> bool:
        return any(watch.sent and watch.sent[0].shares_cores for watch in self._watches.values())

    def _on_timer_timeout(self) -> None:
        if time.monotonic() - self._last_look >= LOOK_AROUND_S:
            self.look_around()
        else:
            unchecked = self._unchecked[-NUM_CHECKED:]
            del self._unchecked[-NUM_CHECKED:]
            for watch in unchecked:
                watch.is_alive = is_locked(_lock(watch))
            self._read([watch for watch in self._watches.values() if watch.is_alive] + [w for w in unchecked if not w.is_alive])
        self._timer.setInterval(self._wait_ms())

    def _wait_ms(self) -> int:
        """Until the next tick."""
        before, self._used_s = self._used_s, time.process_time()
        if not self._shares_cores():
            return TICK_MS
        rarely = 0 if self._is_watched() else round(1000 * (self._used_s - before) / UNWATCHED_SHARE)
        return min(MOST_TICK_MS, max(TICK_BESIDE_MS, rarely))

    def _read(self, watches: list[_Watch]) -> None:
        self._tell(self._updates_of(watches))

    def _tell(self, updates: list[RunUpdate]) -> None:
        if updates:
            self._keep()  # first: what is packed is asked of the index
            self.told.emit("updated", (tuple(updates),))

    def _updates_of(self, watches: list[_Watch]) -> list[RunUpdate]:
        updates = []
        for watch in watches:
            if self._catch_up(watch):
                experiment = _experiment_of(watch) if watch.is_first or watch.is_wanted else None
                updates.append(self._told(watch, experiment))
                watch.is_first = watch.is_wanted = False
        return updates

    def _told(self, watch: _Watch, experiment: Experiment | None) -> RunUpdate:
        """The update; of a run that is over its digest goes into the index, and its points are let go here."""
        folder, state, is_wanted = watch.folder, watch.sent[0], watch.is_wanted
        if watch.is_alive or state.status.is_active or (experiment := experiment or _experiment_of(watch)) is None:
            watch.digest = None
            return RunUpdate(folder, state, experiment, watch.is_alive, watch.number)
        watch.digest = RunDigest.of(experiment, state)
        self._to_keep.append((folder.name, watch.stamp, watch.digest))
        if self._index.is_usable:
            watch.digest = RunDigest(watch.digest.summary, None)
        self._num_whole += not is_wanted
        if folder.name not in self._hot and state.status is not Status.QUEUED:
            watch.reader, watch.state, watch.sent = None, RunState(), None
        is_told_whole = is_wanted or self._num_whole <= NUM_WHOLE or not watch.is_first
        return RunUpdate(folder, state if is_told_whole else None, experiment, False, watch.number, watch.digest)

    def _keep(self) -> None:
        digests, self._to_keep = self._to_keep, []
        self._index.put(digests)

    def _catch_up(self, watch: _Watch) -> bool:
        """Read what is new; True when there is something to tell."""
        stamp = stamp_of(watch.folder)
        if watch.reader is None and stamp == watch.stamp and not watch.is_wanted:
            return False
        wants_points = watch.is_wanted or watch.is_alive or not watch.is_first or self._num_whole < NUM_WHOLE
        is_other = stamp[0] < watch.stamp[0] or wants_points and not watch.state.is_whole  # replaced by a shorter file, or read in short
        if watch.reader is None or is_other:
            watch.reader, watch.state, watch.stamp, watch.sent = (
                JournalReader(watch.folder.journal_path),
                RunState(),
                (-1, -1, -1, -1),
                None,
            )
        if stamp != watch.stamp:
            read = watch.reader.read_columns if wants_points else watch.reader.read_rare
            events = read(MAX_BYTES_PER_TICK)
            watch.state = fold(watch.state, events)
            watch.stamp = stamp
            if len(events) and stamp[0] > MAX_BYTES_PER_TICK:
                watch.stamp = (-1, -1, -1, -1)  # there may be more
                if not watch.is_alive:
                    return False
        if watch.state.status.is_active and not watch.is_alive:
            watch.is_alive = is_locked(_lock(watch))  # an engine may have started since the lock was looked at
        told = (settled(watch.state, is_alive=watch.is_alive), watch.is_alive)
        if not watch.is_first and not watch.is_wanted and watch.sent is not None and told[0] == watch.sent[0] and told[1] == watch.sent[1]:
            return False
        watch.sent = told
        return True


def _lock(watch: _Watch) -> str:
    return f"{os.fspath(watch.folder)}/engine.lock"


def _experiment_of(watch: _Watch) -> Experiment | None:
    try:
        return watch.folder.experiment()
    except BadInput:
        return None
