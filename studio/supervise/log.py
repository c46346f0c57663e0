"""Where helper processes of the window print what nobody reads but who looks for a fault: bounded files in Studio's own folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from studio.core.place import state_dir

MAX_BYTES = 1 << 20  # then it begins anew


def log_path(name: str) -> Path:
    return state_dir() / "logs" / f"{name}.log"


def open_log(name: str) -> BinaryIO:
    """To be appended to; nowhere where it cannot be written."""
    path = log_path(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size >= MAX_BYTES:
            os.truncate(path, 0)
        return open(path, "ab")  # so that processes of a kind do not write over each other's lines
    except OSError:  # a log is not worth a failure
        return open(os.devnull, "wb")
