"""What was measured on this computer, kept so that later runs start at once and compute alike."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from studio.core.file import write_atomically
from studio.core.json_text import parse_json
from studio.core.place import cache_dir


def remembered(name: str, key: str) -> Any:
    """The verdict of an earlier trial, plain data; None where there is none."""
    return _read(name).get(key)


def remember(name: str, key: str, verdict: Any) -> None:
    """Keep a verdict where that is possible."""
    with contextlib.suppress(OSError):
        write_atomically(_path(name), json.dumps(_read(name) | {key: verdict}, indent=1).encode())


def _path(name: str):
    return cache_dir() / f"{name}.json"


def _read(name: str) -> dict[str, Any]:
    try:
        found = parse_json(_path(name).read_bytes())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}
