"""What people write about a run: a title, a note, tags and a star. Kept in the run's own folder, beside what the engine wrote."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from studio.core.file import write_atomically
from studio.core.file_lock import in_turn
from studio.core.json_text import parse_json
from studio.core.run_folder import RunFolder

FILE, CHANGE = "notes.json", ".notes-change.lock"
MAX_TAGS = 20
_one_thread = threading.Lock()  # the lock of a file belongs to a process


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


def change_notes(folder: RunFolder, changes: Iterable[tuple[Notes, Notes]]) -> Notes:
    """Make changes, each from what a window saw to what it wants, to the notes as they stand on the disk, where another window may have written
    since; returns what is there now. OSError when they cannot be read or written, or the run is gone; the old notes then stay."""
    with _one_thread, in_turn(folder.path.parent / CHANGE):
        if not folder.path.is_dir():  # writing would make it anew
            raise FileNotFoundError(f"the folder {folder.name} is gone")
        try:
            notes = _read(folder)
        except FileNotFoundError:
            notes = Notes()
        for seen, wanted in changes:
            notes = _merged(notes, seen, wanted)
        write_notes(folder, notes)
    return notes


def write_notes(folder: RunFolder, notes: Notes) -> None:
    """OSError when the disk is full or the folder is read-only; the old notes then stay."""
    write_atomically(folder.path / FILE, json.dumps(asdict(notes), ensure_ascii=False, indent=1).encode())


def tags_from_text(text: str) -> tuple[str, ...]:
    """ "paper, low LR" -> ("paper", "low LR"); each tag once, in order."""
    tags = (" ".join(part.split())[:40] for part in text.split(","))
    return tuple(dict.fromkeys(tag for tag in tags if tag))[:MAX_TAGS]


def tags_to_text(tags: Iterable[str]) -> str:
    """As they are typed."""
    return ", ".join(tags)


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


def merged(now: tuple[str, ...], seen: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[str, ...]:
    """`now` with what was added and taken away from `seen` to `wanted`, whose order counts where nobody else has changed anything."""
    if now == seen:
        return wanted
    new = [each for each in wanted if each not in seen]
    return tuple(each for each in dict.fromkeys((*now, *new)) if each in wanted or each not in seen)


def _merged(notes: Notes, seen: Notes, wanted: Notes) -> Notes:
    """`notes` with what was changed from `seen` to `wanted`: tags and confirmed mistakes come and go, looks are counted on, other fields
    replaced."""
    values = {name: value for name, value in vars(wanted).items() if value != getattr(seen, name)}
    for name in ("tags", "confirmed"):
        if name in values:
            values[name] = merged(getattr(notes, name), getattr(seen, name), values[name])
    if "tags" in values:
        values["tags"] = values["tags"][:MAX_TAGS]
    if "num_test_looks" in values:
        values["num_test_looks"] = notes.num_test_looks + wanted.num_test_looks - seen.num_test_looks
    return replace(notes, **values)
