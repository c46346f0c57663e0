"""Things that creep up on a run and are only said: a gradient that explodes, images that do not come."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from studio.core.event import PauseChanged
from studio.engine.control import Control
from studio.engine.reporter import Reporter

EXPLODES_AT = 100.0  # times the median of the steps before
_NUM_BEFORE, _LEAST_BEFORE = 200, 20
QUIET_STEPS = 500  # after a warning, before the next
HANGS_AFTER_S = 25.0  # said within half a minute


class GradientWatch:
    """Compares the norm of each step's gradient with those before it."""

    def __init__(self):
        self._norms: deque[float] = deque(maxlen=_NUM_BEFORE)
        self._quiet_until = 0

    def look(self, first_step: int, norms: Sequence[float]) -> tuple[int, float, float] | None:
        """The first step whose gradient exploded, its norm and the median of those before; None when none did."""
        found = None
        for step, norm in enumerate(norms, first_step):
            if not np.isfinite(norm):
                continue
            if found is None and step >= self._quiet_until and len(self._norms) >= _LEAST_BEFORE:
                median = float(np.median(self._norms))
                if norm > EXPLODES_AT * median > 0:
                    found, self._quiet_until = (step, float(norm), median), step + QUIET_STEPS
            self._norms.append(float(norm))
        return found


class Waiting:
    """What the engine does while it waits for images: it listens, reports, and says when none have come for long. From then on the run counts as
    paused, until the next image is there."""

    def __init__(self, control: Control, reporter: Reporter, device):
        self._control, self._reporter, self._device = control, reporter, device
        self._is_told = False

    def __call__(self, seconds: float) -> None:
        """`seconds` since the wait began; 0 once it is over. Raises StopAsked."""
        self._control.raise_if_stopped()
        self._reporter.system(self._device)
        if seconds < HANGS_AFTER_S:
            if self._is_told:
                self._reporter.tell(PauseChanged(is_paused=False, step=self._reporter.step))
            self._is_told = False
        elif not self._is_told:
            self._is_told = True
            self._reporter.warn(
                "loader-hangs", f"No image has come for {seconds:.0f} s: a drive or a network does not answer.",
                "The run goes on by itself when it does. Stop works meanwhile.",
            )  # fmt: skip
            self._reporter.tell(PauseChanged(is_paused=True, step=max(0, self._reporter.saved_step), reason="no image comes"))
