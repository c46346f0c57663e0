"""The journal never loses a line or shows half of one; one fold reads live, finished and resumed runs alike."""

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.core import event as ev
from studio.core import fold as fold_module
from studio.core.curve import Curve, smoothed
from studio.core.experiment import Experiment
from studio.core.fold import RunState, fold
from studio.core.journal import JournalReader, JournalWriter
from studio.core.outcome import Status, describe_exit_code
from studio.core.problem import BadInput
from studio.core.rng import epoch_order, sample_seed
from studio.core.run_folder import Command, create_run, find_run, find_runs, read_commands, settled
from studio.core.step_columns import StepsPassed


def steps(first, losses):
    n = len(losses)
    return ev.StepsReported(first_step=first, losses=tuple(losses), top1s=(0.5,) * n, lrs=(1e-3,) * n, images_per_s=10.0)


def epoch(number, step, top1=0.5, is_best=True):
    return ev.EpochFinished(
        epoch=number, step=step, train_loss=1.0, train_top1=0.5, validation_loss=1.0, validation_top1=top1, validation_top5=1.0, macro_f1=0.5,
        class_recalls=(0.5, None), is_best=is_best, seconds=1.0,
    )  # fmt: skip


DESCRIBED = ev.RunDescribed(
    device="cpu", device_name="CPU", precision="fp32", channels_last=True, classes=("a", "b"), num_train=8, num_validation=2, num_test=0, batch_size=2,
    epochs=2, steps_per_epoch=4, num_parameters=10, num_trainable=4,
    stages=(ev.StageDescribed(name="stem", num_parameters=6, is_frozen=True), ev.StageDescribed(name="head", num_parameters=4, is_frozen=False)),
)  # fmt: skip


def test_every_event_survives_its_line():
    for event in (DESCRIBED, steps(3, [1.0, 2.0]), epoch(0, 4), ev.RunStarted(wall_time=1.0, pid=2, session=0)):
        assert ev.decode(ev.encode(event)) == event


def test_lines_from_a_newer_version_are_skipped_not_fatal():
    assert ev.decode(b'{"event":"TeaMade","cups":2}') is None
    assert ev.decode(b'{"event":"PauseChanged","is_paused":true,"step":3,"mood":"calm"}') == ev.PauseChanged(is_paused=True, step=3)
    for junk in (b"", b"{", b"[]", b"3", b'{"event":["x"]}', b'{"event":"PauseChanged"}', b"\xff"):
        assert ev.decode(junk) is None


def test_a_loss_that_is_not_a_number_is_still_valid_json():
    line = ev.encode(steps(0, [float("nan"), 1.0]))
    json.loads(line, parse_constant=lambda c: pytest.fail(f"{c} is not JSON"))
    assert np.isnan(fold(RunState(), [ev.decode(line)]).train_loss.y[0])


def test_a_name_that_is_no_text_loses_no_event():
    """A byte that is not UTF-8 comes from the operating system as a surrogate, which no reader of JSON accepts."""
    for step in (3, float("nan")):
        told = ev.decode(
            ev.encode(ev.RunFailed(step=step, sentence="caf\udce9 \N{HOT BEVERAGE}\N{TEACUP WITHOUT HANDLE}", trace="at \ud800"))
        )
        assert told.sentence == "caf\\uDCE9 \N{HOT BEVERAGE}\N{TEACUP WITHOUT HANDLE}" and told.trace == "at \\uD800"
    edited = ev.ExperimentEdited(step=1, values={"data.relabelled": {"a\udcff": "b"}})
    assert ev.decode(ev.encode(edited)).values == {"data.relabelled": {"a\\uDCFF": "b"}}


def test_only_whole_lines_are_read_and_a_torn_one_never_swallows_the_next(tmp_path):
    path = tmp_path / "journal.jsonl"
    writer = JournalWriter(path)
    writer.append(steps(0, [1.0]))
    writer.close()
    with path.open("ab") as f:
        f.write(b'{"event":"StepsRep')
    reader = JournalReader(path)
    assert len(reader.read()) == 1 and reader.read() == []
    writer = JournalWriter(path)
    writer.append(steps(1, [2.0]))
    [event] = reader.read()
    assert event.first_step == 1 and event.seq == 1


