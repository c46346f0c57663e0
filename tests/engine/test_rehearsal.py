"""A step is rehearsed while a warm engine waits: what is made for it is there for the run, and of the run nothing has changed."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest
import torch
from engine_runs import SMALL

from studio.core.experiment import Experiment
from studio.engine import rehearsal
from studio.engine.checkpoint import state_sha256
from studio.engine.memory import StepMemory, step_memory
from studio.engine.network import Network, build_network
from studio.engine.precision import PLAIN, VERDICTS, trial_key
from studio.engine.rehearsal import is_worth_it, rehearsal_key, rehearse
from studio.engine.standby import Prebuilt, _prepare
from studio.engine.verdict import remembered

IMAGES = 7  # a number that no other test makes kernels for


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """No pass takes too long, however busy the computer is."""
    monkeypatch.setattr(rehearsal, "MOST_S", 600)


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return Experiment().changed(SMALL | {"optimiser.clip_norm": 1.0})


@pytest.fixture(scope="module")
def network(experiment) -> Network:
    return build_network(experiment, 3)


@pytest.fixture(scope="module")
def need(network, experiment) -> StepMemory:
    return step_memory(network, "fp32", experiment)


def num_made(capfd, run) -> int:
    """How many of oneDNN's kernels are made meanwhile."""
    capfd.readouterr()
    with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON_CREATION):
        run()
    return capfd.readouterr().out.count("create:cache_miss")


def test_the_run_changes_in_nothing_and_its_first_step_makes_no_kernels(network, experiment, need, capfd):
    sha256, random = state_sha256(network.module.state_dict()), torch.random.get_rng_state()
    assert num_made(capfd, lambda: rehearse(network, experiment, PLAIN, need, IMAGES, lambda: False)) > 0
    assert state_sha256(network.module.state_dict()) == sha256 and torch.equal(torch.random.get_rng_state(), random)
    assert all(weight.grad is None for weight in network.module.parameters())
    assert not any(part._forward_pre_hooks or "forward" in part.__dict__ for part in network.module.modules())

    trial = build_network(experiment, 3)
    trial.train_mode()
    images = torch.rand(IMAGES, 3, *[experiment.model.input_size] * 2)
    assert num_made(capfd, lambda: trial.module(images).square().mean().backward()) == 0


@pytest.mark.parametrize("at", [0.5, 1.0], ids=["between two layers", "before the way back"])
def test_it_is_broken_off_when_there_is_something_else_to_do_and_leaves_nothing_behind(network, experiment, need, at):
    looks = []
    assert rehearse(network, experiment, PLAIN, need, IMAGES, lambda: bool(looks.append(0)))
    num_looks = int(at * len(looks))
    looks.clear()
    assert not rehearse(network, experiment, PLAIN, need, IMAGES, lambda: looks.append(0) or len(looks) >= num_looks)
    assert len(looks) == num_looks
    tensors = [thing for thing in gc.get_objects() if type(thing) is torch.Tensor]
    assert not [t.shape for t in tensors if t.ndim == 4 and len(t) == IMAGES]


def test_a_step_that_takes_too_long_is_given_up(network, experiment, need, monkeypatch):
    monkeypatch.setattr(rehearsal, "MOST_S", -1)
    assert not rehearse(network, experiment, PLAIN, need, 2, lambda: False)


@pytest.mark.parametrize("is_lean", [True, False])
def test_the_copy_keeps_less_where_the_run_does(network, experiment, need, monkeypatch, is_lean):
    changed, real = [], rehearsal.keep_less
    monkeypatch.setattr(rehearsal, "keep_less", lambda module: changed.append(real(module)))
    assert rehearse(network, experiment, PLAIN, replace(need, is_lean=is_lean), 2, lambda: False)
    assert [count > 5 for count in changed] == [True] * is_lean


def test_it_is_left_out_where_the_run_reads_features_or_memory_is_short(network, experiment, need):
    assert is_worth_it(network, experiment, need, 8) and not is_worth_it(network, experiment, need, 1 << 40)
    frozen = experiment.changed({"model.train_stages": 1})
    front = build_network(frozen, 3)
    assert is_worth_it(front, frozen, need, 8), "varied pictures go through the whole network"
    assert not is_worth_it(front, frozen.changed({"augment.preset": "none"}), need, 8)


def prepared(experiment: Experiment, before: Prebuilt | None = None) -> Prebuilt:
    return _prepare({"prepare": {"experiment": experiment.model_dump(mode="json"), "num_classes": 3}}, before, lambda: False)


def test_it_is_taken_again_only_where_the_step_is_another(experiment, studio_home, monkeypatch):
    taken, real = [], rehearse
    monkeypatch.setattr(rehearsal, "rehearse", lambda *arguments: taken.append(arguments[4]) or real(*arguments))
    first = prepared(experiment)
    assert first.rehearsed == rehearsal_key(experiment, 8)
    again = prepared(experiment.changed({"augment.preset": "strong", "schedule.epochs": 9}), first)
    prepared(experiment.changed({"training.batch_size": 6}), again)
    assert taken == [8, 6]


def test_a_step_that_fails_leaves_the_engine_waiting(experiment, studio_home, capfd):
    """Batch norm cannot train on one image of one pixel: the run will say so."""
    made = prepared(experiment.changed({"training.batch_size": 1, "model.input_size": 32}))
    assert made is not None and made.network is not None
    assert not made.rehearsed and "standby: ValueError" in capfd.readouterr().err


def test_what_is_measured_while_it_waits_is_what_the_run_will_ask(experiment, studio_home):
    """The network stays when other stages train; which of them do decides what is fastest."""
    auto = experiment.changed({"training.precision": "auto"})
    frozen = auto.changed({"model.train_stages": 1})
    made = prepared(frozen, prepared(auto))
    network = build_network(frozen, 3)
    assert made.network.plan == network.plan
    assert remembered(VERDICTS, trial_key(network, frozen, torch.device("cpu"))) is not None
    assert {id(w) for w in made.network.trainable()} < {id(w) for w in made.network.module.parameters()}


def test_weights_laid_out_for_another_format_are_as_they_were_built_when_the_run_wants_that(experiment):
    """Also where a length of one leaves the order open."""
    used, fresh = build_network(experiment, 3).module, build_network(experiment, 3).module
    replace(PLAIN, channels_last=True).lay_out(used)
    PLAIN.place(used, torch.device("cpu"))
    assert [w.stride() for w in used.parameters()] == [w.stride() for w in fresh.parameters()]
    assert any(1 in w.shape[2:] for w in fresh.parameters() if w.ndim == 4)
