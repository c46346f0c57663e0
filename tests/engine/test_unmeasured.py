"""A run on all images, with none held back: one image of each class is enough, the last epoch is kept, and nothing claims a score."""

from __future__ import annotations

import json

import pytest
from engine_runs import CLASSES, SMALL, metrics, of_kind, train_here

from studio.command.follow import _Screen, summary
from studio.core import event as ev
from studio.core.experiment import Experiment
from studio.core.outcome import Status
from studio.core.problem import BadInput
from studio.core.run_folder import RunFolder, create_run
from studio.dataset.plan_check import check_run
from studio.dataset.scan import scan
from studio.engine.checkpoint import find_checkpoint
from studio.engine.export import comparison_views
from studio.engine.network import load_trained
from studio.engine.score_run import score_run

pytestmark = pytest.mark.usefixtures("measured")


def _one_of_each(tmp_path, **values) -> RunFolder:
    """A run on a folder with one image of each class, not scanned yet."""
    from builders import build_dataset

    images = tmp_path / "images"
    build_dataset(images, CLASSES, 1, 0, size_px=80)
    settings = SMALL | {"data.source": str(images), "data.validation_fraction": 0.0, "training.batch_size": 3, "schedule.epochs": 3}
    return create_run(tmp_path / "runs", Experiment().changed(settings | {k.replace("__", "."): v for k, v in values.items()}))


def test_it_trains_to_the_end_keeps_the_last_epoch_and_resumes_to_the_same_bits(tmp_path):
    whole, parts = _one_of_each(tmp_path / "a"), _one_of_each(tmp_path / "b")
    assert train_here(whole) == 0
    assert train_here(parts, before=lambda control: setattr(control, "stops_after_epoch", True)) == 3
    assert train_here(parts, resume=True) == 0
    assert metrics(parts)["state_sha256"] == metrics(whole)["state_sha256"]
    found = metrics(whole)
    assert found["best_epoch"] == 2 and found["top1"] is found["loss"] is found["macro_f1"] is None
    assert find_checkpoint(whole, "best").step == find_checkpoint(whole, "last").step == 3

    state = whole.read_state()
    assert state.status is Status.FINISHED and not state.is_measured and state.best is state.epochs[-1]
    assert len(state.epochs) == 3 and not len(state.validation_loss) and len(state.train_loss) == 3
    assert "validating" not in [phase.phase for phase in of_kind(whole, ev.PhaseStarted)]
    notices = " ".join(notice.sentence for notice in state.notices)
    assert "Finished: epoch 3 is kept, nothing was measured" in notices and "top-1" not in notices and "best" not in notices
    told = summary(whole, state)
    assert json.dumps(told) and told["top1"] is None and told["best_epoch"] == 3
    lines = [_Screen()._line_of(event, state) for event in state.epochs]
    assert all("train loss" in line and "top-1" not in line and "best" not in line for line in lines)
    assert not (whole.results_path / "validation.json").exists()


def test_it_is_evaluated_on_images_of_its_own_and_exports_are_compared_on_those_that_trained(tmp_path):
    from builders import build_dataset

    folder = _one_of_each(tmp_path, schedule__epochs=1)
    assert train_here(folder) == 0
    build_dataset(tmp_path / "others", CLASSES, 2, 0, size_px=80)
    found = score_run(folder, Experiment().data.model_copy(update={"source": str(tmp_path / "others")}), device="cpu")
    assert found["num_images"] == 6 and 0 <= found["top1"] <= 1
    views, are_real = comparison_views(folder, load_trained(folder))
    assert are_real and len(views) == 3
    with pytest.raises(BadInput, match="There are no validation images"):
        score_run(folder, folder.experiment().data, part="validation", device="cpu")


def test_what_follows_the_validation_is_refused_or_said(tmp_path):
    folder = _one_of_each(tmp_path, schedule__shape="plateau", training__early_stop_epochs=2)
    experiment = folder.experiment()
    dataset = scan(experiment.data)
    found = {problem.field: problem for problem in check_run(experiment, dataset)}
    assert "follows the validation loss" in found["schedule.shape"].sentence
    mended = experiment.changed(found["schedule.shape"].repair.values | found["training.early_stop_epochs"].repair.values)
    assert {p.field for p in check_run(mended, dataset)} <= {"data.validation_fraction", "data.source"}
    assert train_here(folder) == 1 and "follows the validation loss" in of_kind(folder, ev.RunFailed)[0].sentence
