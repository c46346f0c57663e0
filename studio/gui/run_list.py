"""All runs of a folder as the window knows them, and the one that is active.

There may be ten thousand. What is asked over all of them is answered once and kept until a run comes, goes, or changes in what the answer rests on.
"""

from __future__ import annotations

import hashlib
import time
import weakref
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from studio.core.experiment import Experiment
from studio.core.fold import RunState
from studio.core.outcome import Status
from studio.core.problem import BadInput
from studio.core.queue import RunQueue
from studio.core.run_digest import RunDigest
from studio.core.run_folder import RunFolder
from studio.gui.monitor import RunMonitor, RunUpdate
from studio.gui.run_entry import UNREADABLE, RunEntry

if TYPE_CHECKING:
    from studio.dataset.dataset import Dataset
    from studio.gui.attention import Attention

COMING_S = 0.3
MANY, TELL_MS = (
    200,
    1000,
)  # of so many runs or more, that others have come is told once a second: everything that lists them looks at all of them
MAX_WHOLE = 64  # runs that were looked at and are held with all their points


class RunList(QObject):
    """GUI thread only."""

    entries_changed = Signal()  # runs came, went, or the queue changed
    state_changed = Signal(object)  # RunEntry
    active_changed = Signal(object)  # RunEntry | None
    came_to_end = Signal(object)  # RunEntry: was active while this window was open
    edit_answered = Signal(object, str)  # RunEntry, sentence: it took a change in flight, or not

    def __init__(self, folder: Path, attention: Attention, parent: QObject | None = None):
        super().__init__(parent)
        self._folder = folder
        self._entries: dict[str, RunEntry] = {}  # by folder name
        self._num_seen = 0
        self._ordered: tuple[RunEntry, ...] | None = None  # of _entries, until one comes or goes
        self._surveyed: _Survey | None = None  # until one changes in what it rests on
        self._going: set[RunEntry] = set()  # active ones
        self._sharing: set[RunEntry] = set()
        self._active: RunEntry | None = None
        self._looked_at: dict[RunEntry, None] = {}  # the last one last
        self._last_read: tuple[bytes, weakref.ref[Dataset]] | None = None  # of a list of images, its content's SHA-256
        self._queue = RunQueue(folder)
        self._queue_shown: tuple[str, ...] = ()
        self._new_at = -COMING_S
        self._tell_timer = QTimer(self, singleShot=True, interval=TELL_MS)
        self._tell_timer.timeout.connect(self.entries_changed)
        self.is_loaded = False
        self.monitor = RunMonitor(folder, self, is_watched=lambda: attention.is_there)
        attention.came.connect(self._on_attention_came)
        self.monitor.updated.connect(self.take)
        self.monitor.removed.connect(self._on_monitor_removed)
        self.monitor.listed.connect(self._on_monitor_listed)

    # What there is

    @property
    def entries(self) -> tuple[RunEntry, ...]:
        """All runs, oldest first, queued ones included."""
        if self._ordered is None:
            self._ordered = tuple(sorted(self._entries.values(), key=attrgetter("number")))
        return self._ordered

    @property
    def active(self) -> RunEntry | None:
        """The run that is going on; the newest one should there be several."""
        return self._active

    @property
    def going(self) -> frozenset[RunEntry]:
        """All active runs."""
        return frozenset(self._going)

    @property
    def shares_cores(self) -> bool:
        """Whether some run computes on the window's own cores now."""
        return bool(self._sharing)

    @property
    def started_entries(self) -> tuple[RunEntry, ...]:
        """All runs but those that still wait, oldest first."""
        return self._survey().started

    @property
    def latest(self) -> RunEntry | None:
        """The newest run that was started."""
        return next(reversed(self.started_entries), None)

    @property
    def finished(self) -> tuple[RunEntry, ...]:
        """Runs with at least one finished epoch, oldest first."""
        return self._survey().finished

    @property
    def best(self) -> RunEntry | None:
        """The run with the highest validation top-1; of equal ones the oldest."""
        return self._survey().best

    @property
    def num_ended_well(self) -> int:
        """Runs that reached their end."""
        return self._survey().num_ended_well

    @property
    def never_begun(self) -> tuple[RunEntry, ...]:
        """Waiting runs, and those that wait no more, oldest first."""
        return tuple(self._survey().waiting.values())

    @property
    def queued(self) -> tuple[RunEntry, ...]:
        """Waiting runs in the order in which they will start."""
        waiting = self._survey().waiting
        return tuple(waiting[name] for name in self._queue.names if name in waiting)

    def entry(self, which: RunFolder | Path | str) -> RunEntry | None:
        """A run by folder, path, folder name or nickname."""
        path = which.path if isinstance(which, RunFolder) else Path(which)
        found = self._entries.get(path.name)
        if found is not None and path in (found.folder.path, Path(found.folder.name)):
            return found
        return next((e for e in self.entries if str(which) == e.folder.nickname), None)

    def __contains__(self, entry: RunEntry) -> bool:
        return self._entries.get(entry.folder.name) is entry

    @property
    def are_coming(self) -> bool:
        """Whether runs were added a moment ago, so that more may follow."""
        return time.monotonic() - self._new_at < COMING_S

    def read_whole(self, *entries: RunEntry) -> None:
        """Have the curves of runs that somebody looks at; `state_changed` follows where they were not there. Of those looked at before, the
        last ones are kept."""
        for entry in entries:
            self._looked_at.pop(entry, None)
            self._looked_at[entry] = None
            if not entry.is_whole and not entry.is_active:
                self.monitor.read_whole(entry.folder)
        for old in list(self._looked_at)[:-MAX_WHOLE]:
            del self._looked_at[old]
            old.let_go()

    def dataset_of(self, entry: RunEntry) -> Dataset | None:
        """The data set that a run was given, None where it has none or one that is damaged; reads its file, so call it in the background for
        large ones. Runs of a sweep hold copies of one list: the one that was read last is given again while somebody holds it. Raises OSError where
        the file cannot be read now."""
        from studio.dataset.dataset import Dataset

        try:
            content = entry.folder.dataset_path.read_bytes()
            digest, known = hashlib.sha256(content).digest(), self._last_read
            dataset = known[1]() if known and known[0] == digest else None
            if dataset is None:
                dataset = Dataset.from_json(content)
                self._last_read = digest, weakref.ref(dataset)
            return dataset
        except (BadInput, FileNotFoundError, NotADirectoryError):
            return None

    def start(self) -> None:
        """Begin to watch the run folders."""
        self.monitor.start()

    def close(self) -> None:
        """Stop watching. Runs go on."""
        self._tell_timer.stop()
        self.monitor.close()
        self._queue.close()

    # What comes in

    def take(self, updates: tuple[RunUpdate, ...]) -> None:
        """What the monitor found, in one batch."""
        is_first, self.is_loaded = not self.is_loaded, True
        num_before, touched = len(self._entries), []
        for update in updates:
            if update.state is None and update.folder.name not in self._entries:  # it is over, and only to be listed
                self._add(update.folder, None, update.number, update.digest)
            else:
                touched.append(self._take_one(update))
        has_new = len(self._entries) > num_before
        if has_new:
            self._new_at = time.monotonic()
        self._find_active()
        if is_first or has_new or self._queue.names != self._queue_shown:  # another window may have changed the queue
            self._queue_shown = self._queue.names
            self._tell(soon=has_new and not is_first)
        for entry, is_new, was_active in touched:
            if not is_new or entry.is_active:  # of those that are over and new, entries_changed tells
                self.state_changed.emit(entry)
            if was_active and not entry.is_active:
                self.came_to_end.emit(entry)

    def _take_one(self, update: RunUpdate) -> tuple[RunEntry, bool, bool]:
        """The run, whether it is new, whether it was active."""
        is_new = update.folder.name not in self._entries
        if not is_new and (known := self._entries[update.folder.name]).standing is None:
            known.standing = _standing(known)
        entry = self._add(update.folder, update.experiment, update.number, update.digest)
        was_active, before = entry.is_active, entry.state if entry.is_launching or entry.wishes else None
        # Not at the sight of the lock: the engine holds it before its first word, and the journal still says queued or stopped.
        if entry.is_launching and update.state is not None and _is_newer(update.state, before):
            entry.is_launching = False
        if not is_new or update.state is not None:
            entry.take(update.state, update.digest)
        entry.is_alive = update.is_alive
        if entry.wishes and (sentence := entry.answer(before)):
            self.edit_answered.emit(entry, sentence)
        entry.stop_asked_at = entry.stop_asked_at if entry.is_active else None
        self._stand(entry)
        return entry, is_new, was_active

    def _add(self, folder: RunFolder, experiment: Experiment | None, number: int = 0, digest: RunDigest | None = None) -> RunEntry:
        """`number` is its place among all runs where that is known; the newest are told first."""
        entry = self._entries.get(folder.name)
        if entry is None:
            number = number or self._num_seen + 1
            self._num_seen = max(self._num_seen, number)
            experiment = experiment or (None if digest else Experiment(name=UNREADABLE))
            entry = self._entries[folder.name] = RunEntry(folder, number, experiment, digest=digest)
            self._ordered = self._surveyed = None
        return entry

    def _stand(self, entry: RunEntry) -> None:
        """Forget the answers that rest on what has changed in a run; to be called after every change of its state."""
        standing, is_active = _standing(entry), entry.is_active
        if standing != entry.standing:
            entry.standing = standing
            self._surveyed = None
        (self._going.add if is_active else self._going.discard)(entry)
        (self._sharing.add if is_active and entry.state.shares_cores else self._sharing.discard)(entry)

    def _survey(self) -> _Survey:
        if self._surveyed is None:
            self._surveyed = _Survey(self.entries)
        return self._surveyed

    def _note(self, entry: RunEntry) -> None:
        """A run was changed by hand: what is known over all runs follows."""
        self._stand(entry)
        self._find_active()

    def _find_active(self) -> None:
        active = max(self._going, key=lambda entry: entry.number, default=None)
        if active is not self._active:
            self._active = active
            self.active_changed.emit(active)

    def _tell(self, *, soon: bool) -> None:
        """That runs came, went or changed places: at once, or soon where many are just coming."""
        if soon and len(self._entries) >= MANY:
            if not self._tell_timer.isActive():
                self._tell_timer.start()
        else:
            self._tell_timer.stop()
            self.entries_changed.emit()

    def _on_attention_came(self) -> None:
        self.monitor.look_now()

    def _on_monitor_listed(self) -> None:
        if self._tell_timer.isActive():
            self._tell(soon=False)

    def _on_monitor_removed(self, folders: tuple[RunFolder, ...]) -> None:
        for folder in folders:
            if (entry := self._entries.pop(folder.name, None)) is not None:
                self._looked_at.pop(entry, None)
                self._going.discard(entry)
                self._sharing.discard(entry)
        self._ordered = self._surveyed = None
        self._find_active()
        self._tell(soon=False)


def _is_newer(new: RunState, old: RunState) -> bool:
    """Whether an engine has spoken since: it began (a clock may be set back, so any other time will do) or ended before it could."""
    ends = (new.failed, new.stopped, new.finished) != (old.failed, old.stopped, old.finished)
    return new.wall_time not in (0.0, old.wall_time) or ends


def _standing(entry: RunEntry) -> tuple:
    return entry.status, entry.summary.epochs_done, entry.summary.top1


class _Survey:
    """What is asked over all runs, found in one walk."""

    def __init__(self, entries: Sequence[RunEntry]):
        started, finished, waiting, best, num_ended_well = [], [], {}, None, 0
        for entry in entries:
            summary, status = entry.summary, entry.status
            if status is Status.QUEUED:
                waiting[entry.folder.name] = entry
            else:
                started.append(entry)
            if summary.epochs_done:
                finished.append(entry)
                if summary.top1 is not None and (best is None or summary.top1 > best.summary.top1):
                    best = entry
            num_ended_well += status is Status.FINISHED
        self.started, self.finished, self.waiting = tuple(started), tuple(finished), waiting
        self.best: RunEntry | None = best
        self.num_ended_well: int = num_ended_well
