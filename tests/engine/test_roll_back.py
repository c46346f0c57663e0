"""A loss that is no number takes back as many steps as the user chose, to the very weights of that step."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from engine_runs import STEPS_PER_EPOCH, fork_two, metrics, of_kind, small_run, train_here
from safetensors.torch import load_file

from studio.catalog.optimisers import KINDS, build_optimiser
from studio.core import event as ev
from studio.core.experiment import Optimiser
from studio.core.outcome import Status
from studio.engine import loop, snapshot, update
from studio.engine.checkpoint import checkpoint_names, find_checkpoint, optimiser_tensors, restore_optimiser, state_sha256
from studio.engine.flow import Flow
from studio.engine.progress import Progress
from studio.engine.saving import tensors_of
from studio.engine.snapshot import Held, Snapshots
from studio.engine.steps import StepBuffer

pytestmark = pytest.mark.usefixtures("measured")

GO_BACK = {"training__not_finite": "go back", "training__roll_back_steps": 4}


@pytest.fixture(autouse=True)
def held_by_steps_alone(monkeypatch):
    """Steps of milliseconds: what is held does not hang on the clock."""
    monkeypatch.setattr(snapshot, "EVERY_S", 0.0)
    monkeypatch.setattr(snapshot, "SHARE", 1e9)


@pytest.fixture
def before_step(monkeypatch):
    """Call what is given with the setup before every step."""

    def watch(look) -> None:
        real = loop.train_step
        monkeypatch.setattr(loop, "train_step", lambda s, batches: (look(s), real(s, batches))[1])

    return watch


def warning(folder) -> ev.WarningRaised:
    (found,) = [w for w in of_kind(folder, ev.WarningRaised) if w.code == "loss-not-finite"]
    return found


def same_bits_as_halved_by_hand(folder, target: int, place, before_step, **settings):
    """A run of the same settings at `place` whose rate was halved by hand before step `target` ends with the bits of `folder`; gives that run."""

    def edit(s):
        if s.progress.step == target - 1:
            s.control.edits.append({"schedule.peak_lr": 5e-4})

    before_step(edit)
    other = small_run(place, **settings)
    assert train_here(other) == 0
    assert metrics(other)["state_sha256"] == metrics(folder)["state_sha256"]
    return other


def test_the_run_goes_back_by_the_steps_that_were_chosen_over_a_thaw_and_an_epoch(tmp_path, bad_step, before_step):
    settings = {"optimiser__ema_decay": 0.9, "model__train_stages": 1, "model__thaw": {"stem": 1}}
    bad, target = 9, 5  # the stem thaws at step 6
    states, kept = [], []

    def look(s):
        if s.progress.step == target:
            states.append(state_sha256(*tensors_of(s).values()))
            kept.append(checkpoint_names(s.folder))
        if s.progress.step == 7 and len(states) == 1:
            s.control.is_save_wanted = True

    before_step(look)
    bad_step(bad, limit=6e-4)
    folder = small_run(tmp_path, **GO_BACK, **settings)
    assert train_here(folder) == 0
    assert "at step 10; the run went back 4 steps to step 5 and goes on at half the rate, 5.0e-04" in warning(folder).sentence
    (edit,) = of_kind(folder, ev.ExperimentEdited)
    assert (edit.step, edit.values) == (target, {"schedule.peak_lr": 5e-4})
    assert len(states) == 2 and states[0] == states[1], "weights, statistics, the optimiser's memory and the mean are those of that step"
    assert kept[1] == ["step-00000004"], "a resume cannot begin at what the run went back behind"
    state = folder.read_state()
    assert state.status is Status.FINISHED and list(state.train_loss.x) == list(range(2 * STEPS_PER_EPOCH)) and len(state.epochs) == 2

    theirs = same_bits_as_halved_by_hand(folder, target, tmp_path / "other", before_step, **settings).read_state()
    assert (list(state.train_loss.y), list(state.lr.y)) == (list(theirs.train_loss.y), list(theirs.lr.y))


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_a_step_without_a_number_that_is_found_steps_later_is_not_applied_and_the_run_goes_back_before_it(
    tmp_path, bad_step, before_step, monkeypatch, kind
):
    """As on a GPU, which nobody waits for: the report at the end of the epoch finds it."""
    bad, target = 8, 4
    settings = {"optimiser__kind": kind, "optimiser__ema_decay": 0.9}
    weights, told = [], []
    monkeypatch.setattr(update, "may_learn_later", lambda s: s.optimiser.defaults["fused"])
    monkeypatch.setattr(StepBuffer, "is_due", lambda steps: False)
    monkeypatch.setattr(Flow, "is_due", lambda flow, step: True)

    def look(s):
        if s.progress.step >= bad and s.experiment.schedule.peak_lr > 6e-4:
            weights.append([p.detach().clone() for p in s.network.module.parameters()])
            told[:] = of_kind(s.folder, ev.GradientsSampled)

    before_step(look)
    bad_step(bad, limit=6e-4)
    folder = small_run(tmp_path, **GO_BACK, **settings)
    assert train_here(folder) == 0
    assert "at step 9; the run went back 4 steps to step 4 and goes on at half the rate" in warning(folder).sentence
    assert len(weights) == 2 * STEPS_PER_EPOCH - bad, "until the report"
    assert all(torch.equal(*pair) for later in weights[1:] for pair in zip(later, weights[0], strict=True))
    assert [event.step for event in told] == list(range(bad)), "of the bad step nothing is told, nor of those after it"

    other = same_bits_as_halved_by_hand(folder, target, tmp_path / "other", before_step, **settings)
    assert list(folder.read_state().train_loss.y) == list(other.read_state().train_loss.y)


def test_before_anything_is_saved_the_run_goes_back_to_its_start(tmp_path, bad_step):
    bad_step(3, limit=6e-4)
    folder = small_run(tmp_path, **GO_BACK)
    assert train_here(folder) == 0
    assert "went back 3 steps to step 0" in warning(folder).sentence
    assert [e.step for e in of_kind(folder, ev.ExperimentEdited)] == [0]


@pytest.mark.parametrize("kind", [kind.key for kind in KINDS])
def test_every_optimiser_goes_back_to_before_its_first_step(kind):
    module = torch.nn.Linear(3, 2)
    start = {name: value.clone() for name, value in module.state_dict().items()}
    groups = [{"params": [module.weight], "weight_decay": 0.1}, {"params": [module.bias], "weight_decay": 0.0}]
    optimiser = build_optimiser(Optimiser(kind=kind), groups)
    before, reached = optimiser_tensors(optimiser, module), []
    for _ in range(2):
        module.load_state_dict(start)
        restore_optimiser(optimiser, module, before)
        for step in range(3):
            for group in optimiser.param_groups:
                group["lr"] = 0.1
                for parameter in group["params"]:
                    parameter.grad = torch.cos(torch.arange(parameter.numel()) + step).view_as(parameter)
            optimiser.step()
        reached.append(state_sha256(module.state_dict(), optimiser_tensors(optimiser, module)))
    assert reached[0] == reached[1]


def test_after_a_resume_the_run_goes_back_as_far_as_there_are_states(tmp_path, bad_step):
    folder = small_run(tmp_path, **GO_BACK)
    assert train_here(folder, before=lambda control: setattr(control, "stops_after_epoch", True)) == 3
    bad_step(STEPS_PER_EPOCH + 1, limit=6e-4)
    assert train_here(folder, resume=True) == 0
    assert "went back 1 step to step 6" in warning(folder).sentence


def test_behind_its_best_epoch_the_run_shows_the_answers_of_the_best_that_is_left(tmp_path, bad_step, before_step):
    bad_step(STEPS_PER_EPOCH + 9, limit=6e-4)
    shown = []

    def look(s):
        if s.progress.step == STEPS_PER_EPOCH + 5:  # before, and after the run has come back to it
            shown.append((json.loads((s.folder.results_path / "validation.json").read_bytes()), s.progress.best))

    before_step(look)
    folder = small_run(tmp_path, **(GO_BACK | {"training__roll_back_steps": 4, "schedule__epochs": 3, "model__input_size": 64}))
    assert train_here(folder) == 0
    first, second, *_ = of_kind(folder, ev.EpochFinished)
    assert first.is_best and second.is_best, "it went back behind an epoch that was the best"
    assert len(shown) == 2 and shown[1] == shown[0]
    for stored, best in shown:
        assert stored["step"] == best["step"] == STEPS_PER_EPOCH and stored["loss"] == pytest.approx(first.validation_loss, rel=1e-5)


def test_two_processes_go_back_together(tmp_path, bad_step):
    still = {"model__backbone": "test_convnext", "model__dropout": 0.0, "augment__preset": "none", "optimiser__kind": "sgd"}
    alone, together = (small_run(tmp_path / name, **GO_BACK, **still) for name in "ab")
    assert [process.wait(120) for process in fork_two(together, BROKEN)] == [0, 0], together.log_tail()
    bad_step(9, limit=6e-4)
    assert train_here(alone) == 0
    assert warning(together).sentence == warning(alone).sentence and "went back 4 steps to step 5" in warning(alone).sentence
    ours, theirs = (load_file(find_checkpoint(folder).path / "model.safetensors") for folder in (together, alone))
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-4, atol=1e-6)


BROKEN = """
import studio.engine.snapshot as snapshot, studio.engine.update as update
snapshot.EVERY_S, snapshot.SHARE = 0.0, 1e9
real = update._add_gradient
def broken(s, batch, num_images):
    labels, losses, logits = real(s, batch, num_images)
    return labels, losses * (float("nan") if s.progress.step == 9 and s.experiment.schedule.peak_lr > 6e-4 else 1), logits
