"""How good a network is on a part of the data: scores, confusion matrix, and every single answer."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from studio.core.file import write_atomically
from studio.core.reliability import as_json, measure
from studio.core.threshold import class_thresholds
from studio.core.top5 import worth_telling
from studio.engine.device import synchronise, to_device
from studio.engine.loader import Batch

MOST_IN_MATRIX = 1000  # classes


@dataclass(frozen=True)
class Answers:
    """One row per image that could be read. `losses_N` is cross entropy without label smoothing."""

    indices_N: np.ndarray  # int64, as in the requests
    labels_N: np.ndarray  # int64
    probabilities_NC: np.ndarray  # float32
    losses_N: np.ndarray  # float32

    @property
    def log_p_NC(self) -> np.ndarray:
        """Logarithms of the probabilities, made anew each time; what was rounded to 0 is given the least normal number."""
        return np.log(np.maximum(self.probabilities_NC, np.finfo(np.float32).tiny))


@dataclass(frozen=True)
class Scores:
    """Fractions in [0, 1]. `confusion_CC` has true classes in rows and predicted ones in columns; None above MOST_IN_MATRIX classes: of ten thousand
    it would take 800 MB and hold next to nothing. `cells` has what is not empty of it. Top-5 is None where it says nothing (core.top5)."""

    num_images: int
    loss: float
    top1: float
    top5: float | None
    macro_f1: float
    confusion_CC: np.ndarray | None  # int64
    cells: np.ndarray  # int64[K, 3]: true class, predicted class, images
    per_class: tuple[dict[str, float | int | None], ...]  # precision, recall, f1 (None without images), support

    @property
    def figures(self) -> dict[str, float | None]:
        return {"top1": self.top1, "top5": self.top5, "loss": self.loss, "macro_f1": self.macro_f1}

    @property
    def class_recalls(self) -> tuple[float | None, ...]:
        return tuple(row["recall"] for row in self.per_class)


def answer(
    module: nn.Module,
    batches: Iterable[Batch],
    labels: np.ndarray,
    forward: Callable[[nn.Module, Batch], torch.Tensor],
    between: Callable[[], None] = lambda: None,
) -> Answers:
    """Run the module in eval mode over batches of evaluation views. `labels[i]` is the class of index i, `forward(module, batch)` gives
    logits_NC; `between` runs after each batch.

    The module is left in eval mode. Images that could not be read are left out.
    """
    module.eval()
    indices, probabilities, losses = [], [], []
    with torch.inference_mode():
        for batch in batches:
            if not len(batch.indices):  # another process has all of it, or none of it could be read
                between()
                continue
            logits = forward(module, batch).float()
            shown = batch.indices >= 0
            target = to_device(labels[np.maximum(batch.indices, 0)], logits.device)
            # a GPU is not waited for: what it gives is on its way while the next batch is loaded
            losses.append((nn.functional.cross_entropy(logits, target, reduction="none").to("cpu", non_blocking=True), shown))
            probabilities.append((logits.softmax(1).to("cpu", non_blocking=True), shown))
            indices.append(batch.indices[shown])
            between()
        if indices:
            synchronise(logits.device)
    if not indices:
        return Answers(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 0), np.float32), np.empty(0, np.float32))
    all_indices = np.concatenate(indices)
    rows = (np.concatenate([part.numpy()[shown] for part, shown in parts]) for parts in (probabilities, losses))
    return Answers(all_indices, labels[all_indices], *rows)


def joined(parts: Sequence[Answers]) -> Answers:
    """The answers of several processes as one would have given them, in the order of the indices."""
    if len(parts) == 1:
        return parts[0]
    parts = [part for part in parts if len(part.indices_N)] or list(parts[:1])
    order = np.argsort(indices := np.concatenate([part.indices_N for part in parts]), kind="stable")
    rest = (np.concatenate([getattr(part, name) for part in parts])[order] for name in ("labels_N", "probabilities_NC", "losses_N"))
    return Answers(indices[order], *rest)


def score(answers: Answers, num_classes: int) -> Scores:
    """Scores of answers; all zero without images. Macro F1 is the mean over classes that have images."""
    labels, probabilities = answers.labels_N, answers.probabilities_NC
    n = len(labels)
    has_matrix = num_classes <= MOST_IN_MATRIX
    confusion = np.zeros((num_classes, num_classes), np.int64) if has_matrix else None
    if n == 0:
        empty = tuple({"precision": None, "recall": None, "f1": None, "support": 0} for _ in range(num_classes))
        return Scores(0, 0.0, 0.0, worth_telling(0.0, num_classes), 0.0, confusion, np.empty((0, 3), np.int64), empty)
    predicted = probabilities.argmax(1)
    places, counts = np.unique(labels * num_classes + predicted, return_counts=True)
    cells = np.column_stack((places // num_classes, places % num_classes, counts))
    if has_matrix:
        confusion[cells[:, 0], cells[:, 1]] = counts
    own = probabilities[np.arange(n), labels]
    rank = (probabilities > own[:, None]).sum(1)  # classes that are strictly more likely
    hits, support, claimed = (np.bincount(some, minlength=num_classes) for some in (labels[predicted == labels], labels, predicted))
    per_class = []
    for hit, have, claim in zip(hits.tolist(), support.tolist(), claimed.tolist(), strict=True):
        per_class.append(
            {
                "precision": hit / claim if claim else None,
                "recall": hit / have if have else None,
                "f1": 2 * hit / (have + claim) if have else None,
                "support": have,
            }
        )
    f1s = [row["f1"] for row in per_class if row["f1"] is not None]
    return Scores(
        num_images=n,
        loss=float(answers.losses_N.mean(dtype=np.float64)),
        top1=float((predicted == labels).mean()),
        top5=worth_telling(float((rank < 5).mean()), num_classes),
        macro_f1=float(np.mean(f1s)),
        confusion_CC=confusion,
        cells=cells,
        per_class=tuple(per_class),
    )


def write_results(
    results: Path, part: str, classes: Sequence[str], scores: Scores, answers: Answers, ids: Sequence[str], step: int
) -> None:
    """`<part>.json` and `<part>_predictions.npz` (ids as JSON text, labels, logarithms of the probabilities, losses: see core/predictions.py).
    OSError when it cannot."""
    packed = io.BytesIO()
    np.savez_compressed(
        packed,
        ids=np.array(json.dumps(list(ids))),
        labels=answers.labels_N.astype(np.int32),
        log_p=answers.log_p_NC.astype(np.float16),
        losses=answers.losses_N.astype(np.float32),
    )
    write_atomically(results / f"{part}_predictions.npz", packed.getvalue())
    write_atomically(results / f"{part}.json", json.dumps(scores_json(scores, classes, answers) | {"step": step}, indent=1).encode())


def scores_json(scores: Scores, classes: Sequence[str], answers: Answers | None = None) -> dict[str, Any]:
    """Scores as plain data, as the results page and `studio evaluate` show them.

    The answers add "reliability" (see core/reliability.py; None where no figure of theirs is finite) and, to each class, its "threshold" with the
    F1 there, None without images.
    """
    per_class, more = list(scores.per_class), {}
    if answers is not None and len(answers.labels_N):
        log_p_NC = answers.log_p_NC
        more["reliability"] = as_json(measure(answers.labels_N, log_p_NC, answers.losses_N))
        found = zip(*(array.tolist() for array in class_thresholds(answers.labels_N, log_p_NC)), strict=True)
        per_class = [
            row | {"threshold": threshold, "threshold_f1": f1} if row["support"] else row | {"threshold": None, "threshold_f1": None}
            for row, (threshold, f1) in zip(per_class, found, strict=True)
        ]
    return {
        "classes": list(classes),
        "confusion": None if scores.confusion_CC is None else scores.confusion_CC.tolist(),
        "confusion_cells": scores.cells.tolist() if scores.confusion_CC is None else None,
        "per_class": per_class,
        "top1": scores.top1,
        "top5": scores.top5,
        "loss": scores.loss,
        "macro_f1": scores.macro_f1,
        "num_images": scores.num_images,
    } | more
