"""Starting engines without making the window wait: a warm one where it is ready, a fresh process otherwise."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from studio.core.experiment import Experiment
from studio.core.run_folder import RunFolder
from studio.gui.background import Background

if TYPE_CHECKING:
    from studio.dataset.dataset import Dataset

SETTLED_MS = 1000  # without a change, before the waiting engine does anything about it: a slider that is dragged is not followed


class Engines(QObject):
    """The engines this window started. They live on when it closes."""

    def __init__(self, background: Background, parent: QObject | None = None):
        super().__init__(parent)
        self._background = background
        self._standby = None
        self._processes: dict[Path, object] = {}
        self._coming: tuple[Experiment, Dataset] | None = None
        self._told: tuple[Experiment, Dataset] | None = None  # what the waiting engine has ready
        self._is_telling = False
        self._is_closed = False
        self._settled = QTimer(self, singleShot=True, interval=SETTLED_MS)
        self._settled.timeout.connect(self._tell_standby)

    def warm_up(self) -> None:
        """Start a waiting engine that has torch loaded."""
        if self._standby is None and not self._is_closed:
            from studio.supervise.engine import StandbyEngine

            def made(standby) -> None:
                if self._is_closed or self._standby is not None:
                    standby.close()
                    return
                self._standby, self._told = standby, None
                self._tell_standby()

            self._background.run(StandbyEngine, made, lambda exc: None)

    def prepare(self, experiment: Experiment, dataset: Dataset) -> None:
        """Have the waiting engine build the network and make the first batch of what would be trained now, once nothing has changed for a moment."""
        self._coming = experiment, dataset
        self._settled.start()

    def _tell_standby(self) -> None:
        standby, coming = self._standby, self._coming
        if standby is None or coming is None or self._is_telling or (self._told is not None and _begin_alike(coming, self._told)):
            return
        self._told, self._is_telling = coming, True

        def tell() -> None:
            from studio.dataset.first_batch import first_samples

            experiment, dataset = coming
            standby.prepare(experiment, len(dataset.classes), first_samples(experiment, dataset))

        def done() -> None:
            self._is_telling = False
            self._tell_standby()  # the draft may have changed meanwhile

        def failed(_exc: Exception) -> None:  # it died while it waited, or cannot be told; the next start makes a fresh one
            if self._standby is standby:
                self._standby = None
                self._background.run(standby.close)
            done()

        self._background.run(tell, lambda _: done(), failed)

    def start(self, folder: RunFolder, resume: bool, on_started: Callable[[], object], on_failed: Callable[[str], object]) -> None:
        """Start a run; one of the callbacks follows. What the user wishes of it from now on is obeyed, however long the process takes to start."""
        commands_from = folder.commands_size() if resume else None
        standby, self._standby = self._standby, None
        self._processes.pop(folder.path, None)  # of an earlier session: its exit code says nothing of this one

        def launch():
            from studio.supervise.engine import launcher_of, start_engine

            if standby is not None and launcher_of(folder):
                standby.close()  # several processes are started together
            elif standby is not None:
                try:
                    return standby.start(folder, resume, commands_from)
                except OSError:
                    standby.close()  # it died while it waited
            return start_engine(folder, resume, commands_from)

        def started(process) -> None:
            self._processes[folder.path] = process
            on_started()

        self._background.run(launch, started, lambda exc: on_failed(f"The training process could not be started: {exc}."), is_promised=True)

    def exit_code(self, folder: RunFolder) -> int | None:
        """Of an engine that this window started and that has ended; None otherwise."""
        process = self._processes.get(folder.path)
        return process.poll() if process is not None else None

    def is_running(self, folder: RunFolder) -> bool:
        process = self._processes.get(folder.path)
        return process is not None and process.poll() is None

    def end_by_force(self, folder: RunFolder) -> None:
        """Stop, terminate, kill; also an engine that an earlier window or a terminal started."""
        process = self._processes.get(folder.path)

        def end() -> None:
            from studio.supervise.engine import end_by_force

            process.end_by_force() if process is not None and process.poll() is None else end_by_force(folder)

        self._background.run(end, is_promised=True)

    def close(self) -> None:
        """End the waiting engine; running ones go on."""
        self._is_closed = True
        self._settled.stop()
        standby, self._standby = self._standby, None
        if standby is not None:
            # It ends when its input does; waiting for that is nothing for the window.
            threading.Thread(target=standby.close, name="standby-close", daemon=True).start()


def _begin_alike(a: tuple[Experiment, Dataset], b: tuple[Experiment, Dataset]) -> bool:
    """Whether runs begin with the same network, memory and pictures."""
    (mine, mine_from), (theirs, theirs_from) = a, b
    is_same_data = mine_from is theirs_from and mine.data.synthetic_fraction == theirs.data.synthetic_fraction
    return is_same_data and all(getattr(mine, name) == getattr(theirs, name) for name in ("model", "augment", "optimiser", "training"))
