"""Decoded, size-reduced pictures kept on disk: read several times faster than a JPEG is decoded, by training, its next run, previews and thumbnails.

A picture is named by the content of its file and by how it was reduced, so a copy of a file finds it and a changed file does not. The least
recently used ones go when the budget is used up. The folder may vanish, be full or be read-only: then pictures are decoded again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from pathlib import Path

import numpy as np

from studio.core.file import write_atomically
from studio.core.place import cache_dir, state_dir
from studio.core.trim import drop_oldest, files_two_below, total_bytes

BUDGET_BYTES = 4_000_000_000  # where nothing else was chosen
MAX_BUDGET_BYTES = 1_000 * 1_000_000_000
FREE_SHARE = 0.1  # of what is free on the disk is never exceeded
_VERSION = b"2"
HEAD_BYTES = 8  # height and width as uint32


def decoded_folder() -> Path:
    return cache_dir() / "decoded"


def budget() -> int:
    """How many bytes may be kept on this machine, as chosen by `set_budget`."""
    try:
        return max(0, min(MAX_BUDGET_BYTES, int(_budget_path().read_text())))
    except (OSError, ValueError):
        return BUDGET_BYTES


def set_budget(num_bytes: int) -> int:
    """From now on keep no more than this; what is too much goes at once. Returns how many bytes remain. Raises OSError."""
    write_atomically(_budget_path(), str(num_bytes).encode())
    return drop_oldest(files_two_below(decoded_folder()), num_bytes)


def used_bytes() -> int:
    return total_bytes(files_two_below(decoded_folder()))


def clear() -> int:
    """Remove all; a run that is going on writes new ones. Returns how many bytes remain."""
    return drop_oldest(files_two_below(decoded_folder()), 0)


def _budget_path() -> Path:
    return state_dir() / "decoded-budget"


def find_decoded(content: bytes, view: str) -> np.ndarray | None:
    """A picture that some process has kept: uint8[H, W, 3]; None where there is none."""
    return _read(_path(decoded_folder(), content, view))


def content_of(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()  # 2 GB/s with the processor's own instructions


class DecodedCache:
    """Pictures by (content of the file, how they were reduced). One per process; several processes may share the folder.

    `num_writers` processes share what is left of the budget, and none throws away what a run has just written: of a data set that does not
    fit, the first part is kept.
    """

    def __init__(self, folder: str | os.PathLike, budget_bytes: int | None = None, num_writers: int = 1):
        """`budget_bytes`: `budget()` unless given."""
        self._folder, self._budget_bytes, self._num_writers = Path(folder), budget_bytes, num_writers
        self._room: int | None = None  # that this process may fill; not known before it has something to keep

    def get(self, content: bytes, view: str) -> np.ndarray | None:
        """uint8[H, W, 3], the caller's own; None when it is not kept."""
        return _read(_path(self._folder, content, view))

    def put(self, content: bytes, view: str, picture: np.ndarray) -> None:
        """Keep a picture where there is room."""
        num_bytes = picture.nbytes + HEAD_BYTES
        if self._room is None:
            self._room = self._make_room()
        if num_bytes > self._room:
            return
        path = _path(self._folder, content, view)
        temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
        try:
            path.parent.mkdir(exist_ok=True)
            with open(temporary, "xb") as f:
                f.write(np.array(picture.shape[:2], np.uint32).tobytes())
                f.write(np.ascontiguousarray(picture).data)
            os.replace(temporary, path)
            self._room -= num_bytes
        except OSError:
            self._room = 0  # full or read-only: not tried again
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _make_room(self) -> int:
        """How many bytes this process may write. Looks at every file that is kept, so a run that finds all its pictures does without."""
        budget_bytes = budget() if self._budget_bytes is None else self._budget_bytes
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self._folder).free
        except OSError:
            return 0
        used = total_bytes(files_two_below(self._folder))
        if used > 0.9 * budget_bytes:
            used = drop_oldest(files_two_below(self._folder), budget_bytes // 2)
        return int(min(budget_bytes - used, free * FREE_SHARE) // self._num_writers)


def _path(folder: Path, content: bytes, view: str) -> Path:
    name = hashlib.sha256(b"\0".join([_VERSION, view.encode(), content])).hexdigest()
    return folder / name[:2] / name[2:40]


def _read(path: Path) -> np.ndarray | None:
    try:
        raw = np.fromfile(path, np.uint8)
        height, width = (int(n) for n in raw[:HEAD_BYTES].view(np.uint32))
        picture = raw[HEAD_BYTES:].reshape(height, width, 3)
        os.utime(path)  # used now
    except (OSError, ValueError):
        return None
    return picture
