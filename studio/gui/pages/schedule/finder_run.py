"""A search for a learning rate as the page sees it, a range test or a sweep of heads: started, followed, cancelled, kept beside the draft."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Literal

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from studio.core.experiment import Experiment
from studio.core.file import write_atomically
from studio.core.head_sweep import HeadSweep
from studio.core.problem import BadInput
from studio.core.rate_test import RateTest
from studio.gui.context import Context
from studio.supervise.worker import WorkerError

State = Literal["idle", "running", "failed", "done"]
Kind = Literal["test", "sweep"]
Finding = RateTest | HeadSweep
_TYPES: dict[Kind, type[Finding]] = {"test": RateTest, "sweep": HeadSweep}
_METHODS: dict[Kind, str] = {"test": "find_rate", "sweep": "sweep_head"}
REST_AFTER_MS = 60_000  # a second search starts at once; then the worker's memory is given back


class FinderRun(QObject):
    """One search at a time, in the `finder` worker. What the last one found belongs to the draft and is there again with it."""

    changed = Signal()  # state, progress, curve or chosen peak
    finished = Signal()  # a search has come to its end

    def __init__(self, context: Context, parent: QObject | None = None):
        super().__init__(parent)
        self._context = context
        self.state: State = "idle"
        self.found: Finding | None = None  # by the last one that finished; kept while another runs or fails
        self.chosen = 0  # index of the head of a sweep that is looked at
        self._asked: Kind = "test"  # what runs or failed
        self.error: WorkerError | None = None
        self.done, self.total, self.what = 0, None, ""
        self.rates: list[float] = []  # of the test that runs
        self.losses: list[float] = []
        self._turn = 0  # counts starts, so that what an older one left behind is told apart
        self._request: int | None = None
        self._path: Path | None = None  # where that is kept
        self._list: Path | None = None  # the images as the worker reads them: 100,000 are 8 MB, too much for a request
        self._rest_timer = QTimer(self, singleShot=True, interval=REST_AFTER_MS)
        self._rest_timer.timeout.connect(context.finder.rest)
        context.projects.changed.connect(self._follow_project)
        self._follow_project()

    @property
    def kind(self) -> Kind:
        """Of the search that runs or failed, else of the one that is kept."""
        return self._asked if self.state in ("running", "failed") else "sweep" if self.sweep else "test"

    @property
    def test(self) -> RateTest | None:
        return self.found if isinstance(self.found, RateTest) else None

    @property
    def sweep(self) -> HeadSweep | None:
        return self.found if isinstance(self.found, HeadSweep) else None

    @property
    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Rates and losses of the running test, else of the kept one; float64[points]."""
        if self.state == "running":
            return np.array(self.rates, float), np.array(self.losses, float)
        return (np.array(self.test.rates), np.array(self.test.losses)) if self.test else (np.empty(0), np.empty(0))

    @property
    def changed_settings(self) -> tuple[str, ...]:
        """Settings that have changed since it was found: with any of them it no longer fits."""
        return self.found.changed_since(self._context.store.experiment) if self.found else ()

    def hold(
        self,
        state: State,
        found: Finding | None = None,
        curve=((), ()),
        steps: tuple[int, int | None] = (0, None),
        error: WorkerError | None = None,
        kind: Kind = "test",
        what: str = "",
    ) -> None:
        """Show this, without a worker: for pictures and tests."""
        self.state, self.error, self._asked, self.what = state, error, kind, what
        self._keep(found)
        self.rates, self.losses = map(list, curve)
        self.done, self.total = steps
        self.changed.emit()

    def choose(self, index: int) -> None:
        """Look at this head of the sweep; beyond the last one at that."""
        if self.sweep:
            self.chosen = min(max(0, index), len(self.sweep.heads) - 1)
            self.changed.emit()

    def start_again(self) -> None:
        """Another of the kind that is shown."""
        self.start(self.kind)

    def start(self, kind: Kind = "test") -> None:
        dataset = self._context.store.dataset
        if self.state == "running":
            return
        self._turn += 1
        self._asked = kind
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
        """Give the running search up; what the one before found is shown again."""
        if self.state == "running":
            self._end("done" if self.found else "idle")

    def close_error(self) -> None:
        if self.state == "failed":
            self.state = "done" if self.found else "idle"
            self.changed.emit()

    def forget(self) -> None:
        """Take away what was found, from the disk too."""
        self.found = None
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
            _METHODS[self._asked],
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
        self._keep(_TYPES[self._asked].from_json(result[self._asked].encode()))
        path, content = self._path, self.found.to_json()
        self._context.background.run(lambda: write_atomically(path, content), None, self._on_write_failed, is_promised=True)
        self._end("done")
        self.finished.emit()

    def _on_write_failed(self, exc: Exception) -> None:
        what = "comparison of peaks" if self.sweep else "learning-rate test"
        self._context.shell.toast(f"The {what} could not be kept: {getattr(exc, 'strerror', None) or exc}.")

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

    def _keep(self, found: Finding | None) -> None:
        self.found = found
        self.chosen = found.heads.index(found.best) if isinstance(found, HeadSweep) else 0

    def _follow_project(self) -> None:
        """Another draft has another finding."""
        path = self._context.projects.path.with_suffix(".rates.json")
        if path == self._path:
            return
        self._path = path
        self._keep(_read(path))
        if self.state == "running":
            self._end("idle")
        self.state = "done" if self.found else "idle"
        self.changed.emit()


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # gone already, or open in the worker (Windows): the next test writes it anew
        path.unlink()


def _read(path: Path) -> Finding | None:
    for found in _TYPES.values():
        with contextlib.suppress(OSError, BadInput):  # none, of the other kind, or of another version: a new one takes its place
            return found.from_json(path.read_bytes())
    return None


def _as_error(exc: Exception) -> WorkerError:
    return WorkerError(
        f"The list of images could not be written: {getattr(exc, 'strerror', None) or exc}.", "Free some space, then try again."
    )
