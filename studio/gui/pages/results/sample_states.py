"""States of the page for the screenshots: each function brings it there as a person would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from studio.core.run_folder import find_runs

if TYPE_CHECKING:
    from studio.gui.pages.results.page import ResultsPage

State = Callable[["ResultsPage"], object]


def states() -> dict[str, State]:
    return {
        "eight": _show_eight, "unmeasured": _show_unmeasured, "classes": lambda page: page.confusion.set_view("classes"), "sure": _show_sure,
        "details": lambda page: page.side.set_view("details"), "mistakes": _show_mistakes, "cell": _show_cell,
    }  # fmt: skip


def _show_mistakes(page: ResultsPage) -> None:
    page.part.set_value("mistakes")
    page._fit_height()
    page.mistakes.next_mistake()


def _show_cell(page: ResultsPage) -> None:
    """The mistakes of the cell with the most of them."""
    scores = page.confusion.matrix.model.scores
    if scores is not None:
        wrong = scores.confusion.copy()
        wrong[range(len(wrong)), range(len(wrong))] = 0
        page.answers.choose_cell(divmod(int(wrong.argmax()), len(wrong)))


def _show_sure(page: ResultsPage) -> None:
    """Answering only from where 99 % are right on."""
    page.confusion.set_view("sure")
    page.confusion.sure.targets[0.99].click()


def _show_unmeasured(page: ResultsPage) -> None:
    """A run that was trained without validation images, alone in Compare."""
    from studio.gui.monitor import RunUpdate
    from studio.gui.recorded import demo_recordings, record_run

    first = page.runs.entries[0]
    home, dataset = first.folder.path.parent.with_name("unmeasured"), page.runs.dataset_of(first)
    if not home.exists():
        old = demo_recordings(dataset, first.experiment.name)[2]
        record_run(home, replace(old, is_measured=False, nickname="blind-mole", started=old.started.replace(hour=12)), dataset)
    folder = find_runs(home)[0]
    page.runs.take((RunUpdate(folder, folder.read_state(), folder.experiment(), False, page.runs.entries[-1].number + 1),))
    page._update_rows()
    entry = next(e for e in page.runs.entries if e.folder.name == folder.name)
    page.model.checked = {folder.name}
    page.table.choose(entry)
    page._refresh()


def _show_eight(page: ResultsPage) -> None:
    """Eight runs over one another."""
    from studio.gui.monitor import RunUpdate
    from studio.gui.recorded import demo_recordings, record_run

    first = page.runs.entries[0]
    home, dataset = first.folder.path.parent.with_name("eight"), page.runs.dataset_of(first)
    if not home.exists():
        for number in range(8 - len(page.runs.entries)):
            old = demo_recordings(dataset, first.experiment.name)[2]
            experiment = old.experiment.changed({"schedule.peak_lr": 2e-4 * 2**number, "training.seed": number})
            recording = replace(old, experiment=experiment, seed=40 + number, skill=0.89 + 0.012 * number, nickname=f"sweep-{number}")
            record_run(home, replace(recording, started=old.started.replace(hour=12 + number)), dataset)
    numbers = range(page.runs.entries[-1].number + 1, 100)
    folders = zip(find_runs(home), numbers, strict=False)
    page.runs.take(tuple(RunUpdate(folder, folder.read_state(), folder.experiment(), False, n) for folder, n in folders))
    page._update_rows()
    page.model.checked = {row.entry.folder.name for row in page.model.rows[:8]}
    page._refresh()
