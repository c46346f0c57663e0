"""What the engine measured at the end of a run, read back from its `results` folder. Plain data, safe in any thread."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np

from studio.core.predictions import Predictions
from studio.core.run_folder import RunFolder
from studio.dataset.dataset import Dataset, Sample

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
    """One evaluation. `confusion` is int64[C, C], rows true, columns predicted."""

    classes: tuple[str, ...]
    confusion: np.ndarray
    per_class: tuple[ClassScore, ...]
    top1: float
    top5: float
    loss: float
    macro_f1: float
    num_images: int

    @property
    def num_mistakes(self) -> int:
        return int(self.confusion.sum() - np.trace(self.confusion))


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
        raw = json.loads((folder.results_path / f"{part}.json").read_bytes())
        classes = tuple(str(c) for c in raw["classes"])
        confusion = np.array(raw["confusion"], dtype=np.int64)
        if confusion.shape != (len(classes), len(classes)):
            return None
        rows = tuple(
            ClassScore(name, *(float(row[key] or 0) for key in ("precision", "recall", "f1")), int(row["support"]))
            for name, row in zip(classes, raw["per_class"], strict=True)
        )
        figures = (float(raw[key]) for key in ("top1", "top5", "loss", "macro_f1"))
        return Scores(classes, confusion, rows, *figures, int(raw["num_images"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


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


def changed_labels(then: Dataset, now: Dataset) -> int:
    """How many images of a run have another label, another part or are gone now. Ids are compared, files are not read."""
    today: dict[str, Sample] = {s.id: s for s in now.samples}
    return sum(1 for s in then.samples if (other := today.get(s.id)) is None or other.label != s.label)
