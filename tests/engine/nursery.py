"""Engines for tests that are not about their start: forked from a process that has loaded everything, in place of 3 CPU seconds of imports each."""

from __future__ import annotations

import gc
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path

from studio.core.run_folder import RunFolder
from studio.supervise.engine import EngineProcess

CAN_FORK = hasattr(os, "pidfd_open")  # Linux
_START = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import nursery; nursery.serve()"


class Nursery:
    """Forks engines on request and tells how they ended. It ends when it is closed; engines that still run go on."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._told = b""
        self._started: list[int] = []
        self.codes: dict[int, int] = {}

    def start(self, folder: RunFolder, code: str, arguments: list[str]) -> EngineProcess:
        """An engine with these arguments that runs `code` first, with the environment that this process has now; it leads a group of its own as others do."""
        wish = {"folder": str(folder.path), "code": code, "arguments": arguments, "environment": dict(os.environ)}
        self._process.stdin.write(json.dumps(wish).encode() + b"\n")
        self._process.stdin.flush()
        while not self._started:
            self.listen(60.0)
        return EngineProcess(folder, _Child(self, self._started.pop()))

    def listen(self, seconds: float) -> None:
        """Take what the nursery tells within `seconds`."""
        pipe = self._process.stdout.fileno()
        if not select.select([pipe], [], [], seconds)[0]:
            return
        told = os.read(pipe, 1 << 16)
        assert told, "the nursery has ended"
        *lines, self._told = (self._told + told).split(b"\n")
        for line in lines:
            pid, *code = map(int, line.split())
            if code:
                self.codes[pid] = code[0]
            else:
                self._started.append(pid)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class _Child:
    """What `EngineProcess` uses of subprocess.Popen."""

    def __init__(self, nursery: Nursery, pid: int):
        self._nursery, self.pid = nursery, pid

    def poll(self) -> int | None:
        self._nursery.listen(0.0)
        return self._nursery.codes.get(self.pid)

    def wait(self, timeout: float | None = None) -> int:
        end = None if timeout is None else time.monotonic() + timeout
        while (code := self._nursery.codes.get(self.pid)) is None:
            left = 1.0 if end is None else end - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired("engine", timeout)
            self._nursery.listen(left)
        return code


def serve() -> None:
    """The nursery's life. It has one thread, so that a fork is a whole process."""
    from studio.engine.loading import begin_loading
    from studio.engine.main import be_a_good_neighbour

    be_a_good_neighbour()
    begin_loading()
    from studio.engine.no_compiler import load_torch

    load_torch()
    import albumentations  # noqa: F401
    import timm  # noqa: F401

    import studio.engine.loop
    import studio.engine.precision
    import studio.engine.recovery
    import studio.engine.reporter
    import studio.engine.saving
    import studio.engine.setup
    from studio.catalog.backbones import takes_input_size

    takes_input_size("timm", "test_resnet", 32)  # loads what shapes without values take

    os.fsync = lambda fd: None  # as in the process of the tests
    studio.engine.precision.PROBE_SECONDS = 0.0
    studio.engine.saving.SAVE_SHARE = 1e9
    studio.engine.recovery.STEADY_S = studio.engine.reporter.RETRY_S = 0.4  # a disk or drive that is back stays: a second look is enough
    gc.freeze()  # the pages of what is loaded stay shared
    ends: dict[int, int] = {}  # of the engines that run, by the descriptor that tells of their end
    rest = b""
    while True:
        for ready in select.select([0, *ends], [], [])[0]:
            if ready in ends:
                os.close(ready)
                pid, status = os.waitpid(ends.pop(ready), 0)
                os.write(1, b"%d %d\n" % (pid, os.waitstatus_to_exitcode(status)))
                continue
            if not (said := os.read(0, 1 << 16)):
                os._exit(0)  # nothing here needs an end; Python would look through all that torch holds
            *lines, rest = (rest + said).split(b"\n")
            for line in lines:
                pid = os.fork()
                if pid == 0:
                    _be_an_engine(**json.loads(line))
                os.write(1, b"%d\n" % pid)
                ends[os.pidfd_open(pid)] = pid


def _be_an_engine(folder: str, code: str, arguments: list[str], environment: dict[str, str]) -> None:
    """In the forked process: never returns."""
    from studio.engine.main import main
    from studio.engine.standby import move_output_to

    os.setsid()
    move_output_to(RunFolder(folder).log_path)
    os.environ.clear()
    os.environ.update(environment)
    exec(code, {})  # noqa: S102 - a test's own
    raise SystemExit(main(arguments))
