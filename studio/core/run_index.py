"""The run index: digests of all runs in one SQLite file of the user's cache, so that thousands of runs are listed without reading them.

The run folders stay the truth. A digest counts only while the files it was made from have the same sizes and times; whatever is damaged, of
another version or locked for long is made anew or done without, and nobody needs to know. Several windows may use it at once. Standard library
only. One object per thread.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from studio.core.place import cache_dir
from studio.core.problem import BadInput
from studio.core.run_digest import RunDigest, pack_summary, unpack_summary
from studio.core.run_folder import RunFolder, find_runs

SCHEMA = 3  # raise it with every change of what a digest holds
PATIENCE_S = 1.0  # for another window that writes
_TABLE = (
    "CREATE TABLE runs (place BLOB, name BLOB, size INTEGER, time INTEGER, experiment_size INTEGER, experiment_time INTEGER, summary BLOB, "
    "packed BLOB, PRIMARY KEY (place, name)) WITHOUT ROWID"
)

Stamp = tuple[int, int, int, int]  # size and time of the journal, then of the experiment; (0, 0) for a file that is not there


def stamp_of(folder: str | os.PathLike) -> Stamp:
    """What must be the same for a digest to count."""
    path = os.fspath(folder)
    return (*_size_and_time(os.path.join(path, "journal.jsonl")), *_size_and_time(os.path.join(path, "experiment.toml")))


def _size_and_time(path: str) -> tuple[int, int]:
    try:
        info = os.stat(path)
    except OSError:
        return 0, 0
    return info.st_size, info.st_mtime_ns


class RunIndex:
    """The digests of the runs of one folder. No method raises for a file that cannot be used: it then knows nothing and keeps nothing."""

    def __init__(self, runs: str | os.PathLike, path: Path | None = None):
        self._place = os.fsencode(os.path.abspath(runs))
        self._path = path or cache_dir() / "runs.sqlite"
        self._db = self._open()

    def _open(self) -> sqlite3.Connection | None:
        for _ in range(2):
            db = None
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                db = sqlite3.connect(self._path, timeout=PATIENCE_S)
                db.execute("PRAGMA trusted_schema = OFF")
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = NORMAL")
                if db.execute("PRAGMA user_version").fetchone()[0] == SCHEMA and _is_table(db):
                    return db
                with db:
                    db.execute("BEGIN IMMEDIATE")
                    if db.execute("PRAGMA user_version").fetchone()[0] != SCHEMA or not _is_table(db):  # nobody did it meanwhile
                        for kind, name in db.execute("SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view')").fetchall():
                            db.execute(f'DROP {kind} "{name.replace(chr(34), chr(34) * 2)}"')
                        db.execute(_TABLE)
                        db.execute(f"PRAGMA user_version = {SCHEMA}")
                return db
            except sqlite3.OperationalError:  # locked for long, or a place that cannot be written
                _close(db)
                return None
            except (sqlite3.DatabaseError, OSError):  # not a data base, or a damaged one
                _close(db)
                self._remove()
        return None

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                os.remove(f"{self._path}{suffix}")

    def load(self) -> dict[str, tuple[Stamp, RunDigest]]:
        """By folder name. What cannot be read is left out."""
        found: dict[str, tuple[Stamp, RunDigest]] = {}
        if self._db is None:
            return found
        try:
            columns = "name, summary, packed, size, time, experiment_size, experiment_time"
            for name, summary, packed, *stamp in self._db.execute(f"SELECT {columns} FROM runs WHERE place = ?", (self._place,)):
                with contextlib.suppress(ValueError, TypeError):
                    found[os.fsdecode(name)] = (tuple(stamp), RunDigest(unpack_summary(summary), bytes(packed)))
        except sqlite3.OperationalError:
            return found
        except sqlite3.DatabaseError:
            _close(self._db)
            self._remove()
            self._db = self._open()
            return {}
        return found

    def put(self, digests: Iterable[tuple[str, Stamp, RunDigest]]) -> None:
        """Keep (folder name, stamp from before it was read, digest)."""
        self._write(
            "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [(self._place, os.fsencode(name), *stamp, pack_summary(d.summary), d.packed) for name, stamp, d in digests],
        )

    def forget(self, names: Iterable[str]) -> None:
        """Runs that are gone."""
        self._write("DELETE FROM runs WHERE place = ? AND name = ?", [(self._place, os.fsencode(name)) for name in names])

    def _write(self, statement: str, rows: list[tuple]) -> None:
        if self._db is None or not rows:
            return
        with contextlib.suppress(sqlite3.Error, OverflowError), self._db:  # next time then
            self._db.executemany(statement, rows)

    def close(self) -> None:
        _close(self._db)
        self._db = None


def read_digests(runs: str | os.PathLike) -> tuple[list[tuple[RunFolder, RunDigest]], list[tuple[RunFolder, str]]]:
    """All runs of a folder, oldest first, and those that cannot be read, with why. Reads only what is new since the last time."""
    index, found, refused, new = RunIndex(runs), [], [], []
    try:
        known = index.load()
        for folder in find_runs(runs):
            stamp = stamp_of(folder.path)
            kept = known.get(folder.name)
            if kept is not None and kept[0] == stamp:
                digest = kept[1]
            else:
                try:
                    digest = RunDigest.of(folder.experiment(), folder.read_state())
                except (BadInput, OSError) as exc:
                    refused.append((folder, str(exc)))
                    continue
                if not digest.summary.status.is_active:
                    new.append((folder.name, stamp, digest))
            found.append((folder, digest))
        index.put(new)
    finally:
        index.close()
    return found, refused


def _is_table(db: sqlite3.Connection) -> bool:
    row = db.execute("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'runs'").fetchone()
    return row is not None and row[0] == _TABLE


def _close(db: sqlite3.Connection | None) -> None:
    if db is not None:
        with contextlib.suppress(sqlite3.Error):
            db.close()
