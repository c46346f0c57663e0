"""Whether the drive with the images answers. One that fails need not disappear: its folder may stay, empty or as the system remembers it, while
every file of it fails at once."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Sequence
from functools import cached_property

from studio.dataset.header import open_regular
from studio.dataset.refused import ImageRefused
from studio.engine.failure import DataGone

# What says nothing of the drive: folders may have been renamed, or closed to the user. None: no system error.
OF_ONE_FILE = (None, errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EISDIR, errno.ENAMETOOLONG)
NUM_TRIED = 8  # files, spread evenly over the data set
REMEMBERED_S = 2.0  # a good answer: many files may fail, one after the other, on a drive that is well


class Drive:
    """The drive of a data set, as one reader of it finds it. `check` and `check_after` raise DataGone where it fails."""

    def __init__(self, root: str, paths: Sequence[str], devices: Sequence[tuple[str, int | None]] = ()):
        """`root` is the folder of the images; those of `paths` that lie elsewhere say nothing of it. `devices` as `devices_of` gave them at
        first."""
        self._root, self._paths, self._devices = root, paths, devices
        self._good_until = 0.0

    def check_after(self, code: int) -> None:
        """As `check`, after a file could not be read for the errno `code`; costs little where that says nothing of the drive."""
        self._check(reads=code not in OF_ONE_FILE and time.monotonic() >= self._good_until)

    def check(self) -> None:
        self._check(reads=True)

    def _check(self, *, reads: bool) -> None:
        try:
            info = os.stat(self._root)
        except (FileNotFoundError, NotADirectoryError):
            raise DataGone(self._root) from None
        except OSError as exc:
            raise DataGone(self._root, exc.strerror) from exc
        if not stat.S_ISDIR(info.st_mode):
            raise DataGone(self._root)
        away = "the folder is empty" if _is_empty(self._root) else self._lacks()  # why it may be that a drive is not mounted
        if not (reads or away):
            return
        faults = [_fault_of(path) for path in self._tried]
        broken = [fault for fault in faults if fault not in (0, *OF_ONE_FILE)]
        if broken and (0 not in faults or 2 * len(broken) > len(faults)):
            raise DataGone(self._root, os.strerror(broken[0]))
        if away and faults and 0 not in faults:
            raise DataGone(self._root, away)
        self._good_until = time.monotonic() + REMEMBERED_S

    def _lacks(self) -> str:
        for folder, device in self._devices:
            now = _device_of(folder)
            if now is None:
                return "a folder that holds them is not there"
            if device not in (None, now):
                return "their drive is not there"
        return ""

    @cached_property
    def _tried(self) -> list[str]:
        return _spread(self._root, self._paths)


def devices_of(root: str, paths: Sequence[str]) -> tuple[tuple[str, int | None], ...]:
    """The folder `root` of the images, and those that hold some of them elsewhere: behind links, or on another drive that is mounted in it. Each
    with the number of its drive, None where it is not there. To be asked at first: afterwards nobody can tell where they were."""
    own, inside = _device_of(root), os.path.join(os.path.realpath(root), "")
    found = [(root, own)]
    for folder in sorted({os.path.dirname(os.path.realpath(path)) for path in _spread(root, paths)}):
        device = _device_of(folder)
        if not os.path.join(folder, "").startswith(inside) or device not in (None, own):
            found.append((folder, device))
    return tuple(found)


def _spread(root: str, paths: Sequence[str]) -> list[str]:
    below = [path for path in paths if path.startswith(os.path.join(root, ""))]
    return [below[i] for i in sorted({n * (len(below) - 1) // (NUM_TRIED - 1) for n in range(NUM_TRIED)})] if below else []


def _device_of(folder: str) -> int | None:
    try:
        return os.stat(folder).st_dev
    except OSError:
        return None


def _is_empty(folder: str) -> bool:
    """False where it cannot be listed."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return next(entries, None) is None
    return False


def _fault_of(path: str) -> int | None:
    """What the system says when a file is read: an errno, or 0."""
    try:
        fd, _ = open_regular(path)
        try:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)  # what is in memory can be read without the drive
            os.read(fd, 1)
        finally:
            os.close(fd)
    except (ImageRefused, OSError) as exc:
        return exc.errno
    return 0
