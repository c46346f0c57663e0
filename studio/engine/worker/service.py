"""The request loop both workers share: lanes of work, newest wins, cancelling, errors as sentences."""

from __future__ import annotations

import json
import os
import queue
import secrets
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from studio.core.problem import BadInput

PROGRESS_INTERVAL_S = 0.05


class Superseded(Exception):
    """The request was cancelled or a newer one replaced it; unwinds to the loop."""


@dataclass
class Call:
    """One request while it is worked on. Long methods call `progress`, `part` or `check` often: they raise Superseded when it is over."""

    id: int
    method: str
    params: dict[str, Any]
    key: str
    scratch: Path
    _write: Callable[[dict[str, Any]], None]
    _cancelled: threading.Event = field(default_factory=threading.Event)
    _last_progress: tuple[float, str] = (0.0, "")

    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    def check(self) -> None:
        if self._cancelled.is_set():
            raise Superseded

    def progress(self, done: int, total: int | None, what: str = "") -> None:
        """Report progress, at most 20 times a second for the same words; the last one (done == total) always goes out."""
        self.check()
        now = time.monotonic()
        last, words = self._last_progress
        if what == words and done != total and now - last < PROGRESS_INTERVAL_S:
            return
        self._last_progress = (now, what)
        self._write({"id": self.id, "progress": {"done": done, "total": total, "what": what}})

    def part(self, part: dict[str, Any]) -> None:
        """Send a piece of the result ahead, for views that grow. Raises Superseded when the request is over."""
        self.check()
        self._write({"id": self.id, "part": part})

    def image(self, image_HWC: np.ndarray) -> dict[str, Any]:
        """Put a uint8 HxWx3 RGB picture into the scratch folder; the reference that goes into the result."""
        return self._file(np.ascontiguousarray(image_HWC, np.uint8), "rgb")

    def heat(self, heat_HW: np.ndarray) -> dict[str, Any]:
        """Put a float32 HxW map into the scratch folder; the reference that goes into the result."""
        return self._file(np.ascontiguousarray(heat_HW, np.float32), "f32")

    def _file(self, array: np.ndarray, ending: str) -> dict[str, Any]:
        path = self.scratch / f"{secrets.token_hex(8)}.{ending}"
        path.write_bytes(array.tobytes())
        return {"path": str(path), "width": array.shape[1], "height": array.shape[0]}


@dataclass(frozen=True)
class Method:
    """`run(call, **params) -> result`. Methods of one lane run one after the other; lanes run side by side."""

    run: Callable[..., dict[str, Any]]
    lane: str = "quick"


def serve(methods: Mapping[str, Method], stdin: BinaryIO, stdout: BinaryIO, scratch: Path) -> None:
    """Answer requests until stdin ends. Returns then at once, whatever is still being worked on."""
    Service(methods, stdout, scratch).serve(stdin)


class Service:
    def __init__(self, methods: Mapping[str, Method], stdout: BinaryIO, scratch: Path):
        self._methods, self._stdout, self._scratch = methods, stdout, scratch
        self._lanes: dict[str, queue.SimpleQueue[Call]] = {}
        self._open: dict[int, Call] = {}
        self._lock = threading.Lock()
        self._write_lock = threading.Lock()

    def serve(self, stdin: BinaryIO) -> None:
        for line in stdin:
            try:
                message = json.loads(line)
                if "cancel" in message:
                    self._cancel(message["cancel"])
                else:
                    self._accept(message)
            except (ValueError, TypeError, KeyError):
                continue  # not a request

    def _cancel(self, number: int) -> None:
        with self._lock:
            call = self._open.get(number)
        if call:
            call._cancelled.set()

    def _accept(self, message: dict[str, Any]) -> None:
        method = message["method"]
        call = Call(message["id"], method, message.get("params") or {}, message.get("key", method), self._scratch, self._write)
        if method not in self._methods:
            self._write({"id": call.id, "error": {"sentence": f"There is no method “{method}”.", "fix": "", "trace": ""}})
            return
        with self._lock:
            for older in self._open.values():
                if older.key == call.key:
                    older._cancelled.set()
            self._open[call.id] = call
        lane = self._methods[method].lane
        if lane not in self._lanes:
            self._lanes[lane] = queue.SimpleQueue()
            threading.Thread(target=self._work, args=(self._lanes[lane],), name=f"lane-{lane}", daemon=True).start()
        self._lanes[lane].put(call)

    def _work(self, calls: queue.SimpleQueue[Call]) -> None:
        while True:
            call = calls.get()
            answer = self._answer(call)
            with self._lock:
                self._open.pop(call.id, None)
            self._write({"id": call.id} | answer)

    def _answer(self, call: Call) -> dict[str, Any]:
        try:
            call.check()
            result = self._methods[call.method].run(call, **call.params)
            return {"cancelled": True} if call.is_cancelled() else {"result": result}
        except Exception as exc:  # the last place that can turn a failure into an answer
            if call.is_cancelled():
                return {"cancelled": True}
            return {"error": as_error(exc)}

    def _write(self, message: dict[str, Any]) -> None:
        line = json.dumps(message).encode() + b"\n"
        with self._write_lock:
            try:
                self._stdout.write(line)
                self._stdout.flush()
            except (OSError, ValueError):  # the window is gone
                os._exit(0)


def as_error(exc: BaseException) -> dict[str, str]:
    """{"sentence", "fix", "trace"}: what a person reads, and what goes into the details."""
    if isinstance(exc, BadInput):
        return {"sentence": str(exc), "fix": "", "trace": ""}
    trace = "".join(traceback.format_exception(exc))
    name = type(exc).__name__
    if isinstance(exc, MemoryError) or name == "OutOfMemoryError":
        return {"sentence": "The memory is not enough for this.", "fix": "Choose a smaller network, input size or batch.", "trace": trace}
    if isinstance(exc, OSError) and exc.strerror:
        where = f" ({exc.filename})" if exc.filename else ""
        return {"sentence": f"{exc.strerror}{where}.", "fix": "Check the file and its permissions, then try again.", "trace": trace}
    first_line = (str(exc).strip() or name).splitlines()[0][:300]
    return {"sentence": f"That did not work: {first_line}", "fix": "The details hold the full message.", "trace": trace}
