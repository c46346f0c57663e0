"""Work of the window's own thread in slices between its events: Qt's types, and the modules with classes of Qt's.

PySide keeps what it knows of types in tables without a lock, and Qt asks for it while another thread may hold the interpreter (`metaObject`,
called from style sheets while `addWidget` runs). So no other thread may make a type of Qt's or a class derived from one. Both have been seen,
each as a segmentation fault in about one of a hundred starts on a busy computer: in `enum` below shiboken's `incarnateType`, when
pyqtgraph was imported in a thread; and in `PySide::MetaObjectBuilder::update`, when a page's module was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from pkgutil import iter_modules
from time import perf_counter
from typing import TYPE_CHECKING

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import QObject, QTimer, Signal

if TYPE_CHECKING:
    from studio.gui.first_look import FirstLook

SLICE = 0.006  # seconds; less than half a frame
_END = object()


class Slices(QObject):
    """Takes from `work` for 6 ms at a time, then emits `finished`. What stands between two items of it is one piece."""

    finished = Signal()

    def __init__(self, work: Iterable[object], parent: QObject):
        super().__init__(parent)
        self._work = iter(work)
        self._is_wanted = self._is_held = False
        self._timer = QTimer(self, interval=0)
        self._timer.timeout.connect(self._do_some)

    def start(self) -> None:
        self._is_wanted = True
        self._run()

    def stop(self) -> None:
        """Do no more of it. `finished` does not come."""
        self._is_wanted = False
        self._run()

    def hold(self, is_held: bool) -> None:
        """Rest for as long as something else comes first."""
        self._is_held = is_held
        self._run()

    def give_way_to(self, look: FirstLook) -> None:
        """Rest during first looks."""
        look.changed.connect(self.hold)
        self.hold(look.is_going)

    def _run(self) -> None:
        if self._is_wanted and not self._is_held:
            self._timer.start()
        else:
            self._timer.stop()

    def _do_some(self) -> None:
        end = perf_counter() + SLICE
        while perf_counter() < end:
            if next(self._work, _END) is _END:
                self.stop()
                self.finished.emit()
                return


def make_types() -> Iterator[str]:
    """Each name that was looked up, and with it made: modules' types, then what is nested in them. About 0.1 s in all."""
    for module in (QtCore, QtGui, QtWidgets):
        for name in dir(module):
            outer = getattr(module, name)
            yield name
            if isinstance(outer, type):
                for inner in [key for key in vars(outer) if key[0].isupper()]:
                    getattr(outer, inner)
                    yield f"{name}.{inner}"


def import_each(*names: str) -> Iterator[str]:
    """Each module of `names` that was imported; before one of a package, the modules beside it, so that the pieces stay small."""
    for name in names:
        package, _, last = name.rpartition(".")
        if last == "page":
            for beside in iter_modules(import_module(package).__path__, f"{package}."):
                import_module(beside.name)
                yield beside.name
        import_module(name)
        yield name
