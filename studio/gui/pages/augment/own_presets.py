"""Pipelines that the user saved under a name: one small JSON file each, read as data and checked like everything from outside. No Qt."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path

from studio.catalog.augments.check import pipeline_problems
from studio.core.experiment import Augment, parse_experiment
from studio.core.file import write_atomically
from studio.core.problem import BadInput, errors_in
from studio.gui.pages.augment.steps import Steps

MAX_NAME = 60
_MAX_BYTES = 1 << 20


class OwnPresets:
    """The presets in a folder. Names are the user's; files are called after them."""

    def __init__(self, folder: Path):
        self._folder = folder

    def names(self) -> list[str]:
        """All that can be read, by name."""
        return sorted(self._files(), key=str.lower)

    def save(self, name: str, steps: Steps) -> None:
        """Write or replace a preset. Raises BadInput for a name that cannot be, OSError when the file cannot be written."""
        name = _checked(name)
        self._folder.mkdir(parents=True, exist_ok=True)
        raw = {"name": name, "transforms": [step.model_dump(mode="json") for step in steps]}
        write_atomically(self._folder / _file_name(name), json.dumps(raw, indent=1, ensure_ascii=False).encode())

    def load(self, name: str) -> Steps:
        """Raises BadInput with all that is wrong with it, OSError when it cannot be read."""
        path = self._files().get(name)
        if path is None:
            raise BadInput(f"There is no preset “{name}” any more.")
        raw = json.loads(path.read_bytes())
        augment = parse_experiment({"augment": {"preset": "custom", "transforms": raw["transforms"]}}).augment
        if problems := errors_in(pipeline_problems(augment.transforms)):
            raise BadInput(*problems)
        return augment.transforms

    def rename(self, old: str, new: str) -> None:
        """Raises BadInput when the new name cannot be or is taken."""
        new = _checked(new)
        if new != old and new in self._files():
            raise BadInput(f"There is a preset “{new}” already. Choose another name.")
        steps = self.load(old)
        path = self._files()[old]
        self.save(new, steps)
        if _file_name(new) != path.name:
            path.unlink()

    def delete(self, name: str) -> None:
        path = self._files().get(name)
        if path is not None:
            path.unlink(missing_ok=True)

    def name_of(self, augment: Augment) -> str:
        """The preset that these steps are; empty when they are none."""
        if augment.preset != "custom":
            return ""
        for name in self.names():
            try:
                if self.load(name) == augment.transforms:
                    return name
            except (BadInput, OSError):
                continue
        return ""

    def _files(self) -> dict[str, Path]:
        found = {}
        for path in self._folder.glob("*.json") if self._folder.is_dir() else ():
            try:
                raw = json.loads(path.read_bytes()) if path.stat().st_size <= _MAX_BYTES else None
            except (OSError, ValueError):
                continue
            if isinstance(raw, dict) and isinstance(raw.get("name"), str) and isinstance(raw.get("transforms"), list):
                found[raw["name"]] = path
        return found


def _checked(name: str) -> str:
    name = " ".join(name.split())
    if not name:
        raise BadInput("A preset needs a name.")
    if len(name) > MAX_NAME:
        raise BadInput(f"The name has {len(name)} letters; {MAX_NAME} fit.")
    return name


def _file_name(name: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    return f"{words or 'preset'}-{zlib.crc32(name.encode()):08x}.json"