def test_time_goes_on_over_a_resume(tmp_path):
    path = tmp_path / "j"
    first = JournalWriter(path)
    first.append(ev.RunStarted(wall_time=0.0, pid=1, session=0))
    last = first.append(steps(0, [1.0]))
    first.close()
    second = JournalWriter(path)
    assert second.num_sessions == 1
    assert second.append(steps(1, [1.0])).t >= last.t


def test_a_missing_journal_reads_as_empty(tmp_path):
    assert JournalReader(tmp_path / "none").read() == []


STEP, EPOCH, T = st.integers(0, 40), st.integers(0, 6), st.floats(0, 100)
ANY_EVENT = st.one_of(
    st.builds(lambda first, losses, t: replace(steps(first, losses), t=t), STEP, st.lists(st.floats(0, 9), min_size=1, max_size=9), T),
    st.builds(lambda number, step, top1, is_best: epoch(number, step, top1, is_best), EPOCH, STEP, st.sampled_from((None, 0.5, 0.75)), st.booleans()),
    st.builds(StepsPassed, STEP, STEP, T, st.just(7.0), st.just(0.1)),
    st.builds(ev.RunStarted, wall_time=T, pid=EPOCH, session=EPOCH, resumed_step=st.none() | STEP, t=T),
    st.builds(ev.PhaseStarted, phase=st.sampled_from(("loading torch", "training", "saving")), t=T),
    st.builds(ev.CheckpointSaved, step=STEP, path=st.sampled_from("abcd"), num_bytes=EPOCH, is_best=st.booleans(), seconds=T),
    st.builds(ev.SystemReported, process_bytes=STEP, peak_bytes=STEP, t=T),
    st.builds(ev.SamplesReported, step=STEP, image=st.just("x"), tile_px=EPOCH, ids=st.just(()), labels=st.just(()), predictions=st.just(()), losses=st.just(())),
    st.builds(ev.WarningRaised, code=st.sampled_from(("disk-full", "other")), sentence=st.just("Full."), t=T),
    st.builds(ev.ExperimentEdited, step=STEP, values=st.sampled_from(({"schedule.epochs": 9}, {"schedule.peak_lr": 1e-3}))),
    st.builds(ev.StagesThawed, step=STEP, epoch=EPOCH, stages=st.sampled_from(((), ("stem",))), frozen=st.sampled_from(((), ("stem",))), num_trainable=STEP),
    st.builds(ev.FrozenChecked, step=STEP, epoch=EPOCH, num_tensors=EPOCH, fingerprint=st.just("f")),
    st.builds(ev.GradientsSampled, step=STEP, norms=st.just((1.0,)), ratios=st.just((0.1,))),
    st.builds(ev.PauseChanged, is_paused=st.booleans(), step=STEP, reason=st.sampled_from(("", "disk full"))),
    st.builds(ev.RunStopped, step=STEP, is_pause=st.booleans()),
    st.builds(ev.RunFailed, step=STEP, sentence=st.just("Gone.")),
    st.builds(ev.StepCompiled, step=STEP, is_used=st.booleans(), gain=st.none(), seconds=T, sentence=st.just("Compiled.")),
    st.builds(ev.TestScored, num_images=STEP, top1=st.just(0.5), top5=st.just(0.5), macro_f1=st.just(0.5), loss=T),
    st.builds(ev.RunFinished, step=STEP, epochs=EPOCH, best_epoch=EPOCH, top1=st.none(), top5=st.none(), loss=st.none(), macro_f1=st.none(), images_per_s=T, seconds=T),
    st.just(DESCRIBED),
)  # fmt: skip


def values_of(state):
    fields = vars(state).items()
    return {name: (v.x.tolist(), v.y.tolist()) if isinstance(v, Curve) else v for name, v in fields}


