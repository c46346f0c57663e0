"""Runs every benchmark (or those named) and writes what they print into docs/measurements.md."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

MODULES = (
    "window",
    "open_folder",
    "lateness",
    "curves",
    "drag",
    "augment_page",
    "start",
    "control",
    "train",
    "accuracy",
    "calibration",
    "frozen",
    "head_accuracy",
    "last_stage",
    "evaluation",
    "memory",
    "augment",
    "resampling",
    "long_run",
    "kill",
    "runs",
    "estimates",
    "flow",
)
PAGE = Path(__file__).parents[1] / "docs" / "measurements.md"


def main() -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program's modules are compiled
    for name in sys.argv[1:] or MODULES:
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        done = subprocess.run(command, capture_output=True, text=True)
        sys.stdout.write(done.stdout + (done.stderr if done.returncode else ""))
        if done.returncode == 0:
            put_section(name, f"{done.stdout.strip()}\n\n`python -m benchmarks.{name}`, {date.today()}, {machine()}\n")


def put_section(name: str, text: str) -> None:
    """Replace the section between the two marks of this benchmark, or add it at the end."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    page = (
        PAGE.read_text()
        if PAGE.exists()
        else "# Measurements\n\nWritten by `make bench`; ratios count, absolute figures are that machine's.\n"
    )
    block = f"{begin}\n{text}{end}"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.S)
    page = pattern.sub(lambda _: block, page) if pattern.search(page) else f"{page.rstrip()}\n\n{block}\n"
    PAGE.write_text(page)


def machine() -> str:
    import psutil

    return f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GB, {platform.system()}, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
