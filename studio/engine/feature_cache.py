"""What frozen layers gave for each picture, kept in a memory-mapped file of the run: computed once, read in every later epoch.

A row belongs to a view of a sample. View v of a training sample is the augmentation that epoch v draws for it, so a run with one view
and no augmentation repeats nothing but the same pictures, and a run with K views sees epoch e as epoch e modulo K. The row remembers
which sample the picture really showed: an unreadable file is replaced by the next one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from studio.core.file import write_atomically

EMPTY, REFUSED = -2, -1  # instead of the sample a row shows: not computed yet; the file cannot be read


@dataclass(frozen=True)
class CacheSize:
    """The size of a cache, known before anything of it is written."""

    num_views: int
    num_samples: int
    row_shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def num_bytes(self) -> int:
        return self.num_views * self.num_samples * int(np.prod(self.row_shape)) * self.dtype.itemsize


class FeatureCache:
    """Rows of features by (view, sample). `key` says what they were computed from; a file with another key is thrown away.

    One process and one thread. Rows are kept in the type the prefix gave, so nothing is rounded. Raises OSError on a full disk.
    """

    def __init__(self, folder: Path, key: str, size: CacheSize):
        self.size = size
        self._folder = folder
        self._record = {
            "key": key,
            "views": size.num_views,
            "samples": size.num_samples,
            "shape": list(size.row_shape),
            "dtype": str(size.dtype),
        }
        folder.mkdir(parents=True, exist_ok=True)
        if self._read_record() != self._record:
            self.clear()
            folder.mkdir(parents=True, exist_ok=True)
            with open(self._rows_path, "wb") as f:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(f.fileno(), 0, max(1, size.num_bytes))  # a full disk says so now, not as a fault on a later write
                else:
                    f.truncate(size.num_bytes)
            np.full((size.num_views, size.num_samples), EMPTY, np.int64).tofile(self._shown_path)
            write_atomically(self._record_path, json.dumps(self._record).encode())
        count = size.num_views * size.num_samples
        values = torch.from_file(str(self._rows_path), shared=True, size=count * int(np.prod(size.row_shape)), dtype=size.dtype)
        self._rows = values.view(size.num_views, size.num_samples, *size.row_shape)
        self._shown = np.fromfile(self._shown_path, np.int64).reshape(size.num_views, size.num_samples)

    @property
    def _rows_path(self) -> Path:
        return self._folder / "rows.bin"

    @property
    def _shown_path(self) -> Path:
        return self._folder / "shown.bin"

    @property
    def _record_path(self) -> Path:
        return self._folder / "cache.json"

    def _read_record(self) -> dict | None:
        try:
            record = json.loads(self._record_path.read_bytes())
            whole = (
                self._rows_path.stat().st_size >= self.size.num_bytes
                and self._shown_path.stat().st_size == 8 * self.size.num_views * self.size.num_samples
            )
        except (OSError, ValueError):
            return None
        return record if whole else None

    def put(self, view: int, samples: np.ndarray, shown: np.ndarray, features: torch.Tensor) -> None:
        """Keep rows: features[i], computed from the picture of `shown[i]`, for sample `samples[i]`. -1 shown is a refused file."""
        rows = features.detach().to("cpu", self.size.dtype)
        self._rows[view, torch.from_numpy(samples)] = rows
        self._shown[view, samples] = shown

    def has_all(self, view: int, samples: np.ndarray) -> bool:
        return bool((self._shown[view, samples] != EMPTY).all())

    def get(self, view: int, samples: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
        """(features of those that could be read, on the CPU; the sample each shows)."""
        shown = self._shown[view, samples]
        kept = samples[shown != REFUSED]
        return self._rows[view, torch.from_numpy(kept)], shown[shown != REFUSED]

    def save(self) -> None:
        """Bring the rows to the disk, then the list of those that are there: a list never names a row that is not.

        On a full disk the list stays as it is: a later session computes the rows again.
        """
        with contextlib.suppress(OSError), open(self._rows_path, "r+b") as f:
            os.fsync(f.fileno())
            write_atomically(self._shown_path, self._shown.tobytes())

    def clear(self) -> None:
        for path in (self._record_path, self._shown_path, self._rows_path):
            path.unlink(missing_ok=True)


def cache_key(**parts) -> str:
    """A name for what rows are computed from: the hash of plain data."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
