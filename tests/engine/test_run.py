"""What a run does with its images and its network, and what it leaves behind."""

from __future__ import annotations

import dataclasses
import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from engine_runs import CLASSES, NUM_VALIDATION, STEPS_PER_EPOCH, events, metrics, of_kind, small_run, train_here
from PIL import Image

from studio.catalog.schedules import head_lr
from studio.core import event as ev
from studio.core.outcome import Status
from studio.core.predictions import read_predictions
from studio.core.problem import BadInput
from studio.core.reliability import measure
from studio.core.run_folder import RunFolder
from studio.dataset.dataset import Dataset
from studio.dataset.image import read_image
from studio.engine.checkpoint import Checkpoint, find_checkpoint, is_whole, require_checkpoint, save_checkpoint
from studio.engine.network import load_trained
from studio.engine.progress import Progress

pytestmark = pytest.mark.usefixtures("measured")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> RunFolder:
    """A whole run: no stage frozen, two epochs, with a test part."""
    import os

    home = tmp_path_factory.mktemp("home")
    before = os.environ.get("STUDIO_HOME")
    os.environ["STUDIO_HOME"] = str(home)
    try:
        folder = small_run(tmp_path_factory.mktemp("finished"))
        _move_half_of_validation_to_test(folder)
        assert train_here(folder) == 0
        return folder
    finally:
        if before is not None:
            os.environ["STUDIO_HOME"] = before


def _move_half_of_validation_to_test(folder: RunFolder) -> None:
    dataset = Dataset.from_json(folder.dataset_path.read_bytes())
    samples = tuple(dataclasses.replace(s, split="test") if s.split == "validation" and i % 2 else s for i, s in enumerate(dataset.samples))
    folder.dataset_path.write_bytes(dataset.changed(samples=samples).to_json())


def test_a_finished_run_tells_its_whole_story(finished):
    state = finished.read_state()
    assert state.status is Status.FINISHED
    assert state.description.steps_per_epoch == STEPS_PER_EPOCH and state.step == 2 * STEPS_PER_EPOCH
    assert len(state.epochs) == 2 and len(state.train_loss) == state.step
    assert state.system.process_bytes > 0 and state.samples.tile_px == 96
    with Image.open(finished.path / state.samples.image) as strip:
        assert strip.size == (96 * len(state.samples.ids), 96)
    assert {p.phase for p in of_kind(finished, ev.PhaseStarted)} >= {
        "loading torch",
        "loading weights",
        "first batch",
        "training",
        "validating",
        "testing",
    }


def test_the_learning_rates_applied_are_those_that_were_drawn(finished):
    told = [rate for e in of_kind(finished, ev.StepsReported) for rate in e.lrs]
    drawn = head_lr(finished.experiment().schedule, range(2 * STEPS_PER_EPOCH), STEPS_PER_EPOCH)
    assert told == drawn.tolist()


def test_results_hold_the_answers_of_the_best_epoch(finished):
    stored = json.loads((finished.results_path / "validation.json").read_bytes())
    answers = read_predictions(finished)
    ids, labels, probabilities, losses = answers.ids, answers.labels, answers.probabilities, answers.losses
    best = finished.read_state().best
    assert stored["top1"] == best.validation_top1 and stored["step"] == best.step
    assert len(ids) == len(labels) == len(losses) == NUM_VALIDATION // 2 and probabilities.shape == (NUM_VALIDATION // 2, 3)
    assert np.allclose(probabilities.astype(float).sum(1), 1, atol=5e-3)
    assert (probabilities.argmax(1) == labels).mean() == pytest.approx(stored["top1"])
    assert sum(map(sum, stored["confusion"])) == NUM_VALIDATION // 2 and stored["classes"] == list(CLASSES)
    told = measure(labels, answers.log_p, losses)
    assert stored["reliability"]["ece"] == pytest.approx(told.error, abs=2e-3) and stored["reliability"]["nll"] == pytest.approx(
        stored["loss"]
    )
    assert all(0 < row["threshold"] < 1 and row["threshold_f1"] >= row["f1"] - 1e-9 for row in stored["per_class"])
    assert metrics(finished)["test"]["num_images"] == NUM_VALIDATION // 2 and (finished.results_path / "test.json").is_file()


