"""The first look at a folder: from its choice to the thumbnails in view. Whatever else could go on at that time waits for it.

On two cores the rest (decoding every image, making the other pages ahead) shares the interpreter with it, and made it four times as long.
"""

from __future__ import annotations

import threading

from PySide6.QtCore import QObject, QTimer, Signal

MOST_MS = 2500  # a slow drive or a million files: the rest does not wait for these


class FirstLook(QObject):
    """`is_going` may be asked by any thread, `wait` called by any; the rest belongs to the GUI thread."""

    changed = Signal(bool)  # whether it is going on

    def __init__(self, parent: QObject | None = None):
        super().__init__(parent)
        self._over = threading.Event()
        self._over.set()
        self._limit = QTimer(self, singleShot=True, interval=MOST_MS)
        self._limit.timeout.connect(self.end)

    @property
    def is_going(self) -> bool:
        return not self._over.is_set()

    def begin(self) -> None:
        """Other images were chosen, and somebody looks."""
        self._limit.start()
        if not self.is_going:
            self._over.clear()
            self.changed.emit(True)

    def end(self) -> None:
        """They are seen, or will not be."""
        self._limit.stop()
        if self.is_going:
            self._over.set()
            self.changed.emit(False)

    def wait(self, seconds: float) -> bool:
        """Wait until it is over; whether it is."""
        return self._over.wait(seconds)
