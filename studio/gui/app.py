"""The program with a window. The window is painted first; what takes time to import or to start comes after."""

from __future__ import annotations

import gc
import locale
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

from PySide6.QtCore import QThread, QTimer
from PySide6.QtWidgets import QApplication

from studio.core import malloc
from studio.gui import theme
from studio.gui.slices import Slices, import_each, make_types

LARGE_ARRAY_BYTES = 1 << 20  # the points of a curve: among small things they left a heap in pieces, 60 MB in ten hours of a run
KEPT_BYTES = 16 << 20  # a picture after the other needs as much again
MOST_LISTING_MS = 10_000  # runs on a drive that does not answer; ten thousand of the index take half a second


def main(argv: list[str] | None = None) -> NoReturn:
    """Open the window, with a folder, CSV or experiment file where one is given. The process ends with the window."""
    args = sys.argv[1:] if argv is None else argv
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C in the terminal; Qt's loop would not notice it
    app = make_application()
    window = open_window(args[0] if args else "")
    leave(app.exec(), window)


def leave(code: int, window) -> NoReturn:
    """End the process once the window is closed, and with it all that was to be saved. Without PySide's clean-up at the end of Python: that
    destroys in any order what Python still owns, and ended with a segmentation fault in `~QGraphicsWidget` where plots had been shown."""
    if not window.is_closed:
        window.close()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # none under pythonw, or nobody reads any more
            stream.flush()
    os._exit(code)


def make_application() -> QApplication:
    """The application with its theme as the user left it."""
    malloc.map_from(LARGE_ARRAY_BYTES, keep_bytes=KEPT_BYTES, most_arenas=2)
    app = QApplication([sys.argv[0]])
    locale.setlocale(locale.LC_NUMERIC, "C")  # QApplication takes the system's: libraries would then read 0,5
    app.setApplicationName("finetune-studio")
    app.setApplicationDisplayName("Studio")
    from studio.gui.setting import Settings

    settings = Settings()
    theme.install(app, settings.text("window/theme", "system"), settings.number("window/scale", 1.0))
    return app


def open_window(path: str = ""):
    """A window that comes to life after its first paint, then opens `path`."""
    from studio.gui.window import Window

    window = Window()
    window.show()
    types, loader, parts = Slices(make_types(), window), _Loader(_MODULES, window), Slices(import_each(*_PARTS), window)
    types.finished.connect(loader.start)
    loader.finished.connect(parts.start)
    parts.finished.connect(lambda: _bring_to_life(window, path))
    for part in (types, loader, parts):
        window.closing.connect(part.stop)
    # A timer of 0 ms fires when the events of showing, the first paint among them, are done.
    QTimer.singleShot(0, types, types.start)
    return window


class _Loader(QThread):
    """Imports modules, so that the window answers to the mouse meanwhile. None with classes of Qt's: see `slices`."""

    def __init__(self, modules: tuple[str, ...], parent):
        super().__init__(parent)
        self._modules = modules

    def run(self) -> None:
        for name in self._modules:
            if self.isInterruptionRequested():
                return
            with suppress(ImportError):  # one that pyqtgraph can do without, or it is said where it is used
                import_module(name)

    def stop(self) -> None:
        """As `Slices.stop`, when the module that is being imported is there."""
        self.blockSignals(True)
        self.requestInterruption()
        self.wait()


# What the window needs to come to life, and what the other pages need then: first without Qt, in a thread, then the parts with classes of Qt's.
_MODULES = (
    "numpy", "pydantic", "studio.core.fold", "studio.core.experiment_file", "studio.catalog.schedules", "studio.catalog.augments",
    "studio.catalog.backbones", "studio.catalog.advice", "studio.core.run_index", "studio.core.queue", "studio.dataset.sample_set", "PIL.Image",
)  # fmt: skip
_PARTS = (
    "studio.gui.runs", "studio.gui.scan", "studio.gui.estimate", "studio.gui.disk", "studio.gui.shell.inspector",
    "studio.gui.shell.runbar", "studio.gui.shell.summary", "studio.gui.context", "studio.gui.pages.data.page",
)  # fmt: skip
_PAGE_MODULES = (
    "cuda.bindings.runtime", "multiprocessing.connection", "pydoc", "xml.etree.ElementTree",  # pyqtgraph's; the first where it is there
    "studio.catalog.exporters", "studio.core.predictions", "studio.core.head_sweep", "studio.core.rate_test", "studio.core.reliability",
    "studio.dataset.look",
)  # fmt: skip


def _bring_to_life(window, path: str) -> None:
    if window.is_closed:
        return
    from studio.gui.context import make_context

    context = make_context()
    window.attach(context)
    gc.freeze()  # what is loaded stays: looking through it again while the runs come in would take 80 ms each time
    sys.excepthook = lambda *what: report_fault(context.shell, *what)
    window.start_background()
    if path:
        window.open_path(path)
    window.grant_wishes()
    from studio.gui.pages import PAGES

    # Plots and the other pages, so that the first visit does not wait either. After the list of runs: both need the same interpreter.
    loader, parts = _Loader(_PAGE_MODULES, window), Slices(import_each("pyqtgraph", *(slot.module for slot in PAGES)), window)
    loader.finished.connect(parts.start)
    parts.finished.connect(window.make_pages_ahead)
    for part in (loader, parts):
        window.closing.connect(part.stop)
    parts.give_way_to(context.scan.first_look)
    wait = QTimer(window, singleShot=True, interval=MOST_LISTING_MS)
    wait.timeout.connect(lambda: None if window.is_closed else loader.start(QThread.Priority.LowPriority))
    context.runs.monitor.listed.connect(lambda: wait.start(0) if wait.isActive() else None)
    wait.start()


def report_fault(shell, kind, exc, trace) -> None:
    """An exception nobody caught: into the window's log, and one sentence to the user. The window stays."""
    from studio.gui.fault import log_fault

    sys.__excepthook__(kind, exc, trace)
    path = log_fault(exc)
    where = f" Details are in {path}." if path else ""
    shell.toast(f"Something in the window did not work ({kind.__name__}). Your draft is saved.{where}")


if __name__ == "__main__":
    main()
