"""Bands are chosen once for a run: what it trains on, what previews show, what it predicts and what its export says are the same pixels.

The classes of these images differ in band 5 alone, so a network that were shown other bands could not tell them apart.
"""

from __future__ import annotations

import runpy

import cv2
import numpy as np
import pytest
import tifffile
from engine_runs import SMALL, metrics, train_here

from studio.catalog.augments import evaluation_view, shrink_to_working_size
from studio.core.experiment import Experiment
from studio.core.outcome import Status
from studio.core.path_text import path_to_text
from studio.core.problem import errors_in
from studio.core.run_folder import create_run
from studio.dataset.image import read_image
from studio.dataset.scan import scan

BANDS = (5, 3, 2)
NUM = 24


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """16-bit images of reflectances up to 10,000, one class with healthy leaves: bright in the near infrared."""
    root, rng = tmp_path_factory.mktemp("fields"), np.random.default_rng(5)
    for name, infrared in (("bare", 1_500), ("grown", 8_000)):
        (root / name).mkdir()
        for number in range(NUM):
            values = rng.integers(500, 3_000, (40, 48, 6))
            values[..., 4] = infrared + rng.integers(-400, 400, (40, 48))
            tifffile.imwrite(root / name / f"{number}.tif", values.astype(np.uint16), photometric="minisblack", planarconfig="contig")
    return root


@pytest.fixture(scope="module")
def run(images, tmp_path_factory):
    settings = SMALL | {"data.source": str(images), "data.bands": BANDS, "data.white": 10_000, "data.validation_fraction": 0.25}
    more = {"model.input_size": 32, "schedule.epochs": 5, "schedule.peak_lr": 5e-3, "augment.preset": "none"}
    experiment = Experiment().changed(settings | more)
    dataset = scan(experiment.data)
    assert not errors_in(dataset.problems)
    folder = create_run(tmp_path_factory.mktemp("runs"), experiment, dataset.to_json())
    assert train_here(folder) == 0 and folder.read_state().status is Status.FINISHED
    return folder


def test_a_run_learns_from_the_bands_that_were_chosen_and_predicts_with_them(run, images):
    from studio.engine.network import load_trained
    from studio.engine.predict import Predictor, find_images

    assert metrics(run)["top1"] == 1.0
    predictor = Predictor(load_trained(run))
    answers = list(predictor.predict(find_images([str(images)])))
    wrong = [a.path for a in answers if predictor.trained.classes[a.best] not in a.path]
    assert len(answers) == 2 * NUM and not wrong


def test_preview_training_and_scoring_see_the_same_pixels(run, images):
    from studio.engine.loader import Loader, Request
    from studio.engine.setup import source_for
    from studio.engine.worker.pictures import working_picture

    experiment = run.experiment()
    dataset = scan(experiment.data)
    view = {"input_size": 32, "interpolation": "bilinear", "crop_fraction": 0.875}
    samples = dataset.samples[:4]
    with Loader(source_for(experiment, dataset, samples, view, 4), 4) as loader:
        (batch,) = loader.batches([Request((0, 1, 2, 3))])
    for sample, seen in zip(samples, batch.images_NHWC):
        path = dataset.path_of(sample)
        image = read_image(path, experiment.data.reading)
        assert image[..., 0].mean() == pytest.approx((8_000 if sample.label == "grown" else 1_500) / 10_000 * 255, abs=3)
        assert np.array_equal(seen, evaluation_view(image, 32, "bilinear", 0.875))
        assert np.array_equal(working_picture(path_to_text(path), experiment.data.reading, 32), shrink_to_working_size(image, 32))


def test_an_export_says_the_bands_and_its_program_reads_them(run, images, tmp_path):
    from studio.engine.export import as_exportable, export
    from studio.engine.network import load_trained

    assert "bands 5, 3 and 2" in as_exportable(load_trained(run)).recipe
    export(run, "safetensors", tmp_path / "st")
    program = runpy.run_path(str(tmp_path / "st" / "preprocess.py"))
    path = str(images / "grown" / "0.tif")
    assert np.array_equal(program["read"](path), read_image(path, run.experiment().data.reading))
    deep = np.linspace(0, 10_000, 40 * 56 * 4).astype(np.uint16).reshape(40, 56, 4)
    for number, (values, suffix) in enumerate(((deep[..., :3], "png"), (deep, "png"), (deep[..., :3], "tif"), (deep, "tif"))):
        name = str(tmp_path / f"{number}.{suffix}")
        if suffix == "png":
            cv2.imwrite(name, values)
        else:
            options = {"extrasamples": ["unassalpha"]} if values.shape[2] == 4 else {}
            tifffile.imwrite(name, values, photometric="rgb", extratags=[(274, "H", 1, 6, True)], **options)
        assert np.abs(program["read"](name) - read_image(name, run.experiment().data.reading).astype(int)).max() <= 1
    turned, floats = str(tmp_path / "turned.tif"), str(tmp_path / "floats.tif")
    stored = tifffile.imread(path)
    options = {"photometric": "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(turned, stored, extratags=[(274, "H", 1, 6, True)], **options)
    assert np.array_equal(program["read"](turned), read_image(turned, run.experiment().data.reading))
    tifffile.imwrite(floats, stored / 65535, **options)
    with pytest.raises(ValueError, match="8 or 16 bits"):  # in place of a black picture
        program["read"](floats)
