"""Stand-ins for processes, used by the tests of pages and by screenshots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QTimer

from studio.core.run_folder import RunFolder


class FakeWorker(QObject):
    """A WorkerClient without a process: answers what it was told, in the next turn of the event loop; otherwise stays silent."""

    def __init__(self):
        super().__init__()
        self.calls: list[tuple[str, dict]] = []
        self.cancelled: list[int] = []
        self.on_result: Callable | None = None  # of the newest call
        self.on_progress: Callable | None = None
        self.on_part: Callable | None = None
        self._answers: dict[str, Any] = {}
        self._last = 0
        self._is_closed = False

    def answer(self, method: str, result: dict | Callable[[dict], dict] | Exception | None) -> None:
        """From now on `method` answers `result` (or result(params)); a WorkerError makes it fail, None silent."""
        self._answers[method] = result

    def call(self, method, params, on_result, on_error=None, on_progress=None, *, on_part=None, key=None) -> int:
        self._last += 1
        self.calls.append((method, params))
        self.on_result, self.on_progress, self.on_part = on_result, on_progress, on_part
        if method in self._answers:
            answer = self._answers[method]
            if callable(answer):
                answer = answer(params)
            if isinstance(answer, dict):
                QTimer.singleShot(0, self, lambda: None if self._is_closed else on_result(answer))
            elif answer is not None and on_error:
                QTimer.singleShot(0, self, lambda: None if self._is_closed else on_error(answer))
        return self._last

    @property
    def is_busy(self) -> bool:
        return False

    def cancel(self, request: int) -> None:
        self.cancelled.append(request)

    def warm_up(self) -> None:
        pass

    def rest(self) -> None:
        pass

    def close(self) -> None:
        """As with the real one, nothing is answered any more."""
        self._is_closed = True


class FakeEngines(QObject):
    """Engines that are never started; `started` holds what was asked for."""

    def __init__(self):
        super().__init__()
        self.started: list[tuple[RunFolder, bool]] = []
        self.codes: dict[RunFolder, int] = {}
        self.forced: list[RunFolder] = []

    def warm_up(self) -> None:
        pass

    def prepare(self, experiment, dataset) -> None:
        pass

    def start(self, folder, resume, on_started, on_failed) -> None:
        self.started.append((folder, resume))
        QTimer.singleShot(0, self, on_started)

    def exit_code(self, folder) -> int | None:
        return self.codes.get(folder)

    def is_running(self, folder) -> bool:
        return folder in {f for f, _ in self.started} and folder not in self.codes

    def end_by_force(self, folder) -> None:
        self.forced.append(folder)

    def close(self) -> None:
        pass
