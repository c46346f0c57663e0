"""The run index: digests of all runs in one SQLite file of the user's cache, so that thousands of runs are listed without reading them.

The run folders stay the truth. A digest counts only while the files it was made from have the same sizes and times; whatever is damaged, of
another version or locked for long is made anew or done without, and nobody needs to know. Several windows may use it at once. Standard library
only. One object per thread.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path

from studio.core.fold import RunState, fold
from studio.core.journal import JournalReader
from studio.core.place import cache_dir
from studio.core.problem import BadInput
from studio.core.run_digest import RunDigest, pack_summary, unpack_summary
from studio.core.run_folder import RunFolder, find_runs

SCHEMA = 6  # raise it with every change of what a digest holds
PATIENCE_S, POLL_S = 1.0, 0.01  # for another window that writes
# What is packed has a table of its own: all summaries are read at the start, and of what is packed only that of runs that are looked at.
_TABLES = {
    "runs": "CREATE TABLE runs (place BLOB, name BLOB, size INTEGER, time INTEGER, experiment_size INTEGER, experiment_time INTEGER, "
    "summary BLOB, PRIMARY KEY (place, name)) WITHOUT ROWID",
    "details": "CREATE TABLE details (place BLOB, name BLOB, packed BLOB, PRIMARY KEY (place, name)) WITHOUT ROWID",
}

Stamp = tuple[int, int, int, int]  # size and time of the journal, then of the experiment; (0, 0) for a file that is not there


def stamp_of(folder: str | os.PathLike) -> Stamp:
    """What must be the same for a digest to count."""
    path = os.fspath(folder)
    return (*_size_and_time(f"{path}/journal.jsonl"), *_size_and_time(f"{path}/experiment.toml"))


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
                _use_wal(db)
                db.execute("PRAGMA synchronous = NORMAL")
                if db.execute("PRAGMA user_version").fetchone()[0] == SCHEMA and _has_tables(db):
                    return db
                with db:
                    db.execute("BEGIN IMMEDIATE")
                    if db.execute("PRAGMA user_version").fetchone()[0] != SCHEMA or not _has_tables(db):  # nobody did it meanwhile
                        for kind, name in db.execute("SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view')").fetchall():
                            db.execute(f'DROP {kind} "{name.replace(chr(34), chr(34) * 2)}"')
                        for table in _TABLES.values():
                            db.execute(table)
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

    @property
    def is_usable(self) -> bool:
        return self._db is not None

    def load(self, *, is_whole: bool = False) -> dict[str, tuple[Stamp, RunDigest]]:
        """By folder name; unless `is_whole` what is packed stays in the index. What cannot be read is left out."""
        found: dict[str, tuple[Stamp, RunDigest]] = {}
        packed, join = ("packed", "LEFT JOIN details USING (place, name)") if is_whole else ("NULL", "")
        columns = f"name, summary, {packed}, size, time, experiment_size, experiment_time"
        for name, summary, kept, *stamp in self._read(f"SELECT {columns} FROM runs {join} WHERE place = ?", self._place):
            try:
                found[os.fsdecode(name)] = (tuple(stamp), RunDigest(unpack_summary(summary), kept))
            except (ValueError, TypeError):
                continue
        return found

    def packed(self, name: str) -> bytes | None:
        """What is packed of one run; None where the index does not have it."""
        rows = self._read("SELECT packed FROM details WHERE place = ? AND name = ?", self._place, os.fsencode(name))
        return rows[0][0] if rows and isinstance(rows[0][0], bytes) else None

    def _read(self, statement: str, *values: bytes) -> list[tuple]:
        """All rows in one go. Of a damaged file nothing, and it is made anew."""
        if self._db is None:
            return []
        try:
            return self._db.execute(statement, values).fetchall()
        except sqlite3.OperationalError:
            return []
        except sqlite3.DatabaseError:
            _close(self._db)
            self._remove()
            self._db = self._open()
            return []

    def put(self, digests: Iterable[tuple[str, Stamp, RunDigest]]) -> None:
        """Keep (folder name, stamp from before it was read, digest)."""
        runs, details = [], []
        for name, stamp, digest in digests:
            key = (self._place, os.fsencode(name))
            runs.append((*key, *stamp, pack_summary(digest.summary)))
            if digest.packed is not None:
                details.append((*key, digest.packed))
        self._write(
            ("INSERT OR REPLACE INTO details VALUES (?, ?, ?)", details), ("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)", runs)
        )

    def forget(self, names: Iterable[str]) -> None:
        """Runs that are gone."""
        keys = [(self._place, os.fsencode(name)) for name in names]
        where = "WHERE place = ? AND name = ?"
        self._write((f"DELETE FROM details {where}", keys), (f"DELETE FROM runs {where}", keys))

    def _write(self, *statements: tuple[str, list[tuple]]) -> None:
        """Each with its rows: all or none."""
        if self._db is None or not any(rows for _, rows in statements):
            return
        with contextlib.suppress(sqlite3.Error, OverflowError), self._db:  # next time then
            for statement, rows in statements:
                self._db.executemany(statement, rows)

    def close(self) -> None:
        _close(self._db)
        self._db = None


def _use_wal(db: sqlite3.Connection) -> None:
    """SQLite itself does not wait where another window does the same with a new file at this moment: it says at once that the file is locked."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(POLL_S)


def unpacked(folder: RunFolder, digest: RunDigest) -> RunDigest:
    """The digest with what is packed: from the index, else from the run's own files. Raises BadInput where its experiment cannot be read."""
    if digest.packed is not None:
        return digest
    index = RunIndex(folder.path.parent)
    try:
        packed = index.packed(folder.name)
    finally:
        index.close()
    if packed is None:
        packed = RunDigest.of(folder.experiment(), fold(RunState(), JournalReader(folder.journal_path).read_rare())).packed
    return RunDigest(digest.summary, packed)


def read_digests(
    runs: str | os.PathLike, *, is_whole: bool = False
) -> tuple[list[tuple[RunFolder, RunDigest]], list[tuple[RunFolder, str]]]:
    """All runs of a folder, oldest first, and those that cannot be read, with why. Reads only what is new since the last time. `is_whole`: with
    what is packed."""
    index, found, refused, new = RunIndex(runs), [], [], []
    try:
        known = index.load(is_whole=is_whole)
        for folder in find_runs(runs):
            stamp = stamp_of(folder)
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


def _has_tables(db: sqlite3.Connection) -> bool:
    found = dict(db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall())
    return all(found.get(name) == sql for name, sql in _TABLES.items())


def _close(db: sqlite3.Connection | None) -> None:
    if db is not None:
        with contextlib.suppress(sqlite3.Error):
            db.close()
