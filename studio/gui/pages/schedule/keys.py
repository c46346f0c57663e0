"""The keyboard on the learning-rate plot: keys choose a handle, move it, add one behind it and take it away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent

from studio.gui.pages.schedule.hand import nudged
from studio.gui.pages.schedule.handles import Handle, added_at, removed, settings_at

if TYPE_CHECKING:
    from studio.gui.pages.schedule.plot import RatePlot

_WAYS = {Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0), Qt.Key.Key_Up: (0, 1), Qt.Key.Key_Down: (0, -1)}  # right and up
_KEY_REASONS = (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason, Qt.FocusReason.ShortcutFocusReason)


class PlotKeys:
    """Tab goes through the handles, arrows move the one that is chosen by 1 % (Shift ten times, Alt a tenth as far, Ctrl to the next epoch),
    Home and End choose the first and the last, Insert adds behind it and Delete takes away where the shape has a list."""

    def __init__(self, plot: RatePlot):
        self._plot = plot

    def go(self, forward: bool) -> bool:
        """Tab, or back: to the next handle; False where there is none and the focus may leave."""
        keys, active = self._keys(), self._plot.grips.active
        place = keys.index(active) + (1 if forward else -1) if active in keys else -1
        if not self._plot.hasFocus() or not 0 <= place < len(keys):
            return False
        self.choose(keys[place])
        return True

    def press(self, event: QKeyEvent) -> bool:
        """Whether the key is one of these, and something was done."""
        keys, handle, way = self._keys(), self._plot.active_handle, _WAYS.get(event.key())
        if not keys:
            return False
        match event.key():
            case Qt.Key.Key_Home:
                self.choose(keys[0])
            case Qt.Key.Key_End:
                self.choose(keys[-1])
            case Qt.Key.Key_Delete | Qt.Key.Key_Backspace if handle and (settings := removed(self._plot.shown.schedule, handle)):
                self._plot.ask(settings)
                left = self._keys()
                self.choose(left[min(keys.index(handle.key), len(left) - 1)], "Removed. ")
            case Qt.Key.Key_Insert if handle:
                self._insert(handle)
            case _ if way and handle:
                self._move(handle, way, event.modifiers())
            case _:
                return False
        return True

    def take_focus(self, reason: Qt.FocusReason) -> None:
        self._plot.grips.has_focus = reason in _KEY_REASONS
        keys = self._keys()
        if not keys:
            return
        if reason == Qt.FocusReason.BacktabFocusReason:
            self.choose(keys[-1])
        elif reason == Qt.FocusReason.TabFocusReason or self._plot.grips.active not in keys:
            self.choose(keys[0])
        self._plot.grips.update()

    def choose_nearest(self, step: float, before: str = "") -> None:
        """Choose the handle of the curve that stands nearest to a step."""
        self.choose(min((h for h in self._plot.handles if h.look != "edge"), key=lambda h: abs(h.step - step)).key, before)

    def choose(self, key: str, before: str = "") -> None:
        """Make a handle the one that keys move, and say it, after the words `before`."""
        plot = self._plot
        if key != plot.grips.active:
            plot.chosen.emit()
        plot.grips.active = key
        plot.grips.has_focus = plot.hasFocus()
        plot.grips.update()
        plot.describe()
        if handle := plot.active_handle:
            words = handle.words(plot.shown.length)
            plot.hovered.emit(f"{before}{words}: sets the {handle.sets}")
            plot.announce(before + words)

    def _keys(self) -> list[str]:
        return [handle.key for handle in self._plot.handles]

    def _move(self, handle: Handle, way: tuple[int, int], mods: Qt.KeyboardModifier) -> None:
        shown = self._plot.shown
        step, rate = nudged(handle, way, mods, shown.schedule, shown.length, self._plot.scale)
        if settings := settings_at(shown.schedule, shown.length, handle, step, rate):
            self._plot.nudged.emit(settings, handle.key)
        self.choose(handle.key)

    def _insert(self, handle: Handle) -> None:
        """A point, milestone or piece more, half-way to the handle after this one."""
        shown = self._plot.shown
        after = next((h for h in self._plot.handles if h.step > handle.step + 1), None)
        step = (handle.step + (after.step if after else shown.length.num_steps)) / 2
        settings = added_at(shown.schedule, shown.length, step, float(np.interp(step, shown.curves.steps, shown.curves.head)))
        if settings:
            self._plot.ask(settings)
            self.choose_nearest(step, "Added. ")
