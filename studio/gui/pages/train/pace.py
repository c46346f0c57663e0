"""When the Train page is drawn anew: in parts, so that no turn of the event loop takes long, and sparingly beside a run on the window's own cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QWidget

from studio.gui.attention import Attention

REDRAW_MS = 252  # as often as figures can be read
BESIDE_MS = 1992  # while the run computes on the window's own cores: it waits for every redraw, and its steps are slow

Job = Callable[[], object]


class Pace(QObject):
    """Runs `jobs` one after the other, again and again while it is told that there is something new.

    Beside a run on the same cores, while nobody watches, each word of it brings one job of `calm_cycle` instead.
    """

    def __init__(
        self, page: QWidget, jobs: Sequence[Job], calm_cycle: Sequence[Job], attention: Attention, *,
        is_seen: Callable[[], bool], shares_cores: Callable[[], bool],
    ):  # fmt: skip
        super().__init__(page)
        self._all, self._calm_cycle, self._attention = tuple(jobs), tuple(calm_cycle), attention
        self._is_seen, self._shares_cores = is_seen, shares_cores
        self._is_stale = self._is_wished = False
        self._jobs: list[Job] = []
        self._num_calm = 0
        self._timer = QTimer(self, singleShot=True)
        self._timer.timeout.connect(self._on_timer_timeout)
        attention.came.connect(self._on_attention_came)

    def tell_news(self) -> None:
        """Redraw soon. While nobody can look, it is kept in mind until `catch_up`."""
        self._is_stale = True
        if self._is_seen() and not self._timer.isActive():
            self._begin()

    def tell_wish(self) -> None:
        """Redraw all of it soon and at full pace: another view was asked for."""
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

    def _on_attention_came(self) -> None:
        """Of the calm cycle some parts are older than others."""
        if self._is_seen():
            self.tell_wish()

    def _begin(self) -> None:
        self._is_stale = False
        if self._shares_cores() and not self._is_wished and not self._attention.is_there:
            self._jobs = [self._calm_cycle[self._num_calm % len(self._calm_cycle)]]
            self._num_calm += 1
            self._timer.start(0)  # after what else the word of the run brings, and while the process is awake
        else:
            self._jobs = list(self._all)
            self._timer.start(self._turn_ms)

    @property
    def _turn_ms(self) -> int:
        return (BESIDE_MS if self._shares_cores() and not self._is_wished else REDRAW_MS) // len(self._all)

    def _on_timer_timeout(self) -> None:
        if self._jobs:
            self._jobs.pop(0)()
        if self._jobs:
            self._timer.start(self._turn_ms)
        else:
            self._is_wished &= self._is_stale  # one that came meanwhile is still to be granted
            if self._is_stale and self._is_seen():
                self._begin()
