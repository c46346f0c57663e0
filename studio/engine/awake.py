"""Keeps the computer awake while a run goes on, as far as the system lets it. STUDIO_KEEP_AWAKE=0 leaves sleep alone.

The engine holds the wish itself, so it lasts when the window is closed and ends with the engine, however that ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

_CONTINUOUS, _SYSTEM_REQUIRED = 0x80000000, 0x00000001  # of SetThreadExecutionState


@contextlib.contextmanager
def kept_awake() -> Iterator[None]:
    """The screen may go dark; the computer does not sleep by itself. Best effort: nothing is said where the system has no way."""
    if os.environ.get("STUDIO_KEEP_AWAKE") == "0":
        yield
    elif os.name == "nt":
        import ctypes

        ctypes.windll.kernel32.SetThreadExecutionState(_CONTINUOUS | _SYSTEM_REQUIRED)
        try:
            yield
        finally:
            ctypes.windll.kernel32.SetThreadExecutionState(_CONTINUOUS)
    else:
        holder = _start_holder()
        try:
            yield
        finally:
            if holder:
                holder.stdin.close()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    holder.wait(5)
                if holder.poll() is None:
                    holder.kill()
                    holder.wait()


def _start_holder() -> subprocess.Popen | None:
    """A process that holds the wish until its standard input ends, which it does when this process goes away in any way."""
    if sys.platform == "darwin":
        command = ["caffeinate", "-i", "cat"]
    else:
        command = ["systemd-inhibit", "--what=idle:sleep", "--who=Studio", "--why=A network is being trained", "--mode=block", "cat"]
    if shutil.which(command[0]) is None:
        return None
    with contextlib.suppress(OSError):
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return None
