"""Whether somebody watches the window. Beside a run on the same cores nothing is drawn or read often for nobody."""

from __future__ import annotations

import time

from PySide6.QtCore import QEvent, QObject, Signal
from PySide6.QtGui import QWindow

ATTENDED_S = 15.0  # after the last sign of somebody
_SIGNS = frozenset(
    (
        QEvent.Type.MouseMove, QEvent.Type.MouseButtonPress, QEvent.Type.Wheel, QEvent.Type.TouchBegin, QEvent.Type.Enter, QEvent.Type.DragEnter,
        QEvent.Type.KeyPress, QEvent.Type.ShortcutOverride, QEvent.Type.FocusIn,  # of a key that is a shortcut nothing else comes
    )
)  # fmt: skip


class Attention(QObject):
    """Somebody is there for a while after the window was chosen or touched by pointer or keys, and at first. Other threads may ask, no more."""

    came = Signal()  # after a while in which nobody was there

    def __init__(self, parent: QObject | None = None):
        super().__init__(parent)
        self._seen_at = time.monotonic()

    @property
    def is_there(self) -> bool:
        return time.monotonic() - self._seen_at < ATTENDED_S

    def follow(self, window: QWindow) -> None:
        """Take what is done in it for signs. What its widgets get comes through it; what is painted in them does not, nor what dialogs get."""
        window.installEventFilter(self)

    def note(self) -> None:
        """A sign of somebody."""
        was_there, self._seen_at = self.is_there, time.monotonic()
        if not was_there:
            self.came.emit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in _SIGNS:
            self.note()
        return False
