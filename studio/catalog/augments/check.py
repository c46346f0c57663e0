"""Whether the steps of a pipeline can be what they say: names, parameters, kinds and bounds, by the catalogue alone, without the library."""

from __future__ import annotations

import difflib
from typing import Any

from studio.catalog.augments.catalog import COMPOSITIONS, Param, catalog, left_out
from studio.core.experiment import Augment, Experiment, TransformSpec
from studio.core.problem import Problem, error, warning
from studio.core.words import format_number


def augment_problems(experiment: Experiment) -> list[Problem]:
    """All that is wrong with what an experiment asks of augmentation."""
    augment, training = experiment.augment, experiment.training
    found: list[Problem] = []
    if augment.preset == "custom":
        found += pipeline_problems(augment.transforms)
        if not any(step.is_on and step.p > 0 for step in augment.transforms):
            found.append(warning("augment.transforms", "The custom pipeline has no step that is on: training images are not varied."))
    if augment.mixes and training.feature_cache == "views":
        name = "MixUp" if augment.mixup_p else "CutMix"
        found.append(
            error(
                "training.feature_cache",
                f"{name} makes new images from pairs, and cached views hold the features of single ones. "
                f"Choose the feature cache “exact” or “off”, or switch {name} off.",
            )
        )
    return found


def must_be_made(augment: Augment) -> bool:
    """Whether the library alone knows if it takes the steps: where parameters were set by hand."""
    return augment.preset == "custom" and any(step.params or step.of for step in augment.transforms)


def pipeline_problems(steps: tuple[TransformSpec, ...], field: str = "augment.transforms") -> list[Problem]:
    """Field paths are "augment.transforms.2.params.limit": position, then parameter."""
    return [problem for i, step in enumerate(steps) for problem in step_problems(step, f"{field}.{i}")]


def step_problems(step: TransformSpec, field: str, *, is_inside: bool = False) -> list[Problem]:
    known = catalog().get(step.name)
    if known is None:
        return [error(f"{field}.name", _unknown_transform(step.name))]
    found: list[Problem] = []
    if step.name in COMPOSITIONS:
        if not any(child.is_on for child in step.of):
            found.append(error(f"{field}.of", f"{known.title} has no step that is on. Add one, or remove it."))
        elif step.name != "Sequential" and not any(child.is_on and child.p > 0 for child in step.of):
            found.append(error(f"{field}.of", f"All steps of {known.title} have the probability 0, so none can be chosen."))
        for i, child in enumerate(step.of):
            found += step_problems(child, f"{field}.of.{i}", is_inside=True)
    elif step.of:
        found.append(error(f"{field}.of", f"{known.title} takes no steps of its own."))
    elif is_inside and known.group == "policies":
        found.append(error(f"{field}.name", f"{known.title} cannot stand inside another step. Put it into the list itself."))
    for name, value in step.params.items():
        param = known.param(name)
        where = f"{field}.params.{name}"
        if param is None:
            found.append(error(where, _unknown_param(name, step.name, [p.name for p in known.params])))
        elif sentence := value_problem(param, value):
            found.append(error(where, f"{known.title}, {param.title.lower()}: {sentence}"))
    return found


def value_problem(param: Param, value: Any) -> str:
    """What is wrong with a value, as a sentence; empty when nothing is."""
    match param.kind:
        case "switch":
            return "" if isinstance(value, bool) else f"{_shown(value)} is neither on nor off."
        case "choice":
            options = [choice.value for choice in param.choices]
            titles = ", ".join(choice.title for choice in param.choices)
            return "" if any(_same(value, option) for option in options) else f"{_shown(value)} is not one of {titles}."
        case "colour":
            if any(_same(value, choice.value) for choice in param.choices):
                return ""
            parts = value if isinstance(value, tuple) else (value,)
            if len(parts) not in (1, 3) or not all(map(_is_number, parts)) or not all(0 <= v <= 255 for v in parts):
                return f"{_shown(value)} is no colour: one grey level or three numbers from 0 to 255."
            return ""
        case "input size":
            parts = value if isinstance(value, tuple) else (value,)
            fine = all(isinstance(v, int) and not isinstance(v, bool) and 1 <= v <= 4096 for v in parts)
            return "" if fine and len(parts) in (1, 2) else f"{_shown(value)} is no size in whole pixels up to 4096."
        case "number":
            return _number_problem(param, value)
    count = {"range": 2, "pair": 2, "box": 4}[param.kind]
    if not isinstance(value, tuple) or len(value) != count:
        return f"{_shown(value)} should be {count} numbers."
    for each in value:
        if sentence := _number_problem(param, each):
            return sentence
    if param.kind == "range" and value[0] > value[1]:
        return f"the low end {format_number(value[0])} is above the high end {format_number(value[1])}. Exchange the two."
    if param.kind == "box" and (value[0] >= value[2] or value[1] >= value[3]):
        return "left must be below right, and top above bottom."
    return ""


def _number_problem(param: Param, value: Any) -> str:
    if not _is_number(value):
        return f"{_shown(value)} is no number."
    if param.is_whole and value != int(value):
        return f"{format_number(value)} is no whole number."
    if param.low is not None and (value < param.low or param.is_low_open and value == param.low):
        return f"{format_number(value)} is too small; it must be {'more than' if param.is_low_open else 'at least'} {format_number(param.low)}."
    if param.high is not None and (value > param.high or param.is_high_open and value == param.high):
        return f"{format_number(value)} is too large; it must be {'less than' if param.is_high_open else 'at most'} {format_number(param.high)}."
    return ""


def _unknown_transform(name: str) -> str:
    if reason := left_out().get(name):
        return f"{name} is not offered: {reason}."
    near = difflib.get_close_matches(name, catalog(), 1)
    return f"There is no transform “{name}”." + (f" Did you mean {near[0]}?" if near else " Choose one from the gallery.")


def _unknown_param(name: str, transform: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    hint = f" Did you mean {near[0]}?" if near else f" It knows {', '.join(known)}." if known else " It has none."
    return f"{transform} has no parameter “{name[:60]}”.{hint}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _same(a: Any, b: Any) -> bool:
    """Equal, and a switch is no number."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _shown(value: Any) -> str:
    return f"“{value[:40]}”" if isinstance(value, str) else repr(value)[:60]
