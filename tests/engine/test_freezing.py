"""What is frozen is frozen: weights, statistics and dropout, by stage and by layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_runs import SMALL, events, metrics, of_kind, small_run, train_here
from safetensors.torch import load_file

from studio.core import event as ev
from studio.core.experiment import Experiment, Optimiser, Training
from studio.core.problem import BadInput
from studio.engine.checkpoint import find_checkpoint
from studio.engine.describe import describe_model
from studio.engine.freezing import has_statistics
from studio.engine.network import build_network

pytestmark = pytest.mark.usefixtures("measured")


def network_of(**values):
    """test_resnet has the stages stem and stage 1 to 4; norms are bn1 and stages' layerN.M.bnK."""
    settings = SMALL | {"model.train_stages": 1} | {f"model.{key}": value for key, value in values.items()}
    return build_network(Experiment().changed(settings), 3)


def trainable(network) -> set[str]:
    return {name for name, p in network.module.named_parameters() if p.requires_grad}


def following(network) -> set[str]:
    """Norms whose statistics follow the data in training."""
    network.train_mode()
    return {name for name, m in network.module.named_modules() if has_statistics(m) and m.training}


def test_the_longest_name_that_fits_decides_over_its_stage():
    layers = {"backbone.layer1": "train", "backbone.layer1.0.conv1": "frozen", "backbone.layer4.0.conv2.weight": "frozen"}
    plain, named = trainable(network_of()), trainable(network_of(layers=layers))
    assert named - plain == {n for n in named if n.startswith("backbone.layer1.") and ".conv1." not in n}
    assert plain - named == {"backbone.layer4.0.conv2.weight"}


def test_norms_of_frozen_layers_keep_their_statistics_and_those_of_training_layers_follow():
    plain = following(network_of())
    assert plain and all(name.startswith("backbone.layer4.") for name in plain)
    named = following(network_of(layers={"backbone.layer4.0.bn1": "frozen", "backbone.layer1.0.bn2": "train"}))
    assert plain ^ named == {"backbone.layer4.0.bn1", "backbone.layer1.0.bn2"}


@pytest.mark.parametrize(
    ("stage", "mode", "follows", "trains"),
    [
        ("stage 1", "keep", False, False), ("stage 1", "adapt", True, False), ("stage 1", "train", True, True),
        ("stage 4", "keep", False, True), ("stage 4", "adapt", True, False), ("stage 4", "train", True, True),
    ],
)  # fmt: skip
def test_batch_norm_does_what_its_stage_says(stage, mode, follows, trains):
    network, prefix = network_of(batch_norm={stage: mode}), f"backbone.layer{stage[-1]}."
    norms = {n for n, m in network.module.named_modules() if has_statistics(m) and n.startswith(prefix)}
    assert (norms <= following(network), not norms & following(network)) == (follows, not follows)
    weights = {f"{n}.weight" for n in norms}
    assert (weights <= trainable(network), not weights & trainable(network)) == (trains, not trains)
    others = {n for n in trainable(network) if n.startswith(prefix)} - weights - {f"{n}.bias" for n in norms}
    assert bool(others) == (stage == "stage 4")


def test_dropout_in_frozen_parts_is_off_even_where_their_statistics_adapt():
    network = network_of(source="torchvision", backbone="efficientnet_b0", batch_norm={"stage 1": "train"}, train_stages=1)
    network.train_mode()
    drops = {n: m.training for n, m in network.module.named_modules() if type(m).__name__ in ("StochasticDepth", "Dropout")}
    assert drops.pop("head.dropout") is True
    frozen = {name for stage in network.stages[:-2] for name in stage.module_names}
    for name, is_on in drops.items():
        assert is_on == (not any(name.startswith(f"{part}.") for part in frozen)), name
    assert any(drops.values()) and not all(drops.values())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"layers": {"backbone.layer9": "frozen"}}, "no layer “backbone.layer9” in this network, so it would freeze nothing. Did you mean"),
        ({"layers": {"head": "frozen"}, "train_stages": 0}, "Nothing trains"),
        ({"batch_norm": {"stage 7": "adapt"}}, "There is no stage “stage 7”"),
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused(values, words):
    with pytest.raises(BadInput, match=words):
        network_of(**values)


def test_a_stage_is_still_only_where_nothing_in_it_trains_or_adapts():
    assert network_of().is_still() == (True, True, True, True, False, False)
    assert network_of(batch_norm={"stage 2": "adapt"}).is_still()[2] is False
    assert network_of(layers={"backbone.layer2.0.conv1": "train"}).is_still()[2] is False
    assert network_of(layers={"backbone.layer4": "frozen"}).is_still() == (True,) * 5 + (False,)


