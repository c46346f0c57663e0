"""Whether the computer slept while a run went on."""

from __future__ import annotations

import time

LEAST_S = 5.0


class SleepWatch:
    """Notices that the computer slept: one clock counts that time, the other does not. Linux; elsewhere it never says anything."""

    def __init__(self):
        self._gap = self._asleep_s()

    @staticmethod
    def _asleep_s() -> float:
        if not hasattr(time, "CLOCK_BOOTTIME"):
            return 0.0
        return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)

    def slept_s(self) -> float:
        """How long it slept since the last call; 0 for less than a few seconds."""
        before, self._gap = self._gap, self._asleep_s()
        return self._gap - before if self._gap - before > LEAST_S else 0.0
