"""Work off the GUI thread, its result back on it."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from contextlib import suppress

from PySide6.QtCore import QObject, QRunnable, QThreadPool, Signal


class Task(QObject):
    """A function that runs on a pool thread. `is_cancelled()` may be asked by the function; results of a cancelled task are dropped."""

    _finished = Signal(object, object)  # result, error

    def __init__(
        self, on_done: Callable[[object], object] | None, on_error: Callable[[Exception], object] | None, parent: QObject, *,
        is_promised: bool = False,
    ):  # fmt: skip
        super().__init__(parent)
        self._on_done, self._on_error = on_done, on_error
        self.is_promised = is_promised
        self._cancelled = False
        self._finished.connect(self._on_finished)

    def cancel(self) -> None:
        self._cancelled = True

    def is_cancelled(self) -> bool:
        return self._cancelled

    def _on_finished(self, result: object, error: Exception | None) -> None:
        self.deleteLater()
        if self._cancelled:
            return
        if error is None:
            if self._on_done is not None:
                self._on_done(result)
        elif self._on_error is not None:
            self._on_error(error)
        else:
            traceback.print_exception(error)


class _Job(QRunnable):
    def __init__(self, task: Task, function: Callable[[], object]):
        super().__init__()
        self._task, self._function = task, function

    def run(self) -> None:
        if self._task.is_cancelled():
            self._report(None, None)
            return
        try:
            self._report(self._function(), None)
        except Exception as exc:
            self._report(None, exc)

    def _report(self, result: object, error: Exception | None) -> None:
        with suppress(RuntimeError):  # the window closed while the function ran
            self._task._finished.emit(result, error)


class Background(QObject):
    """A small pool, and threads beside it for what may hang. Functions must not touch widgets."""

    def __init__(self, max_threads: int = 2, parent: QObject | None = None):
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(max_threads)
        self._tasks: set[Task] = set()

    def run(
        self,
        function: Callable[[], object],
        on_done: Callable[[object], object] | None = None,
        on_error: Callable[[Exception], object] | None = None,
        *,
        is_promised: bool = False,
        may_hang: bool = False,
    ) -> Task:
        """Run `function` on a pool thread; `on_done(result)` or `on_error(exception)` follow on the GUI thread. What is promised, as a change that
        the user has seen happen, is done even if the window closes before it began. What may hang, on a disk that does not answer, has a thread
        of its own: it keeps none of the pool, and nobody waits for it."""
        task = Task(on_done, on_error, self, is_promised=is_promised)
        self._tasks.add(task)
        task.destroyed.connect(lambda *_, task=task: self._tasks.discard(task))
        job = _Job(task, function)
        if may_hang:
            threading.Thread(target=job.run, name="background beside", daemon=True).start()
        else:
            self._pool.start(job)
        return task

    def close(self) -> None:
        """Wait for what runs and what is promised; what else has not begun is left. No result comes any more."""
        for task in list(self._tasks):
            if not task.is_promised:
                task.cancel()
        self._pool.waitForDone()
        for task in list(self._tasks):
            task.cancel()
