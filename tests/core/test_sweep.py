"""What a sweep makes of one experiment, and a queue that several windows share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from studio.core.experiment import Experiment
from studio.core.problem import BadInput
from studio.core.queue import CHANGE, QUEUE, RunQueue
from studio.core.sweep import MOST_RUNS, parse_axis, plan_sweep


def planned(*texts: str, base: Experiment | None = None, **options) -> list[Experiment]:
    return plan_sweep(base or Experiment(name="birds"), [parse_axis(text) for text in texts], **options)


def test_a_grid_has_every_combination_with_its_values_in_the_name():
    found = planned("schedule.peak_lr=1e-4, 1e-3", "model.train_stages=0,2", num_seeds=2)
    assert len(found) == 8 and len({e.name for e in found}) == 8
    assert [(e.schedule.peak_lr, e.model.train_stages, e.training.seed) for e in found[:3]] == [(1e-4, 0, 0), (1e-4, 0, 1), (1e-4, 2, 0)]
    assert found[0].name == "birds · Peak learning rate 1e-4, Stages that train 0, Seed 0"
    assert found[0].changed({"name": "birds"}) == Experiment(name="birds").changed({"schedule.peak_lr": 1e-4, "model.train_stages": 0})


def test_words_and_whole_numbers_keep_their_kind():
    assert [e.optimiser.kind for e in planned("optimiser.kind=sgd, adamw")] == ["sgd", "adamw"]
    assert [e.schedule.epochs for e in planned("schedule.epochs=2,4")] == [2, 4]
    assert [e.schedule.peak_lr for e in planned("schedule.peak_lr=1,2")] == [1.0, 2.0]


def test_random_draws_lie_in_the_range_evenly_over_the_decades_and_are_the_same_every_time():
    found = planned("schedule.peak_lr=1e-5..1e-1", "schedule.epochs=2..9", num_random=80)
    rates = [e.schedule.peak_lr for e in found]
    assert rates == [e.schedule.peak_lr for e in planned("schedule.peak_lr=1e-5..1e-1", "schedule.epochs=2..9", num_random=80)]
    assert all(1e-5 <= r <= 1e-1 for r in rates) and {e.schedule.epochs for e in found} == set(range(2, 10))
    assert 25 < sum(r < 1e-3 for r in rates) < 55


def test_seeds_alone_are_a_sweep():
    assert [e.training.seed for e in planned(num_seeds=3)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("texts", "options", "words"),
    [
        (("schedule.speed=1,2",), {}, "no setting “schedule.speed”"),
        (("schedule.epochs",), {}, "Give the values"),
        (("schedule.peak_lr=1e-2..1e-4",), {"num_random": 3}, "from a smaller number"),
        (("schedule.peak_lr=1e-4..1e-2",), {}, "needs random draws"),
        (("schedule.peak_lr=-1,1e-3,99",), {}, "out of range"),
        (("schedule.epochs=1,2", "schedule.epochs=3"), {}, "different settings"),
        ((), {}, "nothing to sweep"),
        (("schedule.epochs=" + ",".join(map(str, range(1, 50))),), {"num_seeds": 9}, f"{MOST_RUNS} at most"),
    ],
)
def test_what_cannot_be_swept_is_said(texts, options, words):
    with pytest.raises(BadInput, match=words):
        planned(*texts, **options)


def test_no_change_of_two_windows_is_lost(tmp_path):
    add = """
import sys, time
from studio.core.queue import RunQueue
queue = RunQueue(sys.argv[1])
for i in range(20):
    queue.change(lambda names: [*names, sys.argv[2] + str(i)])
    time.sleep(0.003)
"""
    windows = [subprocess.Popen([sys.executable, "-c", add, tmp_path, who]) for who in ("a", "b")]
    assert [window.wait(60) for window in windows] == [0, 0]
    assert set(RunQueue(tmp_path).names) == {f"{who}{i}" for who in ("a", "b") for i in range(20)}


def test_a_queue_whose_lock_is_another_users_is_changed_all_the_same(open_folder, as_ordinary_user):
    (open_folder / CHANGE).touch(mode=0o600)
    open_folder.chmod(0o777)
    with as_ordinary_user:
        RunQueue(open_folder).change(lambda names: [*names, "a"])
        assert RunQueue(open_folder).names == ("a",)


def test_seeds_are_swept_over_once_and_lists_are_values_like_others():
    with pytest.raises(BadInput, match="swept over already"):
        planned("training.seed=5,6", num_seeds=2)
    assert [e.training.seed for e in planned("training.seed=5,6")] == [5, 6]
    with pytest.raises(BadInput, match="is not a whole number"):
        planned("schedule.epochs=2024-05-01,2024-06-01")
    assert [e.schedule.milestones for e in planned("schedule.milestones=[3],[3],[4]", base=Experiment())] == [(3,), (4,)]


def test_a_queue_that_cannot_be_read_now_is_not_taken_for_an_empty_one(tmp_path, monkeypatch):
    queue = RunQueue(tmp_path)
    queue.change(lambda names: ["a", "b"])
    fresh = RunQueue(tmp_path)

    def refused(*_):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as refusing:
        refusing.setattr(Path, "read_bytes", refused)
        assert fresh.names == ()
        with pytest.raises(PermissionError):
            fresh.change(lambda names: [*names, "c"])
    assert fresh.names == ("a", "b")
    with monkeypatch.context() as refusing:  # the folder itself, as a network drive does for a moment
        refusing.setattr("studio.core.queue.os.stat", refused)
        assert fresh.names == ("a", "b")


def test_a_queue_is_seen_by_every_window_and_started_by_one(tmp_path):
    first, second = RunQueue(tmp_path), RunQueue(tmp_path)
    assert first.names == ()
    first.change(lambda names: [*names, "a", "b"])
    second.change(lambda names: [*names, "c", "a"])
    assert first.names == second.names == ("a", "b", "c")
    (tmp_path / QUEUE).write_text("{")
    assert first.names == ()
    (tmp_path / QUEUE).unlink()
    assert second.names == ()

    assert first.may_start() and first.may_start()
    ask = f"from studio.core.queue import RunQueue; print(RunQueue({str(tmp_path)!r}).may_start())"
    assert subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout == "False\n"
    first.close()
    assert subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout == "True\n"
