"""What the palette lists: commands, settings, runs, images. Settings are generated from the experiment's own fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from studio.core.experiment import SECTIONS, Experiment, field_info
from studio.core.path_text import shown
from studio.gui import wording
from studio.gui.context import Context

PAGE_OF_SECTION = {
    "data": "data",
    "model": "model",
    "augment": "augment",
    "schedule": "schedule",
    "optimiser": "schedule",
    "training": "schedule",
}
# Edited by other means than a value in a row.
_NOT_IN_ROWS = {"data.left_out", "data.relabelled", "data.moved", "data.left_out_classes"}


@dataclass(frozen=True)
class Command:
    """Something the palette can do. kind: setting, command, page, run, image. A setting has its path in `setting`."""

    kind: str
    title: str
    icon: str
    note: str = ""
    run: Callable[[], object] | None = None
    setting: str = ""
    words: str = ""  # more words to be found by
    shortcut: str = ""


def setting_commands(context: Context) -> list[Command]:
    """Every setting of the experiment; running one shows its page."""
    found = []
    for section in SECTIONS:
        model = Experiment.model_fields[section].annotation
        page = PAGE_OF_SECTION[section]
        for name in model.model_fields:
            path = f"{section}.{name}"
            if path in _NOT_IN_ROWS:
                continue
            info = field_info(path)
            found.append(
                Command(
                    "setting", info.json_schema_extra["label"], "sliders-horizontal", page.capitalize(),
                    lambda page=page, path=path: context.shell.go_to(page, path), path, f"{path} {info.description}",
                )
            )  # fmt: skip
    return found


def run_commands(context: Context) -> list[Command]:
    found, waiting = [], set(context.runs.queued)
    for entry in reversed(context.runs.entries):
        top1 = entry.summary.top1
        note = f"{entry.status}" + (f" · {wording.percent(top1)}" if top1 is not None else "")
        page = "train" if entry in waiting else "results"  # which lists no run that waits
        found.append(
            Command("run", entry.title, "trophy", note, lambda p=page, e=entry: context.shell.go_to(p, e), words=entry.folder.name)
        )
    return found


def image_commands(context: Context, query: str, limit: int = 8) -> list[Command]:
    """Images whose path or class holds the query."""
    dataset = context.store.dataset
    if dataset is None:
        return []
    needle, found = query.lower(), []
    for sample in dataset.samples:
        if needle in sample.id.lower() or needle in sample.label.lower():
            found.append(
                Command("image", shown(sample.id), "image", shown(sample.label), lambda s=sample: context.shell.go_to("data", s.id))
            )
            if len(found) == limit:
                break
    return found


def matching(commands: Iterable[Command], query: str, limit: int) -> list[Command]:
    """Commands in which every word of the query occurs: first in titles, earlier places first."""
    words = query.lower().split()
    scored = []
    for order, command in enumerate(commands):
        title, rest = command.title.lower(), f"{command.words} {command.note}".lower()
        score = 0
        for word in words:
            if title.startswith(word):
                score += 0
            elif f" {word}" in title:
                score += 1
            elif word in title:
                score += 2
            elif word in rest:
                score += 10
            else:
                score = -1
                break
        if score >= 0:
            scored.append((score, order, command))
    return [command for _, _, command in sorted(scored, key=lambda s: s[:2])[:limit]]
