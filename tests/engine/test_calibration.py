"""How threads wait and how many there are is measured on every computer; a run keeps what it began with."""

from __future__ import annotations

import os
import threading

import pytest
import torch

from studio.core.experiment import Experiment
from studio.engine import calibration
from studio.engine.calibration import WAITING, Threads, calibrate, judge, kept, machine, set_waiting
from studio.engine.main import set_up_torch
from studio.engine.verdict import remember


@pytest.fixture
def no_variables():
    before = dict(os.environ)
    for name in {name for variables in WAITING.values() for name in variables} | {"OMP_NUM_THREADS"}:
        os.environ.pop(name, None)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def own_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
    torch.use_deterministic_algorithms(False)


def test_another_way_is_taken_only_where_it_is_clearly_faster():
    first, other, third = Threads(2, "sleep"), Threads(2, "spin briefly"), Threads(4, "sleep")
    assert judge({first: [1.0, 1.1], other: [0.95, 1.05], third: [1.5, 1.5]}) == first
    assert judge({first: [1.0, 1.0], other: [0.8, 0.8], third: [0.7, 0.7]}) == third
    assert judge({first: [2.0, 1.0], other: [0.8, 1.1], third: [2.5, 2.5]}) == first, "one busy moment is none of its own"


def test_what_was_measured_stands_in_the_environment_unless_the_user_says_otherwise(no_variables):
    set_waiting()
    assert os.environ["OMP_WAIT_POLICY"] == "passive", "threads sleep where nothing was measured"
    del os.environ["OMP_WAIT_POLICY"], os.environ["KMP_BLOCKTIME"]
    remember(calibration.VERDICTS, machine(), {"count": 1, "waiting": "spin briefly"})
    set_waiting()
    assert "OMP_WAIT_POLICY" not in os.environ and int(os.environ["GOMP_SPINCOUNT"]) > 0
    os.environ["GOMP_SPINCOUNT"] = "7"
    set_waiting()
    assert os.environ["GOMP_SPINCOUNT"] == "7"


@pytest.mark.parametrize(
    "found", [None, 3, {}, {"count": 0, "waiting": "sleep"}, {"count": 1, "waiting": "sing"}, {"count": 10**6, "waiting": "sleep"}]
)
def test_a_verdict_that_does_not_fit_this_computer_is_none(found):
    remember(calibration.VERDICTS, machine(), found)
    assert kept() is None


def test_a_run_computes_with_the_threads_that_were_fastest_and_goes_on_with_those_it_began_with(no_variables, own_threads):
    most = calibration.num_cores()
    remember(calibration.VERDICTS, machine(), {"count": 1, "waiting": "sleep"})
    set_up_torch(torch, Experiment())
    assert torch.get_num_threads() == 1
    set_up_torch(torch, Experiment(), most)
    assert torch.get_num_threads() == most
    set_up_torch(torch, Experiment(), 10 * most)
    assert torch.get_num_threads() == 1, "this computer has not so many"


def test_a_trial_measures_every_number_of_threads_in_a_process_of_its_own(monkeypatch):
    monkeypatch.setattr(calibration, "PATIENCE_S", 600)
    times = calibration._trial("sleep")
    assert list(times) == calibration.counts() and all(seconds > 0 for seconds in times.values())


def test_a_cancelled_calibration_ends_its_trial_and_keeps_nothing(monkeypatch):
    monkeypatch.setattr(calibration, "is_busy", lambda: False)
    monkeypatch.setattr(calibration, "is_quiet", lambda: True)
    asked = threading.Event()

    def is_cancelled() -> bool:  # once the first trial is under way
        before = asked.is_set()
        asked.set()
        return before

    assert calibrate(is_cancelled) is None and kept() is None
