"""How much each class counts in the loss where some have far fewer images than others."""

from __future__ import annotations

from collections.abc import Sequence

from studio.core.rng import synthetic_per_epoch
from studio.dataset.dataset import Dataset

BETA = 0.9999  # of the effective number: classes of some thousand images and more count alike


def class_weights(kind: str, counts: Sequence[float]) -> tuple[float, ...] | None:
    """The weight of each class, by its number of training images; None where all count alike ("off").

    "balanced": one over the number of images, so that every class counts as much as every other. "effective number": one over
    (1 - BETA^n) / (1 - BETA), the number of images that are no near copies of others (Cui et al. 2019, arXiv 1901.05555, eq. 5).
    The weights of all training images add up to their number, so that the learning rate keeps its meaning. Classes without images have weight 0.
    """
    if kind == "off":
        return None
    effective = [n if kind == "balanced" else (1 - BETA**n) / (1 - BETA) for n in counts]
    raw = [1 / n if n else 0.0 for n in effective]
    total = sum(n * weight for n, weight in zip(counts, raw, strict=True))
    return tuple(weight * sum(counts) / total for weight in raw) if total else None


def class_counts(dataset: Dataset, synthetic_fraction: float) -> list[float]:
    """Images of each class in an epoch, in class order; of the made ones those that come in the mean."""
    real, made = [n["train"] for n in dataset.counts().values()], dataset.synthetic_counts().values()
    taken = synthetic_per_epoch(sum(real), len(dataset.synthetic), synthetic_fraction) / max(1, len(dataset.synthetic))
    return [own + taken * other for own, other in zip(real, made, strict=True)]


def weights_of(dataset: Dataset, kind: str, synthetic_fraction: float) -> tuple[float, ...] | None:
    """Those that a run on `dataset` trains with."""
    return class_weights(kind, class_counts(dataset, synthetic_fraction)) if kind != "off" else None
