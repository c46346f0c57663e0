"""Several experiments from one: a grid or random draws over one or two settings, and seeds."""

from __future__ import annotations

import itertools
import json
import math
import random
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from studio.core.edit import label_of
from studio.core.experiment import Experiment, choices, field_info, near_setting, setting_paths
from studio.core.problem import BadInput
from studio.core.words import format_number

MOST_RUNS = 200
MOST_FIELDS = 2


@dataclass(frozen=True)
class Axis:
    """One setting with the values to try, or between two of them: random draws then lie anywhere from low to high."""

    path: str  # "schedule.peak_lr"
    values: tuple[Any, ...]
    is_range: bool = False

    def draw(self, rng: random.Random) -> Any:
        """A value for one random run: even on a log scale where the setting has one."""
        if not self.is_range:
            return rng.choice(self.values)
        low, high = self.values
        if isinstance(low, int) and isinstance(high, int):
            return rng.randint(low, high)
        is_log = field_info(self.path).json_schema_extra["log"] and low > 0
        value = math.exp(rng.uniform(math.log(low), math.log(high))) if is_log else rng.uniform(low, high)
        return float(f"{value:.3g}")


def parse_axis(text: str) -> Axis:
    """`schedule.peak_lr=1e-4, 1e-3, 1e-2`, or with a range `schedule.peak_lr=1e-4..1e-2`. Raises BadInput."""
    path, sign, values = text.partition("=")
    path = path.strip()
    try:
        field_info(path)
    except KeyError:
        raise BadInput(
            f"There is no setting “{path}”. `studio init` writes a file with all of them.{near_setting(path, setting_paths())}"
        ) from None
    low, dots, high = values.partition("..")
    parts = [low, high] if dots else [part for part in values.split(",") if part.strip()]
    found = tuple(_value(path, part.strip()) for part in parts)
    if not sign or not found:
        raise BadInput(f"Give the values of {path} with commas between them: {path}=1, 2, 3.")
    if dots and not (all(_is_number(v) for v in found) and found[0] < found[1]):
        raise BadInput(f"A range goes from a smaller number to a larger one: {path}=1e-4..1e-2.")
    return Axis(path, found, bool(dots))


def _value(path: str, text: str) -> Any:
    if text in choices(path):
        return text
    try:
        value = tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text
    return float(value) if field_info(path).annotation is float and _is_number(value) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def plan_sweep(base: Experiment, axes: Sequence[Axis], *, num_random: int = 0, num_seeds: int = 1) -> list[Experiment]:
    """All experiments of a sweep in the order in which they run; each carries its values in its name. Raises BadInput with every problem.

    `num_random` draws that many points instead of the whole grid; the draws follow from the seed of `base`.
    """
    if len(axes) > MOST_FIELDS or len({axis.path for axis in axes}) < len(axes):
        raise BadInput("A sweep goes over one or two different settings.")
    if not axes and num_seeds < 2:
        raise BadInput("There is nothing to sweep: choose a setting, or more than one seed.")
    if num_seeds > 1 and any(axis.path == "training.seed" for axis in axes):
        raise BadInput("The seeds are swept over already. Leave out the seeds for each, or the setting.")
    if any(axis.is_range for axis in axes) and not num_random:
        raise BadInput("A range needs random draws: say how many, or list the values.")
    if num_random:
        rng = random.Random(base.training.seed)
        points = [{axis.path: axis.draw(rng) for axis in axes} for _ in range(num_random)] if axes else [{}]
    else:
        points = [dict(zip((axis.path for axis in axes), values, strict=True)) for values in itertools.product(*(a.values for a in axes))]
    points = list({json.dumps(point, sort_keys=True, default=str): point for point in points}.values())
    if len(points) * num_seeds > MOST_RUNS:
        raise BadInput(f"These are {len(points) * num_seeds:,} runs; a sweep has {MOST_RUNS} at most. Take fewer values.")
    found, problems = [], []
    for point in points:
        for offset in range(num_seeds):
            values = dict(point)
            if num_seeds > 1:
                values["training.seed"] = (base.training.seed + offset) % 2**31
            try:
                found.append(base.changed(values | {"name": f"{base.name[:100]} · {describe_point(values)}"[:200]}))
            except BadInput as exc:
                problems += [p for p in exc.problems if p not in problems]
    if problems:
        raise BadInput(*problems)
    return found


def describe_point(values: dict[str, Any]) -> str:
    """`peak learning rate 1e-3, seed 2`."""
    return ", ".join(f"{label_of(path)} {_shown(value)}" for path, value in values.items())


def _shown(value: Any) -> str:
    return format_number(value) if isinstance(value, float) else str(value)
