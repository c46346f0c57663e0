"""Small helpers for sentences about data: lists, orders, look-alikes."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Iterable, Sequence

from studio.core.path_text import shown


def listed(names: Sequence[str] | Sequence[int], most: int = 5) -> str:
    """“a, b and c” with at most `most` names or numbers, then “and 7 more”; each safe to show on one line."""
    more = len(names) - most
    names = [f"{name:,}" if isinstance(name, int) else shown(name) if len(name) <= 80 else shown(name[:79]) + "…" for name in names[:most]]
    if more > 0:
        return f"{', '.join(names)} and {more:,} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def natural_key(name: str) -> tuple:
    """Sorts “class 2” before “class 10”, without regard to case; the name itself decides between equals."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(0, int(p), "") if i % 2 and len(p) < 4000 else (1, 0, p) for i, p in enumerate(parts)], name


def look_alikes(names: Iterable[str]) -> list[list[str]]:
    """Groups of names that differ only in case, Unicode form, spaces at the ends or the way a number is written."""
    groups: dict[object, list[str]] = {}
    for name in names:
        key: object = unicodedata.normalize("NFKC", name).casefold().strip()
        with contextlib.suppress(ValueError):
            key = float(key)
        groups.setdefault(key, []).append(name)
    return [group for group in groups.values() if len(group) > 1]
