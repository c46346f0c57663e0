"""What the user wishes while a run is under way: other settings, a checkpoint, a pause."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from studio.core import event as ev
from studio.core.edit import edit_problems, edited, in_force
from studio.core.experiment import Experiment
from studio.core.problem import BadInput, Problem
from studio.engine.saving import save
from studio.engine.setup import Setup

PAUSE_POLL_S = 0.1


def take_edits(s: Setup) -> None:
    """What the user has changed since the last step counts from the next one; so do edits of an earlier session whose step has come.

    What trains in an epoch is settled before its features are cached. A change that comes between that and the first step counts from the second
    step: a resume from anywhere in this epoch finds what was settled, too.
    """
    p, wishes, taken = s.progress, s.control.take_edits(), {}
    step = max(p.step, s.plan_epoch * s.steps_per_epoch + 1)
    counting = in_force(s.asked, s.edits, step)
    for values in wishes:
        if s.is_over:
            s.reporter.warn("edit-refused", "The change was not made: the last epoch was over.", "Start a new run to train longer.")
            continue
        problems = edit_problems(
            counting.changed(taken),
            values,
            epochs_begun=p.epoch + (step > p.epoch * s.steps_per_epoch),
            stages=[stage.name for stage in s.network.stages],
        )
        problems = problems or _freezing_problems(s, counting.changed(taken | values))
        if problems:
            s.reporter.warn("edit-refused", f"The change was not made: {problems[0]}", "Everything goes on as before.")
        else:
            taken |= values
    if taken:
        apply_edit(s, taken, step)
    if wishes:
        s.reporter.tell(ev.EditsAnswered(num_bytes=s.control.num_read))
    s.experiment = in_force(s.asked, s.edits, p.step)


def apply_edit(s: Setup, values: dict[str, Any], step: int) -> None:
    """Settings that count from the next step on, or from a later one, told before they do."""
    s.edit_events += (s.reporter.tell(ev.ExperimentEdited(step=step, values=values)),)
    s.edits = edited(s.asked, s.edit_events)
    s.rates.after_edit(s.edits)
    s.experiment = in_force(s.asked, s.edits, s.progress.step)


def _freezing_problems(s: Setup, changed: Experiment) -> Sequence[Problem]:
    """Why what trains cannot be changed like this."""
    if changed.model == s.experiment.model:
        return ()
    try:
        s.network.plan_for(s.progress.epoch, changed.model)
    except BadInput as exc:
        return exc.problems
    return ()


def listen(s: Setup, is_last: bool = True) -> None:
    """Do what the user wants between two parts of a pass that trains nothing. Raises StopAsked. Not `is_last`: the weights of the best epoch are in
    place, which must not be saved as those of the last step."""
    s.reporter.system(s.device)
    s.control.poll()
    take_edits(s)
    s.control.obey_stop()
    if is_last and (s.control.is_paused or s.control.is_save_wanted):
        save(s)
    if s.control.is_paused:
        pause(s)


def pause(s: Setup) -> None:
    """Wait until the user goes on. Raises StopAsked when the run is to end instead."""
    s.reporter.tell(ev.PauseChanged(is_paused=True, step=max(0, s.reporter.saved_step)))  # what is safe, not how far it is
    while s.control.is_paused:
        s.control.poll()
        take_edits(s)
        s.control.obey_stop()
        s.reporter.system(s.device)
        time.sleep(PAUSE_POLL_S)
    s.reporter.tell(ev.PauseChanged(is_paused=False, step=s.progress.step))