def test_the_trained_network_loads_again_and_gives_the_stored_answers(finished):
    from studio.catalog.augments import evaluation_view
    from studio.dataset.dataset import Dataset

    trained = load_trained(finished)
    assert trained.classes == CLASSES and not trained.module.training
    dataset = Dataset.from_json(finished.dataset_path.read_bytes())
    answers = read_predictions(finished)
    views = [
        evaluation_view(read_image(dataset.path_of(i)), trained.input_size, trained.interpolation, trained.crop_fraction)
        for i in answers.ids
    ]
    with torch.inference_mode():
        again = trained.module(trained.normaliser()(np.stack(views))).softmax(1).numpy()
    assert np.abs(again - answers.probabilities).max() < 2e-3


def test_frozen_stages_keep_weights_and_batch_norm_statistics(tmp_path):
    folder = small_run(tmp_path, model__train_stages=1)
    start = _initial_weights(folder)
    assert train_here(folder) == 0
    description = folder.read_state().description
    assert [s.is_frozen for s in description.stages] == [True] * (len(description.stages) - 2) + [False, False]
    trained = load_trained(folder, "last")
    after = trained.module.state_dict()
    for stage, described in zip(trained.stages, description.stages, strict=True):
        members = {n for n in after if any(n.startswith(f"{m}.") for m in stage.module_names)} | set(stage.parameter_names)
        changed = {n for n in members if not torch.equal(after[n], start[n])}
        assert not changed if described.is_frozen else changed, stage.name
        if not described.is_frozen and stage.name != "head":
            assert any("running_mean" in n for n in changed)


def _initial_weights(folder) -> dict[str, torch.Tensor]:
    from studio.engine.network import build_network

    return {k: v.clone() for k, v in build_network(folder.experiment(), 3).module.state_dict().items()}


def test_stages_learn_at_rates_that_fall_with_depth_and_norms_are_not_decayed():
    from engine_runs import SMALL

    from studio.core.experiment import Experiment
    from studio.engine.network import build_network

    network = build_network(Experiment().changed(SMALL | {"optimiser.stage_lr_factor": 0.5}), 3)
    groups, factors = network.parameter_groups(0.02)
    assert factors[-1] == 1.0 and factors[0] == 0.5 ** (len(network.stages) - 1)
    assert sum(p.numel() for g in groups for p in g["params"]) == sum(p.numel() for p in network.module.parameters())
    assert all((g["weight_decay"] > 0) == all(p.ndim > 1 for p in g["params"]) for g in groups)


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_every_optimiser_trains_and_resumes(tmp_path, kind):
    whole = small_run(tmp_path / "a", optimiser__kind=kind, schedule__shape="cosine")
    assert train_here(whole) == 0
    parts = small_run(tmp_path / "b", optimiser__kind=kind, schedule__shape="cosine")
    assert train_here(parts, before=lambda control: setattr(control, "stops_after_epoch", True)) == 3
    assert parts.read_state().stopped.step == STEPS_PER_EPOCH
    assert train_here(parts, resume=True) == 0
    assert metrics(parts)["state_sha256"] == metrics(whole)["state_sha256"]


def test_a_loss_that_is_no_number_ends_the_run_before_it_is_applied(tmp_path, monkeypatch):
    from studio.engine import loop, update

    seen = {}
    real_step, real_loss = loop.train_step, update.mixed_loss

    def watched(s, batch):
        if s.progress.step == 8:
            seen["module"] = s.network.module
            seen["before"] = [p.detach().clone() for p in s.network.module.parameters()]
            monkeypatch.setattr(update, "mixed_loss", lambda *a, **k: real_loss(*a, **k) * float("nan"))
        return real_step(s, batch)

    monkeypatch.setattr(loop, "train_step", watched)
    folder = small_run(tmp_path)
    assert train_here(folder) == 1
    assert all(torch.equal(a, b) for a, b in zip(seen["before"], seen["module"].parameters(), strict=True))
    failed = folder.read_state().failed
    assert "stopped being a number at step 9" in failed.sentence and "learning rate" in failed.fix
    assert failed.can_resume and find_checkpoint(folder).step == STEPS_PER_EPOCH