update._add_gradient = broken
"""


def held(step: int) -> Held:
    return Held(step, {"model": {}}, {"progress": {"best": {"step": step - 1} if step else None}})


@pytest.mark.parametrize("num_back", [1, 7, 100])
def test_one_of_two_states_always_lies_far_enough_back(num_back):
    snapshots = Snapshots()
    for step in range(500):
        if snapshots.is_due(step, num_back):
            snapshots.make_room()
            assert len(snapshots._held) < 2, "never three copies, not even while one is made"
            snapshots.add(held(step), 0.0)
        found = snapshots.for_step(max(0, step - num_back))
        assert found is not None and step - found.step < 2 * num_back, "fewer steps are done again than were taken back"


def test_a_copy_takes_no_more_than_its_share_of_the_time(monkeypatch):
    monkeypatch.setattr(snapshot, "SHARE", 0.02)
    now = [100.0]
    monkeypatch.setattr(snapshot, "time", SimpleNamespace(monotonic=lambda: now[0]))
    snapshots = Snapshots()
    snapshots.add(held(0), seconds=0.2)
    now[0] += 9
    assert not snapshots.is_due(1000, 10)
    now[0] += 2
    assert snapshots.is_due(1000, 10) and not snapshots.is_due(9, 10)


def test_what_a_run_that_went_back_books_leaves_the_held_state_as_it_was():
    raw = Progress(validation_losses=[0.5]).to_json()
    Progress.from_json(raw).count_epoch({"top1": 0.5, "top5": 1.0, "loss": 0.4, "macro_f1": 0.5})
    assert raw["validation_losses"] == [0.5], "else the plateau shape would see an epoch twice when the run goes back again"


def test_weights_that_begin_to_train_are_no_longer_shared_with_what_is_held():
    module = torch.nn.Linear(2, 2)
    best = Held(3, {"model": dict(module.state_dict())}, {})
    snapshots = Snapshots()
    snapshots.add(Held(5, {"model": dict(module.state_dict())}, {"progress": {"best": None}}, best), 0.0)
    snapshots.part_from(module)
    before = module.weight.detach().clone()
    with torch.no_grad():
        module.weight.zero_()
    (kept,) = [snapshots.oldest]
    assert torch.equal(kept.tensors["model"]["weight"], before) and torch.equal(kept.best.tensors["model"]["weight"], before)
