"""Which single layers train whatever their stage does: the wishes of `model.layers` and `model.batch_norm`, one rule for engine and window."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studio.core.experiment import Model


def wish_for(wishes: Mapping[str, str], name: str) -> str | None:
    """The wish for the longest name that is `name` or a module around it."""
    while name:
        if name in wishes:
            return wishes[name]
        name = name.rpartition(".")[0]
    return None


def trains_while_frozen(model: Model, stage: str, parameters: Iterable[str], norms: Collection[str]) -> bool:
    """Whether any of a stage's `parameters` trains while the stage is frozen: layers by name, and its batch `norms` if they are to train."""
    norms_train = model.batch_norm.get(stage) == "train"
    if not norms_train and "train" not in model.layers.values():
        return False
    wishes = ((name, wish_for(model.layers, name)) for name in parameters)
    return any(wish == "train" or (wish is None and norms_train and name.rpartition(".")[0] in norms) for name, wish in wishes)