def test_an_image_that_vanishes_is_replaced_and_told_once(tmp_path):
    folder = small_run(tmp_path)
    for name in ("0003.png", "0015.png"):  # one of training, one of validation
        (tmp_path / "images" / "class-1" / name).unlink()
    assert train_here(folder) == 0
    warnings = [w for w in of_kind(folder, ev.WarningRaised) if w.code == "unreadable-image"]
    assert sorted(w.sentence.split()[0] for w in warnings) == ["class-1/0003.png", "class-1/0015.png"]
    ids = read_predictions(folder).ids
    assert len(ids) == NUM_VALIDATION - 1 and "class-1/0015.png" not in ids


def test_images_that_vanish_in_crowds_are_named_in_part_and_counted_in_all(tmp_path):
    folder = small_run(tmp_path)
    for name in (f"{i:04d}.png" for i in range(10)):
        for number in range(3):
            (tmp_path / "images" / f"class-{number}" / name).unlink()
    assert train_here(folder) == 0
    sentences = [w.sentence for w in of_kind(folder, ev.WarningRaised) if w.code == "unreadable-image"]
    assert len(sentences) == 21 and sentences[-1].startswith("30 images in all cannot be read")


def test_a_run_without_one_readable_validation_image_fails_instead_of_scoring_nothing(tmp_path):
    folder = small_run(tmp_path)
    for path in (tmp_path / "images").rglob("*.png"):
        if int(path.stem) >= 14:
            path.unlink()
    assert train_here(folder) == 1
    failed = folder.read_state().failed
    assert failed.sentence == "Not one validation image can be read any more." and failed.can_resume
    assert not of_kind(folder, ev.EpochFinished) and find_checkpoint(folder).step == STEPS_PER_EPOCH


def test_a_damaged_checkpoint_is_passed_over_and_named(tmp_path):
    folder = small_run(tmp_path)
    assert train_here(folder) == 0
    newest, older = sorted(folder.checkpoints_path.glob("step-*"), reverse=True)[:2]
    _damage(newest)
    assert not is_whole(newest)
    expected = metrics(folder)["state_sha256"]
    assert train_here(folder, resume=True) == 0
    damage = [w for w in of_kind(folder, ev.WarningRaised) if w.code == "checkpoint-damaged"]
    assert len(damage) == 1 and newest.name in damage[0].sentence
    assert of_kind(folder, ev.RunStarted)[-1].resumed_step == int(older.name[5:])
    assert metrics(folder)["state_sha256"] == expected


