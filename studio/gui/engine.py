"""Starting engines without making the window wait: a warm one where it is ready, a fresh process otherwise."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject

from studio.core.experiment import Experiment
from studio.core.run_folder import RunFolder
from studio.gui.background import Background


class Engines(QObject):
    """The engines this window started. They live on when it closes."""

    def __init__(self, background: Background, parent: QObject | None = None):
        super().__init__(parent)
        self._background = background
        self._standby = None
        self._processes: dict[Path, object] = {}
        self._prepared: tuple | None = None
        self._is_closed = False

    def warm_up(self) -> None:
        """Start a waiting engine that has torch loaded."""
        if self._standby is None and not self._is_closed:
            from studio.supervise.engine import StandbyEngine

            def made(standby) -> None:
                if self._is_closed or self._standby is not None:
                    standby.close()
                    return
                self._standby = standby
                self._tell_standby()

            self._background.run(StandbyEngine, made, lambda exc: None)

    def prepare(self, experiment: Experiment, num_classes: int) -> None:
        """Tell the waiting engine which network comes next, so that it is built when Train is pressed."""
        wanted = (experiment.model.model_dump(), num_classes, experiment.training.device)
        if wanted != self._prepared:
            self._prepared = wanted
            self._tell_standby()

    def _tell_standby(self) -> None:
        if self._standby is None or self._prepared is None:
            return
        try:
            self._standby.prepare(*self._prepared)
        except OSError:  # it died while it waited; the next start makes a fresh one
            self._standby = None

    def start(self, folder: RunFolder, resume: bool, on_started: Callable[[], object], on_failed: Callable[[str], object]) -> None:
        """Start a run; one of the callbacks follows."""
        standby, self._standby = self._standby, None
        self._processes.pop(folder.path, None)  # of an earlier session: its exit code says nothing of this one

        def launch():
            from studio.supervise.engine import launcher_of, start_engine

            if standby is not None and launcher_of(folder):
                standby.close()  # several processes are started together
            elif standby is not None:
                try:
                    return standby.start(folder, resume)
                except OSError:
                    standby.close()  # it died while it waited
            return start_engine(folder, resume=resume)

        def started(process) -> None:
            self._processes[folder.path] = process
            on_started()

        self._background.run(launch, started, lambda exc: on_failed(f"The training process could not be started: {exc}."))

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

        self._background.run(end)

    def close(self) -> None:
        """End the waiting engine; running ones go on."""
        self._is_closed = True
        standby, self._standby = self._standby, None
        if standby is not None:
            # It ends when its input does; waiting for that is nothing for the window.
            threading.Thread(target=standby.close, name="standby-close", daemon=True).start()
