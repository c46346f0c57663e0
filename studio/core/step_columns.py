"""Reports of steps as columns: a thousand of them a second are read without an object or a tuple of Python's own for each that stays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from operator import attrgetter

import numpy as np

from studio.core.event import StepsReported

_COLUMNS = ("losses", "top1s", "lrs", "grad_norms")


@dataclass(frozen=True, eq=False)
class StepColumns:
    """Reports of which each begins where the one before it ended. Floats are float64; what was not finite is nan."""

    first_step: int
    counts: np.ndarray  # int64[reports]: steps of each
    ts: np.ndarray  # float64[reports]: running time of each, s
    losses: np.ndarray  # float64[steps], as the next three
    top1s: np.ndarray
    lrs: np.ndarray
    grad_norms: np.ndarray | None  # None where a report has none
    images_per_s: float  # of the last report
    data_wait_fraction: float

    @property
    def end(self) -> int:
        """The step after the last."""
        return self.first_step + len(self.losses)

    def times(self, before: float | None) -> np.ndarray:
        """Running time at each step, s: evenly between the reports, the first of which began at `before` (None: not known)."""
        start = self.ts[0] if before is None else before
        ends = np.cumsum(self.counts)
        return np.interp(np.arange(1, len(self.losses) + 1), np.append(0, ends), np.append(start, self.ts))


@dataclass(frozen=True)
class StepsPassed:
    """A report of which only counts how far it came."""

    first_step: int
    end: int  # the step after the last
    t: float
    images_per_s: float
    data_wait_fraction: float


def as_columns(reports: Sequence) -> list[StepColumns]:
    """Reports in order as columns, as few as possible. They are StepsReported, or have the same fields.

    Raises ValueError where the columns of a report are not equally long.
    """
    firsts = np.fromiter(map(attrgetter("first_step"), reports), np.int64, len(reports))
    counts = np.fromiter(map(len, map(attrgetter("losses"), reports)), np.int64, len(reports))
    starts = np.flatnonzero(firsts[1:] != firsts[:-1] + counts[:-1]) + 1
    bounds = [0, *starts.tolist(), len(reports)]
    return [_columns_of(reports[low:high], counts[low:high]) for low, high in zip(bounds, bounds[1:])]


def _columns_of(reports: Sequence, counts: np.ndarray) -> StepColumns:
    num_steps = int(counts.sum())
    columns = {name: _numbers(map(attrgetter(name), reports)) for name in _COLUMNS}
    if not all(map(attrgetter("grad_norms"), reports)):
        columns["grad_norms"] = None
    if any(column is not None and len(column) != num_steps for column in columns.values()):
        raise ValueError("columns of different lengths")
    ts = np.fromiter(map(attrgetter("t"), reports), float, len(reports))
    last = reports[-1]
    return StepColumns(reports[0].first_step, counts, ts, **columns, images_per_s=last.images_per_s, data_wait_fraction=last.data_wait_fraction)  # fmt: skip


def _numbers(tuples: Iterable[tuple[float | None, ...]]) -> np.ndarray:
    tuples = list(tuples)
    try:
        return np.fromiter(chain.from_iterable(tuples), float)
    except TypeError:  # null, for what was not finite
        return np.array([np.nan if v is None else v for v in chain.from_iterable(tuples)], float)


PREFIX = f'{{"event":"{StepsReported.__name__}",'.encode()


@lru_cache(maxsize=1)
def _decode_lines() -> Callable[[bytes], list]:
    """Lines of reports to objects with the fields of StepsReported; raises msgspec.DecodeError. A sixth of the time of the general decoder."""
    import msgspec  # here, since a window's first page reads no journal

    numbers = tuple[float | None, ...]
    line = msgspec.defstruct(
        "Line",
        [
            ("first_step", int), ("losses", numbers), ("top1s", numbers), ("lrs", numbers), ("grad_norms", numbers, ()), ("t", float, 0.0),
            ("images_per_s", float, 0.0), ("data_wait_fraction", float, 0.0),
        ],
        gc=False,
    )  # fmt: skip
    return msgspec.json.Decoder(line).decode_lines


def decode_columns(lines: bytes) -> list[StepColumns] | None:
    """Lines that begin with PREFIX, as columns; None where one of them is not as it should be."""
    try:
        return as_columns(_decode_lines()(lines))
    except ValueError:
        return None


@lru_cache(maxsize=1)
def _decode_short() -> Callable[[bytes], object]:
    """As `_decode_lines`, one line, without the columns that are not counted."""
    import msgspec

    fields = [("first_step", int), ("losses", tuple[float | None, ...]), ("t", float, 0.0), ("images_per_s", float, 0.0), ("data_wait_fraction", float, 0.0)]  # fmt: skip
    return msgspec.json.Decoder(msgspec.defstruct("ShortLine", fields, gc=False)).decode


def decode_passed(line: bytes) -> StepsPassed | None:
    """A line that begins with PREFIX, in short; None where it is not as it should be."""
    try:
        report = _decode_short()(line)
    except ValueError:
        return None
    end = report.first_step + len(report.losses)
    return StepsPassed(report.first_step, end, report.t, report.images_per_s, report.data_wait_fraction)
