"""Where Studio keeps its own files. `STUDIO_HOME` moves all of it into one folder (tests, portable installs)."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

APP = "finetune-studio"


def _home(kind: str, default: str) -> Path:
    root = os.environ.get("STUDIO_HOME")
    return Path(root) / kind if root else Path(default)


def cache_dir() -> Path:
    """Files that can be made again: thumbnails, sample sets, the list of backbones."""
    return _home("cache", platformdirs.user_cache_dir(APP))


def config_dir() -> Path:
    """What a person has made to keep: presets."""
    return _home("config", platformdirs.user_config_dir(APP))


def state_dir() -> Path:
    """Drafts, window geometry, recent projects."""
    return _home("state", platformdirs.user_state_dir(APP))


def weights_dir() -> Path:
    """Downloaded weights, verified."""
    return _home("weights", str(Path(platformdirs.user_data_dir(APP)) / "weights"))


def existing(folder: Path) -> Path:
    """The folder, or of those around it the nearest that is there: a disk can be asked about that one."""
    return next((path for path in (folder, *folder.parents) if os.path.exists(path)), Path(folder.anchor))


def runs_dir() -> Path:
    """Where runs go unless the user says otherwise. `STUDIO_RUNS` names another folder for them alone."""
    chosen = os.environ.get("STUDIO_RUNS")
    return Path(chosen) if chosen else _home("runs", str(Path(platformdirs.user_data_dir(APP)) / "runs"))
