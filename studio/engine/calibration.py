"""How many threads compute, and how they wait for one another: measured once on every computer, never guessed.

OpenMP's threads can spin while they wait, which is fastest on a quiet computer and twelve times slower beside one busy program on two cores, or
sleep at once. The choice must stand in the environment before torch is loaded, so each candidate is a process of its own that trains a small
network for a moment. Beside it a neighbour is busy for half of the time, as the window and the loader are. Imports no torch itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from studio.core.device import num_cores
from studio.engine.verdict import remember, remembered

VERDICTS = "threads-1"
WAITING = {  # by name, in the order in which they win a draw
    "sleep": {"OMP_WAIT_POLICY": "passive", "KMP_BLOCKTIME": "0"},
    "spin briefly": {"GOMP_SPINCOUNT": "20000", "KMP_BLOCKTIME": "1"},
}
MARGIN = 0.93  # of the time of the first that another must stay below: what is gained beside a busier neighbour may be lost
ROUNDS, PASSES = 2, 5
PATIENCE_S, POLL_S = 60, 0.1
QUIET_PERCENT = 25.0  # of all cores, that others may use before it begins


@dataclass(frozen=True)
class Threads:
    count: int
    waiting: str  # a key of WAITING


def machine() -> str:
    """What the verdict depends on."""
    return f"{platform.machine()}, {platform.processor()}, {num_cores()} of {os.cpu_count()} cores"


def counts() -> list[int]:
    """Numbers of threads worth trying. One core is left for the window and the system where there are more than two; two threads on one
    core share its arithmetic, so physical cores are tried first."""
    import psutil

    logical = num_cores()
    physical = min(logical, psutil.cpu_count(logical=False) or logical)
    spare = [max(1, n - 1) if n > 2 else n for n in (physical, logical)]
    return list(dict.fromkeys(spare))


def kept() -> Threads | None:
    """The verdict of an earlier calibration of this computer."""
    found = remembered(VERDICTS, machine())
    try:
        verdict = Threads(**found)
    except TypeError:
        return None
    return verdict if verdict.waiting in WAITING and isinstance(verdict.count, int) and 1 <= verdict.count <= num_cores() else None


def set_waiting() -> None:
    """Put into the environment how threads wait, unless the user has. Call before torch is loaded."""
    if not any(name in os.environ for variables in WAITING.values() for name in variables):
        verdict = kept()
        os.environ.update(WAITING[verdict.waiting if verdict else "sleep"])


def calibrate(is_cancelled: Callable[[], bool] = lambda: False) -> Threads | None:
    """Measure, and keep the verdict. Takes some seconds for every way to wait; what fails in a trial is no candidate. None, and nothing is
    kept, where it was cancelled or the computer is busy: then it would say nothing."""
    times: dict[Threads, list[float]] = {}
    if not is_quiet():
        return None
    for number in range(ROUNDS):
        for waiting in WAITING if number % 2 == 0 else reversed(WAITING):
            if is_busy() or is_cancelled():
                return None
            for count, seconds in _trial(waiting, is_cancelled).items():
                times.setdefault(Threads(count, waiting), []).append(seconds)
    if is_cancelled() or not times:
        return None
    verdict = judge(times)
    remember(VERDICTS, machine(), asdict(verdict))
    return verdict


def is_quiet() -> bool:
    """Whether hardly anything else computes at this moment, a run above all: the verdict stays."""
    import psutil

    return psutil.cpu_percent(interval=0.5) <= QUIET_PERCENT


def is_busy() -> bool:
    """Whether other programs compute: the average over the last minute, in which trials and their neighbour count too."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > num_cores() + 1


def judge(times: dict[Threads, list[float]]) -> Threads:
    """The fastest of those with times round by round; the first of them unless another is clearly faster, and was so in every round."""
    first = next(iter(times))
    shares = {candidate: [some / other for some, other in zip(seconds, times[first], strict=False)] for candidate, seconds in times.items()}
    best = min(shares, key=lambda candidate: statistics.median(shares[candidate]))
    is_clear = statistics.median(shares[best]) < MARGIN and max(shares[best]) < 1
    return best if is_clear else first


def _trial(waiting: str, is_cancelled: Callable[[], bool] = lambda: False) -> dict[int, float]:
    """Median seconds of a pass by number of threads, in a process that waits this way."""
    names = {name for variables in WAITING.values() for name in variables}
    environment = {name: value for name, value in os.environ.items() if name not in names} | WAITING[waiting]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, "-m", "studio.engine.calibration"]
    end = time.monotonic() + PATIENCE_S
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if is_cancelled() or time.monotonic() > end:
                process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(POLL_S)
        try:
            return {int(count): float(seconds) for count, seconds in json.loads(process.stdout.read().splitlines()[-1]).items()}
        except (ValueError, IndexError):
            return {}


def _measure() -> dict[int, float]:
    import torch
    from torch import nn

    wide = [nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()]
    module = nn.Sequential(
        nn.Conv2d(3, 32, 3, stride=2, padding=1), *wide, *wide, nn.Conv2d(32, 64, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    images = torch.randn(8, 3, 96, 96)
    neighbour = subprocess.Popen([sys.executable, "-c", _NEIGHBOUR], stdin=subprocess.PIPE)  # half of a core, as the window and the loader
    times: dict[int, list[float]] = {}
    try:
        for number in range(PASSES + 1):
            for count in counts():
                torch.set_num_threads(count)
                start = time.perf_counter()
                for _ in range(3):
                    module(images).square().mean().backward()
                if number:
                    times.setdefault(count, []).append(time.perf_counter() - start)
    finally:
        neighbour.communicate()  # it ends when its input does, also where this process is terminated
    return {count: statistics.median(seconds) for count, seconds in times.items()}


_NEIGHBOUR = """
import os, sys, threading, time
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
while True:
    busy = time.monotonic() + 0.005
    while time.monotonic() < busy: pass
    time.sleep(0.005)
"""


if __name__ == "__main__":
    print(json.dumps(_measure()))  # noqa: T201 - the answer of a trial
