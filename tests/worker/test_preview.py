"""The preview shows what training is given, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from studio.core.experiment import Experiment
from studio.core.rng import sample_seed
from studio.supervise.worker import Worker, take_file
from tests.builders import build_dataset
from tests.worker.conftest import Asker


@pytest.fixture(scope="module")
def preview(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(tmp_path_factory.mktemp("preview-home")))
        worker = Worker("preview")
        yield Asker(worker)
        worker.close(5)


def pixels(reference: dict) -> np.ndarray:
    return np.frombuffer(take_file(reference), np.uint8).reshape(reference["height"], reference["width"], 3)


@pytest.mark.parametrize("strength", ["none", "light", "medium", "strong"])
def test_variants_are_the_pictures_that_the_training_loader_gives(preview, tmp_path, strength):
    from studio.engine.loader import Loader, Request, Source

    dataset = build_dataset(tmp_path, ("a", "b"), num_train=3, num_validation=1, size_px=90)
    spec = Experiment().changed({"augment.preset": strength, "model.input_size": 48, "training.seed": 11})
    train = dataset.part("train")
    paths = tuple(dataset.path_of(s) for s in train)
    shown = preview.ask("variants", experiment=spec.model_dump(mode="json"), image_path=paths[4], sample_index=4, epoch=2, count=3)
    source = Source(paths, spec.augment, 48, "bicubic", 0.875, 80.0, len(paths), cache_bytes=1 << 20)
    with Loader(source, max_batch=1) as loader:
        for epoch, reference in enumerate(shown["images"], start=2):
            batch = next(iter(loader.batches([Request((4,), (sample_seed(11, epoch, 4),))])))
            np.testing.assert_array_equal(pixels(reference), batch.images_NHWC[0])
    assert shown["seeds"] == [sample_seed(11, epoch, 4) for epoch in (2, 3, 4)]


def test_the_evaluation_view_is_the_one_of_validation(preview, tmp_path):
    from studio.catalog.augments import evaluation_view
    from studio.dataset.image import read_image

    dataset = build_dataset(tmp_path, ("a", "b"), num_train=1, num_validation=1, size_px=90)
    path = dataset.path_of(dataset.samples[0])
    spec = Experiment().changed({"model.input_size": 48})
    found = preview.ask("as_network_sees", experiment=spec.model_dump(mode="json"), image_path=path)
    np.testing.assert_array_equal(pixels(found["image"]), evaluation_view(read_image(path), 48, "bicubic", 0.875))


def test_a_picture_that_cannot_be_read_is_a_sentence(preview, tmp_path):
    (tmp_path / "x.png").write_bytes(b"no picture")
    error = preview.fail("variants", experiment={}, image_path=str(tmp_path / "x.png"))
    assert "x.png cannot be shown" in error.sentence and error.trace == ""
    assert "cannot be read" in preview.fail("variants", experiment={}, image_path=str(tmp_path / "gone.png")).sentence
