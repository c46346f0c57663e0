"""Why a place on the Results page is empty, and what fills it."""

from __future__ import annotations

from collections.abc import Sequence

from studio.core.outcome import Status
from studio.core.words import counted
from studio.gui.pages.results.load import Stored
from studio.gui.pages.results.rows import RunRow

HOLD_BACK = "Hold some back with the split bar on the Data page and train again."


def is_unmeasured(row: RunRow) -> bool:
    """Trained without validation images: it has no scores and never will."""
    return bool(row.state.epochs) and not row.state.is_measured


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def no_scores(row: RunRow) -> str:
    """In place of the confusion matrix, the scores per class and how sure it is."""
    if is_unmeasured(row):
        return (
            f"{_capital(row.name)} was trained without validation images, so nothing says what it confuses. {HOLD_BACK} "
            "Or score this network on a folder of labelled images: “studio evaluate”."
        )
    match row.entry.status:
        case Status.RUNNING | Status.STARTING | Status.PAUSED:
            return "The confusion matrix comes when the run ends."
        case Status.FAILED | Status.CRASHED:
            return "This run ended before it was scored. Resume it on the Train page."
        case Status.STOPPED if not row.state.epochs:
            return "This run was stopped before its first epoch was done."
    return "The scores of this run are missing or damaged. The figures in the table stay."


def no_mistakes(row: RunRow) -> str:
    """In place of the cards, where there are no scores."""
    if is_unmeasured(row):
        return f"Mistakes are found on validation images, and {row.name} was trained without. {HOLD_BACK}"
    return no_scores(row)


def no_cards(stored: Stored, filter_text: str) -> str:
    """In place of the cards, where there are scores."""
    if stored.predictions is None:
        return "The stored predictions of this run are missing or damaged."
    if stored.dataset is None:
        return "The list of images of this run is missing or damaged."
    return f"No image: {filter_text}." if filter_text else "No mistakes: every validation image was called right."


def no_curves(rows: Sequence[RunRow]) -> str:
    """In place of the curves of the checked runs."""
    if not rows:
        return "No run is checked. Check runs in the table to lay their curves over one another."
    without = [row for row in rows if is_unmeasured(row)]
    if len(without) < len(rows):
        return "A curve begins with the first finished epoch."
    who = f"{_capital(without[0].name)} was" if len(without) == 1 else f"All {counted(len(without), 'checked run')} were"
    return f"{who} trained without validation images: there is nothing to compare by. {HOLD_BACK}"


def left_out(rows: Sequence[RunRow]) -> tuple[str, str]:
    """Beside the title of Compare where some of its runs have no curve: a short form, and the whole."""
    without = [row.name for row in rows if is_unmeasured(row)]
    if not without:
        return "", ""
    return f"{len(without)} without", f"Trained without validation images, so without a curve: {', '.join(without)}. {HOLD_BACK}"
