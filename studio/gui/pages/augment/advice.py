"""What the data say about augmentation: one sentence with a number, one action. No Qt."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from studio.catalog.augments import PRESETS, pipeline_of
from studio.core.experiment import Augment, Experiment
from studio.core.path_text import shown
from studio.dataset.dataset import Dataset
from studio.dataset.look import Hint
from studio.gui.pages.augment.words import title_of

FEW_IMAGES = 1000
SHORT_RUN_EPOCHS = 10
_SIDES = re.compile(r"(^|[^a-z])(left|right)([^a-z]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Advice:
    """`values` go to store.set when the action is taken; empty when there is nothing to do."""

    sentence: str
    action: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    is_warning: bool = False


def advice_for(experiment: Experiment, dataset: Dataset | None, hints: Sequence[Hint] = ()) -> list[Advice]:
    """The most important first. `hints`: what names and looks of the images say."""
    found: list[Advice] = []
    augment = experiment.augment
    if dataset is not None:
        found += _side_advice(augment, dataset.classes)
        found += [advice for hint in hints if (advice := _hint_advice(augment, hint)) is not None]
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


def without(augment: Augment, names: Collection[str]) -> tuple[str, dict[str, Any]] | None:
    """(words of the action, values) that switch these transforms off; None where none of them is on."""
    steps = pipeline_of(augment)
    hit = [step.name for step in steps if step.is_on and step.p > 0 and step.name in names]
    if not hit:
        return None
    if augment.preset != "custom" and hit == ["HorizontalFlip"]:
        return "Mirror off", {"augment.horizontal_flip": False}
    off = [step.model_copy(update={"is_on": False}) if step.name in hit else step for step in steps]
    words = f"{title_of(hit[0])} off" if len(hit) == 1 else f"Switch {len(hit)} steps off"
    return words, {"augment.preset": "custom", "augment.transforms": tuple(step.model_dump() for step in off)}


def _side_advice(augment: Augment, classes: tuple[str, ...]) -> list[Advice]:
    sided = [name for name in classes if _SIDES.search(name)]
    off = without(augment, ("HorizontalFlip", "D4", "SquareSymmetry")) if sided else None
    return [Advice(f"“{shown(sided[0])[:40]}” is about a side: mirrored images get the wrong label.", *off)] if off else []


def _hint_advice(augment: Augment, hint: Hint) -> Advice | None:
    """What to do about a hint; None where nothing in the pipeline goes against it."""
    off = without(augment, hint.avoid)
    if off is not None:
        return Advice(shown(hint.sentence), *off)
    if hint.preset and not hint.avoid and augment.preset not in (hint.preset, "custom"):
        title = next(preset.title for preset in PRESETS if preset.key == hint.preset)
        return Advice(shown(hint.sentence), f"Use {title}", {"augment.preset": hint.preset})
    return None
