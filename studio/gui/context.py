"""What a page is given: the draft, the runs, the workers and the few things it may ask of the window."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from studio.core.path_text import path_to_text, shown
from studio.core.problem import Problem

if TYPE_CHECKING:
    from studio.gui.attention import Attention
    from studio.gui.background import Background
    from studio.gui.disk import DiskForecast
    from studio.gui.engine import Engines
    from studio.gui.estimate import Estimates
    from studio.gui.project import Projects
    from studio.gui.runs import RunsController
    from studio.gui.scan import ScanController
    from studio.gui.setting import Settings
    from studio.gui.store import ExperimentStore
    from studio.gui.workers import WorkerClient


class Shell(QObject):
    """Requests to the window. Pages call the methods; the window listens to the signals."""

    toast_requested = Signal(str, str, object)  # sentence, action label, what the action does
    mention_requested = Signal(str)  # sentence
    page_requested = Signal(str, object)  # page key, argument
    folder_requested = Signal()  # open the folder dialog
    notice_added = Signal(str)  # sentence, for the list behind the bell
    refused = Signal(str, object)  # title, problems

    def toast(self, sentence: str, action: str = "", on_action: Callable[[], object] | None = None) -> None:
        """One sentence at the lower right for 6 s, with an action such as Undo."""
        self.toast_requested.emit(sentence, action, on_action)
        self.notice_added.emit(sentence)

    def mention(self, sentence: str) -> None:
        """What nobody asked for: takes the place of no message that offers an action, and then is only in the list behind the bell."""
        self.mention_requested.emit(sentence)
        self.notice_added.emit(sentence)

    def toast_change(self, sentence: str, store: ExperimentStore, is_changed: bool) -> None:
        """With Undo where the draft was changed; else it would take back what came before."""
        self.toast(sentence, *(("Undo", store.undo) if is_changed else ()))

    def refuse(self, path: str, problems: Sequence[Problem]) -> None:
        """Say why a file or project is not opened: one problem in a sentence, several in a list that stays until it is closed."""
        if len(problems) == 1:
            self.toast(problems[0].sentence)
        else:
            self.refused.emit(f"“{shown(path_to_text(os.path.basename(path)))}” cannot be opened", problems)

    def open_folder_dialog(self) -> None:
        """The system's folder picker; what is chosen becomes the data (Ctrl O)."""
        self.folder_requested.emit()

    def go_to(self, page: str, argument: object = None) -> None:
        """Show a page: data, model, augment, schedule, train, results, use. `argument` goes to its show_argument."""
        self.page_requested.emit(page, argument)


HAND_OVER_S = 0.001  # a thread that sends or reads waits so long at most for this one; the usual 5 ms are a third of a frame


@dataclass(frozen=True)
class Context:
    """Handed to every page. Every part lives as long as the window; all of them belong to the GUI thread."""

    shell: Shell
    attention: Attention
    settings: Settings
    store: ExperimentStore
    projects: Projects
    scan: ScanController
    runs: RunsController
    preview: WorkerClient
    probe: WorkerClient
    finder: WorkerClient
    estimates: Estimates
    disk: DiskForecast
    engines: Engines
    background: Background

    def close(self) -> None:
        """Save the draft, end threads and workers. Runs go on."""
        self.projects.close()
        self.scan.close()
        self.disk.close()
        self.runs.close()
        self.engines.close()
        self.preview.close()
        self.probe.close()
        self.finder.close()
        self.background.close()
        self.settings.sync()


def make_context(
    *, preview: WorkerClient | None = None, probe: WorkerClient | None = None, finder: WorkerClient | None = None, engines: Engines | None = None,
) -> Context:  # fmt: skip
    """Everything a window needs, on the folders of core.place. Nothing is started or read yet."""
    from studio.gui.attention import Attention
    from studio.gui.background import Background
    from studio.gui.backlog import Backlog
    from studio.gui.disk import DiskForecast
    from studio.gui.engine import Engines
    from studio.gui.estimate import Estimates
    from studio.gui.paired_worker import PairedWorker
    from studio.gui.project import Projects
    from studio.gui.runs import RunsController
    from studio.gui.scan import ScanController
    from studio.gui.setting import Settings
    from studio.gui.store import ExperimentStore
    from studio.gui.workers import WorkerClient

    sys.setswitchinterval(HAND_OVER_S)
    attention, settings, store, background = Attention(), Settings(), ExperimentStore(), Background()
    probe, preview = probe or WorkerClient("probe"), preview or PairedWorker("preview")
    engines = engines or Engines(background)
    runs = RunsController(store, background, engines, probe, preview, attention)
    estimates = Estimates(store, runs, probe)
    return Context(
        shell=Shell(),
        attention=attention,
        settings=settings,
        store=store,
        projects=Projects(store, settings, background),
        scan=ScanController(store),
        runs=runs,
        preview=preview,
        probe=probe,
        finder=finder or WorkerClient("finder"),
        estimates=estimates,
        disk=DiskForecast(store, estimates, runs, Backlog(store, estimates, runs, background), background),
        engines=engines,
        background=background,
    )
