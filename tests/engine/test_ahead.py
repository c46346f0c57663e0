"""Memory for the first step is taken beside the loading of libraries, as much as an earlier run of the same size had."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the heap of another C library is not known")

START = """
import ctypes, json, resource
from studio.core.experiment import Experiment
from studio.engine.ahead import ahead
from studio.engine.heap import keep_freed_memory, suit_step

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
STEP_BYTES = 128 << 20

def step():
    "Page faults of a step that takes memory in four parts."
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    parts = [libc.malloc(STEP_BYTES // 4) for _ in range(4)]
    for part in parts:
        ctypes.memset(part, 1, STEP_BYTES // 4)
    for part in parts:
        libc.free(part)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def populated():
    while ahead._thread.is_alive():
        pass
    return ahead.num_bytes

def session(wait=lambda: None, most=1 << 40):
    keep_freed_memory()
    ahead.begin(Experiment())
    taken = wait()
    suit_step(is_large=False)
    ahead.hand_over()
    faults = step(), step()
    ahead.note(most)
    return taken, faults
"""


def taken_and_faults(home, how: str = "") -> tuple[int | None, tuple[int, int]]:
    """(bytes that were taken ahead, page faults of the first and the second step) of a process."""
    return in_process(home, START + f"print(json.dumps(session({how})))")


def in_process(home, program: str):
    """What a program prints as JSON."""
    environment = {**os.environ, "STUDIO_HOME": str(home)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_first_step_of_a_later_run_finds_its_memory(tmp_path):
    _, (first, second) = taken_and_faults(tmp_path)
    assert first > 20_000 and second < first / 10, "128 MB in pages of 4 KB, then kept"
    (kept,) = tmp_path.rglob("heap-*.json")
    measured = kept.read_bytes()
    taken, (again, _) = taken_and_faults(tmp_path, "populated")
    assert taken > 100 << 20 and again < first / 10
    assert kept.read_bytes() == measured, "what was taken ahead is not taken for what a step needs"


def test_no_more_is_taken_than_a_step_is_estimated_to_need(tmp_path):
    """A heap counts what is free between its pieces too, and what is taken ahead stays with the process."""
    taken_and_faults(tmp_path, "most=64 << 20")
    taken, _ = taken_and_faults(tmp_path, "populated")
    assert taken == 64 << 20


def test_what_was_taken_for_one_step_does_not_stay_beside_what_another_takes(tmp_path):
    program = (
        START
        + """
import psutil
from studio.engine import verdict
from studio.engine.ahead import _VERDICTS, key_of

small, large = Experiment(), Experiment().changed({"training.batch_size": 100})
verdict.remember(_VERDICTS, key_of(large), 256 << 20)
verdict.remember(_VERDICTS, key_of(small), 32 << 20)
keep_freed_memory()
before, found = psutil.Process().memory_info().rss, []
for experiment in (large, small):
    ahead.begin(experiment)
    populated()
    found.append(psutil.Process().memory_info().rss - before)
print(json.dumps(found))
"""
    )
    held_for_large, held_for_small = in_process(tmp_path, program)
    assert held_for_large > 250 << 20 and held_for_small < 64 << 20


def test_a_wish_for_more_than_a_share_of_what_is_free_is_not_met(tmp_path, monkeypatch):
    from studio.core.experiment import Experiment
    from studio.engine import ahead, verdict

    monkeypatch.setenv("STUDIO_HOME", str(tmp_path))
    memory = ahead.Ahead()
    memory.begin(Experiment())
    verdict.remember(ahead._VERDICTS, ahead.key_of(Experiment()), 1 << 50)
    memory.begin(Experiment())
    assert memory._thread is None and not memory._pieces
    memory.hand_over()


def test_where_the_c_library_cannot_be_asked_a_run_goes_on_without(tmp_path, monkeypatch):
    from studio.core.experiment import Experiment
    from studio.engine import ahead, verdict

    def as_on_windows(name):
        raise TypeError("argument of type 'NoneType' is not iterable")

    monkeypatch.setenv("STUDIO_HOME", str(tmp_path))
    monkeypatch.setattr(ahead.ctypes, "CDLL", as_on_windows)
    memory = ahead.Ahead()
    memory.begin(Experiment())
    verdict.remember(ahead._VERDICTS, ahead.key_of(Experiment()), 8 << 20)
    memory.begin(Experiment())
    memory.hand_over()
    memory.note(8 << 20)
    assert memory.num_bytes == 0
