"""Paths in requests: in text form (core.path_text), or as the system gives them where no such file is found."""

from __future__ import annotations

import os

from studio.core.path_text import path_to_text, shown, text_to_path


def openable(path: str) -> str:
    """The path to hand to the operating system."""
    decoded = text_to_path(path)
    return path if decoded != path and not os.path.lexists(decoded) and os.path.lexists(path) else decoded


def shown_name(path: str) -> str:
    """The file's name, safe to show on one line."""
    return shown(path_to_text(os.path.basename(openable(path))))
