"""What people write about a run: a title, a note, tags and a star. Kept in the run's own folder, beside what the engine wrote."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from studio.core.file import write_atomically
from studio.core.json_text import parse_json
from studio.core.run_folder import RunFolder

FILE = "notes.json"
MAX_TAGS = 20


@dataclass(frozen=True)
class Notes:
    """`title` replaces the nickname where it is not empty."""

    title: str = ""
    note: str = ""
    tags: tuple[str, ...] = ()
    is_starred: bool = False
    confirmed: tuple[str, ...] = ()  # ids of mistakes whose label was found right
    num_test_looks: int = 0  # how often the run was scored on its test images by hand


def read_notes(folder: RunFolder) -> Notes:
    """The notes of a run; empty ones where the file is missing or is not what we wrote."""
    try:
        return _read(folder)
    except OSError:
        return Notes()


def change_notes(folder: RunFolder, values: Mapping[str, object]) -> Notes:
    """Change fields of the notes as they stand on the disk, where another window may have written since; returns what is there now. OSError
    when they cannot be read or written, or the run is gone; the old notes then stay."""
    if not folder.path.is_dir():  # writing would make it anew
        raise FileNotFoundError(f"the folder {folder.name} is gone")
    try:
        old = _read(folder)
    except FileNotFoundError:
        old = Notes()
    new = replace(old, **values)
    write_notes(folder, new)
    return new


def write_notes(folder: RunFolder, notes: Notes) -> None:
    """OSError when the disk is full or the folder is read-only; the old notes then stay."""
    write_atomically(folder.path / FILE, json.dumps(asdict(notes), ensure_ascii=False, indent=1).encode())


def tags_from_text(text: str) -> tuple[str, ...]:
    """ "paper, low LR" -> ("paper", "low LR"); each tag once, in order."""
    tags = (" ".join(part.split())[:40] for part in text.split(","))
    return tuple(dict.fromkeys(tag for tag in tags if tag))[:MAX_TAGS]


def _read(folder: RunFolder) -> Notes:
    with open(os.path.join(folder, FILE), "rb") as file:
        content = file.read()
    try:
        raw = parse_json(content)
        tags = tuple(str(tag) for tag in raw.get("tags", ()))
        confirmed = tuple(str(id_) for id_ in raw.get("confirmed", ()))
        looks = max(0, int(raw.get("num_test_looks", 0)))
        return Notes(
            str(raw.get("title", "")), str(raw.get("note", "")), tags[:MAX_TAGS], bool(raw.get("is_starred", False)), confirmed, looks
        )
    except (ValueError, AttributeError, TypeError, OverflowError):
        return Notes()
