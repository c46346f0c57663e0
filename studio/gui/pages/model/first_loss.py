"""The loss before the first step, with that of a guess beside it: computed where it follows from the settings, else measured."""

from __future__ import annotations

import math

from PySide6.QtCore import QObject, QTimer, Signal

from studio.gui.context import Context
from studio.gui.pages.model.head_plan import first_loss
from studio.gui.pages.model.signal_view import start_of

_ASK_AFTER_MS = 600

HELP = (
    "The loss before the first step: computed where all new weights start at zero, otherwise measured on eight of your images.\n"
    "In brackets the loss of a guess. A first loss far above it means that the new layers start too large."
)


class FirstLoss(QObject):
    """Follows the draft; asks the probe only for what is shown. `changed` when a loss has been measured."""

    changed = Signal()

    def __init__(self, context: Context, parent: QObject | None = None):
        super().__init__(parent)
        self._context, self._store = context, context.store
        self._asked: tuple | None = None
        self._loss: float | None = None  # of what was asked
        self._timer = QTimer(self, singleShot=True, interval=_ASK_AFTER_MS)
        self._timer.timeout.connect(self._ask)

    def words(self) -> str:
        """ "first loss 2.41 (a guess: ln 10 = 2.30)"; the probe is asked where the figure is not known yet."""
        dataset = self._store.dataset
        counts = [parts.get("train", 0) for parts in dataset.counts().values()] if dataset else []
        counts = counts if sum(counts) else [1] * (len(counts) or 10)
        loss = first_loss(self._store.experiment.model, [count / sum(counts) for count in counts])
        if loss is None and self._is_asked(start_of(self._store)):
            loss = self._loss
        elif loss is None:
            self._timer.start()
        guess = f"ln {len(counts):,} = {math.log(len(counts)):.2f}"
        return f"loss of a guess: {guess}" if loss is None else f"first loss {loss:.2f} (a guess: {guess})"

    def _is_asked(self, question: tuple) -> bool:
        if question != self._asked:
            return False
        self._asked = question
        return True

    def _ask(self) -> None:
        question = start_of(self._store)
        if self._is_asked(question):
            return
        self._asked, self._loss = question, None
        params = {"experiment": self._store.experiment.model_dump(mode="json"), "list_number": self._store.dataset_number}
        self._context.probe.call(
            "first_loss", params, lambda result: self._take(question, result), lambda _: self._on_failed(question), key="model.first_loss"
        )

    def _take(self, question: tuple, result: dict) -> None:
        if question == self._asked:
            self._loss = float(result["first_loss"])
            self.changed.emit()

    def _on_failed(self, question: tuple) -> None:
        """Not known; asked again with the next change."""
        if question == self._asked:
            self._asked = None
