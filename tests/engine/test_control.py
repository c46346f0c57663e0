"""What the user wishes of a running engine: it acts at the end of the step in which it was asked, and within half a second where it waits."""

from __future__ import annotations

import pytest
from engine_runs import STEPS_PER_EPOCH, fork_engine, kill, of_kind, small_run, wait_until

from studio.core import event as ev
from studio.core.outcome import Status
from studio.engine import aside, compiled_step, compiling, loader, recovery, reporter, wishes

pytestmark = pytest.mark.usefixtures("measured")

ASKED_IN = 8  # the second of an epoch of six steps, counted from zero


def asking(command: str, values: str = "{}") -> str:
    """The command is written while a step is computed."""
    return f"""
import studio.engine.loop as loop
real = loop.train_step
def asked(s, batches):
    made = real(s, batches)
    if s.progress.step == {ASKED_IN}:
        s.folder.command({command!r}, {values})
    return made
loop.train_step = asked
"""


@pytest.mark.parametrize(
    ("command", "is_last", "at", "saved_at"),
    [
        ("save", False, None, ASKED_IN + 1),
        ("pause", False, ASKED_IN + 1, ASKED_IN + 1),
        ("release", True, ASKED_IN + 1, ASKED_IN + 1),
        ("stop", True, ASKED_IN + 1, ASKED_IN + 1),
        ("stop_after_epoch", True, 2 * STEPS_PER_EPOCH, 2 * STEPS_PER_EPOCH),
        ("discard", True, ASKED_IN + 1, None),
    ],
)
def test_a_command_given_in_a_step_acts_when_that_step_ends(tmp_path, command, is_last, at, saved_at):
    folder = small_run(tmp_path, schedule__epochs=1000)
    process = fork_engine(folder, asking(command))
    if is_last:
        assert process.wait(120) == 3
        assert folder.read_state().stopped.step == at
    elif command == "pause":
        wait_until(lambda: folder.read_state().status is Status.PAUSED)
        assert of_kind(folder, ev.PauseChanged)[-1].step == at
        folder.command("resume")
        wait_until(lambda: folder.read_state().step > at)
        kill(process)
    else:
        wait_until(lambda: folder.read_state().step > 2 * STEPS_PER_EPOCH)
        kill(process)
    saved = [c.step for c in of_kind(folder, ev.CheckpointSaved)]
    assert (saved_at in saved) if saved_at else folder.read_state().stopped.checkpoint == "" and ASKED_IN + 1 not in saved
    told = [e for e in of_kind(folder, ev.StepsReported) if e.first_step <= ASKED_IN < e.first_step + len(e.losses)]
    assert told, "the step in which it was asked is whole, and told"


def test_a_run_that_waits_listens_at_least_twice_a_second():
    ticks = {
        "paused": wishes.PAUSE_POLL_S,
        "the images are gone": recovery.POLL_S,
        "the disk is full": reporter.POLL_S,
        "a loader process hangs": loader.WAIT_TICK_S,
        "a drive hangs": aside.TICK_S,
        "a step is compiled": compiled_step.TICK_S,
        "a pass is compiled": compiling.TICK_S,
    }
    assert {name: seconds for name, seconds in ticks.items() if not 0 < seconds <= 0.5} == {}