FREEZING = {
    "model__train_stages": 1,
    "model__thaw": {"stage 3": 1},
    "model__layers": {"backbone.layer2.0.conv1": "train", "backbone.layer4.0.conv1": "frozen"},
    "model__batch_norm": {"stage 1": "adapt"},
    "schedule__epochs": 3,
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """One for all runs that are compared: the memory layout is measured once and kept there."""
    return str(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def run(tmp_path_factory, home):
    """A run with a thaw, single layers and adapting statistics, and what its groups were at every step."""
    from studio.engine import loop

    folder = small_run(tmp_path_factory.mktemp("whole"), **FREEZING)
    applied = []

    def train_step(setup, batches):
        step = before(setup, batches)
        applied.append({(g["stage"], g["is_decayed"]): (g["lr"], g["trains"]) for g in setup.optimiser.param_groups})
        return step

    before = loop.train_step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "train_step", train_step)
        patch.setenv("STUDIO_HOME", home)
        assert train_here(folder) == 0
    return folder, applied


def test_optimiser_groups_equal_the_plan_at_every_step(run):
    from studio.catalog.schedules import lr
    from studio.gui.pages.model.network import network_from

    folder, applied = run
    experiment = folder.experiment()
    stages = ["stem", "stage 1", "stage 2", "stage 3", "stage 4", "head"]
    partly = network_from(describe_model(experiment.model, Training(), Optimiser(), 3)).partly
    planned = lr(experiment, range(len(applied)), stages=stages, steps_per_epoch=6)
    drawn = lr(experiment, range(len(applied)), stages=stages, steps_per_epoch=6, partly=partly)
    assert partly(experiment.model) == {"stage 2"} and (planned[:, 2] == 0).all()
    assert np.array_equal(np.delete(drawn, 2, axis=1), np.delete(planned, 2, axis=1))
    assert len(applied) == 18
    for step, groups in enumerate(applied):
        for (stage, is_decayed), (rate, trains) in groups.items():
            if stages[stage] == "stage 2" and is_decayed:  # one of its layers trains
                assert trains and rate == drawn[step, stage] > 0
            else:
                assert rate == planned[step, stage] and trains == (stage == 5 or stage == 4 or (stage == 3 and step >= 6))


def test_only_what_the_plan_lets_move_has_moved(run):
    folder, _ = run
    start = build_network(folder.experiment(), 3).module.state_dict()
    end = load_file(find_checkpoint(folder, "last").path / "model.safetensors")
    moved = {name for name in start if not torch.equal(start[name], end[name])}
    adapted = {n for n in moved if n.startswith("backbone.layer1.")}
    assert adapted and all(n.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked") for n in adapted)
    assert {n for n in moved if n.startswith(("backbone.conv1", "backbone.bn1", "backbone.layer2"))} == {"backbone.layer2.0.conv1.weight"}
    assert "backbone.layer4.0.conv1.weight" not in moved and "backbone.layer4.0.conv2.weight" in moved
    assert any(n.startswith("backbone.layer3.") for n in moved)


def test_cached_features_are_those_of_what_does_not_move(run, home, tmp_path, monkeypatch):
    folder, _ = run
    monkeypatch.setenv("STUDIO_HOME", home)
    plain = small_run(tmp_path, training__feature_cache="off", **FREEZING)
    assert train_here(plain) == 0
    assert metrics(plain)["state_sha256"] == metrics(folder)["state_sha256"]
    losses = [[e.validation_loss for e in of_kind(f, ev.EpochFinished)] for f in (plain, folder)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)  # folded batch norms round otherwise


def test_a_run_that_is_stopped_after_a_thaw_goes_on_to_the_same_bits(run, home, tmp_path, monkeypatch):
    folder, _ = run
    monkeypatch.setenv("STUDIO_HOME", home)
    broken = small_run(tmp_path, **FREEZING)

    def stop_after_two(control):
        polls = control.poll

        def poll():
            polls()
            control.stop = "stop" if len(of_kind(broken, ev.EpochFinished)) >= 2 else control.stop

        control.poll = poll

    assert train_here(broken, before=stop_after_two) == 3
    assert train_here(broken, resume=True) == 0
    assert metrics(broken)["state_sha256"] == metrics(folder)["state_sha256"]
    assert [e.step for e in of_kind(broken, ev.StagesThawed)] == [6]


def test_layers_that_are_frozen_in_flight_stop_at_the_next_epoch_and_a_wish_that_stops_everything_is_refused(tmp_path):
    folder = small_run(tmp_path, model__train_stages=0, schedule__epochs=2)

    def wish(control):
        control.edits.extend(({"model.layers": {"backbone.layer4.0.conv1": "train"}}, {"model.layers": {"head": "frozen"}}))

    assert train_here(folder, before=wish) == 0
    (refusal,) = [
        e for e in of_kind(folder, ev.WarningRaised) if e.code != "no-gradient"
    ]  # of the untrained network; sampled when there is time
    assert refusal.code == "edit-refused" and "Nothing trains" in refusal.sentence
    start = build_network(folder.experiment(), 3).module.state_dict()
    end = load_file(find_checkpoint(folder, "last").path / "model.safetensors")
    assert {n for n in start if n.startswith("backbone.") and not torch.equal(start[n], end[n])} == {"backbone.layer4.0.conv1.weight"}


def test_every_epoch_proves_that_what_is_frozen_has_not_moved(run):
    checks = of_kind(run[0], ev.FrozenChecked)
    assert [e.epoch for e in checks] == [0, 1, 2] and not any(e.changed for e in checks)
    assert checks[0].num_tensors > checks[1].num_tensors == checks[2].num_tensors > 20  # a stage thawed after the first
    assert checks[1].fingerprint == checks[2].fingerprint
    assert not [e for e in of_kind(run[0], ev.WarningRaised) if e.code == "frozen-changed"]


def test_a_frozen_weight_or_statistic_that_moves_is_an_alert_with_its_name(tmp_path, monkeypatch):
    from studio.core.fold import RunState, fold
    from studio.engine import loop

    before = loop.train_step

    def tampering(setup, batches):
        step = before(setup, batches)
        if setup.progress.step == 2:
            with torch.no_grad():
                setup.network.module.backbone.layer1[0].conv1.weight[0, 0, 0, 0] += 1e-7
                setup.network.module.backbone.layer2[0].bn1.running_mean[3] += 1e-6
        return step

    monkeypatch.setattr(loop, "train_step", tampering)
    folder = small_run(tmp_path, model__train_stages=1, schedule__epochs=2)
    assert train_here(folder) == 0
    state = fold(RunState(), events(folder))
    names = ("backbone.layer1.0.conv1.weight", "backbone.layer2.0.bn1.running_mean")
    assert [set(check.changed) for check in state.frozen_checks] == [set(names), set()]
    (alert,) = [w for w in state.warnings if w.code == "frozen-changed"]
    assert all(name in alert.sentence for name in names)


def test_gradients_are_sampled_per_stage_and_a_stage_that_learns_nothing_is_named(tmp_path, monkeypatch):
    from studio.engine import flow

    monkeypatch.setattr(flow, "LEAST_S", 0.0)
    monkeypatch.setattr(flow, "SHARE", 1e6)  # every step
    folder = small_run(tmp_path, model__train_stages=1, model__head=[{"kind": "hidden"}], model__head_init="zeros", schedule__epochs=1)
    assert train_here(folder) == 0
    samples = of_kind(folder, ev.GradientsSampled)
    assert [e.step for e in samples] == [0, 3, 4, 5], "the time of a step is known after three of them"
    assert all(len(e.norms) == len(e.ratios) == 6 for e in samples)
    assert all(e.norms[:4] == (0.0,) * 4 and e.norms[4] == 0.0 < e.norms[5] for e in samples), "zeros let nothing through"
    (told,) = [w.sentence for w in of_kind(folder, ev.WarningRaised) if w.code == "no-gradient"]
    assert told.startswith("Stage 4 trains but receives almost no gradient")
    folder = small_run(tmp_path / "b", model__train_stages=1, model__head=[{"kind": "hidden"}], model__head_init="he", schedule__epochs=1)
    assert train_here(folder) == 0
    good = of_kind(folder, ev.GradientsSampled)
    assert all(e.norms[4] > 0 and e.ratios[4] > 0 for e in good if e.step > 0)
    assert not [w for w in of_kind(folder, ev.WarningRaised) if w.code == "no-gradient"]


def test_samples_take_less_than_one_per_cent_of_the_time_of_steps_whatever_lies_between_these():
    from studio.engine.flow import Flow

    sampler, now, sampled = Flow(network_of()), 0.0, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("studio.engine.flow.time.perf_counter", lambda: now)
        for step in range(400):
            if sampler.is_due(step):
                sampler._cost, sampler._sampled = 0.02, (step, now)
                sampled.append(step)
                now += 0.02
            now += 0.1 + (60.0 if step % 50 == 49 else 0.0)  # a step, and a validation now and then
    assert sampled[0] == 0 and 0.005 < 0.02 * (len(sampled) - 1) / (0.1 * sampled[-1]) < 0.0061
