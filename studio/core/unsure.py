"""Below which confidence an answer counts as unsure: one rule for the Use page and `studio predict`. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from studio.core.predictions import read_predictions
from studio.core.reliability import ACCURACIES, answers_of
from studio.core.run_folder import RunFolder
from studio.core.threshold import Answered
from studio.core.words import confidence_text

LEAST = 0.5  # an answer that is rather wrong than right is unsure, whatever was measured; also where nothing was
WANTED = ACCURACIES[0]  # share of the answers given that shall be right


def unsure_below(answers: Answered | None) -> float:
    """The confidence from which on 95 % of a run's validation answers are right: half at least, and half where there are none or none is enough."""
    return max(LEAST, (answers.confidence_for(WANTED) if answers else None) or 0.0)


@dataclass(frozen=True)
class Unsure:
    """`below` in [0, 1], and why."""

    below: float
    reason: str

    @property
    def sentence(self) -> str:
        """ "Unsure below 71%: from there on 95.0% of the answers to this run's 240 validation images are right." """
        return f"Unsure below {confidence_text(self.below, '%')}: {self.reason}"


def unsure_of(folder: RunFolder, which: str = "best", asked: float | None = None) -> Unsure:
    """The rule for the best or last epoch of a run; `asked` overrides it. Reads the stored answers, and for the last epoch the journal."""
    if asked is not None:
        return Unsure(asked, "as was asked for.")
    stored = read_predictions(folder) if which == "best" or _is_last_best(folder) else None
    answers = answers_of(stored.labels, stored.log_p, stored.losses) if stored else None
    below = unsure_below(answers)
    if answers is None:
        return Unsure(below, "no answers to validation images are stored of this network to tell a better threshold from.")
    accuracy, _ = answers.at(below)
    images = f"this run's {answers.num_images:,} validation images"
    if answers.confidence_for(WANTED) is None or accuracy is None:
        return Unsure(below, f"no confidence is high enough for {WANTED:.0%} right answers to {images}.")
    return Unsure(below, f"from there on {accuracy:.1%} of the answers to {images} are right.")


def _is_last_best(folder: RunFolder) -> bool:
    """The answers that are stored are the best epoch's."""
    state = folder.read_state()
    return state.best is not None and state.best is state.epochs[-1]
