"""Why a file is not used."""

from __future__ import annotations


class ImageRefused(Exception):
    """The file is not used. `reason` starts in lower case and fits after a file name and a colon."""

    def __init__(self, reason: str):
        self.reason = reason
        super().__init__(reason)
