"""A range test learns on a copy: nothing of a run, of a prebuilt network or of the process's randomness is another one after it."""

from __future__ import annotations

import hashlib
import io
import json
import random
import warnings

import numpy as np
import pytest
import torch
from builders import build_dataset
from engine_runs import NUM_TRAIN, SMALL, STEPS_PER_EPOCH, of_kind, small_run, train_here

from studio.core import event as ev
from studio.core.experiment import Experiment
from studio.core.problem import BadInput
from studio.core.rate_test import NUM_STEPS
from studio.core.rng import epoch_order
from studio.core.run_folder import create_run
from studio.dataset.dataset import Dataset
from studio.engine.rate_test import LEAST_STEPS, find_rate, planned_steps

pytestmark = pytest.mark.usefixtures("measured")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    return build_dataset(tmp_path_factory.mktemp("images"), ("boot", "dress", "hat"), NUM_TRAIN // 3, 4, size_px=80)


def small(dataset: Dataset, **values) -> Experiment:
    return Experiment().changed(SMALL | {"data.source": dataset.root} | {key.replace("__", "."): value for key, value in values.items()})


def fingerprint(*parts) -> str:
    """SHA-256 over everything that can be pickled by torch: weights, buffers, optimiser state, random states, arrays."""
    buffer = io.BytesIO()
    torch.save(parts, buffer)
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def randomness() -> str:
    name, keys, *rest = np.random.get_state()
    return fingerprint(torch.get_rng_state(), keys, rest, random.getstate())


def digest_of(module: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def test_the_loss_falls_and_the_rates_are_the_planned_ones(dataset):
    seen = []
    test = find_rate(small(dataset), dataset, points=lambda first, rates, losses: seen.append((first, *rates, *losses)))
    assert len(test.losses) >= 20 and test.num_steps == LEAST_STEPS
    assert [s[1] for s in seen] == list(test.rates) and [s[2] for s in seen] == list(test.losses)
    assert [s[0] for s in seen] == list(range(len(seen)))
    assert test.rates[0] == pytest.approx(1e-7) and np.diff(np.log10(test.rates)) == pytest.approx(8 / (LEAST_STEPS - 1))
    assert min(test.losses) < 0.7 * test.losses[0], "one colour a class is learnt quickly"
    assert test.suggestions and test.changed_since(small(dataset)) == ()
    assert test.batch_size == 8 and test.device == "cpu" and test.passes == pytest.approx(len(test.losses) * 7 / NUM_TRAIN, rel=0.15)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"augment.preset": "strong", "optimiser.kind": "sgd", "optimiser.clip_norm": 0.1},
        {"model.train_stages": 1, "optimiser.stage_lr_factor": 0.3, "optimiser.weight_decay": 0.5, "model.dropout": 0.5},
        {"training.batch_size": 4, "training.accumulation": 2, "model.dropout": 0.5},
        {"optimiser.kind": "lion", "optimiser.beta1": 0.8, "optimiser.beta2": 0.95},
        {"optimiser.kind": "rmsprop", "optimiser.momentum": 0.5, "optimiser.epsilon": 1e-3},
    ],
    ids=["defaults", "augmentation, optimiser and clipping", "freezing, depth, decay and dropout", "accumulation", "lion", "rmsprop"],
)
def test_its_steps_are_those_of_a_run(tmp_path, values):
    """At one and the same rate, every loss of the test is that of the run's step."""
    rate = 2e-3
    constant = {"schedule.shape": "constant", "schedule.peak_lr": rate, "schedule.warmup_fraction": 0.0, "schedule.epochs": 3}
    folder = small_run(tmp_path, training__label_smoothing=0.0)
    folder = create_run(tmp_path / "others", folder.experiment().changed(constant | values), folder.dataset_path.read_bytes())
    assert train_here(folder) == 0
    of_run = [loss for e in of_kind(folder, ev.StepsReported) for loss in e.losses]
    test = find_rate(
        folder.experiment(), Dataset.from_json(folder.dataset_path.read_bytes()), num_steps=len(of_run), lowest=rate, highest=rate
    )
    assert len(of_run) == 3 * STEPS_PER_EPOCH and test.losses == pytest.approx(of_run, abs=2e-6)  # the journal keeps 6 digits


