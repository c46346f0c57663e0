"""Everything stored about one run, read in the background."""

from __future__ import annotations

from dataclasses import dataclass

from studio.core.experiment import Data
from studio.core.predictions import Predictions, read_predictions
from studio.core.run_folder import RunFolder
from studio.dataset.dataset import Dataset
from studio.gui.pages.results.mistakes import Card
from studio.gui.pages.results.notes import Notes
from studio.gui.pages.results.scores import Scores, read_dataset, read_scores, worst_mistakes
from studio.gui.sureness import Sureness, read_sureness

Cell = tuple[int, int | None]  # true class, predicted class (None: any)


@dataclass(frozen=True)
class Stored:
    """None where the run has not got so far, or a file is damaged."""

    scores: Scores | None
    predictions: Predictions | None
    dataset: Dataset | None
    has_checkpoint: bool
    sureness: Sureness | None


def read_stored(folder: RunFolder) -> Stored:
    return Stored(read_scores(folder), read_predictions(folder), read_dataset(folder), folder.has_checkpoint(), read_sureness(folder))


def make_cards(stored: Stored, data: Data, notes: Notes, cell: Cell | None) -> list[Card]:
    """The worst mistakes as cards, with what the draft says of their labels now."""
    scores, predictions, dataset = stored.scores, stored.predictions, stored.dataset
    if scores is None or predictions is None or dataset is None:
        return []
    gone, confirmed = set(data.left_out), set(notes.confirmed)
    label, predicted = cell or (None, None)
    cards = []
    for mistake in worst_mistakes(predictions, label, predicted):
        true = scores.classes[mistake.label]
        now = "" if mistake.id in gone else data.relabelled.get(mistake.id, true)
        cards.append(Card(mistake, dataset.path_of(mistake.id), true, scores.classes[mistake.predicted], now, mistake.id in confirmed))
    return cards


def num_changed(stored: Stored, before: Data, data: Data) -> int:
    """How many labels of the run's images the draft has changed since."""
    if stored.dataset is None:
        return 0
    ids = {s.id for s in stored.dataset.samples}
    relabelled = {i for i, label in data.relabelled.items() if before.relabelled.get(i) != label}
    return len(ids & (relabelled | (set(data.left_out) - set(before.left_out))))
