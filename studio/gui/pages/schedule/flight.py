"""The draft as a change of the run that goes on: what that run has done, then what the draft would make of the rest. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from studio.catalog.schedules import Partly, lr, momentum, no_stage, stage_factors
from studio.core.edit import Edit
from studio.core.experiment import Experiment, differences, field_info
from studio.gui.pages.schedule.curve import Curves
from studio.gui.run_entry import RunEntry

_SECTIONS = ("model", "schedule", "optimiser")


@dataclass(frozen=True)
class Flight:
    """A run that is under way, and that could take the draft's curve."""

    name: str
    step: int  # done
    asked: Experiment  # as it began
    edits: tuple[Edit, ...]  # taken since, in the order of steps

    @property
    def edit_steps(self) -> tuple[int, ...]:
        return tuple(edit.step for edit in self.edits if edit.step <= self.step)

    def is_as_drawn(self, draft: Experiment) -> bool:
        """Whether the draft's own curve is what this run has done and will do."""
        return not self.edits and all(getattr(draft, section) == getattr(self.asked, section) for section in _SECTIONS)

    def with_draft(self, draft: Experiment) -> tuple[Edit, ...]:
        """The changes as they would be if the run took the draft now."""
        return (*(edit for edit in self.edits if edit.step < self.step), Edit(self.step, draft))


def flight_of(entry: RunEntry | None, draft: Experiment, steps_per_epoch: int) -> Flight | None:
    """The run of an entry, where the draft differs from it only in what can change in flight and its steps are as long; else None."""
    described = entry.state.description if entry else None
    if described is None or described.steps_per_epoch != steps_per_epoch or described.batch_size != draft.training.batch_size:
        return None
    for path in differences(entry.in_force, draft):
        if path.partition(".")[0] in _SECTIONS and field_info(path).json_schema_extra["takes"] == "new run":
            return None
    return Flight(entry.name, entry.state.step, entry.experiment, entry.edits)


def in_flight(
    curves: Curves, flight: Flight, draft: Experiment, steps_per_epoch: int, stages: Sequence[str], partly: Partly = no_stage
) -> Curves:
    """The draft's curves with the steps that are done as they were, and every change in flight where it counts."""
    last = int(curves.steps[-1])
    changes = np.array([step for step in (*flight.edit_steps, flight.step) if 0 < step <= last], np.int64)
    steps = np.union1d(curves.steps, np.concatenate([changes, changes - 1]))
    edits = flight.with_draft(draft)
    rates = lr(flight.asked, steps, stages=stages, steps_per_epoch=steps_per_epoch, edits=edits, partly=partly)
    thaws = dict(zip(curves.stages, curves.thaws, strict=True))
    used = [i for i, name in enumerate(stages) if name in thaws or (rates[:, i] > 0).any()]  # also those that the draft freezes for good
    factors = stage_factors(draft.optimiser, stages)
    is_frozen = (rates == 0) & (rates[:, -1:] > 0)
    return replace(
        curves,
        steps=steps,
        rates=np.where(is_frozen, np.nan, rates)[:, used],
        stages=tuple(stages[i] for i in used),
        factors=tuple(factors[i] for i in used),
        thaws=tuple(thaws.get(stages[i], 0) for i in used),
        momentum=momentum(flight.asked, steps, steps_per_epoch=steps_per_epoch, edits=edits),
        jumps=tuple(sorted({*curves.jumps, *changes.tolist()})),
    )
