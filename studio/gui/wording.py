"""Figures as people read them: units after a no-break space, thousands with commas, a true minus sign."""

from __future__ import annotations

import re

from studio.core.words import MINUS, NBSP
from studio.core.words import num_bytes as num_bytes

_ON_THE_COMMAND_LINE = re.compile(r',? or with --set (?:"[^"]*"(?: or "[^"]*")?|\S+)(?=\.(?:\s|$))')


def in_window(sentence: str) -> str:
    """What the window shows of a problem that is told on the command line too: without what is typed there."""
    return _ON_THE_COMMAND_LINE.sub("", sentence)


def count(n: int | float) -> str:
    """3781 -> "3,781"."""
    return f"{n:,.0f}".replace("-", MINUS)


def parameters(n: float) -> str:
    """15.48e6 -> "15.48 M", 9500 -> "9.5 K"."""
    for size, unit, places in ((1e9, "B", 2), (1e6, "M", 2), (1e3, "K", 1)):
        if abs(n) >= size:
            return f"{n / size:.{places}f}{NBSP}{unit}"
    return count(n)


def duration(seconds: float | None) -> str:
    """2.6 -> "2.6 s", 94 -> "1 min 34 s", 7300 -> "2 h 2 min"; None -> "…"."""
    if seconds is None or seconds != seconds:
        return "…"
    if seconds < 0.01:
        return f"{seconds * 1000:.1f}{NBSP}ms"
    if seconds < 10:
        return f"{seconds:.1f}{NBSP}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{NBSP}s"
    if whole < 3600:
        return f"{whole // 60}{NBSP}min {whole % 60}{NBSP}s"
    return f"{whole // 3600}{NBSP}h {whole % 3600 // 60}{NBSP}min"


def clock(seconds: float | None) -> str:
    """21 -> "0:21", 3725 -> "1:02:05"; None -> "…"."""
    if seconds is None or seconds != seconds:
        return "…"
    whole = max(0, int(seconds))
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def percent(fraction: float | None, places: int = 1) -> str:
    """0.913 -> "91.3 %"; None -> "…"."""
    if fraction is None or fraction != fraction:
        return "…"
    return f"{fraction * 100:.{places}f}{NBSP}%".replace("-", MINUS)


def epoch_score(epoch) -> str:
    """What an epoch (core.event.EpochFinished) reached: "top-1 91.3 %"; its loss in training where no images are held back."""
    if epoch.validation_top1 is not None:
        return f"top-1 {percent(epoch.validation_top1)}"
    return "train loss …" if epoch.train_loss is None else f"train loss {epoch.train_loss:.3f}"


def rate(value: float) -> str:
    """A learning rate: 1e-3 -> "1e-3", 8.5e-4 -> "8.5e-4", 0.05 -> "0.05"."""
    if value == 0:
        return "0"
    if value >= 0.01:
        return f"{value:.3g}"
    mantissa, _, power = f"{value:.1e}".partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(power)}"


def signed(value: float, places: int = 1) -> str:
    """0.7 -> "+0.7", -0.7 -> "−0.7"."""
    return f"{value:+.{places}f}".replace("-", MINUS)
