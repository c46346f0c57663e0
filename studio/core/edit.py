"""Changes of an experiment while its run goes on: what may change, and which experiment counts at which step."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studio.core.experiment import Experiment, field_info
from studio.core.problem import BadInput, Problem, error

if TYPE_CHECKING:
    from studio.core.event import ExperimentEdited


@dataclass(frozen=True)
class Edit:
    """A change in flight: from `step` on this experiment counts."""

    step: int
    experiment: Experiment


def edited(experiment: Experiment, events: Iterable[ExperimentEdited]) -> tuple[Edit, ...]:
    """The experiments that count from their steps on, in the order of steps, from what the journal says about edits.

    At any step all edits up to it count, a later wish over an earlier one; after a resume from an older checkpoint the wishes for
    later steps are still there and come true again at their steps. Raises BadInput where a value cannot be used.
    """
    events = tuple(events)
    found = []
    for step in sorted({event.step for event in events}):
        values = {path: value for event in events if event.step <= step for path, value in event.values.items()}
        found.append(Edit(step, experiment.changed(values)))
    return tuple(found)


def in_force(experiment: Experiment, edits: Sequence[Edit], step: int) -> Experiment:
    """The experiment that counts at `step`."""
    return next((edit.experiment for edit in reversed(edits) if edit.step <= step), experiment)


def edit_problems(
    experiment: Experiment, values: dict[str, Any], *, epochs_begun: int = 1, stages: Collection[str] | None = None
) -> list[Problem]:
    """Why these values cannot be taken while a run goes on; empty when they can.

    `experiment` is what counts now, `epochs_begun` the epochs done and the running one, `stages` the names of the network's stages where known.
    """
    found = []
    for path in values:
        try:
            takes = field_info(path).json_schema_extra["takes"]
        except (KeyError, TypeError, AttributeError):
            found.append(error(path, "There is no such setting; `studio init` lists them all."))
            continue
        if takes == "new run":
            found.append(error(path, f"“{label_of(path)}” cannot change while a run goes on. Start a new run to change it."))
    if found:
        return found
    try:
        changed = experiment.changed(values)
    except BadInput as exc:
        return list(exc.problems)
    if changed.schedule.epochs < epochs_begun:
        words = f"{epochs_begun:,} epochs have begun" if epochs_begun > 1 else "the first epoch has begun"
        found.append(error("schedule.epochs", f"{changed.schedule.epochs:,} is too few: {words}. Give {epochs_begun:,} or more."))
    for path, names in (("model.thaw", changed.model.thaw), ("optimiser.stage_lr_factors", changed.optimiser.stage_lr_factors)):
        unknown = [name for name in names if path in values and stages is not None and name not in stages]
        if unknown:
            found.append(error(path, f"There is no stage “{unknown[0]}”. There are: {', '.join(stages)}."))
    return found


def label_of(path: str) -> str:
    """The name of a setting as the forms show it; its path where there is none."""
    try:
        return field_info(path).json_schema_extra["label"]
    except (KeyError, TypeError, AttributeError):
        return path
