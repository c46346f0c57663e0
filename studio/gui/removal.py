"""Runs are moved to the bin: said once they are there, with a way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from studio.core.words import counted
from studio.gui.context import Context
from studio.gui.monitor import RunUpdate
from studio.gui.run_bin import take_back
from studio.gui.run_entry import RunEntry


def remove_runs(
    context: Context,
    entries: Sequence[RunEntry],
    words: Callable[[Sequence[RunEntry]], str],
    restore: Callable[[Sequence[RunEntry]], object],
) -> None:
    """Active runs are left alone, which is said. words: the sentence about those that were moved; restore: what else it takes to have runs
    back that could not be moved, or that Undo took back."""
    places: dict[RunEntry, Path | None] = {}
    faults: dict[RunEntry, str] = {}

    def tell() -> None:
        if len(places) + len(faults) < len(entries):
            return
        if faults:
            restore([entry for entry in entries if entry in faults and not entry.is_active])
        moved = [entry for entry in entries if entry in places]
        sentence = " ".join([*([words(moved)] if moved else ()), *faults.values()])
        context.shell.toast(sentence, *(("Undo", undo) if any(places.values()) else ()))

    def undo() -> None:
        context.background.run(give_back, given_back, is_promised=True)

    def give_back() -> dict[RunEntry, OSError | None]:
        answers: dict[RunEntry, OSError | None] = {}
        for entry in entries:
            if (place := places.get(entry)) is not None:
                try:
                    answers[entry] = take_back(place, entry.folder)
                except OSError as exc:
                    answers[entry] = exc
        return answers

    def given_back(answers: dict[RunEntry, OSError | None]) -> None:
        restore([entry for entry, exc in answers.items() if exc is None])
        context.runs.monitor.look_now()
        if sentences := [f"{entry.name.capitalize()} could not be taken back: {exc}." for entry, exc in answers.items() if exc]:
            context.shell.toast(" ".join(sentences))

    for entry in entries:
        context.runs.delete(
            entry,
            lambda place, entry=entry: (places.update({entry: place}), tell()),
            lambda sentence, entry=entry: (faults.update({entry: sentence}), tell()),
        )


def remove_from_queue(context: Context, entries: Sequence[RunEntry]) -> None:
    """Those that still wait; they come back to their places."""
    runs, order = context.runs, {entry: place for place, entry in enumerate(context.runs.queued)}

    def words(moved: Sequence[RunEntry]) -> str:
        what = moved[0].name.capitalize() if len(moved) == 1 else counted(len(moved), "run")
        return f"{what} moved from the queue to the bin."

    def restore(back: Sequence[RunEntry]) -> None:
        gone = [e for e in back if e not in runs]
        runs.take(tuple(RunUpdate(e.folder, e.state, e.experiment, False, e.number) for e in gone))  # known at once, so that they may start
        for entry in back:
            runs.enqueue(entry, order[entry])

    waiting = [entry for entry in order if entry in entries]
    runs.unqueue(waiting)
    remove_runs(context, waiting, words, restore)
