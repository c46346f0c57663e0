"""Where the axes of the learning-rate plot have ticks, and their words: position, text. Each is for `low` to `high` over so many pixels."""

from __future__ import annotations

import math
from typing import Literal

from studio.core.words import format_number
from studio.gui.pages.schedule.curve import Length
from studio.gui.widgets.plot_style import nice_step

Time = Literal["epochs", "steps"]
Scale = Literal["log", "lin"]
Ticks = list[tuple[float, str]]


def time_ticks(low: float, high: float, pixels: float, length: Length, time: Time) -> Ticks:
    unit = length.steps_per_epoch if time == "epochs" else 1
    step = max(1.0, nice_step((high - low) / unit, max(2, int(pixels / 56))))
    first = math.ceil(max(0.0, low) / unit / step)
    found, k = [], first
    while k * step * unit <= high + unit * 0.02 + 1:
        found.append((min(k * step * unit, high), f"{k * step:,.0f}"))
        k += 1
    return found


def rate_ticks(low: float, high: float, pixels: float, scale: Scale) -> Ticks:
    if scale == "lin":
        step = nice_step(high - low, max(2, int(pixels / 44)))
        return [(k * step, format_number(float(f"{k * step:.3g}"))) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
    decades = range(math.ceil(low), math.floor(high) + 1)
    every = max(1, math.ceil(len(decades) / max(1, pixels / 26)))
    found = [(float(k), f"1e{k}") for k in decades if k % every == 0]
    if high - low < 2.5:
        found += [(k + math.log10(m), f"{m}e{k}") for k in range(math.floor(low), math.floor(high) + 1) for m in (2, 5)]
    return sorted(found)


def few_ticks(low: float, high: float, pixels: float) -> Ticks:
    step = nice_step(high - low, max(2, int(pixels / 26)))
    return [(k * step, f"{k * step:.2f}") for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
