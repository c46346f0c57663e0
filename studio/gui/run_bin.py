"""Deleting a run is moving its folder into `.bin` beside the runs: it can be taken back, and nothing else is touched."""

from __future__ import annotations

import os
from pathlib import Path

from studio.core.run_folder import RunFolder

BIN = ".bin"


def move_to_bin(folder: RunFolder) -> Path:
    """Move the run; returns where it lies now. OSError when it cannot be moved: it then stays."""
    target = folder.path.parent / BIN / folder.name
    target.parent.mkdir(exist_ok=True)
    number = 1
    while target.exists():
        number += 1
        target = target.with_name(f"{folder.name}-{number}")
    os.rename(folder.path, target)
    return target


def take_back(binned: Path, folder: RunFolder) -> None:
    """Undo of `move_to_bin`. OSError when it is gone or the place is taken."""
    if folder.path.exists():
        raise FileExistsError(f"{folder.path} exists")
    os.rename(binned, folder.path)
