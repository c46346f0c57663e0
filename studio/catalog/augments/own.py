"""A person's own presets: one small file each in the configuration folder, read as data."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from studio.core.experiment import Augment, parse_experiment
from studio.core.file import write_atomically
from studio.core.json_text import parse_json
from studio.core.place import config_dir
from studio.core.problem import BadInput

LONGEST_NAME = 60


@dataclass(frozen=True)
class OwnPreset:
    """`problem` says why a file cannot be used; then there is no `augment`."""

    name: str
    path: Path
    augment: Augment | None
    problem: str = ""


def own_presets() -> tuple[OwnPreset, ...]:
    """All that are there, by name."""
    return tuple(sorted((_read(path) for path in _folder().glob("*.json")), key=lambda preset: preset.name.casefold()))


def save_preset(name: str, augment: Augment) -> OwnPreset:
    """Keep an augmentation under a name; one of the same name is replaced. Raises BadInput for a name that cannot be, OSError."""
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise BadInput(f"A preset needs a name of 1 to {LONGEST_NAME} characters.")
    path = _folder() / f"{_file_name(name)}.json"
    record = {"schema": 1, "name": name, "augment": augment.model_dump(mode="json")}
    write_atomically(path, json.dumps(record, indent=1, ensure_ascii=False).encode())
    return OwnPreset(name, path, augment)


def delete_preset(preset: OwnPreset) -> None:
    preset.path.unlink(missing_ok=True)


def _folder() -> Path:
    return config_dir() / "presets"


def _file_name(name: str) -> str:
    """Letters that every file system takes; other names get a number that belongs to them."""
    import zlib

    plain = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")[:40]
    return f"{plain or 'preset'}-{zlib.crc32(name.casefold().encode()):08x}"


def _read(path: Path) -> OwnPreset:
    try:
        raw = parse_json(path.read_bytes()[: 1 << 20])
        augment = parse_experiment({"augment": raw["augment"]}).augment
        return OwnPreset(str(raw["name"])[:LONGEST_NAME], path, augment)
    except BadInput as exc:
        return OwnPreset(path.stem, path, None, exc.problems[0].sentence)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        return OwnPreset(path.stem, path, None, f"The file cannot be read ({type(exc).__name__}).")
