"""Where a hand on a handle of the curve, or a key, wants it: step and rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QTransform

from studio.core.experiment import Schedule
from studio.gui.pages.schedule.curve import FLOOR, Length
from studio.gui.pages.schedule.handles import Handle
from studio.gui.pages.schedule.tick import Scale

_KEY_SHARE = {"plain": 0.01, "shift": 0.1, "alt": 0.001}  # of the axis, a press
_LOG_DECADES = 4  # of the axis on which a press moves 1 %
_Mod = Qt.KeyboardModifier


@dataclass
class Drag:
    """A handle in the hand: everything is reckoned from how it was when it was taken."""

    handle: Handle
    schedule: Schedule
    length: Length
    scale: Scale
    last: QPointF  # of the pointer, in the scene
    to_view: QTransform  # from the scene to steps and axis units, as it was
    bottom: float  # of the axis, as it was
    offset: QPointF  # from the pointer to the middle of the handle
    first: QPointF
    at: QPointF  # where the pointer would be, had it moved finely where it should

    def moved_to(self, at: QPointF, mods: Qt.KeyboardModifier) -> tuple[float, float]:
        """Step and rate with the pointer at a place of the scene. Alt moves finely, Shift locks the other axis, Ctrl snaps to epochs."""
        self.at, self.last = self.at + (at - self.last) * (0.1 if mods & _Mod.AltModifier else 1.0), at
        moved = self.at - self.first
        wanted = self.to_view.map(self.at + self.offset)
        step = wanted.x() if moved.x() else self.handle.step
        rate = self._rate_at(wanted.y()) if moved.y() else self.handle.rate
        if mods & _Mod.ShiftModifier:
            if abs(moved.x()) >= abs(moved.y()):
                rate = self.handle.rate
            else:
                step = self.handle.step
        if mods & _Mod.ControlModifier and step != self.handle.step:
            step = round(step / self.length.steps_per_epoch) * self.length.steps_per_epoch
        return step, rate

    def _rate_at(self, y: float) -> float:
        if self.scale == "lin":
            return max(0.0, y)
        return 0.0 if y < self.bottom else 10**y  # below the axis is 0, which a logarithmic one does not have


def nudged(
    handle: Handle, way: tuple[int, int], mods: Qt.KeyboardModifier, schedule: Schedule, length: Length, scale: Scale
) -> tuple[float, float]:
    """Step and rate after a press of an arrow key: `way` is right and up. Shift goes ten times as far, Alt a tenth, Ctrl to the next epoch."""
    per_epoch = length.steps_per_epoch
    is_far, is_fine = bool(mods & _Mod.ShiftModifier), bool(mods & _Mod.AltModifier)
    share = _KEY_SHARE["shift" if is_far else "alt" if is_fine else "plain"]
    step, rate = handle.step, handle.rate
    if way[0]:
        by = max(1.0, share * length.num_steps)
        if handle.key == "end":
            by = per_epoch * (10 if is_far else 1)
        elif mods & _Mod.ControlModifier:
            by = abs((math.floor(step / per_epoch + 1e-9) + 1 if way[0] > 0 else math.ceil(step / per_epoch - 1e-9) - 1) * per_epoch - step)
        step = max(0.0, step + way[0] * by)
    if way[1]:
        least = schedule.peak_lr * FLOOR
        if scale == "log":
            rate = max(rate, least) * max(1.01, 10 ** (share * _LOG_DECADES)) ** way[1]
            rate = 0.0 if rate < least else rate
        else:
            rate = max(0.0, rate + way[1] * max(share * schedule.peak_lr, 0.01 * rate))  # less is lost in three digits
    return step, rate
