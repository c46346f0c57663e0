"""Every setting of the schedule is applied as it is drawn: shapes, thaw, accumulation, averages, edits in flight, resumes."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from engine_runs import STEPS_PER_EPOCH, metrics, of_kind, small_run, train_here

from studio.catalog import schedules
from studio.core import event as ev
from studio.core.edit import edited
from studio.core.journal import JournalReader
from studio.core.place import cache_dir
from studio.core.run_folder import RunFolder
from studio.engine.checkpoint import AVERAGE, MODEL, OPTIMISER, find_checkpoint
from studio.engine.network import load_trained

pytestmark = pytest.mark.usefixtures("measured")


def stages_of(folder: RunFolder) -> list[str]:
    return [stage.name for stage in folder.read_state().description.stages]


def drawn(folder: RunFolder) -> np.ndarray:
    """float64[steps, stages], from nothing but what every reader of the folder knows."""
    state, experiment = folder.read_state(), folder.experiment()
    return schedules.lr(
        experiment,
        np.arange(state.num_steps),
        stages=stages_of(folder),
        steps_per_epoch=state.description.steps_per_epoch,
        validation_losses=[epoch.validation_loss for epoch in state.epochs],
        edits=edited(experiment, state.edits),
    )


@pytest.fixture
def applied(monkeypatch):
    """What stood in the optimiser when it was asked to step: {(run folder, step): (lr per stage, decay of weights, momentum)}."""
    from studio.engine import update

    seen, real = {}, update._average_weights

    def after_update(s):
        groups = s.optimiser.param_groups
        rates = dict.fromkeys([group["stage"] for group in groups], 0.0)
        for group in groups:
            rates[group["stage"]] = max(rates[group["stage"]], group["lr"])  # of a frozen stage in which single layers train, theirs
        assert all(group["weight_decay"] == 0 for group in groups if not group["is_decayed"])
        decay = next(group["weight_decay"] for group in groups if group["is_decayed"])
        momentum = groups[0]["betas"][0] if "betas" in groups[0] else groups[0]["momentum"]
        seen[s.folder, s.progress.step] = ([rates[i] for i in sorted(rates)], decay, momentum)
        return real(s)

    monkeypatch.setattr(update, "_average_weights", after_update)
    return seen


def rates_applied(applied: dict, folder: RunFolder) -> np.ndarray:
    mine = {step: rates for (run, step), (rates, _, _) in applied.items() if run == folder}
    return np.array([mine[step] for step in range(len(mine))])


def edit_at(monkeypatch, folder: RunFolder, edits: dict[int, dict]) -> None:
    """Write edits while the step runs: they count from the next one."""
    from studio.engine import loop

    real = loop.train_step

    def step(s, batches):
        if s.folder == folder and (values := edits.pop(s.progress.step + 1, None)):
            folder.command("edit", values)
        return real(s, batches)

    monkeypatch.setattr(loop, "train_step", step)


def stop_before(monkeypatch, folder: RunFolder, step: int) -> None:
    from studio.engine import loop

    real, asked = loop.train_step, []

    def stopping(s, batches):
        if s.folder == folder and s.progress.step == step - 1 and not asked:
            asked.append(step)
            folder.command("stop")
        return real(s, batches)

    monkeypatch.setattr(loop, "train_step", stopping)


@pytest.mark.parametrize("shape", [shape.key for shape in schedules.SHAPES])
def test_the_rates_applied_are_those_drawn_with_thaw_accumulation_edits_and_a_resume(tmp_path, monkeypatch, applied, shape):
    folder = small_run(
        tmp_path,
        schedule__shape=shape,
        schedule__epochs=4,
        schedule__patience_epochs=0,
        schedule__cycle_epochs=1.0,
        schedule__step_epochs=1.0,
        schedule__milestones=[1.0, 2.0],
        model__train_stages=1,
        model__thaw={"stem": 2},
        training__accumulation=2,
        training__batch_size=4,
        optimiser__weight_decay_course="cosine",
        optimiser__weight_decay_final=3.0,
    )
    edits = {5: {"schedule.epochs": 3}, 8: {"schedule.peak_lr": 5e-4, "optimiser.stage_lr_factor": 0.7}, 9: {"model.thaw": {}}}
    edit_at(monkeypatch, folder, edits)
    stop_before(monkeypatch, folder, 7)
    assert train_here(folder) == 3
    assert train_here(folder, resume=True) == 0
    state = folder.read_state()
    assert [e.step for e in state.edits] == [5, 8, 9] and state.step == state.num_steps == 3 * STEPS_PER_EPOCH
    plan = drawn(folder)
    assert np.array_equal(rates_applied(applied, folder), plan), "each stage, each step, to the last bit"
    assert [rate for e in of_kind(folder, ev.StepsReported) for rate in e.lrs] == plan[:, -1].tolist()
    assert (plan[:, 0] == 0).all(), "the edit has taken the thaw back before it came"
    decays = schedules.weight_decay(
        folder.experiment(),
        np.arange(len(plan)),
        steps_per_epoch=STEPS_PER_EPOCH,
        validation_losses=[e.validation_loss for e in state.epochs],
        edits=edited(folder.experiment(), state.edits),
    )
    assert [applied[folder, step][1] for step in range(len(plan))] == decays.tolist()


def test_the_plot_shows_the_rates_of_single_layers_that_were_told_to_train_and_to_stay_while_the_run_went_on(
    tmp_path, monkeypatch, applied
):
    from studio.engine.describe import describe_model
    from studio.gui.pages.model.network import network_from
    from studio.gui.pages.schedule.curve import Length, make_curves
    from studio.gui.pages.schedule.flight import Flight, in_flight

    first = {"model__train_stages": 0, "model__layers": {"backbone.layer1.0.conv1": "train"}}
    folder = small_run(tmp_path, schedule__epochs=4, schedule__shape="cosine", **first)
    middle, last = STEPS_PER_EPOCH + 2, 2 * STEPS_PER_EPOCH  # within an epoch, and between two
    edits = {middle: {"model.layers": {}, "model.batch_norm": {"stage 2": "train"}}, last: {"model.layers": {"backbone.layer3": "train"}}}
    edit_at(monkeypatch, folder, dict(edits))
    assert train_here(folder) == 0
    state, asked = folder.read_state(), folder.experiment()
    assert [edit.step for edit in state.edits] == [middle, last]
    versions = edited(asked, state.edits)
    draft = versions[-1].experiment
    network = network_from(describe_model(draft.model, draft.training, draft.optimiser, 3))  # of the draft alone, as the window knows it
    curves = make_curves(draft, Length(4, STEPS_PER_EPOCH), network.stage_names, network.partly)
    flight = Flight(folder.name, state.step, asked, versions)
    curves = in_flight(curves, flight, draft, STEPS_PER_EPOCH, network.stage_names, network.partly)
    assert curves.stages == ("stage 1", "stage 2", "stage 3", "head") and state.step == 4 * STEPS_PER_EPOCH
    done = curves.steps[curves.steps < state.step]
    shown = np.nan_to_num(curves.rates[: len(done)])
    assert np.array_equal(shown, rates_applied(applied, folder)[done][:, [1, 2, 3, 5]])
    ends = [STEPS_PER_EPOCH * epoch for epoch in (2, 4, 4)]
    assert [done[column > 0][[0, -1]].tolist() for column in shown.T[:3]] == [[0, ends[0] - 1], [ends[0], ends[1] - 1], [last, ends[2] - 1]]


def test_the_momentum_of_one_cycle_is_applied_as_drawn(tmp_path, applied):
    folder = small_run(tmp_path, optimiser__kind="sgd", schedule__shape="one_cycle")
    assert train_here(folder) == 0
    expected = schedules.momentum(folder.experiment(), np.arange(2 * STEPS_PER_EPOCH), steps_per_epoch=STEPS_PER_EPOCH)
    assert [applied[folder, step][2] for step in range(2 * STEPS_PER_EPOCH)] == expected.tolist()


def test_a_row_costs_the_same_however_long_the_run_is(monkeypatch):
    """No more steps are computed, and no more memory is taken for them: a number for each step of the long run would be 80 MB."""
    import tracemalloc

    from studio.core.experiment import Experiment
    from studio.engine.rates import BLOCK, Rates

    asked, real = [], schedules.lr
    monkeypatch.setattr(schedules, "lr", lambda experiment, steps, **more: asked.append(len(steps)) or real(experiment, steps, **more))

    def cost(epochs: int) -> tuple[list[int], int]:
        """(how many steps were computed at a time, bytes at most)"""
        rates = Rates(Experiment().changed({"schedule.epochs": epochs}), [f"stage {i}" for i in range(12)], 1_000)
        asked.clear()
        tracemalloc.start()
        for step in range(epochs * 500, epochs * 500 + 10_000):
            rates.stage_rates(step)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return list(asked), peak

    cost(20)  # what is imported and kept at the first time
    (short, few), (long, many) = cost(20), cost(10_000)
    assert short == long == [BLOCK] * 5
    assert many < 2 * few


# accumulation


@pytest.mark.parametrize(("small", "times"), [(7, 2), (4, 3)])
def test_accumulated_batches_update_as_one_large_batch(tmp_path, small, times):
    """On a network without batch norm; 42 images in threes of four leave an incomplete group and an incomplete batch at the end."""
    common = {
        "model__backbone": "test_convnext",
        "model__dropout": 0.0,
        "optimiser__kind": "sgd",
        "optimiser__clip_norm": 0.5,
        "schedule__epochs": 2,
        "schedule__peak_lr": 0.1,
    }
    whole = small_run(tmp_path / "a", training__batch_size=small * times, **common)
    parts = small_run(tmp_path / "b", training__batch_size=small, training__accumulation=times, **common)
    assert train_here(whole) == train_here(parts) == 0
    assert parts.read_state().step == whole.read_state().step
    start, one, many = _initial_weights(whole), load_trained(whole, "last").module, load_trained(parts, "last").module
    for name, tensor in one.state_dict().items():
        torch.testing.assert_close(many.state_dict()[name], tensor, rtol=1e-3, atol=1e-5, msg=name)
    assert max(float((start[n] - t).abs().max()) for n, t in one.state_dict().items()) > 1e-3, "the weights have moved a hundred times that"
    for a, b in zip(whole.read_state().epochs, parts.read_state().epochs, strict=True):
        assert a.train_loss == pytest.approx(b.train_loss, rel=1e-4)


def _initial_weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    from studio.engine.network import build_network

    return build_network(folder.experiment(), 3).module.state_dict()


def test_steps_count_groups_of_batches_and_every_image_is_seen_once():
    from studio.engine.plan import images_of_step, steps_per_epoch, training_requests

    for num, batch, times in [(42, 4, 3), (41, 4, 5), (9, 4, 2), (10, 10, 1), (33, 1, 4)]:
        requests = list(training_requests(0, 1, num, batch, accumulation=times))
        steps = steps_per_epoch(num, batch, times)
        groups = [requests[i : i + times] for i in range(0, len(requests), times)]
        assert len(groups) == steps
        assert [sum(len(r.indices) for r in g) for g in groups] == [images_of_step(num, batch, times, i) for i in range(steps)]
        for first in range(steps):
            assert list(training_requests(0, 1, num, batch, first, times)) == requests[first * times :]


def test_more_accumulated_images_than_there_are_is_refused_with_a_number_that_fits(tmp_path):
    folder = small_run(tmp_path, training__accumulation=8)
    assert train_here(folder) == 1
    assert "64 images a step, more than the 42" in folder.read_state().failed.sentence
    assert "Try 5." in folder.read_state().failed.sentence


# exact resumes

_LIVELY = {
    "schedule__epochs": 4,
    "schedule__shape": "cosine",
    "model__train_stages": 1,
    "augment__preset": "light",
    "training__batch_size": 4,
    "training__accumulation": 2,
}


@pytest.mark.parametrize(
    "settings",
    [
        {"model__thaw": {"stem": 2}, "optimiser__kind": "lamb"},
        {"model__thaw": {"stem": 1}, "optimiser__ema_decay": 0.95},
        {"optimiser__kind": "rmsprop", "schedule__shape": "one_cycle", "optimiser__momentum": 0.05},
        {"optimiser__kind": "lion", "optimiser__weight_decay_course": "linear", "optimiser__weight_decay_final": 0.0},
    ],
    ids=["lamb, thaw", "average, thaw", "rmsprop", "lion, decay"],
)
def test_a_run_stopped_twice_resumes_to_the_same_bits(tmp_path, monkeypatch, settings):
    whole, parts = (small_run(tmp_path / name, **_LIVELY | settings) for name in "ab")
    assert train_here(whole) == 0
    for step in (5, 13):
        stop_before(monkeypatch, parts, step)
        assert train_here(parts, resume=step > 5) == 3 and parts.read_state().stopped.step == step
    assert train_here(parts, resume=True) == 0
    assert metrics(parts)["state_sha256"] == metrics(whole)["state_sha256"]
    figures = [[(e.train_loss, e.validation_loss, e.validation_top1) for e in f.read_state().epochs] for f in (whole, parts)]
    assert figures[0] == figures[1]


def test_edits_come_true_again_at_their_steps_after_a_resume_from_before_them(tmp_path, monkeypatch):
    import shutil

    from studio.engine import checkpoint

    monkeypatch.setattr(checkpoint, "NUM_KEPT", 9)
    edits = {9: {"schedule.peak_lr": 3e-3}, 14: {"optimiser.beta1": 0.8, "training.label_smoothing": 0.0, "schedule.epochs": 3}}
    whole, killed = (small_run(tmp_path / name, schedule__epochs=4, schedule__shape="cosine") for name in "ab")
    for folder in (whole, killed):
        edit_at(monkeypatch, folder, dict(edits))
    assert train_here(whole) == 0
    stop_before(monkeypatch, killed, 16)
    assert train_here(killed) == 3
    for path in killed.checkpoints_path.iterdir():  # as if the engine had been killed long after its last checkpoint
        if path.name != f"step-{STEPS_PER_EPOCH:08d}":
            shutil.rmtree(path)
    assert train_here(killed, resume=True) == 0
    assert of_kind(killed, ev.RunStarted)[-1].resumed_step == STEPS_PER_EPOCH
    assert len(of_kind(killed, ev.ExperimentEdited)) == 2, "told once"
    assert metrics(killed)["state_sha256"] == metrics(whole)["state_sha256"]
    assert killed.read_state().num_steps == killed.read_state().step == 3 * STEPS_PER_EPOCH
    assert killed.read_state().lr.y.tolist() == drawn(killed)[:, -1].tolist()


# thaw


def test_a_stage_thaws_at_its_epoch_and_is_untouched_before(tmp_path, monkeypatch):
    from studio.engine import loop

    folder = small_run(tmp_path, schedule__epochs=3, model__train_stages=0, model__thaw={"stem": 2}, optimiser__weight_decay=0.5)
    real, stem = loop.validate_epoch, []

    def after_epoch(s):
        names = s.network.stages[0].parameter_names
        state = s.network.module.state_dict()
        means = [
            t.clone() for n, t in state.items() if "running_mean" in n and any(n.startswith(m) for m in s.network.stages[0].module_names)
        ]
        remembered = sum(dict(s.network.module.named_parameters())[n] in s.optimiser.state for n in names)
        stem.append(([state[n].clone() for n in names], means, remembered))
        real(s)

    monkeypatch.setattr(loop, "validate_epoch", after_epoch)
    assert train_here(folder) == 0
    (first, means_1, memory_1), (second, means_2, memory_2), (third, means_3, memory_3) = stem
    assert all(map(torch.equal, first, second)) and all(map(torch.equal, means_1, means_2))
    assert not any(map(torch.equal, second, third)) and means_3 and not any(map(torch.equal, means_2, means_3))
    assert memory_1 == memory_2 == 0 and memory_3 == len(first)

    state = folder.read_state()
    [told] = of_kind(folder, ev.StagesThawed)
    assert (told.step, told.epoch, told.stages) == (2 * STEPS_PER_EPOCH, 2, ("stem",))
    assert [s.thaw_epoch for s in state.description.stages] == [2, *[None] * (len(state.description.stages) - 2), 0]
    assert not state.description.stages[0].is_frozen and state.description.num_trainable == told.num_trainable
    assert [n.sentence for n in state.notices if n.kind == "thaw"] == ["At epoch 2: stem thawed"]


def test_a_resume_after_a_thaw_tells_it_once(tmp_path, monkeypatch):
    folder = small_run(tmp_path, schedule__epochs=3, model__train_stages=0, model__thaw={"stem": 1})
    stop_before(monkeypatch, folder, STEPS_PER_EPOCH + 2)
    assert train_here(folder) == 3
    assert train_here(folder, resume=True) == 0
    assert len(of_kind(folder, ev.StagesThawed)) == 1
    assert [d.stages[0].is_frozen for d in of_kind(folder, ev.RunDescribed)] == [True, False]


# average


def test_the_running_mean_is_validated_kept_and_loaded(tmp_path, monkeypatch):
    from safetensors.torch import load_file

    from studio.engine import update

    folder = small_run(tmp_path, optimiser__ema_decay=0.9, model__train_stages=1)
    real, weights = update._average_weights, []

    def average(s):
        if not weights:
            weights.append(None)
        real(s)
        weights.append(s.network.module.head.linear.weight.detach().clone())

    monkeypatch.setattr(update, "_average_weights", average)
    assert train_here(folder) == 0
    checkpoint = find_checkpoint(folder)
    assert json.loads((checkpoint.path / "manifest.json").read_bytes())["files"].keys() >= {MODEL, OPTIMISER, AVERAGE}
    mean = load_file(checkpoint.path / AVERAGE)
    from studio.engine.network import build_network

    expected = weights[1].clone()  # the mean starts from the weights after the first step
    for n, weight in enumerate(weights[2:], start=1):
        expected = torch.lerp(expected, weight, 1 - min(0.9, (1 + n) / (10 + n)))
    torch.testing.assert_close(mean["head.linear.weight"], expected)
    model = load_file(checkpoint.path / MODEL)
    assert not torch.equal(model["head.linear.weight"], mean["head.linear.weight"])
    assert all(torch.equal(mean[n], model[n]) for n in model if "running" in n)
    frozen = {n for n in model if n.startswith("backbone") and torch.equal(mean[n], model[n]) and "weight" in n}
    start = build_network(folder.experiment(), 3).module.state_dict()
    assert frozen and all(torch.equal(mean[n], start[n]) for n in frozen), "what is frozen stays what it is, to the bit"
    loaded = load_trained(folder, "last").module.state_dict()
    assert all(torch.equal(loaded[n], mean[n]) for n in mean)
    best = folder.read_state().best
    scored = json.loads((folder.results_path / "validation.json").read_bytes())
    assert scored["top1"] == best.validation_top1


def test_the_average_can_be_switched_on_and_off_in_flight(tmp_path, monkeypatch):
    folder = small_run(tmp_path, schedule__epochs=3)
    edit_at(monkeypatch, folder, {4: {"optimiser.ema_decay": 0.9}, 2 * STEPS_PER_EPOCH + 2: {"optimiser.ema_decay": 0.0}})
    assert train_here(folder) == 0
    has_mean = {path.name: (path / AVERAGE).exists() for path in folder.checkpoints_path.iterdir()}
    assert has_mean[f"step-{2 * STEPS_PER_EPOCH:08d}"] and not has_mean[f"step-{3 * STEPS_PER_EPOCH:08d}"]


# edits in flight


def test_the_plateau_follows_the_losses_of_the_run_over_a_resume_as_drawn_and_as_torch_would(tmp_path, monkeypatch, applied):
    from studio.engine import loop

    losses, real = (1.0, 0.9, 0.95, 0.96, 0.5, 0.6), loop.evaluate

    def with_losses(s, part):
        scores, answers = real(s, part)
        return dataclasses.replace(scores, loss=losses[s.progress.epoch]), answers

    monkeypatch.setattr(loop, "evaluate", with_losses)
    folder = small_run(
        tmp_path,
        schedule__shape="plateau",
        schedule__epochs=len(losses),
        schedule__patience_epochs=1,
        schedule__step_factor=0.3,
        schedule__warmup_fraction=0.0,
        schedule__cooldown_fraction=0.0,
        optimiser__stage_lr_factor=0.5,
        model__train_stages=1,
        model__thaw={"stem": 2},
    )
    stop_before(monkeypatch, folder, 4 * STEPS_PER_EPOCH + 2)
    assert train_here(folder) == 3
    assert train_here(folder, resume=True) == 0

    plan = drawn(folder)
    assert np.array_equal(rates_applied(applied, folder), plan)
    assert [rate for e in of_kind(folder, ev.StepsReported) for rate in e.lrs] == plan[:, -1].tolist()

    schedule = folder.experiment().schedule
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=schedule.peak_lr)
    torchs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.3, patience=1, min_lr=schedule.final_factor * schedule.peak_lr)
    expected = []
    for loss in losses:
        expected += [optimiser.param_groups[0]["lr"]] * STEPS_PER_EPOCH
        optimiser.step()
        torchs.step(loss)
    assert len(set(expected)) == 2, "one drop, before the fifth epoch"
    np.testing.assert_allclose(plan[:, -1], expected, rtol=1e-12)


def test_epochs_changed_in_flight_lengthen_the_run_and_what_is_told_of_it(tmp_path, monkeypatch):
    folder = small_run(tmp_path, schedule__epochs=1)
    edit_at(monkeypatch, folder, {STEPS_PER_EPOCH: {"schedule.epochs": 3}})
    assert train_here(folder) == 0
    state = folder.read_state()
    assert state.finished.epochs == 3 and state.description.epochs == 3 and state.num_steps == state.step == 3 * STEPS_PER_EPOCH
    [notice] = [n for n in state.notices if n.kind == "edit"]
    assert notice.sentence == f"Changed from step {STEPS_PER_EPOCH + 1} on: Epochs 3"


def test_layers_changed_while_features_are_cached_train_from_the_next_epoch_on_also_over_a_resume(tmp_path, monkeypatch):
    """Where the run is stopped in the epoch that is cached for, or while it is cached, and resumed, the bits are those of one that was not."""
    from studio.engine import loop

    fill_cache = loop.fill_cache

    def asked(s):
        if s.progress.step == STEPS_PER_EPOCH and not s.edits:
            folder.command("edit", {"model.thaw": {"stage 4": 1, "stage 3": 1}})
            folder.command("edit", {"schedule.epochs": 1})
            if folder.path.is_relative_to(tmp_path / "at once"):
                folder.command("stop")
        fill_cache(s)

    monkeypatch.setattr(loop, "fill_cache", asked)
    settings = {"augment__preset": "none", "training__feature_cache": "exact", "model__train_stages": 0, "model__thaw": {"stage 4": 1}}
    ends = set()
    for name in ("not stopped", "later", "at once"):
        folder = small_run(tmp_path / name, schedule__epochs=3, **settings)
        shutil.rmtree(cache_dir() / "features", ignore_errors=True)  # where they are found nothing is computed, and nobody listens
        if name == "later":
            stop_before(monkeypatch, folder, STEPS_PER_EPOCH + 3)
        if name != "not stopped":
            assert train_here(folder) == 3
        assert train_here(folder, resume=name != "not stopped") == 0
        [told] = of_kind(folder, ev.ExperimentEdited)
        assert told.values.keys() == {"model.thaw"} and told.step == STEPS_PER_EPOCH + 1
        [refused] = [w.sentence for w in of_kind(folder, ev.WarningRaised) if w.code == "edit-refused"]
        assert "2 epochs have begun" in refused
        thawed = {e.step: e.stages for e in of_kind(folder, ev.StagesThawed)}
        assert thawed == {STEPS_PER_EPOCH: ("stage 4",), 2 * STEPS_PER_EPOCH: ("stage 3",)}
        ends.add(metrics(folder)["state_sha256"])
    assert len(ends) == 1


def test_edits_that_cannot_be_are_refused_in_a_sentence_each_and_change_nothing(tmp_path, monkeypatch):
    asked = [
        ({"training.batch_size": 4}, "“Batch size” cannot change while a run goes on"),
        ({"schedule.peak_lr": -1.0}, "must be at least 1e-8"),
        ({"schedule.epochs": 1}, "1 is too few: 2 epochs have begun. Give 2 or more"),
        ({"schedule.nonsense": 1}, "no such setting"),
        ({"model.thaw": {"attic": 1}}, "There is no stage “attic”"),
        ({"schedule.peak_lr": 1e-4, "training.seed": 1}, "“Seed” cannot change"),
        ({"optimiser": {"lr": 1}}, "no such setting"),
    ]
    whole, folder = (small_run(tmp_path / name, schedule__epochs=3) for name in "ab")
    assert train_here(whole) == 0
    edit_at(monkeypatch, folder, {STEPS_PER_EPOCH + 2 + number: values for number, (values, _) in enumerate(asked)})
    assert train_here(folder) == 0
    refusals = [w.sentence for w in of_kind(folder, ev.WarningRaised) if w.code == "edit-refused"]
    assert len(refusals) == len(asked) and not folder.read_state().edits
    for sentence, (_, words) in zip(refusals, asked, strict=True):
        assert words in sentence
    assert metrics(folder)["state_sha256"] == metrics(whole)["state_sha256"]


def test_several_wishes_merge_into_one_change_and_a_bad_one_among_them_is_left_out(tmp_path, monkeypatch):
    from studio.engine import loop

    folder = small_run(tmp_path)
    real = loop.train_step

    def step(s, batches):
        if s.progress.step == 2:
            folder.command("edit", {"schedule.peak_lr": 1e-4, "optimiser.clip_norm": 0.1})
            folder.command("edit", {"training.batch_size": 1})
            folder.command("edit", {"schedule.peak_lr": 2e-4})
        return real(s, batches)

    monkeypatch.setattr(loop, "train_step", step)
    assert train_here(folder) == 0
    [told] = of_kind(folder, ev.ExperimentEdited)
    assert (told.step, told.values) == (3, {"schedule.peak_lr": 2e-4, "optimiser.clip_norm": 0.1})
    before = [e for e in JournalReader(folder.journal_path).read() if e.seq < told.seq and isinstance(e, ev.StepsReported)]
    assert sum(len(e.losses) for e in before) == 3, "the journal tells of the steps before it first"
