"""Whether the drive with the images answers. One that fails need not disappear: its folder may stay, empty or as the system remembers it, while
every file of it fails at once."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from studio.dataset.header import open_regular
from studio.dataset.refused import ImageRefused

OF_ONE_FILE = (None, errno.ENOENT, errno.EACCES, errno.EISDIR, errno.ENAMETOOLONG)  # what says nothing of the drive; None: no system error
NUM_TRIED = 8  # files, spread over the data set


def drive_answers(paths: Sequence[str]) -> bool:
    """Whether at least one of some files can be read, and no more than half of them fail as those of a failing drive do."""
    faults = [_fault_of(path) for path in paths[:: max(1, len(paths) // NUM_TRIED)][:NUM_TRIED]]
    return 0 in faults and 2 * sum(fault not in (0, *OF_ONE_FILE) for fault in faults) <= len(faults)


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
