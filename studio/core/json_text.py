"""JSON of files that anything may have happened to."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """Like json.loads. Raises ValueError also for what is nested so deep that the reader runs out of room."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
