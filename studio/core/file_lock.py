"""A lock between processes: who holds it, who may look, and a turn to change a file that several windows write."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

if os.name == "nt":
    import msvcrt
else:
    import fcntl


_HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
# NFS without its lock service, some cluster drives; ENOTSUP is another number on macOS
_HAS_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)


class FileLock:
    """An exclusive, advisory lock of a file between processes (`fcntl.lockf`, `msvcrt.locking`). The system drops it when its holder dies.

    It belongs to a process: its threads do not exclude one another, and a child does not inherit it. The file is opened once, as closing any
    descriptor of it would drop the lock. The library filelock only asks by taking, which makes a file where there is none and fails where it may
    only be read, and cannot say whether the file is still in place.
    """

    def __init__(self, path: str | os.PathLike):
        """Opens the file, and makes it where there is none; takes nothing yet. Raises OSError."""
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)

    def acquire(self, tries: int = 20, pause_s: float = 0.05) -> bool:
        """True when the lock is ours. A reader holds it for microseconds while it looks, hence the tries. Raises OSError where files cannot be
        locked."""
        for _ in range(tries):
            if _try_lock(self._fd):
                return True
            time.sleep(pause_s)
        return False

    def is_in_place(self) -> bool:
        """False where the file, most likely with its folder, was moved away or deleted. True where the drive does not answer."""
        try:
            return os.stat(self._path).st_ino == os.fstat(self._fd).st_ino
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True

    def release(self) -> None:
        """Give it up before the process ends; the lock is of no use afterwards."""
        os.close(self._fd)


@contextlib.contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """While other processes wait at `path`, for 2 s at most; without that where the lock is another user's or stays taken: a change that is not
    written is worse than two at once. One thread at a time, which the caller sees to."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            lock = FileLock(path)
            stack.callback(lock.release)
            lock.acquire(tries=400, pause_s=0.005)
        yield


def is_locked(path: str | os.PathLike) -> bool:
    """True when another process holds the lock on `path`, and where nobody may look: what may go on is left alone. False on a drive without
    locks, where nobody can hold one. Never ask in the process that holds it."""
    try:
        fd = os.open(path, os.O_RDWR)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # of another user, or on a disk that is only to be read
        return os.name != "nt" and _is_locked_to_readers(path)
    try:
        return not _try_lock(fd)
    except OSError as exc:
        return exc.errno not in _HAS_NO_LOCKS
    finally:
        os.close(fd)


def _is_locked_to_readers(path: str | os.PathLike) -> bool:
    """As `is_locked`, for a file that may not be written: a shared lock, for which reading is enough, is refused beside the exclusive one too."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return True
    try:
        fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError as exc:
        return exc.errno not in _HAS_NO_LOCKS
    finally:
        os.close(fd)


def _try_lock(fd: int) -> bool:
    try:
        if os.name == "nt":
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError as exc:
        if exc.errno in _HELD:
            return False
        if exc.errno in _HAS_NO_LOCKS:
            raise OSError(exc.errno, "files cannot be locked there: the drive has no locks, or its lock service does not run") from exc
        raise
