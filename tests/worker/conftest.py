from __future__ import annotations

import queue
import sys
from pathlib import Path

import pytest

from studio.supervise.worker import Worker


class Asker:
    """A worker whose answers are waited for: ("result" | "error", value)."""

    def __init__(self, worker: Worker):
        self.worker = worker
        self.progress: list[tuple[int, int | None, str]] = []

    def start(self, method: str, *, key: str | None = None, **params) -> tuple[int, queue.SimpleQueue]:
        answers: queue.SimpleQueue = queue.SimpleQueue()
        number = self.worker.call(
            method,
            params,
            lambda result: answers.put(("result", result)),
            lambda error: answers.put(("error", error)),
            lambda *progress: self.progress.append(progress),
            key=key,
        )
        return number, answers

    def parts(self, method: str, timeout_s: float = 120, **params) -> tuple[dict, list[dict]]:
        """The result, and the pieces that came ahead of it."""
        answers: queue.SimpleQueue = queue.SimpleQueue()
        found: list[dict] = []
        self.worker.call(
            method,
            params,
            lambda result: answers.put(("result", result)),
            lambda error: answers.put(("error", error)),
            on_part=found.append,
        )
        kind, value = answers.get(timeout=timeout_s)
        assert kind == "result", value
        return value, found

    def ask(self, method: str, timeout_s: float = 120, **params) -> dict:
        kind, value = self.start(method, **params)[1].get(timeout=timeout_s)
        assert kind == "result", value
        return value

    def fail(self, method: str, timeout_s: float = 120, **params):
        kind, value = self.start(method, **params)[1].get(timeout=timeout_s)
        assert kind == "error", value
        return value


@pytest.fixture
def toy():
    worker = Worker("probe", [sys.executable, str(Path(__file__).parent / "toy_worker.py")])
    yield Asker(worker)
    worker.close(5)
