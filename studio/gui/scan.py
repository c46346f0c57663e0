"""Reads the data set in the background: listing, full decoding, checks, statistics. Each stage shows as soon as it is there."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from PySide6.QtCore import QObject, QThread, QTimer, Signal

from studio.core.experiment import Data, Experiment
from studio.core.problem import BadInput, error
from studio.gui.fault import log_fault
from studio.gui.first_look import FirstLook
from studio.gui.store import ExperimentStore

REPORT_EVERY_S = 0.05
LOOK_EVERY_S = 0.05  # whether it was cancelled


@dataclass(frozen=True)
class ScanState:
    """phase: "", listing, verifying, checking, statistics. progress: done, total (None: unknown), what."""

    phase: str = ""
    progress: tuple[int, int | None, str] = (0, None, "")
    error: BadInput | None = None
    issues: tuple = ()
    statistics: object = None
    seconds: float = 0.0
    is_complete: bool = False


class ScanController(QObject):
    """Keeps store.dataset true to store.experiment.data. A change of the data section starts anew; the older scan is cancelled."""

    changed = Signal()

    def __init__(self, store: ExperimentStore, parent: QObject | None = None):
        super().__init__(parent)
        self._store = store
        self.first_look = FirstLook(self)  # the decoding of all images waits for it
        self._state = ScanState()
        self._thread: _ScanThread | None = None
        self._ending: set[_ScanThread] = set()
        self._is_held = False
        # One scan for several settings changed in one go.
        self._timer = QTimer(self, singleShot=True, interval=0)
        self._timer.timeout.connect(self._start)
        store.experiment_changed.connect(self._on_store_experiment_changed)

    @property
    def state(self) -> ScanState:
        return self._state

    @property
    def is_running(self) -> bool:
        return self._thread is not None or self._timer.isActive()

    @property
    def phase(self) -> str:
        return self._state.phase

    @property
    def progress(self) -> tuple[int, int | None, str]:
        return self._state.progress

    @property
    def error(self) -> BadInput | None:
        """Why nothing can be used; None otherwise."""
        return self._state.error

    @property
    def issues(self) -> tuple:
        """What the checks found, by harm (dataset.check.Issue)."""
        return self._state.issues

    @property
    def statistics(self):
        """dataset.statistics.PixelStatistics of the training images; None before they are known."""
        return self._state.statistics

    @property
    def seconds(self) -> float:
        """How long the last complete scan took."""
        return self._state.seconds

    def hold(self, state: ScanState) -> None:
        """Show `state` and read nothing, also when the data section changes: for pictures and tests."""
        self._is_held = True
        self.cancel()
        self._state = state
        self.changed.emit()

    def rescan(self) -> None:
        """Read the source again."""
        if not self._is_held:
            self._cancel_thread()
            self._timer.start()

    def cancel(self) -> None:
        """Stop reading; what was found so far stays."""
        self._timer.stop()
        self._cancel_thread()
        self.first_look.end()
        self._set(phase="")

    def close(self) -> None:
        """Stop and wait for the threads; at most the time of one image."""
        self._timer.stop()
        self._cancel_thread()
        self.first_look.end()
        for thread in list(self._ending):
            thread.wait()

    def _on_store_experiment_changed(self, old: Experiment, new: Experiment) -> None:
        if old.data == new.data:
            return
        if _origin(old.data) != _origin(new.data) and not self._is_held:
            self._state = ScanState()
            self._store.set_dataset(None)
        self.rescan()

    def _start(self) -> None:
        data = self._store.experiment.data
        if not data.source:
            self._state = ScanState()
            self._store.set_dataset(None)
            self.changed.emit()
            return
        thread = self._thread = _ScanThread(data, self.first_look)
        self._ending.add(thread)
        thread.progressed.connect(lambda *args, t=thread: self._when(t, self._on_progressed, *args))
        thread.dataset_found.connect(lambda ds, t=thread: self._when(t, self._on_dataset_found, ds, data))
        thread.issues_found.connect(lambda issues, t=thread: self._when(t, self._on_issues_found, issues))
        thread.statistics_found.connect(lambda found, t=thread: self._when(t, self._on_statistics_found, found))
        thread.failed.connect(lambda exc, t=thread: self._when(t, self._on_failed, exc))
        thread.finished.connect(lambda t=thread: self._on_finished(t))
        self._set(phase="listing", progress=(0, None, ""), error=None, is_complete=False)
        thread.start(QThread.Priority.LowPriority)

    def _cancel_thread(self) -> None:
        if self._thread is not None:
            self._thread.is_cancelled = True
            self._thread = None

    def _when(self, thread: _ScanThread, function, *args) -> None:
        """Reports of a cancelled scan are late: drop them."""
        if thread is self._thread:
            function(*args)

    def _set(self, **values) -> None:
        self._state = replace(self._state, **values)
        self.changed.emit()

    def _on_progressed(self, phase: str, done: int, total: int | None, what: str) -> None:
        self._set(phase=phase, progress=(done, total, what))

    def _on_dataset_found(self, dataset, data: Data) -> None:
        self._store.set_dataset(dataset, tuple(dataset.problems), data)
        from studio.dataset.plan_check import with_fitting_batch

        draft = self._store.experiment
        fitted = with_fitting_batch(draft, dataset)
        if fitted is not draft:
            self._store.replace(fitted, "fit the batch to the images")
        self.changed.emit()

    def _on_issues_found(self, issues: tuple) -> None:
        self._set(issues=issues)

    def _on_statistics_found(self, found: object) -> None:
        self._set(statistics=found)

    def _on_failed(self, exc: BadInput) -> None:
        self.first_look.end()
        self._state = replace(self._state, error=exc, issues=(), statistics=None)
        self._store.set_dataset(None, exc.problems)
        self.changed.emit()

    def _on_finished(self, thread: _ScanThread) -> None:
        self._ending.discard(thread)
        thread.deleteLater()
        if thread is self._thread:
            self._thread = None
            self._set(phase="", seconds=thread.seconds, is_complete=self._state.error is None)


class _ScanThread(QThread):
    progressed = Signal(str, object, object, str)
    dataset_found = Signal(object)
    issues_found = Signal(object)
    statistics_found = Signal(object)
    failed = Signal(object)

    def __init__(self, data: Data, first_look: FirstLook):
        super().__init__()
        self._data, self._first_look = data, first_look
        self._last_report = 0.0
        self.is_cancelled = False
        self.seconds = 0.0

    def run(self) -> None:
        from studio.dataset.dataset import Cancelled

        started = time.monotonic()
        try:
            self._scan()
        except Cancelled:
            pass
        except BadInput as exc:
            self.failed.emit(exc)
        except OSError as exc:
            self.failed.emit(BadInput(error("data.source", f"The images cannot be read: {exc.strerror or exc}.")))
        except Exception as exc:  # a fault of ours must not leave "still being read" for ever
            where = f" Details are in {path}." if (path := log_fault(exc)) else ""
            words = f"Reading the images did not work ({type(exc).__name__}).{where} Read them again, or choose another folder."
            self.failed.emit(BadInput(error("data.source", words)))
        self.seconds = time.monotonic() - started

    def _scan(self) -> None:
        from studio.dataset.scan import scan
        from studio.dataset.verify import verify

        options = {"is_cancelled": lambda: self.is_cancelled}
        dataset = scan(self._data, progress=self._report("listing"), **options)
        self.dataset_found.emit(dataset)
        while not self._first_look.wait(LOOK_EVERY_S) and not self.is_cancelled:
            pass
        verified = verify(dataset, progress=self._report("verifying"), **options)
        if verified.set_aside != dataset.set_aside or verified.problems != dataset.problems:
            self.dataset_found.emit(verified)
        self._measure(verified, options)
        self._check(verified, options)

    def _check(self, dataset, options: dict) -> None:
        from studio.dataset.check import find_issues

        self.progressed.emit("checking", 0, None, "")
        self.issues_found.emit(tuple(find_issues(dataset, progress=self._report("checking"), **options)))

    def _measure(self, dataset, options: dict) -> None:
        from studio.dataset.statistics import pixel_statistics

        self.progressed.emit("statistics", 0, None, "")
        self.statistics_found.emit(pixel_statistics(dataset, progress=self._report("statistics"), **options))

    def _report(self, phase: str):
        def report(done: int, total: int | None, what: str) -> None:
            now = time.monotonic()
            if now - self._last_report >= REPORT_EVERY_S or done == total:
                self._last_report = now
                self.progressed.emit(phase, done, total, what)

        return report


def _origin(data: Data) -> tuple:
    """The settings that make it another data set rather than another cut of the same one."""
    return data.source, data.layout, data.path_column, data.label_column
