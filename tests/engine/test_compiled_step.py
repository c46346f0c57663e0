"""Steps compiled by torch: the same weights under the same names, whatever trains, and a sentence where nothing is won."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

import pytest
import torch
from engine_runs import free_port, metrics, of_kind, small_run, train_here
from safetensors.torch import load_file

from studio.core import event as ev
from studio.core.fold import RunState, fold
from studio.core.run_folder import RunFolder
from studio.engine import compiled_step, step_trial
from studio.engine.checkpoint import MODEL, find_checkpoint
from studio.engine.compiled_step import why_not
from studio.engine.main import FINISHED, STOPPED

THAW = {
    "model__thaw": {"stem": -1, "stage 1": -1, "stage 2": -1, "stage 3": 1},
    "optimiser__ema_decay": 0.9,
    "training__accumulation": 2,
}
CACHED = {"model__train_stages": 1, "augment__preset": "none", "training__checkpointing": "on", "schedule__epochs": 1}


@pytest.fixture(scope="module")
def home(tmp_path_factory, measured_cache):
    """One for all runs that are compared: the memory layout is measured once and kept there."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(measured_cache, home / "cache")
    return str(home)


@pytest.fixture(autouse=True)
def at_home(studio_home, home, monkeypatch):
    monkeypatch.setenv("STUDIO_HOME", home)


@pytest.fixture(scope="module", autouse=True)
def any_gain():
    """torch's tracing and its own backward pass without making kernels, taken however fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled_step, "BACKEND", "aot_eager")
        patch.setattr(compiled_step, "LEAST_GAIN", 0.01)
        yield


def pair(folder, home, settings, backend="aot_eager") -> tuple[RunFolder, RunFolder]:
    """The same run as it is and compiled."""
    runs = [small_run(folder / asked, training__compile=asked, **settings) for asked in ("off", "on")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", home)
        patch.setattr(compiled_step, "BACKEND", backend)
        assert [train_here(run) for run in runs] == [FINISHED, FINISHED]
    return tuple(runs)


@pytest.fixture(scope="module")
def thawed(tmp_path_factory, home):
    """A run whose stages thaw, with a running mean and accumulation."""
    return pair(tmp_path_factory.mktemp("thawed"), home, THAW, "eager")


@pytest.fixture(scope="module")
def cached(tmp_path_factory, home):
    """A run that trains from features and recomputes."""
    return pair(tmp_path_factory.mktemp("cached"), home, CACHED)


def told(folder) -> list[ev.StepCompiled]:
    return of_kind(folder, ev.StepCompiled)


@pytest.mark.parametrize(("case", "num_compiled"), [("thawed", 2), ("cached", 1)])
def test_a_compiled_run_ends_at_the_weights_of_the_plain_one(request, case, num_compiled):
    plain, compiled = request.getfixturevalue(case)
    assert [e.is_used for e in told(compiled)] == [True] * num_compiled and not told(plain)
    files = [find_checkpoint(folder) for folder in (plain, compiled)]
    for paths in ([checkpoint.path / MODEL for checkpoint in files], [checkpoint.weights_path for checkpoint in files]):
        some, others = map(load_file, paths)
        assert some.keys() == others.keys()
        for name, value in some.items():
            torch.testing.assert_close(others[name], value, rtol=1e-4, atol=1e-5, msg=name)
    assert not any(check.changed for check in of_kind(compiled, ev.FrozenChecked))


def test_a_compiled_run_that_was_left_in_mid_epoch_ends_at_the_same_bits(cached, tmp_path, monkeypatch):
    from studio.engine import loop

    whole, broken = cached[1], small_run(tmp_path, training__compile="on", **CACHED)

    def stop_after_the_first(setup, batches):
        setup.control.stop = "stop"
        return train_step(setup, batches)

    train_step = loop.train_step
    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_step", stop_after_the_first)
        assert train_here(broken) == STOPPED
    monkeypatch.setattr(compiled_step, "gain_of", lambda *_: 1.0)  # what was decided is not measured again
    assert train_here(broken, resume=True) == FINISHED
    first, again = told(broken)
    assert (first.step, again.step) == (0, 1) and first.gain and again.gain is None and again.is_used
    assert metrics(broken)["state_sha256"] == metrics(whole)["state_sha256"]


def refusing(_graph, _inputs):
    raise ValueError("no such instruction")


def too_large(*_):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.mark.parametrize(
    ("asked", "change", "words"),
    [
        ("auto", {}, None),  # on a processor it does not even try
        ("on", {"LEAST_GAIN": 1e9}, "times as fast"),
        ("on", {"MOST_APART": -1.0}, "something else"),
        ("on", {"BACKEND": refusing}, "no such instruction"),
        ("on", {"one_pass": too_large}, "out of memory"),
    ],
)
def test_a_step_that_gains_nothing_or_cannot_be_compiled_goes_on_as_it_is_and_says_so(cached, tmp_path, monkeypatch, asked, change, words):
    for constant, value in change.items():
        monkeypatch.setattr(step_trial if constant == "MOST_APART" else compiled_step, constant, value)
    folder = small_run(tmp_path, training__compile=asked, **CACHED)
    assert train_here(folder) == FINISHED
    assert [(e.is_used, words in e.sentence) for e in told(folder)] == ([] if words is None else [(False, True)])
    assert metrics(folder)["state_sha256"] == metrics(cached[0])["state_sha256"]


def test_stop_works_while_the_compiler_is_at_work(tmp_path, monkeypatch):
    folder = small_run(tmp_path, training__compile="on")

    def endless(_graph, _inputs):
        folder.command("stop")
        end = time.monotonic() + 60
        while time.monotonic() < end:
            time.sleep(0.01)
        raise AssertionError("nobody listened")

    monkeypatch.setattr(compiled_step, "BACKEND", endless)
    assert train_here(folder) == STOPPED
    assert not told(folder) and of_kind(folder, ev.RunStopped)[0].step == 0


def test_where_one_process_cannot_compile_none_waits_for_it(tmp_path):
    program = """
