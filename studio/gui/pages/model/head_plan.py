"""What the head comes to at the place where the network is cut, and what of it can be changed there. No Qt, no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio.catalog.heads import Outlet, Step, needs_map, plan_head
from studio.core.experiment import Model
from studio.core.head import Convolution, Dropout, Hidden, Pooling, order_problem
from studio.core.problem import BadInput

NEW_PARTS = (
    ("Convolution block", Convolution()),
    ("Pooling", Pooling()),
    ("Hidden layer", Hidden()),
    ("Dropout", Dropout()),
)


@dataclass(frozen=True)
class Place:
    """Where the pretrained network may end. `stage` is the value of `model.cut`; `reason` says why it cannot be chosen."""

    stage: str
    title: str
    outlet: Outlet | None
    reason: str = ""


@dataclass(frozen=True)
class Places:
    """All places of a backbone, the whole network last; `num_features` is what its own pooling gives."""

    places: tuple[Place, ...]
    num_features: int

    def outlet(self, cut: str, parts: Sequence) -> Outlet | None:
        """What a head begins with: the backbone's own features, or what it gives at the cut."""
        if not cut and not needs_map(tuple(parts)):
            return Outlet("vector", (self.num_features,))
        stage = cut or (self.places[-1].stage if self.places else "")
        return next((p.outlet for p in self.places if p.stage == stage), None)


def places_from(result: Mapping[str, Any]) -> Places:
    """From the worker's answer to `cut_points`."""
    found = []
    for raw in result["points"]:
        outlet = raw.get("outlet")
        made = Outlet(**(outlet | {"shape": tuple(outlet["shape"])})) if outlet else None
        found.append(Place(raw["stage"], raw["title"], made, raw.get("reason") or ""))
    return Places(tuple(found), int(result["num_features"]))


def head_steps(
    places: Places, model: Model, num_classes: int, *, parts: Sequence | None = None, cut: str | None = None
) -> tuple[Step, ...]:
    """The modules of the head with their shapes. Raises BadInput saying what does not fit."""
    cut = model.cut if cut is None else cut
    parts = tuple(model.head if parts is None else parts)
    outlet = places.outlet(cut, parts)
    if outlet is None:
        from studio.core.problem import error

        place = next((p for p in places.places if p.stage == cut), None)
        raise BadInput(error("model.cut", f"The network cannot be cut there{f': {place.reason}' if place and place.reason else ''}."))
    return plan_head(parts, outlet, num_classes, model.dropout)


def why_not(places: Places, model: Model, num_classes: int, *, parts: Sequence | None = None, cut: str | None = None) -> str:
    """Why a head with these parts, or at this cut, cannot be; empty when it can."""
    if parts is not None and (sentence := order_problem(tuple(parts))):
        return sentence[:1].upper() + sentence[1:]
    try:
        head_steps(places, model, num_classes, parts=parts, cut=cut)
    except BadInput as exc:
        return exc.problems[0].sentence
    return ""


def with_part(parts: Sequence, part) -> tuple:
    """A part added where it belongs: convolutions first, then pooling, then hidden layers and dropout."""
    rank = {Convolution: 0, Pooling: 1}
    mine = rank.get(type(part), 2)
    at = next((i for i, other in enumerate(parts) if rank.get(type(other), 2) > mine), len(parts))
    return (*parts[:at], part, *parts[at:])


def moved(parts: Sequence, index: int, by: int) -> tuple:
    """A part moved by so many places, as far as there are places."""
    made = list(parts)
    made.insert(min(max(0, index + by), len(parts) - 1), made.pop(index))
    return tuple(made)


def first_loss(model: Model, shares: Sequence[float]) -> float | None:
    """Cross-entropy of the first step, where it follows from the settings: all weights zero. None where it depends on the features,
    or on a run that lends its head.

    `shares` are the classes' shares of the training images. Zero bias gives ln C; the class prior gives the entropy of the shares.
    """
    if model.head_init != "zeros" or model.start_run or not shares:
        return None
    if model.head_bias == "zero":
        return math.log(len(shares))
    return -sum(s * math.log(s) for s in shares if s > 0)


def shape_words(shape: Sequence[int]) -> str:
    """ "1280×7²", "512"."""
    if len(shape) == 3 and shape[1] == shape[2]:
        return f"{shape[0]}×{shape[1]}²"
    return "×".join(str(n) for n in shape)
