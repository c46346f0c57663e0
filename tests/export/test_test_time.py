"""Test-time augmentation: the mean over views, in prediction and in scoring, on the command line and in the worker."""

from __future__ import annotations

import json

import numpy as np
import pytest

from studio.catalog.augments import evaluation_view
from studio.catalog.augments.test_time import TEST_TIMES
from studio.cli import main
from studio.core.experiment import Data
from studio.core.problem import BadInput
from studio.dataset.dataset import Dataset
from studio.dataset.image import read_image
from studio.engine.network import load_trained
from studio.engine.predict import Predictor
from studio.engine.score_run import score_run


@pytest.mark.parametrize("choice", TEST_TIMES, ids=lambda c: c.key)
def test_answers_are_the_mean_over_the_views_and_a_bad_file_stops_nothing(choice, bundled_run, tmp_path):
    trained = load_trained(bundled_run)
    dataset = Dataset.from_json(bundled_run.dataset_path.read_bytes())
    (tmp_path / "x.png").write_bytes(b"no picture")
    paths = [dataset.path_of(dataset.samples[0]), str(tmp_path / "x.png"), dataset.path_of(dataset.samples[1])]
    predictor = Predictor(trained, test_time=choice.key)
    first, bad, second = predictor.predict(paths, batch_size=3)
    assert bad.reason and bad.probabilities_C is None
    for path, found in ((paths[0], first), (paths[2], second)):
        views = predictor.views(read_image(path))
        assert views.shape == (choice.num_views, 64, 64, 3)
        usual = evaluation_view(read_image(path), 64, trained.interpolation, trained.crop_fraction)
        np.testing.assert_array_equal(views[0], usual)
        np.testing.assert_allclose(found.probabilities_C, predictor.probabilities(views).mean(0), atol=1e-5)


def test_views_of_odd_pictures_have_the_right_size():
    for choice in TEST_TIMES:
        for shape in ((1, 1, 3), (3, 400, 3)):
            assert [v.shape for v in choice.views(np.zeros(shape, np.uint8), 24, "bicubic", 0.9)] == [(24, 24, 3)] * choice.num_views


def test_scores_with_it_come_from_the_averaged_answers(bundled_run):
    dataset = Dataset.from_json(bundled_run.dataset_path.read_bytes())
    data = Data(source=dataset.root, relabelled={s.id: s.label for s in dataset.samples})
    plain = score_run(bundled_run, data, device="cpu")
    mirrored = score_run(bundled_run, data, device="cpu", test_time="mirror")
    assert (plain["test_time"], mirrored["test_time"]) == ("off", "mirror") and plain["loss"] != mirrored["loss"]
    assert plain["num_images"] == mirrored["num_images"] > 0
    with pytest.raises(BadInput, match="There is no test-time augmentation"):
        score_run(bundled_run, data, device="cpu", test_time="sideways")


def test_the_command_line_takes_it(bundled_run, capsys):
    dataset = Dataset.from_json(bundled_run.dataset_path.read_bytes())
    picture = dataset.path_of(dataset.samples[0])
    assert main(["predict", str(bundled_run.path), picture, "--tta", "ten-crops", "--device", "cpu", "--json"]) == 0
    row = json.loads(capsys.readouterr().out.splitlines()[-1])["predictions"][0]
    expected = next(Predictor(load_trained(bundled_run), test_time="ten crops").predict([picture]))
    assert row["top"][0][1] == pytest.approx(expected.confidence, abs=1e-5)
    assert main(["evaluate", str(bundled_run.path), "--data", dataset.root, "--tta", "upside-down"]) == 2
    assert "five-crops" in capsys.readouterr().err
