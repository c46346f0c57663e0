"""When the stages of a network begin to train: the plan behind the thaw timeline and the Model page's freeze line. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from studio.catalog.schedules import thaw_epochs
from studio.core.experiment import Model

Epoch = int | None  # from which a stage trains: 0 from the start, None never


@dataclass(frozen=True)
class Preset:
    """A plan in one click. `plan(count, epochs)` gives the epoch of each of `count` stages before the head, in execution order."""

    key: str
    title: str
    help: str
    plan: Callable[[int, int], tuple[Epoch, ...]]


def _one_per_epoch(count: int, epochs: int) -> tuple[Epoch, ...]:
    return tuple(epoch if epoch < epochs else None for epoch in range(count, 0, -1))


PRESETS = (
    Preset("head", "Head only", "All stages before the head stay frozen.", lambda count, _: (None,) * count),
    Preset(
        "last_two",
        "Last two stages",
        "The two stages before the head train from the start, the others never.",
        lambda count, _: (None,) * max(0, count - 2) + (0,) * min(2, count),
    ),
    Preset(
        "one_per_epoch",
        "One stage per epoch",
        "The head first, then one more stage each epoch, backwards. Gradual unfreezing: Howard and Ruder, arXiv 1801.06146.",
        _one_per_epoch,
    ),
    Preset("all", "All from the start", "Every stage trains from the first step.", lambda count, _: (0,) * count),
)


def thaw_with(model: Model, stages: Sequence[str], changes: Mapping[str, Epoch]) -> dict[str, int]:
    """The value of `model.thaw` for a plan in which some stages have another epoch. Only what differs from `train_stages` is named."""
    planned = dict(zip(stages, thaw_epochs(model, stages), strict=True)) | dict(changes)
    plain = dict(zip(stages, thaw_epochs(model.model_copy(update={"thaw": {}}), stages), strict=True))
    return {name: -1 if epoch is None else epoch for name, epoch in planned.items() if epoch != plain[name]}


def num_trainable_at(counts: Sequence[int], epochs: Sequence[Epoch], epoch: int) -> int:
    """How many parameters train in an epoch, from those of each stage."""
    return sum(count for count, first in zip(counts, epochs, strict=True) if first is not None and first <= epoch)


def num_frozen_before(epochs: Sequence[Epoch]) -> int:
    """How many stages at the beginning of the network never train: where the freeze line stands."""
    return next((i for i, epoch in enumerate(epochs) if epoch is not None), len(epochs))


def thaw_words(epoch: Epoch) -> str:
    """ "never", "from the start", "at epoch 3"."""
    return "never" if epoch is None else "from the start" if epoch == 0 else f"at epoch {epoch:,}"
