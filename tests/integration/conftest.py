from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def screen() -> Iterator[dict[str, str]]:
    """The environment of a window on a fresh X display under a real window manager; empty where there are none: then it is drawn offscreen."""
    if not sys.platform.startswith("linux") or not all(map(shutil.which, ("Xvfb", "openbox"))):
        yield {}
        return
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"], pass_fds=[write], stderr=subprocess.DEVNULL
    )
    os.close(write)
    with os.fdopen(read) as f:
        name = f":{f.readline().strip()}"
    manager = subprocess.Popen(["openbox"], env=os.environ | {"DISPLAY": name}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield {"DISPLAY": name, "QT_QPA_PLATFORM": "xcb"}
    for process in (manager, server):
        process.terminate()
        process.wait(60)