import os
from types import SimpleNamespace
import torch.distributed as dist
from studio.engine.compiled_step import _Failed, _on_all
from studio.engine.ranks import Ranks

ranks = Ranks.from_environment().join("cpu")
setup = SimpleNamespace(ranks=ranks)
assert _on_all(setup, lambda: ranks.rank) == ranks.rank
try:
    _on_all(setup, lambda: 1 // ranks.rank)
except _Failed as failure:
    print(failure, flush=True)
dist.destroy_process_group()
os._exit(0)  # how torch's threads end with the process is not looked at here
"""
    environment = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    both = [
        subprocess.Popen([sys.executable, "-c", program], env=environment | {"RANK": rank}, stdout=subprocess.PIPE, text=True)
        for rank in "01"
    ]
    answers = [process.communicate(timeout=240)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0] and answers[0] == answers[1]
    assert "division by zero" in answers[0] or "modulo by zero" in answers[0]


def test_the_gain_stands_among_the_events_of_the_run():
    words = "Compiled: a step runs 1.12 times as fast, after 40 s."
    state = fold(RunState(), [ev.StepCompiled(step=0, is_used=True, gain=1.12, seconds=40.0, sentence=words)])
    assert [notice.sentence for notice in state.notices] == [words]


def test_auto_compiles_where_the_time_is_won_back(monkeypatch):
    monkeypatch.setattr(compiled_step, "LEAST_GAIN", 1.05)
    assert why_not(10_000, 0.1, None) == ""
    assert "won back" in why_not(1_000, 0.1, None)
    assert why_not(1_000, 0.1, {"gain": 2.0, "seconds": 40.0}) == ""
    assert "1.01 times" in why_not(1_000_000, 1.0, {"gain": 1.01, "seconds": 40.0})
