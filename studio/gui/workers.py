"""A worker process as the window sees it: calls go out, callbacks come back on the GUI thread."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtGui import QImage, QPixmap

from studio.core.experiment import READING, Augment, Experiment
from studio.supervise.worker import Worker, WorkerError, WorkerKind

TURN_S = 0.004  # of the event loop, for answers: what comes faster than it is shown must not hold up the mouse


class WorkerClient(QObject):
    """Wraps supervise.worker.Worker. The process starts with the first call. Answers are handled in their order, once in each turn of the
    event loop and not for long: Qt would go on with them, before all else, as long as more come."""

    _answered = Signal()

    def __init__(self, kind: WorkerKind, parent: QObject | None = None, *, niceness: int = 0):
        """`niceness`: by how much the process stands behind others of its kind."""
        super().__init__(parent)
        self._worker = Worker(kind, niceness=niceness)
        self._is_closed = False
        self._due: deque[Callable[[], object]] = deque()  # to call on the GUI thread
        self._is_announced = False
        self._next_turn = QTimer(self, singleShot=True, interval=0)
        self._next_turn.timeout.connect(self._take_turn)
        self._answered.connect(self._on_answered, Qt.ConnectionType.QueuedConnection)

    def call(
        self,
        method: str,
        params: dict[str, Any],
        on_result: Callable[[dict], object],
        on_error: Callable[[WorkerError], object] | None = None,
        on_progress: Callable[[int, int | None, str], object] | None = None,
        *,
        on_part: Callable[[dict], object] | None = None,
        key: str | None = None,
    ) -> int:
        """Send a request; it replaces the unanswered one of the same `key` (the method's name unless given). Once closed, nothing is sent or
        answered: timers of a window that closes may still ask."""
        if self._is_closed:
            return 0
        return self._worker.call(
            method,
            params,
            lambda result: self._post(lambda: on_result(result)),
            lambda error: self._post(lambda: on_error(error)) if on_error else None,
            (lambda done, total, what: self._post(lambda: on_progress(done, total, what))) if on_progress else None,
            on_part=(lambda part: self._post(lambda: on_part(part))) if on_part else None,
            key=key,
        )

    @property
    def is_busy(self) -> bool:
        """True while an answer is outstanding, or has come and is not handled."""
        return self._worker.is_busy or bool(self._due) and not self._is_closed

    def cancel(self, request: int) -> None:
        self._worker.cancel(request)

    def warm_up(self) -> None:
        if not self._is_closed:
            self._worker.warm_up()

    def rest(self) -> None:
        """Give the process's memory back unless it is at work; the next call starts it again."""
        self._worker.rest()

    def close(self) -> None:
        self._is_closed = True
        self._worker.close(2.0)

    def _post(self, function: Callable[[], object]) -> None:
        """Called from the worker's threads; a queued signal tells the GUI thread, once for all that it finds then."""
        self._due.append(function)
        if not self._is_announced:
            self._is_announced = True
            with suppress(RuntimeError):  # the window is gone
                self._answered.emit()

    def _on_answered(self) -> None:
        if not self._next_turn.isActive():
            self._take_turn()

    def _take_turn(self) -> None:
        self._is_announced = False  # before looking: what comes from here on is announced anew
        if self._is_closed or not self._due:
            return
        end = time.perf_counter() + TURN_S
        try:
            while self._due and not self._is_closed and time.perf_counter() < end:
                self._due.popleft()()
        finally:  # also when a callback failed
            if not self._is_closed:
                self._next_turn.start()


def plain_experiment(experiment: Experiment, augment: Augment) -> dict[str, Any]:
    """What the preview needs to know of an experiment: neither a long list of left-out files nor what is as it comes need travel."""
    raw = experiment.model_dump(mode="json", include={"data": READING, "model": True, "training": True}, exclude_defaults=True)
    raw["augment"] = augment.model_dump(mode="json")
    return raw


def take_image(reference: dict[str, Any]) -> QImage:
    """The picture {"content", "width", "height"} of a result. Raises ValueError when it is not whole."""
    return _image_over(reference).copy()


def take_pixmap(reference: dict[str, Any]) -> QPixmap:
    """As `take_image`, ready to be painted."""
    return QPixmap.fromImage(_image_over(reference))


def _image_over(reference: dict[str, Any]) -> QImage:
    """Over the content, which has to outlive it."""
    content, width, height = reference["content"], int(reference["width"]), int(reference["height"])
    if len(content) != width * height * 3:
        raise ValueError(f"a picture of {width} x {height} pixels has {len(content)} bytes")
    return QImage(content, width, height, 3 * width, QImage.Format.Format_RGB888)