def _damage(checkpoint) -> None:
    content = bytearray((checkpoint / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (checkpoint / "model.safetensors").write_bytes(content)


@pytest.mark.parametrize(("broken", "fault"), [("weights", (5, "Input/output error")), ("folder", (13, "Permission denied"))])
def test_a_checkpoint_that_cannot_be_read_now_ends_the_resume_and_is_there_when_it_can(tmp_path, monkeypatch, broken, fault):
    from studio.engine import checkpoint

    folder = small_run(tmp_path)
    assert train_here(folder) == 0
    before = {path: path.stat().st_ino for path in folder.checkpoints_path.rglob("*")}
    newest, expected = max(folder.checkpoints_path.iterdir()), metrics(folder)["state_sha256"]
    unreadable = newest / "model.safetensors" if broken == "weights" else folder.checkpoints_path

    def failing(real):
        def call(path, *args):
            if str(path) == str(unreadable):
                raise OSError(*fault)  # one in mid-file names no file
            return real(path, *args)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "sha256_of", failing(checkpoint.sha256_of))
        for name in ("listdir", "scandir"):
            patch.setattr(os, name, failing(getattr(os, name)))
        assert train_here(folder, resume=True) == 1
        if broken == "weights":
            with pytest.raises(BadInput, match=r"cannot be used now: .*step-\d+ cannot be read \(Input/output error\)"):
                require_checkpoint(folder, "last")
    state, named = folder.read_state(), newest if broken == "weights" else folder.checkpoints_path
    assert state.failed.sentence == f"{named} cannot be read now ({fault[1]})." and "Check the drive" in state.failed.fix
    assert state.failed.can_resume and state.step == 2 * STEPS_PER_EPOCH
    assert before == {path: path.stat().st_ino for path in folder.checkpoints_path.rglob("*")}
    assert train_here(folder, resume=True) == 0
    assert of_kind(folder, ev.RunStarted)[-1].resumed_step == 2 * STEPS_PER_EPOCH
    assert not [w for w in of_kind(folder, ev.WarningRaised) if w.code == "checkpoint-damaged"]
    assert metrics(folder)["state_sha256"] == expected


def test_a_run_whose_checkpoints_are_all_damaged_says_that_it_starts_again(tmp_path):
    folder = small_run(tmp_path)
    assert train_here(folder) == 0
    expected, names = metrics(folder)["state_sha256"], sorted(p.name for p in folder.checkpoints_path.iterdir())
    for name in names:
        _damage(folder.checkpoints_path / name)
    assert train_here(folder, resume=True) == 0
    damage = [w.sentence for w in of_kind(folder, ev.WarningRaised) if w.code == "checkpoint-damaged"]
    assert len(damage) == 1 and "from the beginning" in damage[0] and all(name in damage[0] for name in names)
    assert metrics(folder)["state_sha256"] == expected


def test_a_damaged_best_checkpoint_is_never_replaced_without_a_word(tmp_path):
    from studio.engine.scoring import best_weights

    folder = small_run(tmp_path, schedule__epochs=3)
    assert train_here(folder) == 0
    best, last = find_checkpoint(folder, "best"), find_checkpoint(folder)
    if best.path == last.path:  # the same words, where the last epoch was the best
        last = Checkpoint(sorted(folder.checkpoints_path.glob("step-*"))[-2], {})
    assert load_trained(folder).note == ""
    _damage(best.path)
    used = int(last.path.name[5:])
    trained = load_trained(folder)
    assert trained.step == used and trained.note == f"The checkpoint {best.path.name} is damaged; that of step {used:,} is used instead."
    said, module = [], trained.module
    reporter = SimpleNamespace(damaged=lambda names, instead: said.append((names, instead)))
    with best_weights(SimpleNamespace(average=None, network=trained, folder=folder, reporter=reporter)):
        assert all(
            torch.equal(a, b) for a, b in zip(module.state_dict().values(), load_trained(folder).module.state_dict().values(), strict=True)
        )
    assert said == [((best.path.name,), f"step {used:,} is scored instead")]


def test_the_best_checkpoint_is_the_one_that_was_asked_for_also_where_another_is_damaged(tmp_path):
    folder = RunFolder(tmp_path)
    for step in (10, 20, 30):
        _save(folder, step, best_step=10)
    newest = folder.checkpoints_path / "step-00000030"
    _damage(newest)
    assert (find_checkpoint(folder, "best").step, find_checkpoint(folder, "best").note) == (10, "")
    assert "step-00000030 is damaged" in find_checkpoint(folder).note
    (newest / "state.json").write_text("{")  # it may have been the best
    assert (find_checkpoint(folder, "best").step, find_checkpoint(folder, "best").damaged) == (10, (newest.name,))
    _damage(folder.checkpoints_path / "step-00000010")
    assert (find_checkpoint(folder, "best").step, find_checkpoint(folder, "best").damaged) == (20, (newest.name, "step-00000010"))


def _save(folder, step: int, seconds: float = 0.0, best_step: int | None = None):
    state = {"progress": {"step": step, "epoch_seconds": seconds}, "best_step": best_step}
    return save_checkpoint(folder, step, {"weight": torch.full((2,), float(step))}, {"memory": torch.ones(2)}, state)


def _names(folder) -> list[int]:
    return sorted(int(p.name[5:]) for p in folder.checkpoints_path.iterdir())


def test_checkpoints_saved_after_damaged_newer_ones_stay(tmp_path):
    folder = RunFolder(tmp_path)
    for step in (10, 20, 30):
        _save(folder, step, best_step=10)
    for step in (20, 30):
        _damage(folder.checkpoints_path / f"step-{step:08d}")
    assert find_checkpoint(folder).step == 10
    _save(folder, 15, best_step=10)
    assert _names(folder) == [10, 15] and find_checkpoint(folder).step == 15
    _save(folder, 17, best_step=10)
    assert _names(folder) == [10, 15, 17]


def test_the_same_state_is_not_saved_again_but_a_newer_one_of_the_same_step_is(tmp_path):
    folder = RunFolder(tmp_path)
    path = _save(folder, 5).path
    before = path.stat().st_ino
    assert _save(folder, 5).path == path and path.stat().st_ino == before
    _save(folder, 5, seconds=1.0)
    assert find_checkpoint(folder).state["progress"]["epoch_seconds"] == 1.0
    _damage(path)
    _save(folder, 5, seconds=1.0)
    assert is_whole(path) and _names(folder) == [5]


@pytest.mark.parametrize("fault", [OSError(5, "Input/output error"), SystemExit("killed")])
def test_a_checkpoint_whose_place_is_not_taken_in_the_end_stays(tmp_path, monkeypatch, fault):
    from studio.engine import checkpoint

    folder, moved = RunFolder(tmp_path), []

    def broken(old, new):
        moved.append(new)
        if len(moved) == 2:
            raise fault
        old.rename(new)

    _save(folder, 5)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "rename", broken)
        with pytest.raises(type(fault)):
            _save(folder, 5, seconds=1.0)
    if isinstance(fault, OSError):
        assert _names(folder) == [5], "nothing has to come after it"
    _save(folder, 10)
    assert _names(folder) == [5, 10] and is_whole(folder.checkpoints_path / "step-00000005")


