"""What the engine measured at the end of a run, read back from its `results` folder. Plain data, safe in any thread."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from studio.core.json_text import parse_json
from studio.core.predictions import Predictions
from studio.core.run_folder import RunFolder
from studio.dataset.dataset import Dataset

MOST_CONFUSED = 200  # classes of a matrix, where all of them would be too many for one
MAX_MISTAKES = 400  # more pictures than anyone looks at; the confusion matrix counts all


@dataclass(frozen=True)
class ClassScore:
    """Fractions in [0, 1]; `support` is the number of images that truly are of the class."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Scores:
    """One evaluation. `confusion` is int64[S, S], rows true, columns predicted: of all classes, or, where there are too many for a matrix, of those
    with the most mistakes, whose indices are `confused`."""

    classes: tuple[str, ...]
    confusion: np.ndarray
    per_class: tuple[ClassScore, ...]
    top1: float
    loss: float
    macro_f1: float
    num_images: int
    confused: tuple[int, ...] | None = None

    @property
    def num_mistakes(self) -> int:
        return round(sum(row.support * (1 - row.recall) for row in self.per_class))

    @property
    def confused_classes(self) -> tuple[int, ...]:
        """The class index of each row and column of `confusion`."""
        return self.confused or tuple(range(len(self.classes)))


@dataclass(frozen=True)
class Mistake:
    """An image that was called something else than its label. Class indices; `confidence` in [0, 1] is that of the wrong class."""

    id: str
    label: int
    predicted: int
    confidence: float
    loss: float


def read_scores(folder: RunFolder, part: str = "validation") -> Scores | None:
    """The evaluation on "validation" or "test"; None where there is none or it is damaged."""
    try:
        raw = parse_json((folder.results_path / f"{part}.json").read_bytes())
        classes = tuple(str(c) for c in raw["classes"])
        if raw["confusion"] is None:
            confusion, confused = _most_confused(np.array(raw["confusion_cells"], np.int64).reshape(-1, 3), len(classes))
        else:
            confusion, confused = np.array(raw["confusion"], dtype=np.int64), None
            if confusion.shape != (len(classes), len(classes)):
                return None
        rows = tuple(
            ClassScore(name, *(float(row[key] or 0) for key in ("precision", "recall", "f1")), int(row["support"]))
            for name, row in zip(classes, raw["per_class"], strict=True)
        )
        figures = (float(raw[key]) for key in ("top1", "loss", "macro_f1"))
        return Scores(classes, confusion, rows, *figures, int(raw["num_images"]), confused)
    except (OSError, ValueError, KeyError, TypeError, IndexError, OverflowError):
        return None


def _most_confused(cells: np.ndarray, num_classes: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """int64[S, S] of the MOST_CONFUSED classes with the most mistakes, missed or wrongly called, and their indices; from int64[K, 3]: true class,
    predicted class, images. IndexError for classes that there are not."""
    true, called, counts = cells.T
    is_wrong = true != called
    mistakes = np.zeros(num_classes, np.int64)
    for some in (true, called):
        np.add.at(mistakes, some[is_wrong], counts[is_wrong])
    chosen = np.sort(np.argsort(-mistakes, kind="stable")[:MOST_CONFUSED])
    place = np.full(num_classes, -1)
    place[chosen] = np.arange(len(chosen))
    is_in = (place[true] >= 0) & (place[called] >= 0)
    confusion = np.zeros((len(chosen), len(chosen)), np.int64)
    confusion[place[true[is_in]], place[called[is_in]]] = counts[is_in]
    return confusion, tuple(chosen.tolist())


def read_dataset(folder: RunFolder) -> Dataset | None:
    """The images of the run as they were when it started; None where the list is missing or damaged."""
    from studio.core.problem import BadInput

    try:
        return Dataset.from_json(folder.dataset_path.read_bytes())
    except (OSError, BadInput):
        return None


def worst_mistakes(predictions: Predictions, label: int | None = None, predicted: int | None = None) -> list[Mistake]:
    """Wrongly called images, highest loss first, of one true class and one predicted class where given; MAX_MISTAKES at most."""
    called = predictions.log_p.argmax(axis=1)
    wrong = called != predictions.labels
    if label is not None:
        wrong &= predictions.labels == label
    if predicted is not None:
        wrong &= called == predicted
    picks = np.flatnonzero(wrong)
    picks = picks[np.argsort(-predictions.losses[picks], kind="stable")][:MAX_MISTAKES]
    return [
        Mistake(
            predictions.ids[i],
            int(predictions.labels[i]),
            int(called[i]),
            math.exp(predictions.log_p[i, called[i]]),
            float(predictions.losses[i]),
        )
        for i in picks
    ]
