"""The notes of all runs, read and written in the background, shown at once. Another window may write the same files."""

from __future__ import annotations

import os
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from studio.core.run_folder import RunFolder
from studio.gui.background import Background
from studio.gui.pages.results.notes import FILE, MAX_TAGS, Notes, change_notes, merged, read_notes, tags_from_text

_NONE = Notes()
Stamp = tuple[int, int, int] | None  # None where there is no file, or it has to be read again


class Notebook(QObject):
    """GUI thread only. A change that cannot be written is taken back and said."""

    changed = Signal()
    failed = Signal(str)  # sentence

    def __init__(self, background: Background, parent: QObject | None = None):
        super().__init__(parent)
        self._background = background
        self._notes: dict[str, Notes] = {}  # by folder name, with what is still to be written
        self._stored: dict[str, tuple[Stamp, Notes]] = {}  # as found or left on the disk
        self._unread: dict[str, int] = {}  # asked for, and not here yet: by which read
        self._num_reads = 0
        self._unwritten: defaultdict[str, deque[tuple[Notes, Notes]]] = defaultdict(deque)  # changes from notes to notes, the latest last
        self._num_writing: Counter[str] = Counter()
        self._one_at_a_time = threading.Lock()

    def of(self, folder: RunFolder) -> Notes:
        return self._notes.get(folder.name, _NONE)

    def read(self, folders: Iterable[RunFolder]) -> None:
        """Read the notes of runs that are not known yet; `changed` follows where there are some."""
        new = [f for f in folders if f.name not in self._notes]
        self._notes |= dict.fromkeys((f.name for f in new), _NONE)
        self._read(new)

    def read_again(self, folders: Iterable[RunFolder]) -> None:
        """Read what another window has written since; costs one look at each folder in the background."""
        self._read([f for f in folders if f.name not in self._unread and not self._num_writing[f.name]])

    def edit(self, folder: RunFolder, **values) -> None:
        """Change fields of a run's notes, from what is seen of them now, which may be nothing yet, to `values`."""
        name = folder.name
        seen = self.of(folder)
        wanted = replace(seen, **values)
        if wanted == seen:
            return
        self._unread.pop(name, None)  # what is being read is older; all that is there comes with the answer to the change
        self._unwritten[name].append((seen, wanted))
        self._num_writing[name] += 1
        self._notes[name] = wanted
        self.changed.emit()

        def write() -> None:
            """All that is to be written by now: of two changes the later one stays, whichever thread comes first."""
            with self._one_at_a_time:
                waiting, changes = self._unwritten[name], []
                while waiting:
                    changes.append(waiting.popleft())
                if changes:
                    self._stored[name] = None, change_notes(folder, changes)

        self._background.run(write, lambda _: self._on_written(folder), lambda exc: self._on_written(folder, exc), is_promised=True)

    def tag(self, folder: RunFolder, seen: str, wanted: str) -> None:
        """Change the tags from those that were `seen` where they were typed to those `wanted`, both as text: others may have come meanwhile."""
        tags = merged(self.of(folder).tags, tags_from_text(seen), tags_from_text(wanted))
        self.edit(folder, tags=tags[:MAX_TAGS])

    def _read(self, folders: list[RunFolder]) -> None:
        if folders:
            self._num_reads += 1
            number = self._num_reads
            self._unread |= dict.fromkeys((f.name for f in folders), number)
            stamps = {f.name: self._stored[f.name][0] for f in folders if f.name in self._stored}
            self._background.run(
                lambda: {f.name: _found(f) for f in folders if _stamp_of(f) != stamps.get(f.name)},
                lambda found: self._on_read(number, [f.name for f in folders], found),
            )

    def _on_read(self, number: int, names: list[str], found: dict[str, tuple[Stamp, Notes]]) -> None:
        """Not of those that were changed meanwhile, and perhaps asked for anew since."""
        current = {name for name in names if self._unread.get(name) == number}
        for name in current:
            del self._unread[name]
        found = {name: each for name, each in found.items() if name in current}
        self._stored |= found
        self._show({name: notes for name, (_, notes) in found.items()})

    def _on_written(self, folder: RunFolder, exc: Exception | None = None) -> None:
        name = folder.name
        self._num_writing[name] -= 1
        if not self._num_writing[name]:
            self._show({name: self._stored.get(name, (None, _NONE))[1]})
        if exc is not None:
            self.read_again([folder])
            self.failed.emit(f"The note could not be saved: {exc}.")

    def _show(self, notes: dict[str, Notes]) -> None:
        other = {name: each for name, each in notes.items() if each != self._notes.get(name, _NONE)}
        if other:
            self._notes |= other
            self.changed.emit()


def _stamp_of(folder: RunFolder) -> Stamp:
    try:
        info = os.stat(os.path.join(folder, FILE))  # ten thousand may be asked for, and few have one
    except OSError:
        return None
    return info.st_mtime_ns, info.st_size, info.st_ino


def _found(folder: RunFolder) -> tuple[Stamp, Notes]:
    stamp = _stamp_of(folder)
    return stamp, read_notes(folder) if stamp else _NONE
