"""The window's line to a worker process: requests go out, results come back by callbacks, the window never waits.

A worker (`python -m studio.engine.worker preview|probe|finder`) holds torch and its friends; this side is standard library only.
Requests and answers are JSON lines over the worker's stdin and stdout. The worker ends when its stdin closes, so it dies with
the window; unlike a run, nothing of it needs to live on.

A request to a living worker is written by the caller, as far as its pipe takes it without waiting: another thread would first have to get
hold of the interpreter, which a window that paints gives away late. All else is the sender's thread's.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

from studio.core.outcome import describe_exit_code
from studio.core.problem import Repair
from studio.supervise.log import log_path, open_log

WorkerKind = Literal["preview", "probe", "finder"]
PIPE_BYTES = 1 << 20  # where the system lets us: a picture fits in, so the worker goes on while the window reads
FULL_PIPE_MS = 200  # then it is looked whether the worker is still wanted
_CAN_WRITE_AT_ONCE = os.name != "nt"  # pipes there have no way to write only what there is room for
MAX_TRIES = 2  # a request whose worker died is sent once more: the death may have been another's fault


@dataclass(frozen=True)
class WorkerError:
    """Why a request failed: plain text for people, `trace` for the details view."""

    sentence: str
    fix: str = ""
    trace: str = ""
    repair: Repair | None = None

    @property
    def is_refusal(self) -> bool:
        """Whether what was asked for cannot be, as the method itself says; else something else failed, and another try may do better."""
        return not self.fix and not self.trace  # as engine.worker.service tells BadInput from all other exceptions


OnResult = Callable[[dict[str, Any]], None]
OnError = Callable[[WorkerError], None]
OnProgress = Callable[[int, int | None, str], None]
OnPart = Callable[[dict[str, Any]], None]


@dataclass
class _Request:
    id: int
    key: str
    line: bytes
    on_result: OnResult
    on_error: OnError
    on_progress: OnProgress | None
    on_part: OnPart | None
    tries: int = 0


@dataclass
class _Process:
    """One life of the worker."""

    popen: subprocess.Popen
    sent: set[int] = field(default_factory=set)
    left: bytes = b""  # of a line that the pipe had no room for
    pipe_lock: threading.Lock = field(default_factory=threading.Lock)  # nobody closes a pipe that another writes to


class Worker:
    """One worker process, started by the first call and started again when it dies.

    Callbacks run in a thread of this object; a Qt caller emits a signal from them. A request that was cancelled or replaced by a
    newer one of the same key is never heard of again. All methods may be called from any thread and return at once.
    """

    def __init__(self, kind: WorkerKind, command: list[str] | None = None, *, niceness: int = 0):
        """`command` replaces the program to run; it is given `kind` as its last argument. `niceness` is added to its own."""
        self.kind, self._niceness = kind, niceness
        self._log = f"worker-{kind}"
        self._command = command or [sys.executable, "-m", "studio.engine.worker"]
        self._ids = itertools.count(1)
        self._requests: dict[int, _Request] = {}  # not yet answered
        self._newest: dict[str, int] = {}
        self._outbox: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
        self._num_posted = 0  # in the outbox, or in the sender's hands: what is written at once must not overtake these
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._is_closed = False
        self._sender: threading.Thread | None = None
        self._readers: list[threading.Thread] = []

    @property
    def pid(self) -> int | None:
        """Of the living process; None before the first call and after a death."""
        process = self._process
        return process.popen.pid if process and process.popen.poll() is None else None

    @property
    def is_busy(self) -> bool:
        """True while a request is unanswered."""
        with self._lock:
            return bool(self._requests)

    def call(
        self,
        method: str,
        params: dict[str, Any],
        on_result: OnResult,
        on_error: OnError,
        on_progress: OnProgress | None = None,
        *,
        on_part: OnPart | None = None,
        key: str | None = None,
    ) -> int:
        """Send a request; returns its id. It replaces the unanswered one of the same `key` (by default the method's name).

        `on_part` gets pieces of the result that come ahead of it; a worker that dies and is asked again sends them from the first on.
        """
        key = method if key is None else key
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the worker is closed")
            number = next(self._ids)
            line = json.dumps({"id": number, "method": method, "params": params, "key": key}).encode() + b"\n"
            older = self._newest.get(key)
            self._newest[key] = number
            self._requests[number] = _Request(number, key, line, on_result, on_error, on_progress, on_part)
            is_replaced = older is not None and self._requests.pop(older, None) is not None
            if not self._write_now(self._requests[number]):  # the worker gives the older one up when it reads this one
                if is_replaced:
                    self._post("cancel", older)  # but this one may be given up before it is sent
                self._post("send", number)
            if self._sender is None:
                self._sender = threading.Thread(target=self._send, name=f"{self.kind}-sender", daemon=True)
                self._sender.start()
        return number

    def cancel(self, number: int) -> None:
        """Give a request up; none of its callbacks is called from now on, but for one that is running already."""
        with self._lock:
            if self._requests.pop(number, None) and self._sender:
                self._post("cancel", number)

    def warm_up(self) -> None:
        """Start the process and let it load what it needs, so that the first real request is quick."""
        self.call("warm_up", {}, lambda result: None, lambda error: None)

    def rest(self) -> None:
        """End the process and give its memory back, unless it is at work; the next call starts a new one."""
        with self._lock:
            if self._sender and not self._requests:
                self._post("rest", 0)

    def close(self, timeout_s: float = 0.0) -> None:
        """End the process and forget every request. Returns at once, or after at most `timeout_s` when that is given."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._requests.clear()
            self._post("close", 0)
            threads = [t for t in (self._sender, *self._readers) if t]
        for thread in threads if timeout_s > 0 else ():
            if thread is not threading.current_thread():
                thread.join(timeout_s)

    def _post(self, kind: str, number: int) -> None:
        """For the sender. Under the lock."""
        self._num_posted += 1
        self._outbox.put((kind, number))

    def _write_now(self, request: _Request) -> bool:
        """Write a request where nothing stands before it; False where that is the sender's to do. Under the lock."""
        process = self._process
        if process is None or self._num_posted or not _CAN_WRITE_AT_ONCE or not process.pipe_lock.acquire(blocking=False):
            return False
        try:
            written = os.write(process.popen.stdin.fileno(), request.line)
        except (OSError, ValueError):  # full, or dead
            return False
        finally:
            process.pipe_lock.release()
        process.sent.add(request.id)
        request.tries += 1
        if written < len(request.line):
            process.left = request.line[written:]
            self._post("rest of a line", 0)
        return True

    # The sender's thread: it alone starts and ends processes.

    def _send(self) -> None:
        while True:
            kind, number = self._outbox.get()
            if kind == "close":
                self._end()
                return
            if kind == "rest":
                if not self.is_busy:
                    self._end()
            elif kind == "send":
                self._send_request(number)
            elif process := self._process:
                if kind == "cancel" and number in process.sent:
                    self._write(process, json.dumps({"cancel": number}).encode() + b"\n")
                elif kind == "rest of a line":
                    self._write(process, process.left)
            with self._lock:
                self._num_posted -= 1

    def _send_request(self, number: int) -> None:
        with self._lock:
            request = self._requests.get(number)
            process = self._process
            if request and process:  # under the lock: whoever buries the process sees what was sent to it
                process.sent.add(number)
        if request is None:
            return
        try:
            process = process or self._start(number)
        except OSError as exc:
            words = f"A helper process could not be started: {exc.strerror}."
            self._fail(number, WorkerError(words, "Close other programs and try again."))
            return
        request.tries += 1
        self._write(process, request.line)

    def _start(self, first: int) -> _Process:
        with open_log(self._log) as log:
            popen = subprocess.Popen(
                [*self._command, self.kind],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pipesize=PIPE_BYTES,
                start_new_session=os.name != "nt",  # Ctrl-C in the terminal is the window's to answer
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                env=os.environ | {"NO_ALBUMENTATIONS_UPDATE": "1", "PYTHONPATH": _python_path()},
            )
        if _CAN_WRITE_AT_ONCE:
            os.set_blocking(popen.stdin.fileno(), False)
        if self._niceness and hasattr(os, "setpriority"):
            with contextlib.suppress(OSError):  # it is gone already
                os.setpriority(os.PRIO_PROCESS, popen.pid, os.getpriority(os.PRIO_PROCESS, 0) + self._niceness)
        process = _Process(popen, {first})
        with self._lock:
            self._process = process
        reader = threading.Thread(target=self._read, args=(process,), name=f"{self.kind}-reader", daemon=True)
        self._readers = [t for t in self._readers if t.is_alive()] + [reader]
        reader.start()
        return process

    def _write(self, process: _Process, line: bytes) -> None:
        """All of it, however long that takes."""
        with process.pipe_lock, contextlib.suppress(OSError, ValueError):  # a dead worker: its reader notices and sends again
            pipe = process.popen.stdin.fileno()
            while line and not self._is_closed:
                try:
                    line = line[os.write(pipe, line) :]
                except BlockingIOError:
                    has_room = select.poll()
                    has_room.register(pipe, select.POLLOUT)
                    has_room.poll(FULL_PIPE_MS)

    @staticmethod
    def _close_pipe(process: _Process) -> None:
        with process.pipe_lock, contextlib.suppress(OSError, ValueError):
            process.popen.stdin.close()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process:
            self._close_pipe(process)
            try:
                process.popen.wait(1.0)
            except subprocess.TimeoutExpired:  # deep inside a library call
                process.popen.kill()
                process.popen.wait()

    # The reader's thread: one per life of the worker.

    def _read(self, process: _Process) -> None:
        with process.popen.stdout as answers:
            while line := answers.readline():
                self._answer(line, answers)
        self._close_pipe(process)
        code = process.popen.wait()
        self._bury(process, code)

    def _answer(self, line: bytes, answers: BinaryIO) -> None:
        try:
            answer = json.loads(line)
            number = answer["id"]
            blobs = [answers.read(num_bytes) for num_bytes in answer.get("blobs", ())]
        except (ValueError, TypeError, KeyError):
            return
        if blobs:
            _give_content(answer, blobs)
        progress, part = answer.get("progress"), answer.get("part")
        with self._lock:
            request = self._requests.get(number) if progress or part else self._requests.pop(number, None)
        if request is None:
            return
        if progress:
            if request.on_progress:
                request.on_progress(progress.get("done", 0), progress.get("total"), progress.get("what", ""))
        elif part:
            if request.on_part:
                request.on_part(part)
        elif "error" in answer:
            error = answer["error"]
            request.on_error(
                WorkerError(error.get("sentence", ""), error.get("fix", ""), error.get("trace", ""), _repair(error.get("repair")))
            )
        elif "result" in answer:
            request.on_result(answer["result"])

    def _bury(self, process: _Process, code: int) -> None:
        """The worker is dead: send what it left unanswered to a new one, once."""
        with self._lock:
            if self._process is process:
                self._process = None
            if self._is_closed:
                return
            left = [r for r in self._requests.values() if r.id in process.sent]
            lost = [r for r in left if r.tries >= MAX_TRIES]  # told apart now: the sender counts on as soon as it may
            for request in left:
                if request not in lost:
                    self._post("send", request.id)
        for request in lost:
            log = log_path(self._log)
            sentence = f"A helper process {describe_exit_code(code)}."
            self._fail(request.id, WorkerError(sentence, f"Try again; details are in {log}.", _tail(log)))

    def _fail(self, number: int, error: WorkerError) -> None:
        with self._lock:
            request = self._requests.pop(number, None)
        if request:
            request.on_error(error)


def _python_path() -> str:
    """With the folder that holds the package, so that a start from any folder works."""
    root = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))


def _give_content(found: Any, blobs: list[bytes]) -> None:
    """References to blobs get what they stand for as "content": uint8 RGB rows of an image, float32 of a heat map."""
    if isinstance(found, dict):
        if "blob" in found:
            found["content"] = blobs[found.pop("blob")]
        for each in found.values():
            _give_content(each, blobs)
    elif isinstance(found, list):
        for each in found:
            _give_content(each, blobs)


def _repair(raw: dict[str, Any] | None) -> Repair | None:
    return Repair(raw["label"], raw["values"]) if raw else None


def _tail(path: Path, num_bytes: int = 4000) -> str:
    try:
        with open(path, "rb") as f:
            f.seek(max(0, f.seek(0, os.SEEK_END) - num_bytes))
            return f.read().decode(errors="replace")
    except OSError:
        return ""
