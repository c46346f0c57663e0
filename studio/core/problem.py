"""What is wrong, where, how much it matters, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    ERROR = "error"  # a run cannot start
    WARNING = "warning"  # a run can start, the result may suffer
    NOTE = "note"  # worth knowing


@dataclass(frozen=True, slots=True)
class Repair:
    """A way out at one click: the button's words and the settings it sets, {"schedule.warmup_fraction": 0.3}."""

    label: str
    values: dict[str, Any] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. `field` is a dotted path into the experiment ("schedule.peak_lr") or "" when it is about the whole.

    `mark` is the time it is about as a share of the run, where a plot shows it; None when it has no place in time.
    """

    field: str
    severity: Severity
    sentence: str
    repair: Repair | None = None
    mark: float | None = None

    def __str__(self) -> str:
        return f"{self.field}: {self.sentence}" if self.field else self.sentence


def error(field: str, sentence: str, repair: Repair | None = None, mark: float | None = None) -> Problem:
    return Problem(field, Severity.ERROR, sentence, repair, mark)


def warning(field: str, sentence: str, repair: Repair | None = None, mark: float | None = None) -> Problem:
    return Problem(field, Severity.WARNING, sentence, repair, mark)


def note(field: str, sentence: str, repair: Repair | None = None, mark: float | None = None) -> Problem:
    return Problem(field, Severity.NOTE, sentence, repair, mark)


def errors_in(problems: Iterable[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.severity is Severity.ERROR]


class BadInput(Exception):
    """The input cannot be used. Carries every problem found, so that all can be shown at once."""

    def __init__(self, *problems: Problem | str):
        self.problems = tuple(error("", p) if isinstance(p, str) else p for p in problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
