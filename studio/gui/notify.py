"""Tells the person at the desk that a run ended, when they look at something else."""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QApplication, QSystemTrayIcon, QWidget

from studio.core.outcome import Status
from studio.core.path_text import shown
from studio.gui import wording
from studio.gui.run_entry import RunEntry

SHOWN_MS = 10_000


def notice_of(entry: RunEntry) -> tuple[str, str]:
    """Title and sentence for a run that ended."""
    state, title = entry.state, f"Studio: {entry.name}"
    if state.status is Status.FINISHED and state.finished:
        after, top1 = f"after {wording.duration(state.finished.seconds)}.", state.finished.top1
        return f"{title} finished", f"Top-1 {wording.percent(top1)} {after}" if top1 is not None else f"Done {after}"
    outcome = entry.outcome
    words = "stopped" if state.status is Status.STOPPED else "stopped unexpectedly"
    return f"{title} {words}", shown(outcome.sentence) if outcome else ""


class Notifier(QObject):
    """Shows a notice of the desktop, where it has a place for them, and marks the window in the task bar; nothing while the window is active."""

    def __init__(self, window: QWidget):
        super().__init__(window)
        self._window = window
        self._tray: QSystemTrayIcon | None = None

    def run_ended(self, entry: RunEntry) -> bool:
        """True when there was a reason to tell."""
        if self._window.isActiveWindow():
            return False
        QApplication.alert(self._window)
        if QSystemTrayIcon.isSystemTrayAvailable() and QSystemTrayIcon.supportsMessages():
            if self._tray is None:
                self._tray = QSystemTrayIcon(self._window.windowIcon(), self)
                self._tray.messageClicked.connect(self._show_window)
                self._tray.activated.connect(lambda _: self._show_window())
            self._tray.show()
            self._tray.showMessage(*notice_of(entry), self._window.windowIcon(), SHOWN_MS)
        return True

    def window_activated(self) -> None:
        """The person is back: the icon beside the clock has done its work."""
        if self._tray is not None:
            self._tray.hide()

    def _show_window(self) -> None:
        self._window.showNormal() if self._window.isMinimized() else self._window.show()
        self._window.raise_()
        self._window.activateWindow()
