"""When the Train page is drawn anew: in parts, so that no turn of the event loop takes long, and sparingly beside a run on the window's own cores."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, QPoint, QTimer
from PySide6.QtGui import QCursor
from PySide6.QtWidgets import QWidget

REDRAW_MS = 252  # as often as figures can be read
BESIDE_MS = 1992  # while the run computes on the window's own cores: it waits for every redraw, and its steps are slow
CALM_TURN_S = 2.5  # beside such a run, while nobody moves anything: a turn of 17 ms holds up both cores that wait for each other, 0.7 %
ATTENDED_S = 15.0  # after the last move of the pointer over the window, or after the page came to the front

Job = Callable[[], object]


class Pace(QObject):
    """Runs `jobs` one after the other, again and again while it is told that there is something new.

    Beside a run on the same cores that nobody watches closely it runs one job of `calm_cycle` in CALM_TURN_S instead.
    """

    def __init__(
        self, page: QWidget, jobs: Sequence[Job], calm_cycle: Sequence[Job], *, is_seen: Callable[[], bool], shares_cores: Callable[[], bool]
    ):  # fmt: skip
        super().__init__(page)
        self._page, self._all, self._calm_cycle = page, tuple(jobs), tuple(calm_cycle)
        self._is_seen, self._shares_cores = is_seen, shares_cores
        self._is_stale = self._is_wished = False
        self._jobs: list[Job] = []
        self._num_calm, self._calm_at = 0, 0.0
        self._pointer, self._attended_at = QPoint(), time.monotonic()
        self._timer = QTimer(self, singleShot=True)
        self._timer.timeout.connect(self._on_timer_timeout)

    def tell_news(self) -> None:
        """Redraw soon. While nobody can look, it is kept in mind until `catch_up`."""
        self._is_stale = True
        if self._is_seen() and not self._timer.isActive():
            self._begin()

    def tell_wish(self) -> None:
        """Redraw soon and at full pace: somebody asked for another view."""
        self.attend()
        self._is_wished = True
        if not self._jobs:
            self._timer.stop()
        self.tell_news()

    def catch_up(self) -> None:
        """Show what came while nobody could look."""
        if self._is_stale:
            self.tell_wish()

    def draw_now(self) -> None:
        """All of it: the page comes to the front."""
        self.stop()
        self.attend()
        self._is_stale = self._is_wished = False
        for job in self._all:
            job()

    @property
    def is_drawing(self) -> bool:
        """Whether parts of a view that was begun are still to come."""
        return bool(self._jobs)

    def stop(self) -> None:
        self._timer.stop()
        self._jobs = []

    def attend(self) -> None:
        """Somebody looks: full pace for a while."""
        self._attended_at = time.monotonic()

    @property
    def is_attended(self) -> bool:
        """Whether somebody moved the pointer over the window within ATTENDED_S. Asked, not followed: a filter sees every event of the window."""
        at = QCursor.pos()
        if at != self._pointer:
            self._pointer = at
            if self._page.window().geometry().contains(at):
                self.attend()
        return time.monotonic() - self._attended_at < ATTENDED_S

    def _begin(self) -> None:
        if self._shares_cores() and not self.is_attended:
            self._take_calm_turn()
            return
        self._is_stale = False
        self._jobs = list(self._all)
        self._timer.start(self._turn_ms)

    @property
    def _turn_ms(self) -> int:
        return (BESIDE_MS if self._shares_cores() and not self._is_wished else REDRAW_MS) // len(self._all)

    def _take_calm_turn(self) -> None:
        """In the turn of the event loop that brought the news: nothing has to wake the process again."""
        wait_s = self._calm_at + CALM_TURN_S - time.monotonic()
        if wait_s > 0:
            self._timer.start(round(1000 * wait_s) + 1)
            return
        self._is_stale = False
        self._calm_at = time.monotonic()
        self._calm_cycle[self._num_calm % len(self._calm_cycle)]()
        self._num_calm += 1

    def _on_timer_timeout(self) -> None:
        if self._jobs:
            self._jobs.pop(0)()
        if self._jobs:
            self._timer.start(self._turn_ms)
        else:
            self._is_wished &= self._is_stale  # one that came meanwhile is still to be granted
            if self._is_stale and self._is_seen():
                self._begin()
