"""The notes of all runs, read and written in the background, shown at once."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from studio.core.run_folder import RunFolder
from studio.gui.background import Background
from studio.gui.pages.results.notes import Notes, read_notes, write_notes

_NONE = Notes()


class Notebook(QObject):
    """GUI thread only. A change that cannot be written is taken back and said."""

    changed = Signal()
    failed = Signal(str)  # sentence

    def __init__(self, background: Background, parent: QObject | None = None):
        super().__init__(parent)
        self._background = background
        self._notes: dict[str, Notes] = {}
        self._unread: set[str] = set()  # asked for, and not here yet
        self._one_at_a_time = threading.Lock()

    def of(self, folder: RunFolder) -> Notes:
        return self._notes.get(folder.name, _NONE)

    def read(self, folders: Iterable[RunFolder]) -> None:
        """Read the notes of runs that are not known yet; `changed` follows where there are some."""
        new = [f for f in folders if f.name not in self._notes]
        if new:
            self._notes |= dict.fromkeys((f.name for f in new), _NONE)
            self._unread.update(f.name for f in new)
            self._background.run(lambda: {f.name: read_notes(f) for f in new}, self._on_read)

    def edit(self, folder: RunFolder, **values) -> None:
        """Change fields of a run's notes."""
        if folder.name in self._unread:  # a field of what is there, not of nothing
            self._unread.discard(folder.name)
            self._notes[folder.name] = read_notes(folder)
        old = self.of(folder)
        new = replace(old, **values)
        if new == old:
            return
        self._notes[folder.name] = new
        self.changed.emit()

        def failed(exc: Exception) -> None:
            self._notes[folder.name] = old
            self.changed.emit()
            self.failed.emit(f"The note could not be saved: {exc}.")

        def write() -> None:
            """What counts now: of two changes the later one stays, whichever thread comes first."""
            with self._one_at_a_time:
                write_notes(folder, self.of(folder))

        self._background.run(write, None, failed)

    def _on_read(self, notes: dict[str, Notes]) -> None:
        written = {name: each for name, each in notes.items() if each != _NONE and name in self._unread}
        self._unread.difference_update(notes)
        if written:
            self._notes |= written
            self.changed.emit()
