"""One row per run: everything the table shows, sorts and searches by. Plain data."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from studio.core.experiment import Experiment
from studio.core.fold import RunState
from studio.core.outcome import Status
from studio.core.path_text import shown
from studio.core.words import counted
from studio.gui.pages.results.notes import Notes
from studio.gui.run_entry import RunEntry
from studio.gui.widgets.form import choice_label
from studio.gui.wording import clock, parameters, rate


@dataclass(frozen=True)
class Column:
    """`low_room` columns go first when the table is narrow; `text` may be empty, `sort_key` never mixes types."""

    key: str
    title: str
    text: Callable[[RunRow], str]
    sort_key: Callable[[RunRow], object]
    is_number: bool = False
    width: int = 90
    priority: int = 0  # columns with a higher one are hidden first
    help: str = ""


class RunRow:
    """A run with its notes, as they were when it was made. Compared by identity: the table replaces rows that changed."""

    __slots__ = ("entry", "notes", "summary")

    def __init__(self, entry: RunEntry, notes: Notes):
        self.entry, self.notes, self.summary = entry, notes, entry.summary

    @property
    def state(self) -> RunState:
        return self.entry.state

    @property
    def experiment(self) -> Experiment:
        return self.entry.experiment

    @property
    def name(self) -> str:
        return shown(self.notes.title or self.entry.name)

    @property
    def series(self) -> int:
        """The colour of the run wherever it is drawn."""
        return (self.entry.number - 1) % 10

    @property
    def top1(self) -> float | None:
        return self.summary.top1

    @property
    def macro_f1(self) -> float | None:
        return self.summary.macro_f1

    @property
    def loss(self) -> float | None:
        return self.summary.loss

    @property
    def trains(self) -> str:
        n = self.summary.train_stages
        if self.summary.thaws:
            return "thaws in time"
        return "everything" if n < 0 else "head" if n == 0 else f"{counted(n, 'stage')}, head"

    @property
    def num_trainable(self) -> int | None:
        return self.summary.num_trainable

    @property
    def schedule(self) -> str:
        return f"{choice_label('schedule.shape', self.summary.shape)} {rate(self.summary.peak_lr)}"

    @property
    def epochs(self) -> str:
        done, planned = self.summary.epochs_done, self.summary.epochs_planned
        return str(done) if self.summary.status is Status.FINISHED and done == planned else f"{done} / {planned}"


def _unmeasured(row: RunRow) -> str:
    """A run with an epoch and no score has no validation images."""
    return "–" if row.summary.epochs_done else ""


def _figure(value: float | None, factor: float = 1.0, places: int = 3) -> str:
    return "" if value is None or value != value else f"{value * factor:.{places}f}"


def _low_if_none(value: float | None) -> float:
    return -1.0 if value is None or value != value else float(value)


COLUMNS: tuple[Column, ...] = (
    Column("check", "", lambda r: "", lambda r: r.entry.number, width=30, help="In Compare (X)"),
    Column("star", "", lambda r: "", lambda r: not r.notes.is_starred, width=26, help="Star (*)"),
    Column("run", "Run", lambda r: r.name, lambda r: r.entry.number, width=128, help="F2 renames"),
    Column("backbone", "Backbone", lambda r: shown(r.summary.backbone), lambda r: r.summary.backbone, width=140, priority=1),
    Column("trains", "Trains", lambda r: r.trains, lambda r: _low_if_none(r.num_trainable), width=104, priority=3),
    Column("parameters", "Parameters", lambda r: parameters(r.num_trainable) if r.num_trainable else "", lambda r: _low_if_none(r.num_trainable), True, 82, 4,
           "Parameters that train"),
    Column("augment", "Augment", lambda r: choice_label("augment.preset", r.summary.preset), lambda r: r.summary.preset, width=76, priority=6),
    Column("schedule", "Schedule", lambda r: r.schedule, lambda r: r.summary.peak_lr, width=118, priority=2, help="Shape and peak learning rate"),
    Column("spark", "Validation loss", lambda r: "", lambda r: -_low_if_none(r.loss), width=100, priority=5, help="Validation loss over the epochs"),
    Column("top1", "Top-1, %", lambda r: _figure(r.top1, 100, 1) or _unmeasured(r), lambda r: _low_if_none(r.top1), True, 74, help="Validation top-1 of the best epoch"),
    Column("f1", "Macro F1", lambda r: _figure(r.macro_f1) or _unmeasured(r), lambda r: _low_if_none(r.macro_f1), True, 74, 1, "Macro F1 of the best epoch"),
    Column("epochs", "Epochs", lambda r: r.epochs, lambda r: r.summary.epochs_done, True, 66),
    Column("time", "Time", lambda r: clock(r.summary.t), lambda r: r.summary.t, True, 58, 2),
    Column("tags", "Tags", lambda r: ", ".join(shown(t) for t in r.notes.tags), lambda r: r.notes.tags, width=110, priority=7, help="F2 edits"),
)  # fmt: skip
BY_KEY = {column.key: i for i, column in enumerate(COLUMNS)}

_OPERATORS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "=": operator.eq, ":": operator.eq}
_TERM = re.compile(r"^(top1|f1|loss|epochs|lr|tag|is)(>=|<=|>|<|=|:)(.+)$", re.I)
SEARCH_HELP = "Words in name, backbone, tags or note. top1>92  f1>0.9  loss<0.3  epochs>=8  lr<1e-3  tag:paper  is:starred  is:running"


def matches(row: RunRow, query: str) -> bool:
    """True when every word of the query fits the run: `top1>92 tag:paper resnet`. A term that makes no sense is searched as a word."""
    return all(_fits(row, word) for word in query.split())


def _fits(row: RunRow, word: str) -> bool:
    term = _TERM.match(word)
    if term:
        key, op, wanted = term[1].lower(), _OPERATORS[term[2]], term[3]
        if key == "tag":
            return any(wanted.lower() in tag.lower() for tag in row.notes.tags)
        if key == "is":
            return row.notes.is_starred if wanted.lower().startswith("star") else row.entry.status.value.startswith(wanted.lower())
        value = {
            "top1": None if row.top1 is None else row.top1 * 100, "f1": row.macro_f1, "loss": row.loss, "epochs": row.summary.epochs_done,
            "lr": row.summary.peak_lr,
        }[key]  # fmt: skip
        try:
            return value is not None and op(value, float(wanted.rstrip("%")))
        except ValueError:
            pass
    places = (
        row.name, row.entry.name, row.entry.folder.nickname, row.summary.name, row.summary.backbone, row.schedule, row.trains,
        row.summary.preset, row.notes.note, *row.notes.tags,
    )  # fmt: skip
    return any(word.lower() in place.lower() for place in places)