@given(st.lists(ANY_EVENT, max_size=60))
def test_the_fold_does_not_depend_on_how_the_events_are_batched(events):
    """A whole journal in one go is what its events make one by one; and no state changes with what comes after it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, most in (("phases", 3), ("system_history", 4), ("load_history", 4), ("notices", 5)):  # so few that they are reached
            patch.setitem(fold_module._KEPT, name, most)
        patch.setattr(fold_module, "MAX_SAMPLES", 6)
        patch.setattr(fold_module, "MAX_CHECKPOINTS", 2)
        states = [RunState()]
        for event in events:
            states.append(fold(states[-1], [event]))
        before = [values_of(state) for state in states]
        assert values_of(fold(RunState(), events)) == before[-1]
        middle = len(events) // 2
        assert values_of(fold(states[middle], events[middle:])) == before[-1]
    assert [values_of(state) for state in states] == before


def test_top5_of_few_classes_is_not_told_of_runs_that_wrote_it_down_either():
    done = ev.RunFinished(step=4, epochs=1, best_epoch=0, top1=0.5, top5=1.0, loss=1.0, macro_f1=0.5, images_per_s=1.0, seconds=1.0)
    happened = [epoch(0, 4), ev.TestScored(num_images=4, top1=0.5, top5=1.0, macro_f1=0.5, loss=1.0), done]
    few = fold(RunState(), [DESCRIBED, *happened])
    assert (few.best.validation_top5, len(few.validation_top5), few.test.top5, few.finished.top5) == (None, 0, None, None)
    many = fold(RunState(), [replace(DESCRIBED, classes=tuple("abcdef")), *happened])
    assert (many.best.validation_top5, many.validation_top5.y.tolist(), many.test.top5, many.finished.top5) == (1.0, [1.0], 1.0, 1.0)


def test_a_resume_takes_back_what_will_be_repeated():
    state = fold(RunState(), [DESCRIBED, steps(0, [1.0] * 6), epoch(0, 4)])
    before = state
    state = fold(state, [ev.RunStarted(wall_time=0.0, pid=2, session=1, resumed_step=5), steps(5, [2.0])])
    assert state.train_loss.y.tolist() == [1.0] * 5 + [2.0]
    assert len(state.epochs) == 1 and state.step == 6
    assert before.train_loss.y.tolist() == [1.0] * 6  # the old state stays as it was


def test_status_follows_the_events():
    state = fold(RunState(), [ev.RunStarted(wall_time=0.0, pid=1, session=0), DESCRIBED, ev.PhaseStarted(phase="training")])
    assert state.status is Status.RUNNING
    assert fold(state, [ev.PauseChanged(is_paused=True, step=3)]).status is Status.PAUSED
    assert settled(state, is_alive=False).status is Status.CRASHED
    assert fold(state, [ev.RunStopped(step=3)]).status is Status.STOPPED
    failed = fold(state, [ev.RunFailed(step=3, sentence="The loss is not finite.")])
    assert failed.status is Status.FAILED and settled(failed, is_alive=False).status is Status.FAILED


def test_exit_codes_are_said_in_words():
    assert "SIGKILL" in describe_exit_code(-9) and "memory" in describe_exit_code(-9)
    assert describe_exit_code(3) == "ended with exit code 3"


def test_runs_are_found_by_name_nickname_path_and_last(tmp_path):
    a, b = create_run(tmp_path, Experiment()), create_run(tmp_path, Experiment(name="b"))
    assert {r.name for r in find_runs(tmp_path)} == {a.name, b.name}
    assert find_run(tmp_path, a.nickname) == a or a.nickname == b.nickname
    assert find_run(tmp_path, str(b.path)) == b
    assert b.experiment().name == "b" and b.read_state().status is Status.QUEUED
    with pytest.raises(BadInput, match="no run"):
        find_run(tmp_path, "nobody")


def test_a_run_folder_that_cannot_be_made_is_said(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(BadInput, match="cannot be made"):
        create_run(blocked / "runs", Experiment())


def test_a_disk_that_fills_while_a_run_folder_is_made_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("studio.core.run_folder.write_atomically", full)
    with pytest.raises(BadInput, match="No space left"):
        create_run(tmp_path / "runs", Experiment(), b"{}")
    assert list((tmp_path / "runs").iterdir()) == []


def test_commands_are_read_once_and_junk_is_skipped(tmp_path):
    run = create_run(tmp_path, Experiment())
    run.command("pause")
    with run.commands_path.open("a") as f:
        f.write("junk\n")
    run.command("stop")
    run.command("edit", {"schedule.epochs": 12})
    commands, offset = read_commands(run.commands_path, 0)
    assert commands == [Command("pause"), Command("stop"), Command("edit", {"schedule.epochs": 12})]
    assert read_commands(run.commands_path, offset) == ([], offset)


def test_a_command_that_a_full_disk_cuts_short_is_an_error_and_does_not_swallow_the_next(tmp_path, monkeypatch):
    run, write = create_run(tmp_path, Experiment()), os.write
    monkeypatch.setattr("studio.core.run_folder.os.write", lambda fd, data: write(fd, data[:9]))
    with pytest.raises(OSError) as caught:
        run.command("pause")
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    run.command("stop")
    run.command("save")
    assert read_commands(run.commands_path, 0)[0] == [Command("stop"), Command("save")]


def test_a_run_that_ends_while_it_is_read_is_not_taken_for_crashed(tmp_path, monkeypatch):
    run = create_run(tmp_path, Experiment())
    writer = JournalWriter(run.journal_path)
    writer.append(ev.RunStarted(wall_time=1.0, pid=2, session=0))

    def ends_now(_run) -> bool:
        if not ended:
            ended.append(writer.append(ev.RunStopped(step=3)))
        return False

    ended = []
    monkeypatch.setattr(type(run), "is_alive", ends_now)
    assert run.read_state().status is Status.STOPPED
    writer.append(ev.RunStarted(wall_time=2.0, pid=3, session=1))
    assert run.read_state().status is Status.CRASHED


def test_draws_depend_on_their_counters_alone():
    assert sorted(epoch_order(3, 2, 50)) == list(range(50))
    np.testing.assert_array_equal(epoch_order(3, 2, 50), epoch_order(3, 2, 50))
    assert not np.array_equal(epoch_order(3, 2, 50), epoch_order(3, 3, 50))
    assert len({sample_seed(0, e, i) for e in range(20) for i in range(50)}) == 1000


def test_a_curve_can_be_extended_twice_from_the_same_point():
    base = Curve().extended(range(3), [1, 2, 3])
    a, b = base.extended(3, 4), base.extended(3, 5)
    assert a.y.tolist() == [1, 2, 3, 4] and b.y.tolist() == [1, 2, 3, 5] and base.y.tolist() == [1, 2, 3]
    with pytest.raises(ValueError):
        a.y[0] = 9


def test_smoothing_starts_at_the_first_value():
    y = smoothed(np.array([2.0, 2.0, 2.0]), 0.9)
    np.testing.assert_allclose(y, 2.0)


def test_the_journal_says_when_the_disk_is_full(tmp_path):
    code = (
        "import resource, sys\n"
        "from studio.core.journal import JournalWriter, JournalReader\n"
        "from studio.core.event import PhaseStarted\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "w = JournalWriter(sys.argv[1]); w.append(PhaseStarted(phase='a'))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))\n"
        "try:\n    w.append(PhaseStarted(phase='b' * 200)); sys.exit('no error')\n"
        "except OSError: pass\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "w.append(PhaseStarted(phase='c'))\n"
        "print([e.phase for e in JournalReader(sys.argv[1]).read()], [e.seq for e in JournalReader(sys.argv[1]).read()])\n"
    )
    if os.name == "nt":
        pytest.skip("needs resource limits")
    out = subprocess.run([sys.executable, "-c", code, str(tmp_path / "j")], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "['a', 'c'] [0, 1]"


def test_a_run_of_days_keeps_the_extremes_and_gaps_of_its_curves_in_bounded_memory(monkeypatch):
    from studio.core import fold as fold_module

    monkeypatch.setattr(fold_module, "MAX_POINTS", 4096)
    values = np.sin(np.arange(20_000) / 50)
    values[7_777], values[1_234], values[15_000] = 9.0, -9.0, np.nan
    state = RunState()
    for first in range(0, 20_000, 10):
        losses = tuple(None if np.isnan(v) else float(v) for v in values[first : first + 10])
        state = fold(state, [ev.StepsReported(first_step=first, losses=losses, top1s=(0.5,) * 10, lrs=(1e-3,) * 10, t=float(first))])
    curve = state.train_loss
    assert len(curve) <= 4096 and state.step == 20_000
    assert curve.x[-1] == 19_999 and (np.diff(curve.x) > 0).all()
    assert np.nanmax(curve.y) == 9.0 and np.nanmin(curve.y) == -9.0 and np.isnan(curve.y).any()
    assert all(values[int(x)] == y for x, y in zip(curve.x, curve.y, strict=True) if np.isfinite(y)), "points are kept, not made up"
