"""A learning-rate range test as the page sees it: started, followed, cancelled, and kept beside the draft."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Literal

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from studio.core.experiment import Experiment
from studio.core.file import write_atomically
from studio.core.problem import BadInput
from studio.core.rate_test import RateTest
from studio.gui.context import Context
from studio.supervise.worker import WorkerError

State = Literal["idle", "running", "failed", "done"]
REST_AFTER_MS = 60_000  # a second test starts at once; then the worker's memory is given back


class RateTestRun(QObject):
    """One test at a time, in the `finder` worker. What a finished one found belongs to the draft and is there again with it."""

    changed = Signal()  # state, progress or curve
    finished = Signal()  # a test has come to its end

    def __init__(self, context: Context, parent: QObject | None = None):
        super().__init__(parent)
        self._context = context
        self.state: State = "idle"
        self.test: RateTest | None = None  # the finished one; kept while another runs or fails
        self.error: WorkerError | None = None
        self.done, self.total, self.what = 0, None, ""
        self.rates: list[float] = []  # of the test that runs
        self.losses: list[float] = []
        self._turn = 0  # counts starts, so that what an older one left behind is told apart
        self._request: int | None = None
        self._path: Path | None = None  # where the finished test is kept
        self._list: Path | None = None  # the images as the worker reads them: 100,000 are 8 MB, too much for a request
        self._rest_timer = QTimer(self, singleShot=True, interval=REST_AFTER_MS)
        self._rest_timer.timeout.connect(context.finder.rest)
        context.projects.changed.connect(self._follow_project)
        self._follow_project()

    @property
    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Rates and losses of the running test, else of the kept one; float64[points]."""
        if self.state == "running":
            return np.array(self.rates, float), np.array(self.losses, float)
        return (np.array(self.test.rates), np.array(self.test.losses)) if self.test else (np.empty(0), np.empty(0))

    @property
    def changed_settings(self) -> tuple[str, ...]:
        """Settings that have changed since the test was made: with any of them it no longer fits."""
        return self.test.changed_since(self._context.store.experiment) if self.test else ()

    def hold(
        self,
        state: State,
        test: RateTest | None = None,
        curve=((), ()),
        steps: tuple[int, int | None] = (0, None),
        error: WorkerError | None = None,
    ) -> None:
        """Show this, without a worker: for pictures and tests."""
        self.state, self.test, self.error = state, test, error
        self.rates, self.losses = map(list, curve)
        self.done, self.total = steps
        self.changed.emit()

    def start(self) -> None:
        dataset = self._context.store.dataset
        if self.state == "running":
            return
        self._turn += 1
        turn, experiment = self._turn, self._context.store.experiment
        if dataset is None:
            self._fail(turn, WorkerError("There are no images to test with.", "Open a folder of images on the Data page."))
            return
        if not self._context.store.is_dataset_current:
            self._fail(turn, WorkerError("The images are still being read.", "Try again when the Data page has listed them."))
            return
        self.state, self.error, self.rates, self.losses = "running", None, [], []
        self.done, self.total, self.what = 0, None, "Listing the images"
        self._rest_timer.stop()
        self.changed.emit()
        path = self._list = self._context.projects.path.with_suffix(".images.json")
        self._context.background.run(
            lambda: write_atomically(path, dataset.to_json(), is_durable=False),
            lambda _: self._call(turn, experiment, path),
            lambda exc: self._fail(turn, _as_error(exc)),
        )

    def cancel(self) -> None:
        """Give the running test up; the one before is shown again."""
        if self.state == "running":
            self._end("done" if self.test else "idle")

    def close_error(self) -> None:
        if self.state == "failed":
            self.state = "done" if self.test else "idle"
            self.changed.emit()

    def forget(self) -> None:
        """Take the finished test away, from the disk too."""
        self.test = None
        if self._path:
            _remove(self._path)
        if self.state == "done":
            self.state = "idle"
        self.changed.emit()

    def _call(self, turn: int, experiment: Experiment, path: Path) -> None:
        if turn != self._turn:  # cancelled meanwhile; a newer test writes the same file again
            if self.state != "running":
                _remove(path)
            return
        self._request = self._context.finder.call(
            "find_rate",
            {"experiment": experiment.model_dump(mode="json"), "dataset": str(path)},
            lambda result: self._on_result(turn, result),
            lambda error: self._fail(turn, error),
            lambda done, total, what: self._on_progress(turn, done, total, what),
            on_part=lambda part: self._on_part(turn, part),
        )

    def _on_progress(self, turn: int, done: int, total: int | None, what: str) -> None:
        if turn == self._turn:
            self.done, self.total, self.what = done, total, what
            self.changed.emit()

    def _on_part(self, turn: int, part: dict) -> None:
        if turn == self._turn:
            first = part["first"]
            self.rates[first:], self.losses[first:] = part["rates"], part["losses"]
            self.changed.emit()

    def _on_result(self, turn: int, result: dict) -> None:
        if turn != self._turn:
            return
        self.test = RateTest.from_json(result["test"].encode())
        path, content = self._path, self.test.to_json()
        self._context.background.run(lambda: write_atomically(path, content), None, self._on_write_failed, is_promised=True)
        self._end("done")
        self.finished.emit()

    def _on_write_failed(self, exc: Exception) -> None:
        self._context.shell.toast(f"The learning-rate test could not be kept: {getattr(exc, 'strerror', None) or exc}.")

    def _fail(self, turn: int, error: WorkerError) -> None:
        if turn == self._turn:
            self.error = error
            self._end("failed")

    def _end(self, state: State) -> None:
        self._turn += 1
        if self._request is not None:
            self._context.finder.cancel(self._request)  # nothing once it is answered
        if self._list:
            _remove(self._list)
        self._request, self._list, self.state = None, None, state
        self._rest_timer.start()
        self.changed.emit()

    def _follow_project(self) -> None:
        """Another draft has another test."""
        path = self._context.projects.path.with_suffix(".rates.json")
        if path == self._path:
            return
        self._path = path
        self.test = _read(path)
        if self.state == "running":
            self._end("idle")
        self.state = "done" if self.test else "idle"
        self.changed.emit()


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # gone already, or open in the worker (Windows): the next test writes it anew
        path.unlink()


def _read(path: Path) -> RateTest | None:
    try:
        return RateTest.from_json(path.read_bytes())
    except (OSError, BadInput):  # none, or one of another version: a new test takes its place
        return None


def _as_error(exc: Exception) -> WorkerError:
    return WorkerError(
        f"The list of images could not be written: {getattr(exc, 'strerror', None) or exc}.", "Free some space, then try again."
    )
