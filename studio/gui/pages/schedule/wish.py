"""What a hand on the plot or the thaw timeline wishes for: the plot follows at once, the store, and with it the window, when the hand rests."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

from studio.core.experiment import Experiment
from studio.core.problem import BadInput
from studio.gui.store import ExperimentStore

_REST_MS = 60  # a hand that stands still for so long


class HandWish(QObject):
    """Between `begin` and `end` settings are reckoned from the draft as it was; one drag is one step of undo."""

    changed = Signal()  # `experiment` is another one
    refused = Signal(str)  # why settings cannot be

    def __init__(self, store: ExperimentStore, parent: QObject):
        super().__init__(parent)
        self._store = store
        self.base: Experiment | None = None  # the draft when a drag began
        self._wish: Experiment | None = None  # what the drag has come to, not yet in the store
        self._label = ""
        self._rest = QTimer(self, interval=_REST_MS, singleShot=True)
        self._rest.timeout.connect(self._grant)

    @property
    def experiment(self) -> Experiment:
        """The draft as the hand has it."""
        return self._wish or self._store.experiment

    def begin(self) -> None:
        self.base = self._store.experiment
        self._store.begin_drag()

    @property
    def is_open(self) -> bool:
        """Whether there is something that the store does not have yet."""
        return self._wish is not None

    def set(self, settings: dict, label: str = "") -> None:
        """Settings by path, within a drag or outside of one; `label` names the step for undo."""
        try:
            if self.base is None:
                self._store.set(settings, label)
            else:
                self._wish, self._label = self.base.changed(settings), label
                self.changed.emit()
                self._rest.start()
        except BadInput as exc:
            self.refused.emit(exc.problems[0].sentence)

    def nudge(self, settings: dict, key: str) -> None:
        """By a key on the handle `key`: presses in a row are one step of undo."""
        try:
            self._store.set(settings, burst=f"plot {key}")
        except BadInput as exc:
            self.refused.emit(exc.problems[0].sentence)

    def end(self, is_kept: bool) -> None:
        """Let go; dropped, everything is as it was."""
        self._rest.stop()
        if is_kept:
            self._grant()
        else:
            self._store.cancel_drag()
        self.base = self._wish = None
        self._store.end_drag()
        self.changed.emit()

    def _grant(self) -> None:
        wish, self._wish = self._wish, None
        if wish is not None and self._store.is_dragging:  # an undo has ended the drag, whatever the hand still does
            self._store.replace(wish, self._label)