def test_the_same_settings_give_the_same_curve(dataset):
    one, two = find_rate(small(dataset), dataset, num_steps=20), find_rate(small(dataset), dataset, num_steps=20)
    assert one.losses == two.losses
    assert find_rate(small(dataset, training__seed=1), dataset, num_steps=20).losses != one.losses


def test_a_prebuilt_network_its_optimiser_the_data_order_and_all_random_states_are_as_before(dataset):
    from studio.catalog.optimisers import build_optimiser
    from studio.engine.network import build_network

    experiment = small(dataset)
    network = build_network(experiment, 3)
    network.train_mode()
    groups = network.parameter_groups(0.02)[0]
    optimiser = build_optimiser(experiment.optimiser, groups)
    network.module(torch.rand(4, 3, 64, 64)).sum().backward()  # gradients, moments and batch-norm statistics of its own
    for group in optimiser.param_groups:
        group["lr"] = 1e-3
    optimiser.step()

    def state() -> tuple:
        grads = [p.grad for p in network.module.parameters()]
        modes = [m.training for m in network.module.modules()]
        flags = [p.requires_grad for p in network.module.parameters()]
        order = [epoch_order(0, epoch, NUM_TRAIN) for epoch in range(3)]
        return digest_of(network.module), fingerprint(optimiser.state_dict(), grads, modes, flags, order), randomness()

    before = state()
    torch.manual_seed(11)
    random.seed(12)
    np.random.seed(13)
    mixed = randomness()
    test = find_rate(experiment, dataset, num_steps=20)
    assert len(test.losses) > 10
    assert randomness() == mixed, "the generators stand where they stood"
    assert state()[:2] == before[:2]


def test_a_run_after_a_test_is_the_run_without_one(tmp_path, undisturbed):
    after = small_run(tmp_path)
    find_rate(after.experiment(), Dataset.from_json(after.dataset_path.read_bytes()), num_steps=20)
    assert train_here(after) == 0
    hashes = [json.loads((f.results_path / "metrics.json").read_text())["state_sha256"] for f in (undisturbed, after)]
    assert hashes[0] == hashes[1], "weights, buffers and optimiser state"
    losses = [[loss for e in of_kind(f, ev.StepsReported) for loss in e.losses] for f in (undisturbed, after)]
    assert losses[0] == losses[1], "and every step on the way"


def test_a_test_between_two_steps_of_a_run_leaves_the_run_alone(tmp_path, undisturbed):
    """The same Setup is trained on, with a test in the middle of it, in the very process."""
    from studio.engine import loop

    disturbed = small_run(tmp_path)
    whole_step, calls = loop.train_step, []

    def step(setup, *args):
        calls.append(1)
        if len(calls) == 4:
            before = digest_of(setup.network.module), fingerprint(setup.optimiser.state_dict()), randomness()
            find_rate(setup.experiment, setup.dataset, num_steps=20)
            assert before == (digest_of(setup.network.module), fingerprint(setup.optimiser.state_dict()), randomness())
        return whole_step(setup, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "train_step", step)
        assert train_here(disturbed) == 0
    hashes = [json.loads((f.results_path / "metrics.json").read_text())["state_sha256"] for f in (undisturbed, disturbed)]
    assert len(calls) > 4 and hashes[0] == hashes[1]


def test_a_diverging_test_stops_by_itself_and_keeps_its_curve(dataset):
    test = find_rate(small(dataset, optimiser__kind="sgd", optimiser__clip_norm=0.0), dataset, num_steps=60, highest=1e4)
    assert test.has_diverged and 12 < len(test.losses) < 60
    assert np.isfinite(test.losses).all() and np.isfinite(test.smoothed).all()
    assert type(test).from_json(test.to_json()) == test


