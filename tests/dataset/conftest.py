"""Folders of small images, and what a reading costs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .corpus import jpeg

_JPEG = jpeg(40, 32)


def make_images(root: Path, names: str | dict[str, int], data: bytes | None = None) -> Path:
    """“cat/a.jpg dog/b.jpg”, or {"cat": 3} for cat/0000.jpg to cat/0002.jpg. All hold the same picture."""
    if isinstance(names, dict):
        files = [f"{folder}/{i:04}.jpg" for folder, number in names.items() for i in range(number)]
    else:
        files = names.split()
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_JPEG if data is None else data)
    return root


_MEASURED = """
import sys, time
def memory_mb(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name)) / 1024
{before}
seconds, mb = time.process_time(), memory_mb("VmRSS")
{code}
print(time.process_time() - seconds, memory_mb("VmHWM") - mb)
"""


def measured(before: str, code: str, *args: str | Path) -> tuple[float, float]:
    """Processor seconds of `code`, and the megabytes that the process grew by at its peak, in a process of its own; Linux only."""
    script = _MEASURED.format(before=before, code=code)
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", script, *map(str, args)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seconds, mb = map(float, done.stdout.split())
    return seconds, mb
