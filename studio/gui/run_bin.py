"""Deleting a run is moving its folder into the bin of the system, from which it can be taken back; nothing else is touched.

Where the system has no bin for that disk (some network drives), the folder goes into `.bin` beside the runs.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from PySide6.QtCore import QFile

from studio.core.run_folder import RunFolder

BIN = ".bin"
STILL_TRAINS = "it trains. Stop it first"


def move_to_bin(folder: RunFolder) -> Path | None:
    """Move the run; returns where it lies now, None where the system does not say. OSError when it cannot be moved: it then stays, as does one
    that trains."""
    if folder.is_alive():  # another window, or a command, has resumed it a moment ago
        raise BlockingIOError(STILL_TRAINS)
    file = QFile(str(folder.path))
    if not file.moveToTrash():
        return _move_beside(folder)
    place = Path(file.fileName())
    return place if place != folder.path else None


def _move_beside(folder: RunFolder) -> Path:
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
    with contextlib.suppress(OSError):  # what freedesktop.org's bins note beside it
        os.remove(binned.parents[1] / "info" / f"{binned.name}.trashinfo")
