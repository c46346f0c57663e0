"""Curves among small things leave no heap in pieces: what is freed between them goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import numpy as np
import psutil
from studio.core import malloc

if sys.argv[1] == "told":
    malloc.map_from(1 << 20, keep_bytes=16 << 20, most_arenas=2)
np.ones(1 << 20)  # 8 MB that are freed: glibc keeps what is smaller from now on
curves, pins = [], []
for _ in range(40):
    curves.append(np.ones(1 << 18))
    pins.append(bytearray(5000))
process = psutil.Process()
held = process.memory_info().rss
del curves
print("given back" if held - process.memory_info().rss > 60e6 else "kept")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone can be told")
@pytest.mark.parametrize(("how", "outcome"), [("told", "given back"), ("as it comes", "kept")])
def test_curves_that_are_freed_among_small_things_are_given_back(how, outcome):
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == outcome, done.stderr
