"""What the user wishes of a running engine: it acts at the end of the step in which it was asked, and within half a second where it waits."""

from __future__ import annotations

import pytest
from engine_runs import STEPS_PER_EPOCH, events, fork_engine, kill, metrics, of_kind, small_run, train_here, wait_until

from studio.core import event as ev
from studio.core.outcome import Status
from studio.engine import aside, compiled_step, compiling, loader, recovery, reporter, wishes
from studio.engine.ranks import JOURNAL_AT_START

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


_CACHED = {"augment__preset": "none", "training__feature_cache": "exact", "model__train_stages": 0, "model__thaw": {"stage 4": 1}}


@pytest.mark.parametrize(
    ("passed", "settings", "saved"),
    [("evaluate", {}, [STEPS_PER_EPOCH]), ("fill_cache", _CACHED, [STEPS_PER_EPOCH, STEPS_PER_EPOCH])],
)
def test_save_now_acts_in_a_pass_that_trains_nothing_and_the_run_goes_on_from_there_to_the_same_bits(tmp_path, passed, settings, saved):
    """In the validation of the first epoch, and while features are cached for the second, in which other layers train. Nothing saves after it."""
    folder, whole = (small_run(tmp_path / name, **settings) for name in "ab")
    saving = f"""
import os, studio.engine.loop as loop
real = loop.{passed}
def asked(s, *part):
    if s.progress.step < {STEPS_PER_EPOCH}:
        return real(s, *part)
    s.folder.command("save")
    try:
        real(s, *part)
    finally:
        os._exit(9)
loop.{passed} = asked
"""
    assert fork_engine(folder, saving).wait(60) == 9
    assert [c.step for c in of_kind(folder, ev.CheckpointSaved)] == saved
    assert train_here(folder, resume=True) == 0 and train_here(whole) == 0
    assert metrics(folder)["state_sha256"] == metrics(whole)["state_sha256"]


def before_the_engine_listens(folder, *wishes: tuple) -> str:
    """They are made when the resume has been asked for and the process has not come to look yet: for seconds where it starts cold."""
    return f"""
from studio.core.run_folder import RunFolder
for wish in {wishes!r}:
    RunFolder({str(folder.path)!r}).command(*wish)
"""


def test_what_is_wished_right_after_a_resume_is_obeyed_and_what_was_wished_before_is_not(tmp_path):
    folder = small_run(tmp_path, schedule__epochs=1000)
    assert fork_engine(folder, asking("stop")).wait(60) == 3
    folder.command("stop")  # once too often
    wishes = ("edit", {"schedule.peak_lr": 5e-4}), ("save",), ("stop_after_epoch",)
    assert fork_engine(folder, before_the_engine_listens(folder, *wishes), resume=True).wait(60) == 3
    assert [(e.step, e.values) for e in of_kind(folder, ev.ExperimentEdited)] == [(ASKED_IN + 1, {"schedule.peak_lr": 5e-4})]
    assert ASKED_IN + 2 in [c.step for c in of_kind(folder, ev.CheckpointSaved)]
    assert folder.read_state().stopped.step == 2 * STEPS_PER_EPOCH

    assert fork_engine(folder, before_the_engine_listens(folder, ("release",)), resume=True).wait(60) == 3
    state = folder.read_state()
    assert state.is_released and state.stopped.step == 2 * STEPS_PER_EPOCH == state.step, "nothing was loaded yet, and all is safe"


@pytest.mark.parametrize("waits_for", ["the libraries", "an image"])
def test_a_change_that_a_stop_follows_at_once_is_answered(tmp_path, monkeypatch, waits_for):
    folder = small_run(tmp_path)

    def wish() -> None:
        folder.command("edit", {"schedule.peak_lr": 5e-4})
        folder.command("stop")

    def wished_while_no_image_comes(s, batches) -> None:
        wish()
        s.loader.on_wait(1.0)

    monkeypatch.setattr("studio.engine.loop.train_step", wished_while_no_image_comes)
    assert train_here(folder, before=lambda _: wish() if waits_for == "the libraries" else None) == 3
    told = [e for e in events(folder) if isinstance(e, (ev.WarningRaised, ev.EditsAnswered, ev.RunStopped))]
    assert [type(e) for e in told] == [ev.WarningRaised, ev.EditsAnswered, ev.RunStopped]
    assert told[0].code == "edit-refused" and told[0].sentence == "The change was not made: the run ended before it could count."


def test_an_engine_that_is_started_again_by_its_launcher_does_what_was_not_done_yet_and_nothing_twice(tmp_path, monkeypatch):
    folder = small_run(tmp_path, schedule__epochs=1000)
    dying = f"""
import os, studio.engine.loop as loop
real = loop.train_step
def step(s, batches):
    made = real(s, batches)
    if s.progress.step == 2:
        s.folder.command("edit", {{"schedule.peak_lr": 5e-4}})
        s.folder.command("edit", {{"training.batch_size": 1}})
    if s.progress.step == {ASKED_IN}:
        s.folder.command("edit", {{"schedule.peak_lr": 2e-4}})
        s.folder.command("stop_after_epoch")
        os._exit(9)
    return made
loop.train_step = step
"""
    assert fork_engine(folder, dying).wait(60) == 9
    monkeypatch.setenv(JOURNAL_AT_START, "0")  # of the launcher, which gives the same arguments every time
    assert fork_engine(folder).wait(60) == 3
    edits = [(e.step, e.values["schedule.peak_lr"]) for e in of_kind(folder, ev.ExperimentEdited)]
    assert edits == [(3, 5e-4), (STEPS_PER_EPOCH, 2e-4)], "the second where the run goes on"
    assert [w.code for w in of_kind(folder, ev.WarningRaised)].count("edit-refused") == 1
    assert folder.read_state().stopped.step == 2 * STEPS_PER_EPOCH


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
