"""Words about figures that every part of the program says alike."""

from __future__ import annotations

import math

NBSP = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"


def format_number(value: float | int, digits: int = 6) -> str:
    """As short as it reads well: 8, 0.05, 2e-3, 1e-4, −1, 1,000. `digits`: at most so many that count, where the value is below 1,000."""
    if isinstance(value, int) or float(value).is_integer() and abs(value) < 1e6:
        return f"{int(value):,}".replace("-", MINUS)
    if abs(value) < 0.01:
        mantissa, _, power = f"{value:.3e}".partition("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(power)}".replace("-", MINUS, 1 if value < 0 else 0)
    return f"{value:.{digits if abs(value) < 1000 else 6}g}".replace("-", MINUS)


def counted(number: float, singular: str, plural: str = "") -> str:
    """“1 image”, “1,204 images”."""
    return f"{number:,.0f} {singular if number == 1 else plural or singular + 's'}"


def confidence_text(confidence: float, unit: str = f"{NBSP}%") -> str:
    """With as many places as keep it apart from 100 %: "83 %", "99.7 %", "99.98 %". Cut, not rounded."""
    if confidence > 1 - 1e-6:
        return f"100{unit}"
    places = max(0, math.ceil(-math.log10(1 - confidence) - 1e-9) - 2)
    scale = 10**places
    return f"{math.floor(confidence * 100 * scale + 1e-9) / scale:.{places}f}{unit}"


def num_bytes(n: float) -> str:
    """1.7e9 -> "1.7 GB" (powers of 1,000, as disks and GPUs are sold)."""
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(n) >= size:
            value = n / size
            return f"{value:.0f}{NBSP}{unit}" if value >= 100 else f"{value:.1f}{NBSP}{unit}"
    return f"{n:.0f}{NBSP}B"
