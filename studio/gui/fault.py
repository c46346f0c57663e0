"""Where exceptions that nobody expected are written down."""

from __future__ import annotations

import traceback
from pathlib import Path


def log_fault(exc: BaseException) -> Path | None:
    """Append the trace to the window's log; returns the log, or None when it cannot be written. From any thread."""
    from studio.core.place import state_dir

    path = state_dir() / "logs" / "window.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8") as log:
            traceback.print_exception(exc, file=log)
    except OSError:
        return None
    return path
