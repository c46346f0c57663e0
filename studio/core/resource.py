"""Where the files of resources/ are: beside the packages in a checkout, inside the package when installed."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def resource_dir() -> Path:
    """The folder with tokens.json, style.qss and fonts/."""
    package = Path(__file__).parents[1]
    installed = package / "resources"
    return installed if installed.is_dir() else package.parent / "resources"


def resource(name: str) -> Path:
    """The path of one file of resources/, named with forward slashes."""
    return resource_dir() / name