def test_a_run_killed_while_a_checkpoint_takes_the_place_of_another_resumes_from_that(tmp_path):
    folder = small_run(tmp_path)
    assert train_here(folder, before=lambda control: setattr(control, "stops_after_epoch", True)) == 3
    (only,) = folder.checkpoints_path.iterdir()
    only.rename(only.with_name(f".{only.name}.0123456789ab.old"))
    assert train_here(folder, resume=True) == 0
    assert of_kind(folder, ev.RunStarted)[-1].resumed_step == STEPS_PER_EPOCH


def test_a_run_killed_while_a_checkpoint_takes_the_place_of_another_can_be_used_without_a_resume(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    _save(folder, 5)
    (only,) = folder.checkpoints_path.iterdir()
    only.rename(only.with_name(f".{only.name}.0123456789ab.old"))
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "is_alive", lambda self: True)
        with pytest.raises(BadInput, match="no checkpoint yet"):  # the engine is about to put another there
            require_checkpoint(folder, "best")
    assert require_checkpoint(folder, "best").step == 5


def test_a_checkpoint_that_somebody_reads_is_removed_later(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    _save(folder, 1)
    _save(folder, 2)

    def refused(self, target):
        raise PermissionError(13, "The process cannot access the file because it is being used by another process")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.rename", refused)
        _save(folder, 3)
    assert _names(folder) == [1, 2, 3]
    _save(folder, 4)
    assert _names(folder) == [3, 4]


def test_a_run_stopped_while_it_is_tested_keeps_its_last_weights(tmp_path, monkeypatch):
    from studio.engine import loop

    real_count, real_evaluate = Progress.count_epoch, loop.evaluate

    def first_is_best(self, scores):
        return real_count(self, scores | {"top1": 1.0 / (1 + self.epoch)})

    def stopped(s, part):
        if part == "test":
            assert not torch.equal(s.network.module.state_dict()["head.linear.bias"], seen["last"]), "the best weights are tested"
            s.folder.command("stop")
        else:
            seen["last"] = s.network.module.state_dict()["head.linear.bias"].clone()
        return real_evaluate(s, part)

    seen = {}
    monkeypatch.setattr(Progress, "count_epoch", first_is_best)
    whole, folder = small_run(tmp_path / "a"), small_run(tmp_path / "b")
    _move_half_of_validation_to_test(whole)
    _move_half_of_validation_to_test(folder)
    assert train_here(whole) == 0
    monkeypatch.setattr(loop, "evaluate", stopped)
    assert train_here(folder) == 3
    assert folder.read_state().stopped.step == find_checkpoint(folder).step == 2 * STEPS_PER_EPOCH
    monkeypatch.setattr(loop, "evaluate", real_evaluate)
    assert train_here(folder, resume=True) == 0
    assert metrics(folder)["state_sha256"] == metrics(whole)["state_sha256"]
    assert metrics(folder)["test"] == metrics(whole)["test"]


def test_a_change_that_is_asked_for_in_a_pause_while_the_run_is_tested_is_refused_in_that_pause(tmp_path, monkeypatch):
    from studio.engine import loop, wishes

    folder, real_evaluate = small_run(tmp_path), loop.evaluate
    _move_half_of_validation_to_test(folder)

    def paused(s, part):
        if part == "test":
            folder.command("pause")
        return real_evaluate(s, part)

    wished = iter([("edit", {"schedule.epochs": 5})])

    monkeypatch.setattr(loop, "evaluate", paused)
    monkeypatch.setattr(wishes, "time", SimpleNamespace(sleep=lambda _: folder.command(*next(wished, ("resume",)))))
    assert train_here(folder) == 0
    told = [
        e for e in events(folder) if isinstance(e, ev.PauseChanged | ev.EditsAnswered | ev.TestScored) or "edit" in getattr(e, "code", "")
    ]
    pause, refused, answered, going, scored = told
    assert (refused.sentence, refused.fix) == ("The change was not made: the last epoch was over.", "Start a new run to train longer.")
    assert isinstance(answered, ev.EditsAnswered) and pause.is_paused and not going.is_paused and isinstance(scored, ev.TestScored)
    state = folder.read_state()
    assert not state.edits and state.finished.epochs == 2 == state.description.epochs


def test_two_checkpoints_and_the_best_are_kept(tmp_path):
    folder = small_run(tmp_path, schedule__epochs=5)
    assert train_here(folder) == 0
    names = {p.name for p in folder.checkpoints_path.iterdir()}
    best = folder.read_state().best.step
    assert names == {f"step-{s:08d}" for s in (4 * STEPS_PER_EPOCH, 5 * STEPS_PER_EPOCH, best)}
    assert find_checkpoint(folder, "best").step == best


def test_training_ends_early_when_the_validation_loss_no_longer_falls(tmp_path):
    folder = small_run(tmp_path, schedule__epochs=50, training__early_stop_epochs=1, schedule__peak_lr=1e-8, model__dropout=0.0)
    assert train_here(folder) == 0
    assert folder.read_state().finished.stopped_early and folder.read_state().finished.epochs < 50


def test_a_batch_larger_than_the_data_is_refused_with_a_number_that_fits(tmp_path):
    folder = small_run(tmp_path, training__batch_size=64)
    assert train_here(folder) == 1
    assert "Try 32" in folder.read_state().failed.sentence and not folder.has_checkpoint()


def test_a_last_batch_of_one_image_is_left_out(tmp_path):
    folder = small_run(tmp_path, training__batch_size=41, schedule__epochs=1)
    assert train_here(folder) == 0
    assert folder.read_state().description.steps_per_epoch == 1


def test_a_normalisation_of_ones_own_reaches_the_tensors_that_the_network_trains_on(tmp_path, monkeypatch):
    from studio.engine.setup import Setup

    mean, std, seen = (0.1, 0.2, 0.3), (0.5, 0.25, 1.0), []
    before = Setup.logits
    monkeypatch.setattr(
        Setup, "logits", lambda self, module, batch, inputs, run=None: (seen.append(inputs), before(self, module, batch, inputs, run))[1]
    )
    folder = small_run(
        tmp_path, model__normalisation="custom", model__custom_mean=mean, model__custom_std=std, augment__preset="none", schedule__epochs=1
    )
    assert train_here(folder) == 0
    levels = torch.stack([seen[0][:, c].cpu() * std[c] + mean[c] for c in range(3)]) * 255
    assert levels.min() > -0.01 and levels.max() < 255.01 and levels.std() > 1
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=0.01)  # whole grey levels again: it was these figures and no others
    state = find_checkpoint(folder, "last").state["view"]
    assert tuple(state["mean"]) == mean and tuple(state["std"]) == std


