"""Projects: drafts on disk. The one being edited is saved by itself and is there again at the next start."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from studio.core.experiment import Experiment
from studio.core.experiment_file import experiment_to_toml, read_experiment
from studio.core.file import write_atomically
from studio.core.file_lock import FileLock, is_locked
from studio.core.path_text import path_to_text, text_to_path
from studio.core.place import state_dir
from studio.core.problem import BadInput
from studio.gui.background import Background
from studio.gui.setting import CURRENT_PROJECT, Settings
from studio.gui.store import ExperimentStore

SAVE_AFTER_MS = 500


@dataclass(frozen=True)
class Project:
    """A draft on disk."""

    path: Path
    name: str
    source: str  # text form of the folder or CSV
    changed_at: float  # seconds since the Unix epoch

    @property
    def is_source_there(self) -> bool:
        return bool(self.source) and os.path.exists(text_to_path(self.source))


class Projects(QObject):
    """Opens, saves and lists projects. Each is one experiment file in state_dir()/drafts."""

    changed = Signal()  # the current project, its name or its save state
    noticed = Signal(str)  # a sentence the user must hear

    def __init__(self, store: ExperimentStore, settings: Settings, background: Background, parent: QObject | None = None):
        super().__init__(parent)
        self._store, self._settings, self._background = store, settings, background
        self.folder = state_dir() / "drafts"
        self._path = self._new_path("untitled")
        self._hold: FileLock | None = None  # on the draft being edited, so that no other window writes it
        self._saved: Experiment | None = None
        self._saved_at: datetime | None = None
        self._problem = ""
        self._writing = 0
        self._timer = QTimer(self, singleShot=True, interval=SAVE_AFTER_MS)
        self._timer.timeout.connect(self.save)
        store.experiment_changed.connect(self._on_store_experiment_changed)

    @property
    def path(self) -> Path:
        """The file of the project being edited; it need not exist yet."""
        return self._path

    @property
    def saved_text(self) -> str:
        """ "Saved 14:32" (see saved_words), "Saving…", "Nothing to save yet", or why it could not be saved."""
        if self._problem:
            return self._problem
        if self._timer.isActive() or self._writing:
            return "Saving…"
        return saved_words(self._saved_at, datetime.now()) if self._saved_at else "Nothing to save yet"

    def recover(self) -> bool:
        """Open what was being edited when the window was last open, or, where that cannot be read, the copy from before its last change.
        False when there is neither."""
        name = self._settings.text(CURRENT_PROJECT)
        path = self.folder / name
        if not name or not path.is_file():
            return False
        try:
            self._open(path)
        except BadInput as exc:
            why = f"The last draft cannot be read. {exc.problems[0]} It is kept as {path}."
            try:
                before = read_experiment(_before(path))
            except BadInput:
                self.noticed.emit(why)
                return False
            self._start(self._new_path(before.name), before, None)
            self.noticed.emit(f"{why} This is the copy from before its last change.")
        return True

    def recent(self, limit: int = 8) -> list[Project]:
        """Projects by last change, newest first; files that cannot be read are passed over."""
        found = []
        files = sorted(self.folder.glob("*.toml"), key=_changed_at, reverse=True) if self.folder.is_dir() else []
        for path in files[: 2 * limit]:
            try:
                experiment = read_experiment(path)
            except BadInput:
                continue
            if experiment.data.source:
                found.append(Project(path, experiment.name, experiment.data.source, _changed_at(path)))
        return found[:limit]

    def create(self) -> None:
        """A new, empty project."""
        self._start(self._new_path("untitled"), Experiment(), None)

    def open(self, project: Project | Path) -> None:
        """Open a project of this list. Raises BadInput when the file cannot be read."""
        self._open(project.path if isinstance(project, Project) else project)

    def open_data(self, source: str) -> None:
        """A folder or CSV (path as the system gives it): into the empty project, or as a new one where another data set is in use."""
        path = Path(source)
        text = path_to_text(path.absolute())
        current = self._store.experiment
        if not current.data.source or text == current.data.source:
            name = title_of(path) if current.name == "Untitled" else current.name
            self._store.set({"data.source": text, "name": name}, "open images")
            return
        self._start(self._new_path(path.stem), Experiment(name=title_of(path)).changed({"data.source": text}), None)

    def open_experiment(self, source: str) -> None:
        """An experiment file from anywhere, as a new project; the file itself is only read. Raises BadInput."""
        experiment = read_experiment(source)
        self._start(self._new_path(experiment.name), experiment, None)

    def rename(self, name: str) -> None:
        if name.strip():
            self._store.set({"name": name.strip()[:200]}, "rename")

    def duplicate(self) -> None:
        copy = self._store.experiment.changed({"name": f"{self._store.experiment.name} copy"[:200]})
        self._start(self._new_path(copy.name), copy, None)

    def save(self) -> None:
        """Write the draft now, off the GUI thread."""
        self._timer.stop()
        experiment = self._store.experiment
        if experiment == self._saved:
            self.changed.emit()
            return
        self._hold = self._hold or _held(self._path)
        self._writing += 1
        path = self._path
        self._background.run(
            lambda: _write(path, experiment),
            lambda _: self._on_written(experiment, path),
            self._on_write_failed,
        )
        self.changed.emit()

    def save_now(self) -> str:
        """Write the draft before this call returns: the window is closing, or shows another one. Why it could not be; "" when it was."""
        self._timer.stop()
        experiment = self._store.experiment
        if experiment != self._saved and (experiment != Experiment() or self._path.exists()):
            try:
                _write(self._path, experiment)
            except OSError as exc:
                return exc.strerror or str(exc)
            self._settings.set(CURRENT_PROJECT, self._path.name)
        return ""

    def close(self) -> None:
        """Save, and let other windows have the draft."""
        self.save_now()
        self._let_go()

    def _open(self, path: Path) -> None:
        if path == self._path:
            return
        experiment = read_experiment(path)
        if not is_locked(_lock_of(path)):
            self._start(path, experiment, datetime.fromtimestamp(_changed_at(path)))
            return
        copy = experiment.changed({"name": f"{experiment.name} copy"[:200]})
        self._start(self._new_path(copy.name), copy, None)
        self.noticed.emit(f"“{experiment.name}” is open in another window. This is a copy of it.")

    def _start(self, path: Path, experiment: Experiment, saved_at: datetime | None) -> None:
        if why := self.save_now():
            self._timer.start()
            self.noticed.emit(
                f"“{self._store.experiment.name}” cannot be saved ({why}), so it stays open. Free some space, then try again."
            )
            return
        self._let_go()
        self._hold = _held(path)
        self._path = path
        self._saved = experiment if saved_at else None
        self._saved_at, self._problem = saved_at, ""
        self._store.reset_to(experiment)
        self._timer.stop()
        if saved_at:
            self._settings.set(CURRENT_PROJECT, path.name)
        elif experiment != Experiment():
            self._timer.start()
        self.changed.emit()

    def _let_go(self) -> None:
        hold, self._hold = self._hold, None
        if hold is not None:
            hold.release()

    def _on_store_experiment_changed(self, old: Experiment, new: Experiment) -> None:
        self._timer.start()
        self.changed.emit()

    def _on_written(self, experiment: Experiment, path: Path) -> None:
        self._writing -= 1
        if path == self._path:
            self._saved, self._saved_at, self._problem = experiment, datetime.now(), ""
            self._settings.set(CURRENT_PROJECT, path.name)
        self.changed.emit()

    def _on_write_failed(self, error: Exception) -> None:
        self._writing -= 1
        why = getattr(error, "strerror", None) or str(error)
        self._problem = f"Not saved: {why}"
        self.changed.emit()

    def _new_path(self, name: str) -> Path:
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "project"
        return self.folder / f"{slug}-{secrets.token_hex(4)}.toml"


def _write(path: Path, experiment: Experiment) -> None:
    """OSError leaves the draft as it was. What it said before stays beside it, in a file of its own, for a draft that is damaged later."""
    with contextlib.suppress(OSError):  # there is none yet, or the file system knows no links
        _before(path).unlink(missing_ok=True)
        os.link(path, _before(path))
    write_atomically(path, experiment_to_toml(experiment).encode())


def _before(path: Path) -> Path:
    return path.with_suffix(".before")


def _lock_of(path: Path) -> Path:
    return path.with_suffix(".lock")


def _held(path: Path) -> FileLock | None:
    """A lock beside the draft; None where the folder cannot be written, which saving says, or has no locks."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(_lock_of(path))
    except OSError:
        return None
    try:
        lock.acquire(tries=1)
    except OSError:
        lock.release()
        return None
    return lock


def saved_words(at: datetime, now: datetime) -> str:
    """ "Saved 14:32" of today, "Saved yesterday 14:32", "Saved 23 Nov 14:32", "Saved 23 Nov 2025"."""
    if at.date() == now.date():
        return f"Saved {at:%H:%M}"
    if at.date() == now.date() - timedelta(days=1):
        return f"Saved yesterday {at:%H:%M}"
    return f"Saved {at.day} {at:%b %H:%M}" if at.year == now.year else f"Saved {at.day} {at:%b %Y}"


def title_of(path: Path) -> str:
    """What a project of a folder or a CSV file is called until it is renamed."""
    name = path_to_text(path.stem if path.suffix.lower() == ".csv" else path.name)
    return (name.replace("_", " ").replace("-", " ").strip() or "Untitled")[:200].capitalize()


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()
