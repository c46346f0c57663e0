"""What frozen layers gave for each picture, kept in memory-mapped files of the user's cache folder: computed once, read in every later epoch
and by later runs.

A folder holds the rows of one way to make features (transform, weights, place of the cut, precision, device); a row is found by a hash of
the file's content and the seed of its view. So a changed file, a new seed or other weights make just what they touch anew. Rows and their
names are only ever added. The folder is locked while a run uses it; the processes of one run share it (`shared_cache`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from studio.core.file import allocate, fsync_folder, write_atomically
from studio.core.file_lock import FileLock, is_locked

EMPTY, REFUSED = -2, -1  # instead of the sample a row shows: not computed yet; the file cannot be read
NAME_BYTES = 16
_NO_NAME = bytes(NAME_BYTES)  # of rows that later runs must not find


@dataclass(frozen=True)
class CacheSize:
    """The size of a cache, known before anything of it is written."""

    num_views: int
    num_samples: int
    row_shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.row_shape)) * self.dtype.itemsize

    @property
    def num_bytes(self) -> int:
        return self.num_views * self.num_samples * self.row_bytes


@dataclass(frozen=True)
class Opened:
    """A cache as the process that holds its folder has opened it: what another of the same run needs to read and fill it too."""

    folder: Path
    size: CacheSize
    first: int
    num_rows: int
    row_of: np.ndarray  # int64[views, samples]
    shown: np.ndarray  # likewise: the sample that the row shows, EMPTY or REFUSED


class FeatureCache:
    """Rows of features by (view, sample). `names[view * num_samples + sample]` are 16 bytes that say what the picture is, or all zero.

    One process and one thread. Raises OSError on a full disk, and BlockingIOError while another run uses the folder.
    """

    def __init__(self, folder: Path, size: CacheSize, names: Sequence[bytes], max_bytes: int | None = None, first: int = 0):
        """Rows of earlier runs that are not asked for now stay, unless all would take more than `max_bytes`. Sample i of the cache is sample
        `first` + i of the run, which is how the samples that rows show are counted."""
        self.size, self._first = size, first
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / "lock")
        try:
            if not self._lock.acquire(tries=3):
                raise BlockingIOError(f"{folder} is in use")
            self._open(names, max_bytes)
        except BaseException:
            self._lock.release()
            raise

    def _open(self, names: Sequence[bytes], max_bytes: int | None) -> None:
        size = self.size
        kept = self._read_names()
        asked = set(names)
        num_new = len(asked.difference(kept)) + sum(name == _NO_NAME for name in names)
        if max_bytes is not None and (len(kept) + num_new) * size.row_bytes > max_bytes:
            kept = []
        if not kept:
            self._forget_names()
            self._rows_path.unlink(missing_ok=True)  # no file shrinks by being written anew
        row_of = {name: row for row, name in enumerate(kept) if name != _NO_NAME}
        free = [row for row, name in enumerate(kept) if name == _NO_NAME][::-1]
        self._names, self._is_done = list(kept), [name != _NO_NAME for name in kept]
        self._row_of = np.empty(len(names), np.int64)
        self._shown = np.full((size.num_views, size.num_samples), EMPTY, np.int64)
        for place, name in enumerate(names):
            row = row_of.get(name)
            if row is None:
                if free:
                    row = free.pop()
                else:
                    row = len(self._names)
                    self._names.append(_NO_NAME)
                    self._is_done.append(False)
                self._names[row] = name
                if name != _NO_NAME:
                    row_of[name] = row
            elif self._is_done[row]:
                self._shown.flat[place] = self._first + place % size.num_samples
            self._row_of[place] = row
        self._row_of = self._row_of.reshape(size.num_views, size.num_samples)
        self._is_done = np.array(self._is_done, bool)
        self.num_found = int((self._shown != EMPTY).sum())
        num_bytes = len(self._names) * size.row_bytes
        with open(self._rows_path, "r+b" if self._rows_path.exists() else "w+b") as f:
            allocate(f.fileno(), max(1, num_bytes))
        self._map_rows()
        os.utime(self.folder / "lock")

    def _map_rows(self) -> None:
        size = self.size
        count = len(self._is_done) * size.row_bytes // size.dtype.itemsize
        self._rows = torch.from_file(str(self._rows_path), shared=True, size=count, dtype=size.dtype).view(-1, *size.row_shape)

    @property
    def opened(self) -> Opened:
        return Opened(self.folder, self.size, self._first, len(self._is_done), self._row_of, self._shown)

    @property
    def _rows_path(self) -> Path:
        return self.folder / "rows.bin"

    @property
    def _names_path(self) -> Path:
        return self.folder / "names.bin"

    def _read_names(self) -> list[bytes]:
        """Names of the rows that are there; none where the files do not belong together."""
        try:
            packed = self._names_path.read_bytes()
            has_all = self._rows_path.stat().st_size >= len(packed) // NAME_BYTES * self.size.row_bytes
        except OSError:
            return []
        if len(packed) % NAME_BYTES or not has_all:
            return []
        return [packed[i : i + NAME_BYTES] for i in range(0, len(packed), NAME_BYTES)]

    def _forget_names(self) -> None:
        """Before rows are written from the first one on: the next run finds none, wherever this one ends."""
        with contextlib.suppress(FileNotFoundError):
            self._names_path.unlink()
            fsync_folder(self.folder)

    def put(
        self, view: int, samples: np.ndarray, shown: np.ndarray, features: torch.Tensor, is_named: np.ndarray | Literal[True] = True
    ) -> None:
        """Keep rows: features[i], computed from the picture of `shown[i]`, for sample `samples[i]`. -1 shown is a refused file. Where not
        `is_named`, that picture is not the one that the sample's name stands for: later runs do not find it.

        What stands in for a file never takes the row that a sample with the same content has, or had in an earlier run.
        """
        self.book(view, samples, shown, is_named)
        rows = self._row_of[view, samples]
        written = self.is_own(samples, shown, is_named) | ~self._is_done[rows]
        self._rows[torch.from_numpy(rows[written])] = _fitted(features.detach().cpu()[torch.from_numpy(written)], self.size.dtype)

    def book(self, view: int, samples: np.ndarray, shown: np.ndarray, is_named: np.ndarray | Literal[True] = True) -> None:
        """Take note of rows that are in the file by now."""
        rows = self._row_of[view, samples]
        self._shown[view, samples] = shown
        self._is_done[rows[self.is_own(samples, shown, is_named)]] = True

    def is_own(self, samples: np.ndarray, shown: np.ndarray, is_named: np.ndarray | Literal[True]) -> np.ndarray:
        """bool[N]: whether pictures are what the names of the samples stand for; what stands in for an unreadable file is not."""
        return (shown == self._first + samples) & is_named

    def has_all(self, view: int, samples: np.ndarray) -> bool:
        return bool((self._shown[view, samples] != EMPTY).all())

    def get(self, view: int, samples: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
        """(features of those that could be read, on the CPU; the sample each shows)."""
        rows = self._row_of[view, samples]
        shown = np.where(self._is_done[rows], self._first + samples, self._shown[view, samples])
        is_there = shown != REFUSED
        return self._rows[torch.from_numpy(rows[is_there])], shown[is_there]

    def save(self) -> None:
        """Bring the rows to the disk, then their names: a name never stands for a row that is not there.

        On a full disk the names stay as they are: a later run computes the rows again.
        """
        names = [name if done else _NO_NAME for name, done in zip(self._names, self._is_done, strict=True)]
        with contextlib.suppress(OSError), open(self._rows_path, "r+b") as f:
            os.fsync(f.fileno())
            write_atomically(self._names_path, b"".join(names))

    def close(self) -> None:
        self._rows = None
        self._lock.release()


class CacheBeside(FeatureCache):
    """The same rows in another process of the run, on the same computer. The process that holds the folder keeps the names."""

    def __init__(self, opened: Opened):
        self.folder, self.size, self._first = opened.folder, opened.size, opened.first
        self._row_of, self._shown = opened.row_of, opened.shown
        self._is_done = np.zeros(opened.num_rows, bool)
        self._is_done[self._row_of[self._shown == self._first + np.arange(self.size.num_samples)]] = True
        self.num_found = int((self._shown != EMPTY).sum())
        self._map_rows()

    def save(self) -> None:
        pass

    def close(self) -> None:
        self._rows = None


def _fitted(features: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """In the type that is kept; what float16 cannot hold becomes its largest number."""
    if dtype == torch.float16 and features.dtype != dtype:
        largest = torch.finfo(dtype).max
        features = features.clamp(-largest, largest)
    return features.to(dtype)


def cache_key(**parts) -> str:
    """A name for the way features are made: the hash of plain data."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def row_name(content: bytes, view: str) -> bytes:
    """The name of a view of a file's content (dataset.decoded.content_of); no name where it is empty, of a file that cannot be read."""
    return _NO_NAME if not content else hashlib.blake2b(content + view.encode(), digest_size=NAME_BYTES).digest()


def make_room(root: Path, num_bytes: int, kept: set[str]) -> None:
    """Remove the folders in `root` that were not used for the longest time until at most `num_bytes` are left.

    Those in use stay, and those named in `kept`: a lock of this process must not be looked at, since that would open it.
    """
    folders = []
    for folder in root.iterdir() if root.is_dir() else ():
        with contextlib.suppress(OSError):
            used = (folder / "lock").stat().st_mtime if (folder / "lock").exists() else 0.0
            folders.append((used, sum(path.stat().st_size for path in folder.iterdir()), folder))
    total = sum(size for _, size, _ in folders)
    for _, size, folder in sorted(folders):
        if total <= num_bytes:
            return
        if folder.name in kept or is_locked(folder / "lock"):
            continue
        hidden = folder.with_name(f".{folder.name}.{time.time_ns()}")
        with contextlib.suppress(OSError):
            folder.rename(hidden)
            shutil.rmtree(hidden, ignore_errors=True)
            total -= size
