"""What the data say about augmentation: one sentence with a number, one action. No Qt."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from studio.core.experiment import Experiment
from studio.core.path_text import shown
from studio.dataset.dataset import Dataset

FEW_IMAGES = 1000
SHORT_RUN_EPOCHS = 10
_SIDES = re.compile(r"(^|[^a-z])(left|right)([^a-z]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Advice:
    """`values` go to store.set when the action is taken; empty when there is nothing to do."""

    sentence: str
    action: str = ""
    values: dict[str, Any] = field(default_factory=dict)


def advice_for(experiment: Experiment, dataset: Dataset | None) -> list[Advice]:
    """The most important first."""
    found: list[Advice] = []
    augment = experiment.augment
    is_mirrored = augment.horizontal_flip and augment.preset != "none"
    if dataset is not None and is_mirrored:
        found += _mirror_advice(dataset.classes)
    if dataset is not None:
        num_train = len(dataset.part("train"))
        if augment.preset == "none" and num_train < FEW_IMAGES:
            words = f"{num_train:,} training images are few: without variation the network learns them by heart."
            found.append(Advice(words, "Use Light", {"augment.preset": "light"}))
        if augment.preset in ("none", "light") and 0 < num_train < 20 * max(1, len(dataset.classes)):
            words = f"{num_train / len(dataset.classes):.0f} training images per class: stronger variation usually helps."
            found.append(Advice(words, "Use Medium", {"augment.preset": "medium"}))
    if augment.preset == "strong" and experiment.schedule.epochs < SHORT_RUN_EPOCHS:
        epochs = experiment.schedule.epochs
        words = f"Strong variation pays off in long runs; this one has {epochs} epoch{'' if epochs == 1 else 's'}."
        found.append(Advice(words, "Use Medium", {"augment.preset": "medium"}))
    return found


def _mirror_advice(classes: tuple[str, ...]) -> list[Advice]:
    off = {"augment.horizontal_flip": False}
    sided = [name for name in classes if _SIDES.search(name)]
    if sided:
        return [Advice(f"“{shown(sided[0])[:40]}” is about a side: mirrored images get the wrong label.", "Mirror off", off)]
    signs = [name for name in classes if len(name.strip()) == 1 and name.strip().isalnum()]
    if classes and len(signs) * 2 > len(classes):
        names = ", ".join(shown(name) for name in signs[:3])
        return [Advice(f"Classes named {names}: mirrored digits, letters or hand signs can mean something else.", "Mirror off", off)]
    return []
