"""Pictures of the window, rendered offscreen from recorded runs: `studio screenshots OUT`."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from studio.gui.shell.sample_sheets import OVERLAYS

STATES = ("empty", "full", "running", "failed")
THEMES = ("dark", "light")
SIZES = ((1440, 900), (1280, 720))
SETTLE_S = 0.25  # queued signals, thumbnails and layouts
WORKERS_S = 60.0


@dataclass(frozen=True)
class Shot:
    page: str
    state: str
    theme: str
    size: tuple[int, int]

    @property
    def file_name(self) -> str:
        return f"{self.page}-{self.state}-{self.theme}-{self.size[0]}x{self.size[1]}.png"


def render_all(
    out_dir: Path,
    *,
    data: str = "",
    workers: bool = True,
    shots: Iterable[Shot] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Path]:
    """Render shots (all pages, states, themes and sizes by default) to PNG files in `out_dir`; returns their paths.

    Makes its own QApplication and a temporary STUDIO_HOME, so call it in a process without a window.
    """
    shots = list(shots) if shots is not None else all_shots()
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="studio-shots-", ignore_cleanup_errors=True))
        stage = _Stage(Path(home), data, workers, stack)
        paths = []
        # One window per state; within it theme, size and page change.
        shots.sort(key=lambda s: (s.state, s.theme, s.size))
        for index, shot in enumerate(shots):
            if progress:
                progress(index, len(shots), shot.file_name)
            paths.append(stage.shoot(shot, out_dir / shot.file_name))
        stage.close()
    return paths


def all_shots() -> list[Shot]:
    """Every page in every state it has, in both themes and sizes."""
    from studio.gui.pages import PAGES

    shots = []
    for slot in PAGES:
        states = (*STATES, *slot.load().screenshot_states())
        shots += [Shot(slot.key, state, theme, size) for state in states for theme in THEMES for size in SIZES]
    shots += [Shot(key, "full", theme, SIZES[0]) for key in OVERLAYS for theme in THEMES]
    return shots


def chosen_shots(
    pages: Sequence[str] = (), states: Sequence[str] = (), themes: Sequence[str] = (), sizes: Sequence[tuple[int, int]] = ()
) -> list[Shot]:
    """Those of `all_shots` that fit what is given; sizes that are given are drawn instead of both. Raises BadInput for an unknown name."""
    from studio.core.problem import BadInput

    found = all_shots()
    for what, wanted in (("page", pages), ("state", states), ("theme", themes)):
        there = dict.fromkeys(getattr(shot, what) for shot in found)
        if unknown := [name for name in wanted if name not in there]:
            raise BadInput(f"“{unknown[0]}” is not a {what} that can be drawn here. There are: {', '.join(there)}.")
        found = [shot for shot in found if not wanted or getattr(shot, what) in wanted]
    return list(dict.fromkeys(replace(shot, size=size) for shot in found for size in sizes)) if sizes else found


class _Stage:
    """Application, data set and recorded runs, made once; a window per state."""

    def __init__(self, home: Path, data: str, workers: bool, stack: ExitStack):
        os.environ["QT_QPA_PLATFORM"] = os.environ.get("STUDIO_SHOT_PLATFORM", "offscreen")
        os.environ["STUDIO_HOME"] = str(home)
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
        from PySide6.QtCore import qInstallMessageHandler
        from PySide6.QtWidgets import QApplication

        qInstallMessageHandler(_log)
        self._app = QApplication.instance() or QApplication([])
        from studio.gui import theme

        self._theme = theme.install(self._app, "dark")
        self._home, self._stack, self._workers = home, stack, workers
        self._source = data
        self._dataset = None
        self._facts: tuple = ((), None)
        self._window = None
        self._state = ""
        self._runs: list = []
        self._preview = self._probe = None
        if workers:
            from studio.gui.workers import WorkerClient

            self._preview, self._probe = WorkerClient("preview"), WorkerClient("probe")

    def shoot(self, shot: Shot, path: Path) -> Path:
        from PySide6.QtCore import QCoreApplication, QEvent

        key = "schedule" if shot.page in OVERLAYS else shot.page
        page_class = next(slot for slot in _slots() if slot.key == key).load()
        extra = page_class.screenshot_states()
        base = shot.state if shot.state in STATES else "full"
        self._theme.set_choice(shot.theme)
        if self._window is None or self._state != base or shot.state in extra or shot.page in OVERLAYS:
            self._new_window(base)
        window = self._window
        window.resize(*shot.size)
        window.show_page(key)
        window.show()
        if shot.page in OVERLAYS:
            OVERLAYS[shot.page](window)
            self._state = ""
        if shot.state in extra:
            self._settle()
            extra[shot.state](window.page(shot.page))
            self._state = ""  # the page is changed: do not use this window again
        self._settle()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest)  # of what came at the very end
        first = window.top_bar.project
        if first.hasFocus():  # a page shown before its window leaves the ring there
            first.clearFocus()
        path.parent.mkdir(parents=True, exist_ok=True)
        if not window.grab().save(str(path)):
            raise OSError(errno.EIO, "a picture could not be saved")
        return path

    def close(self) -> None:
        self._close_window()
        for worker in (self._preview, self._probe):
            if worker:
                worker.close()

    def _close_window(self) -> None:
        if self._window is not None:
            context = self._window.context
            self._window.hide()
            self._window.deleteLater()
            context.close()
            self._window = None
            self._settle(0.05)

    def _new_window(self, state: str) -> None:
        from studio.gui.context import make_context
        from studio.gui.testing import FakeEngines, FakeWorker
        from studio.gui.window import Window

        self._close_window()
        self._state = state
        (self._home / "state").mkdir(exist_ok=True)
        for left in (self._home / "state").glob("**/*.*"):
            left.unlink(missing_ok=True)
        context = make_context(
            preview=_Kept(self._preview) if self._preview else FakeWorker(), probe=_Kept(self._probe) if self._probe else FakeWorker(),
            finder=FakeWorker(), engines=FakeEngines(),
        )  # fmt: skip
        fill(context, state, *self._material(state))
        self._window = Window()
        self._window.attach(context)

    def _material(self, state: str) -> tuple:
        """The data set, its issues and statistics, and the recorded runs of a state."""
        if state == "empty":
            return None, (), None, []
        if self._dataset is None:
            self._dataset, issues, statistics = read_data(self._source)
            self._facts = (issues, statistics)
        from studio.core.outcome import Status
        from studio.gui.recorded import demo_recordings, held_alive, record_run

        folder = self._home / "runs" / state
        if not folder.exists():
            recordings = demo_recordings(self._dataset, project_name(self._dataset))
            if state == "full":
                recordings = recordings[:-1]
            if state == "failed":
                recordings[-1] = replace(recordings[-1], status=Status.FAILED)
            folders = [record_run(folder, recording, self._dataset) for recording in recordings]
            if state == "running":
                self._stack.enter_context(held_alive(folders[-1]))
        from studio.core.run_folder import find_runs

        return self._dataset, *self._facts, find_runs(folder)

    def _settle(self, seconds: float = SETTLE_S) -> None:
        """Let the event loop run; with workers, until they have answered, and until the page has read what it shows."""
        from PySide6.QtCore import QElapsedTimer, QEventLoop, QTimer

        clock = QElapsedTimer()
        clock.start()
        was_busy = False
        while True:
            loop = QEventLoop()  # this is a tool without a user: nobody can start a second one
            QTimer.singleShot(int(seconds * 1000), loop.quit)
            loop.exec()
            is_busy = any(worker is not None and worker.is_busy for worker in (self._preview, self._probe))
            if self._window is not None:
                page = self._window.page(self._window.current_page)
                is_busy |= bool(getattr(page, "is_busy", bool)())
            # One more turn after the last answer, so that it is shown as well.
            if not is_busy and not was_busy or clock.elapsed() > WORKERS_S * 1000:
                return
            was_busy = is_busy


def _log(kind, context, text: str) -> None:
    """Qt's messages on stderr, without the one line that the offscreen platform writes for every window."""
    if "propagateSizeHints" not in text:
        sys.stderr.write(text + "\n")


