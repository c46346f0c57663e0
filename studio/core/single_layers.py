"""Which single layers train whatever their stage does: the wishes of `model.layers` and `model.batch_norm`, one rule for engine and window."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from studio.core.experiment import Model


def wish_for(wishes: Mapping[str, str], name: str) -> str | None:
    """The wish for the longest name that is `name` or a module around it."""
    while name:
        if name in wishes:
            return wishes[name]
        name = name.rpartition(".")[0]
    return None


def why_trains(model: Model, stage: str, parameter: str, norms: Collection[str], is_frozen: bool) -> Literal["", "stage", "layer", "norm"]:
    """Why a parameter of a stage trains: with its stage, by a name in `model.layers`, or because the batch normalisation that it belongs to is to
    train; "" where it does not. `norms` are the names of the normalisations."""
    wish = wish_for(model.layers, parameter)
    if wish is not None:
        return "layer" if wish == "train" else ""
    mode = model.batch_norm.get(stage)
    if mode in ("adapt", "train") and parameter.rpartition(".")[0] in norms:
        return "norm" if mode == "train" else ""
    return "" if is_frozen else "stage"


def trains_while_frozen(model: Model, stage: str, parameters: Iterable[str], norms: Collection[str]) -> bool:
    """Whether any of a stage's `parameters` trains while the stage is frozen: layers by name, and its batch `norms` if they are to train."""
    if model.batch_norm.get(stage) != "train" and "train" not in model.layers.values():
        return False
    return any(why_trains(model, stage, name, norms, is_frozen=True) for name in parameters)
