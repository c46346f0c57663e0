"""Words about figures that every part of the program says alike."""

from __future__ import annotations


def counted(number: float, singular: str, plural: str = "") -> str:
    """“1 image”, “1,204 images”."""
    return f"{number:,.0f} {singular if number == 1 else plural or singular + 's'}"
