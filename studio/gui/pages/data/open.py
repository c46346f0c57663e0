"""From what was dropped or picked to a project: which paths can be opened, and how."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from PySide6.QtWidgets import QWidget

from studio.core.path_text import path_to_text, shown
from studio.core.problem import BadInput, Problem, error
from studio.dataset.suffix import TABLE_SUFFIXES
from studio.gui.widgets.file_dialog import pick_file, pick_folder

_FILES = f"Lists of images and experiments ({' '.join(f'*{suffix}' for suffix in (*TABLE_SUFFIXES, '.toml'))})"


@dataclass(frozen=True)
class Opening:
    """What dropped paths mean. `path` is as the system gives it; `left_out_classes` are the folders beside the dropped ones."""

    kind: Literal["data", "experiment", "refused"]
    path: str = ""
    left_out_classes: tuple[str, ...] = ()
    words: str = ""  # "Open camera-traps", or why not


def opening_of(paths: Sequence[str]) -> Opening:
    """A folder, several folders of one parent, a CSV file or an experiment file."""
    paths = [os.path.abspath(p) for p in paths]
    if not paths:
        return Opening("refused", words="Nothing that can be opened was dropped.")
    folders = [p for p in paths if os.path.isdir(p)]
    if len(paths) == 1:
        path = paths[0]
        name = shown(path_to_text(os.path.basename(path) or path))
        if folders or path.lower().endswith(TABLE_SUFFIXES):
            return Opening("data", path, words=f"Open “{name}”")
        if path.lower().endswith(".toml"):
            return Opening("experiment", path, words=f"Open the experiment “{name}”")
        return Opening("refused", words=f"“{name}” is a file. Drop the folder that holds the images, a CSV file or an experiment.")
    parents = {os.path.dirname(p) for p in paths}
    if len(folders) != len(paths) or len(parents) != 1:
        return Opening("refused", words="Drop one folder, or several class folders that lie in the same folder.")
    parent = parents.pop()
    try:
        beside = [e.name for e in os.scandir(parent) if e.is_dir() and not e.name.startswith(".")]
    except OSError as exc:
        return Opening("refused", words=f"“{shown(path_to_text(parent))}” cannot be read ({exc.strerror}).")
    dropped = {os.path.basename(p) for p in paths}
    others = tuple(sorted(path_to_text(name) for name in beside if name not in dropped))
    return Opening("data", parent, others, f"Open {len(paths)} folders as classes")


def carry_out(opening: Opening, projects, store) -> tuple[Problem, ...]:
    """Open it; returns why not, nothing when it is open."""
    if opening.kind == "refused":
        return (error("", opening.words),)
    try:
        if opening.kind == "experiment":
            projects.open_experiment(opening.path)
        else:
            projects.open_data(opening.path)
            if opening.left_out_classes:
                store.set({"data.left_out_classes": opening.left_out_classes}, "open class folders")
    except BadInput as exc:
        return exc.problems
    return ()


def pick_images(parent: QWidget, then: Callable[[str], object], start: str = "") -> None:
    """A folder of images; `start` is where they are looked for the first time."""
    pick_folder(parent, "images", "Open a folder of images", then, start=start)


def pick_table(parent: QWidget, then: Callable[[str], object], start: str = "") -> None:
    """A list of images, or an experiment file."""
    pick_file(parent, "table", "Open a list of images or an experiment", _FILES, then, start=start)
