"""Starting engines and ending them. An engine outlives the window that started it. Standard library only; no Qt, no torch."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studio.core.event import RunStarted
from studio.core.experiment import Experiment, Training
from studio.core.journal import JournalReader
from studio.core.json_text import parse_json
from studio.core.problem import BadInput
from studio.core.process_space import process_space
from studio.core.run_folder import RunFolder
from studio.supervise.log import open_log

_ROOT = Path(__file__).resolve().parents[2]  # the folder that holds the package, so that a start from any folder works
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows knows one way only
GRACE_S = 5.0  # between asking and ending by force
DIES_WITHIN_S = 30.0  # of being killed: it still needs a processor for that
MEET_WITHIN_S = 3600  # several machines: somebody may have to walk to the others
_NOT_READ = {"left_out", "relabelled", "moved"}  # settings of the data that may be long
LOG = "waiting-engine"
MAX_RESTARTS = 3  # of all processes of a run that several train, when one of them has failed


class EngineProcess:
    """A started engine of one run."""

    def __init__(self, folder: RunFolder, process: subprocess.Popen):
        self.folder = folder
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def wait(self, timeout_s: float | None = None) -> int:
        """The exit code when it has ended. Raises subprocess.TimeoutExpired."""
        return self._process.wait(timeout_s)

    def end_by_force(self, grace_s: float = GRACE_S) -> int:
        """End the engine and its workers: ask it to stop, then terminate, then kill. Blocks for at most three times `grace_s`."""
        with contextlib.suppress(OSError):
            self.folder.command("stop")
        for number in (None, signal.SIGTERM, _KILL):
            if number is not None:
                _signal_group(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(grace_s)
                _signal_group(self._process.pid, _KILL)  # workers it may have left
                return code
        return self._process.wait()


def start_engine(folder: RunFolder, resume: bool = False, commands_from: int | None = None) -> EngineProcess:
    """Start training a run in a process of its own, detached, with its output in the run's log. OSError when it cannot be started.

    Where the run asks for several processes, torchrun starts them and is the process that is watched. `commands_from`: what `commands_size` was
    when the resume was asked for, where that was before this call; what is wished from then on is obeyed.
    """
    arguments = engine_arguments(folder, resume, commands_from)
    with open(folder.log_path, "ab") as log:
        if line := command_elsewhere(folder, resume):
            log.write(f"Start this on each of the other machines:\n  {line}\n".encode())
        process = _launch(arguments, launcher_of(folder), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    return EngineProcess(folder, process)


def engine_arguments(folder: RunFolder, resume: bool, commands_from: int | None = None) -> list[str]:
    """What stands behind `-m studio.engine`."""
    if not resume:
        return [str(folder.path)]
    return [str(folder.path), "--resume", f"--commands-from={folder.commands_size() if commands_from is None else commands_from}"]


class StandbyEngine:
    """A warm engine: torch is loaded and the network built while the user still chooses. Starting a run takes it up.

    The methods return at once; answers are read by a thread. OSError when the process is gone.
    """

    def __init__(self, keeps_log: bool = True) -> None:
        """`keeps_log`: of what goes wrong before it takes a run, with whose log it goes on."""
        with open_log(LOG) if keeps_log else contextlib.nullcontext(subprocess.DEVNULL) as log:
            self._process = _launch(["--standby"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        self._sending = threading.Lock()
        self._num_prepared = 0
        self._changed = threading.Condition()
        self._listener = threading.Thread(target=self._listen, name="standby answers", daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        with contextlib.suppress(ValueError, OSError), self._process.stdout as answers:  # ends when the engine takes a run, or ends
            for line in answers:
                with contextlib.suppress(ValueError):
                    message = json.loads(line)
                    if "prepared" in message:
                        with self._changed:
                            self._num_prepared += 1
                            self._changed.notify_all()

    def wait_prepared(self, timeout_s: float, count: int = 1) -> bool:
        """Whether `count` requests to prepare have been answered within `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._num_prepared >= count, timeout_s)

    def prepare(self, experiment: Experiment, num_classes: int, first: dict[str, Any] | None = None) -> None:
        """Have ready what a run of this experiment wants at first; `first` as `dataset.first_batch.first_samples` says."""
        plain = experiment.model_dump(mode="json", exclude={"data": _NOT_READ})
        self._send({"prepare": {"experiment": plain, "num_classes": num_classes, "first": first}})

    def start(self, folder: RunFolder, resume: bool = False, commands_from: int | None = None) -> EngineProcess:
        """Hand the run to the warm process, which from now on lives as one that `start_engine` made. OSError when it is gone."""
        folder.log_path.touch()
        self._send({"run": str(folder.path), "resume": resume, "commands_from": commands_from})
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        return EngineProcess(folder, self._process)  # the listener ends when the engine turns its output to the run's log

    def close(self, grace_s: float = GRACE_S) -> None:
        """End it if it still waits: it does when its input ends."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:  # still loading
            self._process.kill()
            self._process.wait()
        self._listener.join(GRACE_S)

    def _send(self, message: dict) -> None:
        if self._process.poll() is not None:
            raise BrokenPipeError("The waiting engine has ended")
        with self._sending:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()


def launcher_of(folder: RunFolder, training: Training | None = None) -> list[str]:
    """What stands before `-m studio.engine` where several processes train the run: torchrun, on this computer or as one of several machines.
    `training`: the run's, where it is known."""
    try:
        training = training or folder.experiment().training
    except BadInput:  # the engine says so
        return []
    if training.processes * training.machines == 1:
        return []
    meeting = ["--standalone"]
    if training.machines > 1:
        meeting = ["--nnodes", str(training.machines), "--rdzv-backend", "c10d", "--rdzv-endpoint", training.rendezvous]
        meeting += ["--rdzv-id", folder.path.name, "--rdzv-conf", f"join_timeout={MEET_WITHIN_S}"]
    restarts = ["--max-restarts", str(MAX_RESTARTS)]
    return ["-m", "studio.engine.together", *meeting, *restarts, "--nproc-per-node", str(training.processes)]


def command_elsewhere(folder: RunFolder, resume: bool = False, training: Training | None = None) -> str:
    """What to start on each of the other machines of a run, for a shell, all of it printable; empty for a run of one. Reads the experiment where
    its `training` is not given."""
    launcher = launcher_of(folder, training)
    if "--nnodes" not in launcher:
        return ""
    arguments = ["python", *launcher, "-m", "studio.engine", str(folder.path), *(["--resume"] if resume else [])]
    return " ".join(map(_quoted, arguments))


def _quoted(argument: str) -> str:
    """What a shell reads as `argument`: bytes that cannot be shown are written in octal, as bash, zsh and POSIX 2024 read them, so that what is
    shown can be copied."""
    if argument.isprintable():
        return shlex.quote(argument)
    written = {"\\": "\\\\", "'": "\\'"}
    return "$'" + "".join(written.get(c, c) if c.isprintable() else "".join(f"\\{b:03o}" for b in os.fsencode(c)) for c in argument) + "'"


def _launch(arguments: list[str], launcher: Sequence[str] = (), **streams) -> subprocess.Popen:
    environment = dict(os.environ)
    if launcher:  # torchrun would give each one thread
        number = int(launcher[-1])
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // number)))
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_ROOT), environment.get("PYTHONPATH", "")]))
    if os.name == "nt":  # a console of its own that nobody sees: closing the terminal must not end the run
        detached = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    else:
        detached = {"start_new_session": True}
    return subprocess.Popen([sys.executable, *launcher, "-m", "studio.engine", *arguments], env=environment, **streams, **detached)


def _signal_group(pid: int, number: int) -> None:
    """To the engine and all it started: it leads a group of its own, unless somebody started it by hand."""
    for send in (os.kill,) if os.name == "nt" else (os.killpg, os.kill):
        try:
            return send(pid, number)
        except OSError:
            continue


def end_by_force(folder: RunFolder, grace_s: float = GRACE_S) -> bool:
    """As EngineProcess.end_by_force, for an engine that another window or terminal started. True when none holds the run any more."""
    with contextlib.suppress(OSError):
        folder.command("stop")
    for number, patience_s in ((None, grace_s), (signal.SIGTERM, grace_s), (_KILL, DIES_WITHIN_S)):
        pid = None if number is None else _pid_of(folder)
        if pid is not None:
            _signal_group(pid, number)
        if wait_for_end(folder, grace_s if pid is None else patience_s):
            return True
    return False


def _pid_of(folder: RunFolder) -> int | None:
    """Of the engine that holds the run now, where its facts say that it runs on this computer. A number without them, left by an earlier engine
    or on another machine, may be anybody's."""
    started = [e for e in JournalReader(folder.journal_path).read() if isinstance(e, RunStarted)]
    try:
        facts = parse_json(folder.engine_path.read_bytes())
        is_here = facts["process_space"] == process_space() if "process_space" in facts else facts["host"] == platform.node()
        if "session" in facts:
            is_of_this_session = facts["session"] == started[-1].session
        else:  # of an earlier version: written just after the journal's first word, if the clock was not set back in between
            is_of_this_session = facts["started"] >= started[-1].wall_time
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return started[-1].pid if is_here and is_of_this_session and folder.is_alive() else None


def wait_for_end(folder: RunFolder, timeout_s: float) -> bool:
    """Whether no engine holds the run any more, waiting up to `timeout_s`. For programs without an event loop."""
    end = time.monotonic() + timeout_s
    while folder.is_alive():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
