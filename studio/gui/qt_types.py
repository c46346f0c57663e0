"""Has PySide make all of Qt's types in the window's own thread, a few at a time, before another thread imports what uses them.

PySide makes a type and its enums when their name is first used, and keeps what is still to make in a table without a lock. pyqtgraph's import
uses every name there is: done in a thread while the window used a new name itself, it ended the process in 4 of 60 starts on a busy
computer (segmentation fault in `enum`, called from shiboken's `incarnateType`). Types that are there already are only looked up.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import QObject, QTimer, Signal

SLICE = 0.006  # seconds; less than half a frame


class TypesAhead(QObject):
    """Makes the types in slices between the window's events, then emits `finished`. About 0.2 s in all."""

    finished = Signal()

    def __init__(self, parent: QObject):
        super().__init__(parent)
        self._types = make_types()
        self._timer = QTimer(self, interval=0)
        self._timer.timeout.connect(self._make_some)

    def start(self) -> None:
        self._timer.start()

    def _make_some(self) -> None:
        end = perf_counter() + SLICE
        while perf_counter() < end:
            if next(self._types, None) is None:
                self._timer.stop()
                self.finished.emit()
                return


def make_types() -> Iterator[str]:
    """Each name that was looked up, and with it made: modules' types, then what is nested in them."""
    for module in (QtCore, QtGui, QtWidgets):
        for name in dir(module):
            outer = getattr(module, name)
            yield name
            if isinstance(outer, type):
                for inner in [key for key in vars(outer) if key[0].isupper()]:
                    getattr(outer, inner)
                    yield f"{name}.{inner}"
