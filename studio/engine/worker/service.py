"""The request loop both workers share: lanes of work, newest wins, cancelling, errors as sentences."""

from __future__ import annotations

import json
import os
import queue
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO

import numpy as np

from studio.core.path_text import path_to_text, shown
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
    _write: Callable[..., None]
    _cancelled: threading.Event = field(default_factory=threading.Event)
    _last_progress: tuple[float, str] = (0.0, "")
    _blobs: list[bytes] = field(default_factory=list)  # that go out with the next part, or with the result

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
        blobs = self.take_blobs()
        self.check()
        self._write({"id": self.id, "part": part}, blobs)

    def image(self, image_HWC: np.ndarray) -> dict[str, Any]:
        """A reference to a uint8 HxWx3 RGB picture, for the next part or the result; its rows travel behind that."""
        return self._blob(np.ascontiguousarray(image_HWC, np.uint8))

    def heat(self, heat_HW: np.ndarray) -> dict[str, Any]:
        """A reference to a float32 HxW map, for the next part or the result."""
        return self._blob(np.ascontiguousarray(heat_HW, np.float32))

    def _blob(self, array: np.ndarray) -> dict[str, Any]:
        self._blobs.append(array.tobytes())
        return {"blob": len(self._blobs) - 1, "width": array.shape[1], "height": array.shape[0]}

    def take_blobs(self) -> list[bytes]:
        found, self._blobs = self._blobs, []
        return found


@dataclass(frozen=True)
class Method:
    """`run(call, **params) -> result`. Methods of one lane run one after the other; lanes run side by side."""

    run: Callable[..., dict[str, Any]]
    lane: str = "quick"


def serve(methods: Mapping[str, Method], stdin: BinaryIO, stdout: BinaryIO) -> None:
    """Answer requests until stdin ends. Returns then at once, whatever is still being worked on."""
    Service(methods, stdout).serve(stdin)


class Service:
    def __init__(self, methods: Mapping[str, Method], stdout: BinaryIO):
        self._methods, self._stdout = methods, stdout
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
        call = Call(message["id"], method, message.get("params") or {}, message.get("key", method), self._write)
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
            self._write({"id": call.id} | answer, call.take_blobs() if "result" in answer else [])

    def _answer(self, call: Call) -> dict[str, Any]:
        try:
            call.check()
            result = self._methods[call.method].run(call, **call.params)
            return {"cancelled": True} if call.is_cancelled() else {"result": result}
        except Exception as exc:  # the last place that can turn a failure into an answer
            if call.is_cancelled():
                return {"cancelled": True}
            return {"error": as_error(exc)}

    def _write(self, message: dict[str, Any], blobs: Sequence[bytes] = ()) -> None:
        if blobs:
            message = message | {"blobs": [len(blob) for blob in blobs]}
        content = b"".join((json.dumps(message).encode(), b"\n", *blobs))
        with self._write_lock:
            try:
                self._stdout.write(content)
                self._stdout.flush()
            except (OSError, ValueError):  # the window is gone
                os._exit(0)


def as_error(exc: BaseException) -> dict[str, Any]:
    """{"sentence", "fix", "trace"}: what a person reads, and what goes into the details. "repair" is a Repair where there is one."""
    if isinstance(exc, BadInput):
        repair = next((asdict(p.repair) for p in exc.problems if p.repair), None)
        return {"sentence": str(exc), "fix": "", "trace": "", "repair": repair}
    trace = "".join(traceback.format_exception(exc))
    name = type(exc).__name__
    if isinstance(exc, MemoryError) or name == "OutOfMemoryError":
        return {"sentence": "The memory is not enough for this.", "fix": "Choose a smaller network, input size or batch.", "trace": trace}
    if isinstance(exc, OSError) and exc.strerror:
        where = f" ({shown(path_to_text(str(exc.filename)))})" if exc.filename else ""
        return {"sentence": f"{exc.strerror}{where}.", "fix": "Check the file and its permissions, then try again.", "trace": trace}
    first_line = (str(exc).strip() or name).splitlines()[0][:300]
    return {"sentence": f"That did not work: {first_line}", "fix": "The details hold the full message.", "trace": trace}