def test_a_test_that_is_no_number_from_the_first_step_says_so(dataset, monkeypatch):
    from studio.engine import rate_test

    monkeypatch.setattr(rate_test, "training_loss", lambda *_, **__: torch.tensor(float("nan"), requires_grad=True))
    with pytest.raises(BadInput, match="not a number"):
        find_rate(small(dataset), dataset)


def test_frozen_stages_stay_frozen(dataset, monkeypatch):
    from studio.engine import rate_test

    made = []
    build = rate_test.build_network
    monkeypatch.setattr(rate_test, "build_network", lambda *args, **more: made.append(build(*args, **more)) or made[-1])
    find_rate(small(dataset, model__train_stages=0), dataset, num_steps=20)
    network = made[0]
    fresh = build(small(dataset, model__train_stages=0), 3)
    head = network.stages[-1].parameter_names
    for (name, used), new in zip(network.module.state_dict().items(), fresh.module.state_dict().values(), strict=True):
        assert torch.equal(used, new) == (name not in head), name


def test_accumulated_batches_count_as_one_larger_one(dataset):
    halves = find_rate(small(dataset, training__batch_size=4, training__accumulation=2), dataset, num_steps=20)
    whole = find_rate(small(dataset, training__batch_size=8), dataset, num_steps=20)
    assert halves.batch_size == whole.batch_size == 8 and halves.num_steps == whole.num_steps
    assert halves.passes == pytest.approx(whole.passes, rel=0.15)


def test_what_cannot_be_trained_on_is_refused_as_a_run_would(dataset):
    with pytest.raises(BadInput, match="Batch size 64"):
        find_rate(small(dataset, training__batch_size=64), dataset)


def test_an_unreadable_image_is_replaced_as_in_a_run(tmp_path):
    dataset = build_dataset(tmp_path / "images", ("boot", "dress", "hat"), NUM_TRAIN // 3, 4, size_px=80)
    (tmp_path / "images" / dataset.part("train")[3].id).write_bytes(b"no picture")
    assert len(find_rate(small(dataset), dataset, num_steps=20).losses) > 10


def test_a_folder_that_vanishes_ends_the_test_with_a_sentence(tmp_path):
    dataset = build_dataset(tmp_path / "images", ("boot", "dress", "hat"), NUM_TRAIN // 3, 4, size_px=80)

    def vanish(done, total, words):
        if done == 2:
            (tmp_path / "images").rename(tmp_path / "away")

    with pytest.raises(BadInput, match="not there any more. Bring it back, then run the test again"):
        find_rate(small(dataset), dataset, vanish)


def test_too_little_memory_is_a_sentence_with_a_smaller_batch(dataset, monkeypatch):
    from studio.engine import rate_test

    def refuse(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(rate_test, "training_loss", refuse)
    with pytest.raises(BadInput, match="Batch size 8 does not fit into memory.* Try 4"):
        find_rate(small(dataset), dataset)


def test_loader_processes_make_no_difference_and_are_gone_afterwards(dataset):
    import multiprocessing

    here = find_rate(small(dataset), dataset, num_steps=20)
    there = find_rate(small(dataset, training__workers=2), dataset, num_steps=20)
    assert here.losses == there.losses and not multiprocessing.active_children()


def test_whoever_follows_can_end_it_between_any_two_batches(dataset):
    class Enough(Exception):
        pass

    calls = []

    def progress(done, total, words):
        calls.append(done)
        if done == 3:
            raise Enough

    before = randomness()
    with pytest.raises(Enough):
        find_rate(small(dataset), dataset, progress)
    assert max(calls) == 3 and randomness() == before


@pytest.mark.parametrize(
    ("num_train", "batch", "steps"), [(10_000, 32, NUM_STEPS), (1_100, 32, 68), (42, 8, LEAST_STEPS), (3, 2, LEAST_STEPS)]
)
def test_small_data_sets_are_not_repeated_more_than_a_curve_needs(num_train, batch, steps):
    assert planned_steps(num_train, batch) == steps


def test_no_warning_reaches_the_user(dataset):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        find_rate(small(dataset), dataset, num_steps=20)
