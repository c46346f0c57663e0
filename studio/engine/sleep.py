"""Whether the computer slept while a run went on."""

from __future__ import annotations

import os
import time

LEAST_S = 5.0


class SleepWatch:
    """Notices that the computer slept: one clock counts that time, the other does not."""

    def __init__(self):
        self._gap = self._asleep_s()

    @staticmethod
    def _asleep_s() -> float:
        if hasattr(time, "CLOCK_BOOTTIME"):  # Linux
            return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
        if hasattr(time, "CLOCK_UPTIME_RAW"):  # macOS, whose monotonic clock goes on
            return time.clock_gettime(time.CLOCK_MONOTONIC) - time.clock_gettime(time.CLOCK_UPTIME_RAW)
        return _asleep_on_windows_s() if os.name == "nt" else 0.0

    def slept_s(self) -> float:
        """How long it slept since the last call; 0 for less than a few seconds."""
        before, self._gap = self._gap, self._asleep_s()
        return self._gap - before if self._gap - before > LEAST_S else 0.0


def _asleep_on_windows_s() -> float:
    import ctypes

    awake = ctypes.c_ulonglong()
    kernel = ctypes.windll.kernel32
    kernel.GetTickCount64.restype = ctypes.c_ulonglong
    if not kernel.QueryUnbiasedInterruptTime(ctypes.byref(awake)):
        return 0.0
    return kernel.GetTickCount64() / 1e3 - awake.value / 1e7  # ms; units of 100 ns
