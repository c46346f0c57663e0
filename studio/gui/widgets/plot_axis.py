"""Plot axes whose ticks read as the rest of the window: 1e-3, 0.5, 3:20, 1,000."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg

from studio.gui.widgets.plot_style import nice_step
from studio.gui.wording import clock

_STEPS = (1, 2, 5)
_PX_ACROSS, _PX_UP, _PX_A_DIGIT = 34, 22, 7  # room for one tick label


class _Axis(pg.AxisItem):
    """Room for the labels at both ends: with a grid pyqtgraph drops what passes the edge of the view."""

    def __init__(self, orientation: str):
        super().__init__(orientation)
        self.enableAutoSIPrefix(False)

    def boundingRect(self):
        return super().boundingRect().adjusted(-16, -10, 16, 10)


class PlainAxis(_Axis):
    """Numbers with thousands commas; whole numbers only where `is_whole` (steps, epochs)."""

    def __init__(self, orientation: str, *, is_whole: bool = False, factor: float = 1.0):
        """factor: what values are multiplied by for display (100 for fractions shown in percent)."""
        super().__init__(orientation)
        self.is_whole = is_whole
        self.factor = factor

    def tickValues(self, minVal, maxVal, size):
        factor = self.factor
        longest = len(f"{maxVal * factor:,.0f}") if np.isfinite(maxVal) else 1
        room = max(_PX_ACROSS, _PX_A_DIGIT * (longest + 2)) if self.orientation in ("bottom", "top") else _PX_UP
        step = nice_step((maxVal - minVal) * factor, max(2, int(size / room)))
        if self.is_whole:
            step = max(1.0, step)
        first, last = math.ceil(minVal * factor / step - 1e-9), math.floor(maxVal * factor / step + 1e-9)
        return [(step / factor, [i * step / factor for i in range(first, last + 1)])]

    def tickStrings(self, values, scale, spacing):
        decimals = max(0, -math.floor(math.log10(spacing * self.factor) + 1e-9)) if spacing > 0 else 0
        return [f"{v * self.factor:,.{min(decimals, 6)}f}".replace("-", "\N{MINUS SIGN}") for v in values]


class LogAxis(_Axis):
    """For plots that draw log10 of their values. `to_plot` is what turns data into plot units."""

    def __init__(self, orientation: str, *, powers_only: bool = False, factor: float = 1.0):
        """powers_only: ticks at 1e-3 and so on, for learning rates; else 0.2, 0.5, 1, 2 where there is room. factor: as PlainAxis."""
        super().__init__(orientation)
        self.factor = factor
        self._powers_only = powers_only

    @staticmethod
    def to_plot(y: np.ndarray) -> np.ndarray:
        return np.where(y > 0, np.log10(np.maximum(y, 1e-300)), np.nan)

    def tickValues(self, minVal, maxVal, size):
        low, high = math.floor(minVal), math.ceil(maxVal)
        if high - low > 12 or not math.isfinite(maxVal - minVal):
            return [(1.0, [float(k) for k in range(low, high + 1, max(1, (high - low) // 6))])] if math.isfinite(high - low) else []
        steps = (1,) if self._powers_only and maxVal - minVal > 1.2 else _STEPS if maxVal - minVal > 0.5 else range(1, 10)
        values = [k + math.log10(s) for k in range(low, high + 1) for s in steps]
        return [(1.0, [v for v in values if minVal <= v <= maxVal])]

    def tickStrings(self, values, scale, spacing):
        return [self._text(10.0**v * self.factor) for v in values]

    def _text(self, value: float) -> str:
        if self._powers_only:
            mantissa, _, power = f"{value:.0e}".partition("e")
            return f"{mantissa}e{int(power)}"
        return f"{value:,.0f}" if value >= 10 else f"{value:.3g}"


class TimeAxis(_Axis):
    """Seconds as 0:30, 5:00, 1:20:00."""

    def tickValues(self, minVal, maxVal, size):
        span = max(maxVal - minVal, 1e-9)
        steps = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)
        step = next((s for s in steps if span / s <= max(2, size / 60)), 86400 * max(1, round(span / 86400 / 6)))
        first = math.ceil(minVal / step)
        return [(float(step), [float(step * i) for i in range(first, math.floor(maxVal / step) + 1)])]

    def tickStrings(self, values, scale, spacing):
        return [clock(v) for v in values]