def test_normalisation_by_the_data_uses_its_own_mean(tmp_path):
    folder = small_run(tmp_path, model__normalisation="data", schedule__epochs=1)
    assert train_here(folder) == 0
    trained = load_trained(folder)
    files = [p for p in sorted((tmp_path / "images").rglob("*.png")) if int(p.stem) < 14]
    pixels = np.concatenate([read_image(p).reshape(-1, 3) for p in files])
    assert np.allclose(trained.mean, pixels.mean(0) / 255, atol=0.01)
    assert trained.info.mean == trained.mean


@pytest.mark.parametrize(("precision", "rounding"), [("fp32", 1e-2), ("bf16", 0.5)])  # its last batch norms see 1 x 1 of eight pictures
@pytest.mark.parametrize("backbone", ["timm/test_resnet", "torchvision/resnet18"])
def test_the_first_gradient_is_that_of_a_bare_loop_whatever_the_memory_held_before(tmp_path, backbone, precision, rounding):
    """glibc fills what it hands out and takes back: a kernel that reads what it has not written would give another gradient."""
    source, name = backbone.split("/")
    folder = small_run(tmp_path, model__source=source, model__backbone=name, model__dropout=0.0, training__precision=precision)
    try:
        seen = [_first_gradient(folder, filling) for filling in (0, 1, 128)]  # 128 fills with 3e38, 1 with -1e38
    finally:
        _fill_memory(0)
    told, gradients = seen[0]
    assert all(norm == told and all(map(torch.equal, other, gradients)) for norm, other in seen[1:])
    one, many = (torch.cat([g.flatten() for g in parts]).double() for parts in (_bare_gradient(folder), gradients))
    assert told == pytest.approx(float(many.norm()), rel=1e-4)
    assert told == pytest.approx(float(one.norm()), rel=0.05)
    assert (many - one).norm() < rounding * one.norm()


