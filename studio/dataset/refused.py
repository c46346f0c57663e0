"""Why a file is not used."""

from __future__ import annotations


class ImageRefused(Exception):
    """The file is not used. `reason` starts in lower case and fits after a file name and a colon; `errno` is the system's, where it refused."""

    def __init__(self, reason: str, errno: int | None = None):
        self.reason, self.errno = reason, errno
        super().__init__(reason)
