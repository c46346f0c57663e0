"""Small real runs: 42 images of three classes, a network of half a million weights, some seconds."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from builders import build_dataset
from nursery import CAN_FORK, Nursery

from studio.core.event import Event
from studio.core.experiment import Experiment
from studio.core.journal import JournalReader
from studio.core.run_folder import RunFolder, create_run
from studio.supervise import engine as supervise
from studio.supervise.engine import EngineProcess

SMALL = {
    "model.source": "timm",
    "model.backbone": "test_resnet",
    "model.pretrained": False,
    "model.train_stages": -1,
    "model.input_size": 48,  # 2 x 2 pixels before the head
    "schedule.epochs": 2,
    "schedule.peak_lr": 1e-3,
    "training.batch_size": 8,
    "training.device": "cpu",
    "training.precision": "fp32",
    "training.workers": 0,
}
CLASSES = ("boot", "dress", "hat")
NUM_TRAIN, NUM_VALIDATION = 42, 12
STEPS_PER_EPOCH = 6  # 42 images in batches of 8, the last one smaller
_started: list[EngineProcess | subprocess.Popen] = []
_nurseries: list[Nursery] = []  # one, once it is wanted


def small_run(tmp_path: Path, **values) -> RunFolder:
    """A run folder ready to start. `values` are settings with two underscores for the dot."""
    data = tmp_path / "images"
    dataset = build_dataset(data, CLASSES, NUM_TRAIN // 3, NUM_VALIDATION // 3, size_px=80)
    settings = SMALL | {"data.source": str(data)} | {key.replace("__", "."): value for key, value in values.items()}
    return create_run(tmp_path / "runs", Experiment().changed(settings), dataset.to_json())


def events(folder: RunFolder) -> list[Event]:
    return JournalReader(folder.journal_path).read()


def of_kind(folder: RunFolder, kind: type[Event]) -> list:
    return [event for event in events(folder) if isinstance(event, kind)]


def train_here(folder: RunFolder, *, resume: bool = False, before: Callable | None = None) -> int:
    """One engine session inside the test process, without its signal handlers. `before(control)` makes wishes first."""
    from studio.engine.control import Control
    from studio.engine.main import _session
    from studio.engine.reporter import Reporter

    control = Control(folder.commands_path, folder.commands_size() if resume else 0)
    if before:
        before(control)
    reporter = Reporter(folder, control)
    try:
        return _session(folder, control, reporter, resume, None)
    finally:
        reporter.close()


def metrics(folder: RunFolder) -> dict:
    return json.loads((folder.results_path / "metrics.json").read_bytes())


def wait_until(condition: Callable[[], object], timeout_s: float = 240.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def start_engine(folder: RunFolder, resume: bool = False) -> EngineProcess:
    """As the window does; what still runs when the test is over is ended."""
    _started.append(supervise.start_engine(folder, resume))
    return _started[-1]


def end_started() -> None:
    """End every engine of this test: one that failed half-way must not leave a run behind."""
    while _started:
        process = _started.pop()
        if process.poll() is None:
            kill(process)


def kill(process: EngineProcess | subprocess.Popen) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait(60)


def fork_engine(folder: RunFolder, code: str = "", *, resume: bool = False) -> EngineProcess:
    """An engine process for a test that is not about its start. It runs `code` first, to break something in it."""
    arguments = supervise.engine_arguments(folder, resume)
    if CAN_FORK:
        if not _nurseries:
            _nurseries.append(Nursery())
        process = _nurseries[0].start(folder, code, arguments)
    else:
        program = f"{code}\nfrom studio.engine.main import main\nraise SystemExit(main({arguments!r}))"
        with open(folder.log_path, "ab") as log:
            streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            process = EngineProcess(folder, subprocess.Popen([sys.executable, "-c", program], **streams))
    _started.append(process)
    return process


def fork_two(folder: RunFolder, code: str = "", **environment) -> list[EngineProcess]:
    """The two processes of a run, as torchrun starts them."""
    both = {"WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()} | environment
    before, processes = dict(os.environ), []
    try:
        for rank in range(2):
            os.environ.update({name: str(value) for name, value in (both | {"RANK": rank, "LOCAL_RANK": rank}).items()})
            processes.append(fork_engine(folder, code))
    finally:
        os.environ.clear()
        os.environ.update(before)
    return processes


def held_at_step(step: int, reached: Path, until: str = "False") -> str:
    """The engine says by a file that it is there, and waits once: until something is so, or for its end."""
    return f"""
import os, time, studio.engine.loop as loop
from pathlib import Path
step, reached = loop.train_step, Path({str(reached)!r})
def held(s, batch):
    if s.progress.step == {step} and not reached.exists():
        reached.touch()
        while not ({until}):
            time.sleep(0.01)
    return step(s, batch)
loop.train_step = held
"""


def close_nursery() -> None:
    while _nurseries:
        _nurseries.pop().close()


def start_beside(command: list[str], log) -> subprocess.Popen:
    """Another process of a test's run; ended with it."""
    _started.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
    return _started[-1]


__all__ = [
    "CLASSES",
    "NUM_TRAIN",
    "NUM_VALIDATION",
    "SMALL",
    "STEPS_PER_EPOCH",
    "close_nursery",
    "end_started",
    "events",
    "fork_engine",
    "fork_two",
    "held_at_step",
    "kill",
    "metrics",
    "of_kind",
    "small_run",
    "start_beside",
    "start_engine",
    "train_here",
    "wait_until",
]


def free_port() -> int:
    """Below those that systems give to whoever asks for any: nobody is given it before it is used."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port