def _fill_memory(value: int) -> None:
    import contextlib
    import ctypes

    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library has no such switch
        ctypes.CDLL(None).mallopt(-6, value)  # M_PERTURB


def _prepared(folder: RunFolder):
    from studio.engine.control import Control
    from studio.engine.reporter import Reporter
    from studio.engine.setup import prepare

    control = Control(folder.commands_path)
    reporter = Reporter(folder, control)
    setup = prepare(folder, folder.experiment(), control, reporter, None)
    reporter.close()
    setup.network.train_mode()
    return setup


def _first_batch(setup):
    from studio.engine.plan import training_requests

    training = setup.experiment.training
    return setup.loader.batches(training_requests(training.seed, 0, len(setup.parts["train"]), training.batch_size))


def _first_gradient(folder: RunFolder, filling: int) -> tuple[float, list[torch.Tensor]]:
    """The norm that the first step tells of, and the gradient it clips."""
    from itertools import islice

    from studio.engine import loop, update

    _fill_memory(filling)
    setup, seen, real = _prepared(folder), [], torch.nn.utils.get_total_norm

    def watched(gradients):
        seen.extend(gradient.clone() for gradient in gradients)
        return real(gradients)

    with pytest.MonkeyPatch.context() as patch, setup.loader:
        patch.setattr(torch.nn.utils, "get_total_norm", watched)
        patch.setattr(update, "tell_flow", lambda s: None)  # the journal is closed
        step = loop.train_step(setup, islice(_first_batch(setup), 1))
    return float(step.norm), seen


def _bare_gradient(folder: RunFolder) -> list[torch.Tensor]:
    """Of the same batch and weights, by plain torch in float32; in the order of the optimiser's groups."""
    setup = _prepared(folder)
    with setup.loader:
        batch = next(iter(_first_batch(setup)))
        images = torch.from_numpy(batch.images_NHWC).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(setup.view[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    logits = setup.network.module.to(memory_format=torch.contiguous_format).train()((images - mean) / std)
    smoothing = setup.experiment.training.label_smoothing
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(setup.labels[batch.indices]), label_smoothing=smoothing).backward()
    return [weight.grad for group in setup.optimiser.param_groups for weight in group["params"]]


def test_a_run_whose_first_validation_loss_is_no_number_goes_on_while_it_gets_better_and_the_better_epoch_is_kept(tmp_path, monkeypatch):
    real, losses = Progress.count_epoch, iter([float("nan"), 0.9, 0.8, 0.8, 0.8])
    monkeypatch.setattr(Progress, "count_epoch", lambda p, scores: real(p, scores | {"top1": 0.5, "loss": next(losses)}))
    folder = small_run(tmp_path, schedule__epochs=50, training__early_stop_epochs=2)
    assert train_here(folder) == 0
    finished = folder.read_state().finished
    assert (finished.epochs, finished.best_epoch, finished.stopped_early) == (5, 2, True)
