"""Keeping a cache on disk below a size. Other processes may add to it, use it and remove from it at the same time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

StrPath = str | os.PathLike[str]


def files_two_below(folder: StrPath) -> Iterator[str]:
    """The files of a cache that divides its names among sub-folders; none where there is no such folder."""
    with contextlib.suppress(OSError), os.scandir(folder) as parts:
        for part in parts:
            with contextlib.suppress(OSError), os.scandir(part.path) as entries:
                for entry in entries:
                    yield entry.path


def total_bytes(paths: Iterable[StrPath]) -> int:
    return sum(size for _, size, _ in _stamped(paths))


def drop_oldest(paths: Iterable[StrPath], max_bytes: int, *, spared: StrPath | None = None) -> int:
    """Remove the files that were used longest ago, by their time of change, until at most `max_bytes` are left; returns how many bytes remain.

    `spared` counts and stays. A file that cannot be removed is counted as gone: the next one is not removed for it.
    """
    files = sorted(_stamped(paths))
    left = sum(size for _, size, _ in files)
    for _, size, path in files:
        if left <= max_bytes:
            break
        if spared is not None and path == os.fspath(spared):
            continue
        with contextlib.suppress(OSError):
            os.unlink(path)
        left -= size
    return left


def _stamped(paths: Iterable[StrPath]) -> Iterator[tuple[int, int, str]]:
    """(time of change in ns, size, path) of those that are still there."""
    for path in paths:
        with contextlib.suppress(OSError):
            info = os.stat(path)
            yield info.st_mtime_ns, info.st_size, os.fspath(path)
