"""Every transform that a pipeline may hold, as plain data: read from resources/augments.json, which schema.py makes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from studio.core.experiment import plain_value
from studio.core.resource import resource

COMPOSITIONS = ("OneOf", "SomeOf", "Sequential")
GROUPS = ("geometry", "colour", "blur and noise", "occlusion", "compression", "weather", "policies", "combine")

Kind = Literal["number", "range", "pair", "box", "switch", "choice", "colour", "input size"]


@dataclass(frozen=True)
class Choice:
    value: Any
    title: str


@dataclass(frozen=True)
class Param:
    """One parameter. By `kind` its value is

    number: int (`is_whole`) or float. range: (low, high). pair: two independent numbers. box: four numbers, left, top, right, bottom.
    switch: bool. choice: the value of one of `choices`. colour: a grey level or (r, g, b) from 0 to 255, or the value of one of `choices`.
    input size: a number or (height, width) that follows the network's input size and is best left alone.
    `low` and `high` are the bounds of validity, None where open; `slider` are practical ends for a control, always within them.
    `is_optional` with the default None: not given is a value of its own.
    """

    name: str
    title: str
    help: str
    kind: Kind
    default: Any
    unit: str = ""
    is_optional: bool = False
    is_whole: bool = False
    low: float | None = None
    high: float | None = None
    is_low_open: bool = False
    is_high_open: bool = False
    slider: tuple[float, float] = (0.0, 1.0)
    choices: tuple[Choice, ...] = ()


@dataclass(frozen=True)
class Transform:
    """`p` is the probability that a new step starts with. `unused` are parameters of the library that change no picture."""

    name: str
    title: str
    group: str
    help: str
    p: float
    params: tuple[Param, ...]
    unused: tuple[str, ...] = ()

    def param(self, name: str) -> Param | None:
        return next((p for p in self.params if p.name == name), None)


@cache
def catalog() -> dict[str, Transform]:
    """By name, in the order of the file."""
    return {raw["name"]: _transform(raw) for raw in _file()["transforms"]}


@cache
def left_out() -> dict[str, str]:
    """Transforms of albumentations that are not offered: name to reason."""
    return dict(_file()["left_out"])


def _file() -> dict[str, Any]:
    return json.loads(resource("augments.json").read_bytes())


def _transform(raw: dict[str, Any]) -> Transform:
    return Transform(**(raw | {"params": tuple(map(_param, raw["params"])), "unused": tuple(raw["unused"])}))


def _param(raw: dict[str, Any]) -> Param:
    more: dict[str, Any] = {"default": None if raw["default"] is None else plain_value(raw["default"])}
    if "slider" in raw:
        more["slider"] = tuple(raw["slider"])
    if "choices" in raw:
        more["choices"] = tuple(Choice(plain_value(c["value"]), c["title"]) for c in raw["choices"])
    return Param(**(raw | more))
