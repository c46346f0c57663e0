"""Decodes every file once, so that what trains is known to be readable. Headers alone pass half of all damaged files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from studio.core.path_text import shown
from studio.core.problem import Problem, note, warning
from studio.core.words import counted
from studio.dataset.bands import BandsUndecided
from studio.dataset.dataset import Cancelled, Dataset, Sample, SetAside
from studio.dataset.image import ImageRefused, decode_noted, read_bytes
from studio.dataset.shape import shape_problems

NUM_THREADS = 2  # Pillow releases the interpreter lock while it decodes; more would starve the window and the engine
_AHEAD = 16  # results waiting per thread bound the memory

T = TypeVar("T")
R = TypeVar("R")


def in_threads(work: Callable[[T], R], items: Sequence[T], is_cancelled: Callable[[], bool] | None = None) -> Iterator[R]:
    """Results of `work` in the order of `items`. Raises Cancelled; started work is waited for, the rest is dropped."""
    with ThreadPoolExecutor(min(NUM_THREADS, os.cpu_count() or 1), thread_name_prefix="dataset") as pool:
        waiting = []
        try:
            for item in items:
                if is_cancelled and is_cancelled():
                    raise Cancelled
                waiting.append(pool.submit(work, item))
                if len(waiting) >= _AHEAD:
                    yield waiting.pop(0).result()
            while waiting:
                if is_cancelled and is_cancelled():
                    raise Cancelled
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()


def verify(
    dataset: Dataset,
    progress: Callable[[int, int | None, str], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> Dataset:
    """The data set without the files that do not decode; they are in `set_aside` with the reason. Never raises for a file.

    Classes keep their order and index even if one loses all its images; `problems` says so.
    """

    def look(sample: Sample) -> tuple[Sample, str, tuple[str, ...]]:
        try:
            return sample, "", decode_noted(read_bytes(dataset.path_of(sample)), dataset.reading).notes
        except BandsUndecided:  # the file is sound, and `problems` says what has to be decided
            return sample, "", ()
        except ImageRefused as exc:
            return sample, exc.reason, ()

    total = len(dataset.samples)
    refused: list[SetAside] = []
    notes: list[tuple[str, str]] = []
    for done, (sample, reason, noted) in enumerate(in_threads(look, dataset.samples, is_cancelled), 1):
        if reason:
            refused.append(SetAside(sample.id, reason))
        notes += ((word, sample.id) for word in noted)
        if progress and (done % 32 == 0 or done == total):
            progress(done, total, "Checking images")
    if not refused:
        return dataset.changed(problems=_joined(dataset.problems, _note_problems(notes)))
    gone = {each.id for each in refused}
    checked = dataset.changed(
        samples=tuple(s for s in dataset.samples if s.id not in gone),
        set_aside=tuple(sorted((*dataset.set_aside, *refused), key=lambda each: each.id)),
    )
    # The problems of counts are found anew; those of the scan that do not depend on them stay.
    before = set(shape_problems(dataset, {}))
    kept = tuple(p for p in dataset.problems if p not in before)
    return checked.changed(problems=_joined(kept, (*shape_problems(checked, {}), *_note_problems(notes))))


def _joined(old: Sequence[Problem], new: Sequence[Problem]) -> tuple[Problem, ...]:
    return (*old, *(p for p in new if p not in old))


_DARK = "of the 16-bit range"
_EFFECT = {
    "missing end marker": (note, "They are used; check that they were copied completely."),
    "damaged in the middle": (warning, "A band of them may be grey or shifted. Look at them, and copy them again."),
    "an archive lies behind": (note, "Only the picture is used; nothing behind it is ever opened."),
    "fully transparent": (warning, "They become white. Leave them out if nothing is on them."),
    _DARK: (warning, "They look almost black. Say which value is white, on the Data page or with --set data.white=4095."),
    "brighter than the value of white": (note, "What lies above is white as well."),
    "frame": (note, "Only the first frame is used."),
    "page": (note, "Only the first page is used."),
}


def _note_problems(notes: Sequence[tuple[str, str]]) -> list[Problem]:
    """One problem for each kind of note, with how many files it concerns and the first of them."""
    kinds = Counter()
    first: dict[str, tuple[str, str]] = {}
    for word, id_ in notes:
        kind = next(k for k in _EFFECT if k in word)
        kinds[kind] += 1
        first.setdefault(kind, (word, id_))
    found = []
    for kind, number in kinds.items():
        make, effect = _EFFECT[kind]
        word, id_ = first[kind]
        found.append(make("data.white" if kind == _DARK else "data.source", f"{counted(number, 'image')}: {word} ({shown(id_)}). {effect}"))
    return found
