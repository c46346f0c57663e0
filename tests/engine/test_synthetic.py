"""Made images: found apart, only ever trained on, in the asked share, the same after a resume."""

from __future__ import annotations

import numpy as np
import pytest
from engine_runs import SMALL, metrics, of_kind, small_run, train_here

from studio.core import event as ev
from studio.core.experiment import Experiment
from studio.core.problem import errors_in
from studio.core.rng import epoch_order, training_order
from studio.core.run_folder import create_run
from studio.dataset.dataset import Dataset
from studio.dataset.scan import scan
from tests.builders import build_dataset

pytestmark = pytest.mark.usefixtures("measured")

CLASSES = ("class-0", "class-1")


@pytest.fixture
def folders(tmp_path):
    """Real images of two classes with made ones inside the same folder, and a second folder of made ones with a class too many."""
    real, other = tmp_path / "images", tmp_path / "rendered"
    build_dataset(real, ("a", "b"), num_train=16, num_validation=4, size_px=40)
    build_dataset(real / "made", ("a", "b"), num_train=3, num_validation=0, size_px=40)
    build_dataset(other, ("a", "b", "c"), num_train=2, num_validation=0, size_px=40)
    (other / "class-0" / "broken.png").write_bytes(b"no picture")
    return real, other


def _experiment(real, *synthetic, **more) -> Experiment:
    values = SMALL | {"data.source": str(real), "data.synthetic": tuple(map(str, synthetic)), "data.validation_fraction": 0.25}
    return Experiment().changed(values | more)


def test_made_images_are_found_apart_and_counted_apart(folders):
    real, other = folders
    dataset = scan(_experiment(real, "made", other).data)
    assert dataset.classes == CLASSES and len(dataset.samples) == 40
    assert not any("made" in s.id or "rendered" in s.id for s in dataset.samples)
    assert dataset.synthetic_counts() == {"class-0": 5, "class-1": 5} and sum(sum(n.values()) for n in dataset.counts().values()) == 40
    assert [s.id for s in dataset.set_aside if "broken" in s.id], "what cannot be used is said"
    assert any("class-2" in p.sentence and "not used" in p.sentence for p in dataset.problems) and not errors_in(dataset.problems)
    assert Dataset.from_json(dataset.to_json()) == dataset
    plain = scan(_experiment(real).data)
    assert plain.classes == (*CLASSES, "made") and plain.fingerprint() != dataset.fingerprint()


def test_a_folder_that_is_not_there_and_the_source_itself_are_errors(folders, tmp_path):
    real, _ = folders
    for wrong in (tmp_path / "nowhere", real, "."):
        (problem,) = errors_in(scan(_experiment(real, wrong).data).problems)
        assert problem.field == "data.synthetic"


def test_an_epoch_sees_every_real_image_once_and_the_share_of_made_ones_in_turn():
    seen = np.zeros(7, int)
    for epoch in range(7):
        order = training_order(5, epoch, 20, 7, 9)
        assert sorted(order[order < 20]) == list(range(20)) and (order >= 20).sum() == 9
        assert np.array_equal(order, training_order(5, epoch, 20, 7, 9)), "a function of seed and epoch alone"
        seen += np.bincount(order[order >= 20] - 20, minlength=7)
    assert seen.tolist() == [9] * 7
    assert np.array_equal(training_order(5, 3, 20), epoch_order(5, 3, 20))


@pytest.mark.parametrize(("fraction", "taken"), [(0.0, 0), (0.25, 10), (0.5, 29)])
def test_a_run_trains_on_them_and_validates_on_real_images_only(folders, tmp_path, fraction, taken):
    real, other = folders
    experiment = _experiment(real, "made", other, **{"data.synthetic_fraction": fraction})
    dataset = scan(experiment.data)
    folder = create_run(tmp_path / "runs", experiment, dataset.to_json())
    before = (lambda control: setattr(control, "stops_after_epoch", True)) if taken == 10 else None
    assert train_here(folder, before=before) == (3 if before else 0)
    if before:
        assert train_here(folder, resume=True) == 0
        whole = create_run(tmp_path / "whole", experiment, dataset.to_json())
        assert train_here(whole) == 0 and metrics(whole)["state_sha256"] == metrics(folder)["state_sha256"]
    num_real = len(dataset.part("train"))
    described = of_kind(folder, ev.RunDescribed)[0]
    assert (described.num_train, described.num_synthetic, described.num_synthetic_per_epoch) == (num_real, 10, taken)
    assert described.num_validation == len(dataset.part("validation")) and described.steps_per_epoch == -(-(num_real + taken) // 8)


def test_a_run_without_made_images_is_described_as_before(tmp_path):
    folder = small_run(tmp_path, schedule__epochs=1)
    assert train_here(folder) == 0
    assert of_kind(folder, ev.RunDescribed)[0].num_synthetic == 0