class _Kept:
    """A worker that several windows use one after the other: closing a window does not end it, but nothing is answered to it any more."""

    def __init__(self, worker):
        self._worker = worker
        self._is_closed = False

    def call(self, method: str, params: dict, *callbacks, **more):
        return self._worker.call(
            method, params, *(self._while_open(c) for c in callbacks), **{k: self._while_open(v) for k, v in more.items()}
        )

    def _while_open(self, callback):
        return (lambda *args: None if self._is_closed else callback(*args)) if callable(callback) else callback

    def __getattr__(self, name: str):
        return getattr(self._worker, name)

    def close(self) -> None:
        self._is_closed = True


def read_data(source: str = "") -> tuple:
    """Scan `source` (the small sample set by default) and all that the window knows of it: data set, issues, statistics."""
    from studio.core.experiment import Data
    from studio.core.path_text import path_to_text, text_to_path
    from studio.dataset.check import find_issues
    from studio.dataset.sample_set import prepare_sample_set
    from studio.dataset.scan import scan
    from studio.dataset.statistics import pixel_statistics
    from studio.dataset.verify import verify

    folder = Path(text_to_path(source)).absolute() if source else prepare_sample_set("digits-small")
    dataset = verify(scan(Data(source=path_to_text(folder))))
    return dataset, tuple(find_issues(dataset)), pixel_statistics(dataset)


def project_name(dataset) -> str:
    """What the window calls a project of these images: pictures are of what their title says."""
    from studio.core.path_text import text_to_path
    from studio.gui.project import title_of

    return title_of(Path(text_to_path(dataset.root)))


def fill(context, state: str, dataset, issues: tuple, statistics, run_folders: list) -> None:
    """Bring a context into a state as the scan and the monitor would, without their threads."""
    from studio.gui.monitor import RunUpdate
    from studio.gui.scan import ScanState

    if dataset is not None:
        context.store.reset_to(
            context.store.experiment.changed({"name": project_name(dataset), "data.source": dataset.root, "schedule.epochs": 12})
        )
        context.scan.hold(ScanState(issues=issues, statistics=statistics, seconds=0.8, is_complete=True))
        context.store.set_dataset(dataset, tuple(dataset.problems))
    updates = tuple(RunUpdate(folder, folder.read_state(), folder.experiment(), folder.is_alive()) for folder in run_folders)
    context.runs.take(updates)


def _slots():
    from studio.gui.pages import PAGES

    return PAGES
