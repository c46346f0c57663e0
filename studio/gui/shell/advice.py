"""One sentence with a number and one action each, from what is known of the data and the runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from studio.catalog.advice import FEW, Situation
from studio.catalog.advice import advice as model_advice
from studio.core.outcome import Status
from studio.core.words import counted
from studio.gui import wording
from studio.gui.context import Context


@dataclass(frozen=True)
class Advice:
    """`values` are the settings that Apply would make; `key` names it, so that "Not now" can be remembered."""

    key: str
    icon: str
    token: str
    sentence: str
    values: dict[str, Any] = field(default_factory=dict, hash=False)
    label: str = ""


def advise(context: Context) -> list[Advice]:
    """Advice for the draft, the most useful first. Every rule stands on a figure that is shown."""
    dataset, experiment = context.store.dataset, context.store.experiment
    found: list[Advice] = []
    if dataset is None or not dataset.classes:
        return found
    counts = tuple(parts.get("train", 0) for parts in dataset.counts().values())
    situation = Situation(experiment, counts, context.estimates.stage_distances)
    median = round(situation.typical)
    freeze = next((a for a in model_advice(situation) if a.key == "freeze"), None) if median < FEW else None
    if freeze is not None:
        sentence = f"{counted(median, 'training image')} per class (median): {freeze.sentence[:1].lower()}{freeze.sentence[1:]}"
        found.append(Advice("few-images", "lightbulb", "accent", sentence, freeze.values, freeze.label.lower()))
    if median < 200 and experiment.augment.preset == "none":
        found.append(
            Advice(
                "augment", "magic-wand", "accent",
                f"{counted(median, 'training image')} per class (median): light augmentation usually helps below 200.",
                {"augment.preset": "light"}, "light augmentation",
            )
        )  # fmt: skip
    num_train = len(dataset.part("train"))
    if num_train and experiment.training.batch_size > num_train:
        size = max(1, 2 ** (num_train.bit_length() - 2))
        found.append(
            Advice(
                "batch", "stack", "warn",
                f"Batch size {experiment.training.batch_size} is more than the {wording.count(num_train)} training images.",
                {"training.batch_size": size}, f"batch size {size}",
            )
        )  # fmt: skip
    found += _from_runs(context)
    return found


def _from_runs(context: Context) -> list[Advice]:
    entry = context.runs.active or context.runs.latest
    if entry is None:
        return []
    state, found = entry.state, []
    draft = context.store.experiment
    if entry.is_active and state.step > 50 and state.data_wait_fraction > 0.3:
        found.append(
            Advice(
                "data-wait",
                "gauge",
                "warn",
                f"{entry.name.capitalize()} waits {wording.percent(state.data_wait_fraction, 0)} of its time for images. {state.way_to_feed}".strip(),
            )
        )
    scores = [e.validation_top1 for e in state.epochs if e.validation_top1 is not None]
    if len(scores) >= 3 and entry.status is Status.FINISHED and scores[-1] >= max(scores) - 1e-9 and scores[-1] - scores[-3] > 0.01:
        longer = min(10_000, entry.experiment.schedule.epochs * 2)
        if draft.schedule.epochs < longer:
            gain = f"{(scores[-1] - scores[-3]) * 100:.1f}"
            found.append(
                Advice(
                    "longer", "trend-up", "accent",
                    f"{entry.name.capitalize()} was still gaining at its end: {gain} points over the last two epochs.",
                    {"schedule.epochs": longer}, f"{longer} epochs",
                )
            )  # fmt: skip
    return found
