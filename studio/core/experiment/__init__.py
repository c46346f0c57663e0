"""What is asked: one immutable experiment, from which forms, help texts, TOML comments and the reference page are made.

Each section stands in a file of its name. Editing replaces the object (`changed`); undo is the object before. An experiment is data: it can
name entries of the catalog and nothing else.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from studio.core.experiment.augment import Augment, TransformSpec, plain_value
from studio.core.experiment.data import READING, Data
from studio.core.experiment.model import Model
from studio.core.experiment.optimiser import Optimiser
from studio.core.experiment.refusal import near_setting, problem_of
from studio.core.experiment.schedule import Schedule, Segment
from studio.core.experiment.training import Training
from studio.core.problem import BadInput, error
from studio.core.section import Section, field

__all__ = [
    "Augment", "Data", "Experiment", "Model", "Optimiser", "READING", "SCHEMA_VERSION", "SECTIONS", "Schedule", "Segment", "Training",
    "TransformSpec", "bounds", "choices", "differences", "field_info", "near_setting", "parse_experiment", "plain_value", "setting_paths",
]  # fmt: skip

SCHEMA_VERSION = 1
SECTIONS = ("data", "model", "augment", "schedule", "optimiser", "training")


class Experiment(Section):
    """Everything a run needs to know. Equal experiments give equal runs."""

    schema_version: Literal[1] = SCHEMA_VERSION
    name: str = field("Untitled", "Name", "What you call it.", max_length=200)
    data: Data = Data()
    model: Model = Model()
    augment: Augment = Augment()
    schedule: Schedule = Schedule()
    optimiser: Optimiser = Optimiser()
    training: Training = Training()

    def changed(self, values: dict[str, Any]) -> Experiment:
        """A copy with fields replaced: {"schedule.epochs": 12}. Raises BadInput with every problem found.

        Only what is given is checked, and sections without a change are shared with the copy: a slider that moves waits for this.
        """
        raw: dict[str, Any] = dict(self)
        problems = []
        for path, value in values.items():
            section, _, name = path.rpartition(".")
            if section in SECTIONS and isinstance(raw[section], Section):
                raw[section] = dict(raw[section])
            target = raw if not section else raw.get(section)
            is_known = isinstance(target, dict) and name in target
            if not is_known or isinstance(target[name], (dict, Section)) and not isinstance(value, dict):
                problems.append(
                    error(path, f"There is no setting “{path}”; `studio init` lists them all.{near_setting(path, setting_paths())}")
                )
            else:
                target[name] = value
        if problems:
            raise BadInput(*problems)
        return parse_experiment(raw)


def parse_experiment(raw: dict[str, Any]) -> Experiment:
    """An experiment from plain data. Raises BadInput carrying every problem, each with its field path."""
    try:
        return Experiment.model_validate(raw)
    except ValidationError as exc:
        raise BadInput(*(problem_of(e, _setting_at(e["loc"]), setting_paths()) for e in exc.errors(include_url=False))) from None


def setting_paths() -> list[str]:
    """Every "section.field" in order."""
    return [f"{section}.{name}" for section in SECTIONS for name in Experiment.model_fields[section].annotation.model_fields]


def _setting_at(place: tuple[str | int, ...]) -> FieldInfo | None:
    """The setting that one of pydantic's errors stands at; None for parts of a setting, and where there is none."""
    try:
        return field_info(".".join(str(part) for part in place))
    except (KeyError, AttributeError):
        return None


def field_info(path: str) -> FieldInfo:
    """The pydantic FieldInfo behind "section.name"; KeyError when there is none."""
    section, _, name = path.rpartition(".")
    model = Experiment.model_fields[section].annotation if section else Experiment
    return model.model_fields[name]


def bounds(path: str) -> tuple[float | None, float | None]:
    """The least and greatest value of a numeric field; None where open."""
    low = high = None
    for rule in field_info(path).metadata:
        low = getattr(rule, "ge", getattr(rule, "gt", None)) if low is None else low
        high = getattr(rule, "le", getattr(rule, "lt", None)) if high is None else high
    return low, high


def choices(path: str) -> tuple[Any, ...]:
    """The values of a choice field in order; empty for other fields."""
    annotation = field_info(path).annotation
    return get_args(annotation) if getattr(annotation, "__origin__", None) is Literal else ()


def differences(old: Experiment, new: Experiment) -> dict[str, tuple[Any, Any]]:
    """Changed fields only: {"schedule.epochs": (8, 12)}."""
    found = {}
    if old.name != new.name:
        found["name"] = (old.name, new.name)
    for section in SECTIONS:
        a, b = getattr(old, section), getattr(new, section)
        for name in type(a).model_fields:
            if getattr(a, name) != getattr(b, name):
                found[f"{section}.{name}"] = (getattr(a, name), getattr(b, name))
    return found
