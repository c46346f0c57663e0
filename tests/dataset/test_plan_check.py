"""What must be right between an experiment and its data before a run starts."""

from __future__ import annotations

import pytest

from studio.core.experiment import Experiment
from studio.core.problem import Severity, errors_in
from studio.dataset.plan_check import check_run
from studio.dataset.scan import scan

from .conftest import make_images


@pytest.fixture
def dataset(tmp_path):
    make_images(tmp_path, {"train/cat": 20, "train/dog": 20, "val/cat": 5, "val/dog": 5})
    return scan(Experiment().changed({"data.source": str(tmp_path)}).data)


def findings(dataset, **values):
    return {p.field: p for p in check_run(Experiment().changed({k.replace("__", "."): v for k, v in values.items()}), dataset)}


def test_a_sound_plan_has_no_findings(dataset):
    assert findings(dataset) == {}


def test_a_batch_larger_than_the_training_set_is_an_error_with_one_that_fits(dataset):
    problem = findings(dataset, training__batch_size=64)["training.batch_size"]
    assert problem.severity is Severity.ERROR
    assert problem.sentence == "Batch size 64 is larger than the 40 training images. Try 32."
    assert findings(dataset, training__batch_size=40) == {}


def test_no_validation_images_is_an_error(dataset):
    empty = dataset.changed(samples=dataset.part("train"))
    assert findings(empty)["data.validation_fraction"].severity is Severity.ERROR


def test_no_training_images_is_an_error(dataset):
    empty = dataset.changed(samples=dataset.part("validation"))
    assert "no training images" in findings(empty)["data.source"].sentence


def test_errors_of_the_data_set_keep_a_run_from_starting(tmp_path):
    make_images(tmp_path, {"cat": 60})
    dataset = scan(Experiment().changed({"data.source": str(tmp_path)}).data)
    assert errors_in(check_run(Experiment(), dataset))


def test_what_the_schedule_has_to_say_is_among_the_findings(dataset):
    found = findings(dataset, schedule__shape="warm_restarts", schedule__cycle_epochs=20, schedule__epochs=8)
    assert found["schedule.cycle_epochs"].severity is Severity.NOTE
    assert findings(dataset, schedule__cycle_epochs=20, schedule__epochs=8) == {}


def test_a_missing_weights_file_is_an_error(dataset, tmp_path):
    assert findings(dataset, model__weights_file=str(tmp_path / "x.pth"))["model.weights_file"].severity is Severity.ERROR
    (tmp_path / "x.pth").touch()
    assert findings(dataset, model__weights_file=str(tmp_path / "x.pth")) == {}


def test_weights_of_a_run_and_of_a_file_are_not_both_taken(dataset, tmp_path):
    (tmp_path / "x.pth").touch()
    both = {"model__weights_file": str(tmp_path / "x.pth"), "model__start_run": str(tmp_path)}
    problem = findings(dataset, **both)["model.weights_file"]
    assert problem.severity is Severity.ERROR and "both chosen" in problem.sentence
    left = Experiment().changed({path.replace("__", "."): value for path, value in both.items()}).changed(problem.repair.values)
    assert not [p for p in check_run(left, dataset) if p.field.startswith("model.")]
