"""Predicting files, and where the network looked."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from studio.core.problem import BadInput
from studio.dataset.dataset import Cancelled, Dataset
from studio.engine.explain import explain
from studio.engine.network import load_trained
from studio.engine.predict import Predictor, find_images
from tests.export.conftest import CLASSES, make_run


@pytest.fixture(scope="module")
def predictor(bundled_run) -> Predictor:
    return Predictor(load_trained(bundled_run))


def test_predictions_come_in_order_whatever_the_batch_size(predictor, bundled_run):
    dataset = Dataset.from_json(bundled_run.dataset_path.read_bytes())
    paths = [dataset.path_of(s) for s in dataset.samples]
    seen = []
    one_by_one = list(predictor.predict(paths, batch_size=1))
    together = list(predictor.predict(paths, batch_size=7, progress=lambda *p: seen.append(p)))
    assert [p.path for p in together] == paths
    for a, b in zip(one_by_one, together, strict=True):
        np.testing.assert_allclose(a.probabilities_C, b.probabilities_C, atol=1e-5)
        assert abs(a.probabilities_C.sum() - 1) < 1e-5
    assert seen[-1] == (len(paths), len(paths), "Predicting")


def test_top_is_sorted_and_confidence_is_its_first(predictor, bundled_run):
    dataset = Dataset.from_json(bundled_run.dataset_path.read_bytes())
    prediction = next(predictor.predict([dataset.path_of(dataset.samples[0])]))
    top = prediction.top(3)
    assert [p for _, p in top] == sorted((p for _, p in top), reverse=True)
    assert top[0] == (prediction.best, prediction.confidence)


def test_folders_are_searched_and_what_is_not_there_is_bad_input(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "a" / "b" / "x.png")
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    assert find_images([str(tmp_path)]) == [str(tmp_path / "a" / "b" / "x.png")]
    with pytest.raises(BadInput, match="There is no file"):
        find_images([str(tmp_path / "gone.png")])


def test_predicting_can_be_cancelled(predictor, bundled_run):
    dataset = Dataset.from_json(bundled_run.dataset_path.read_bytes())
    with pytest.raises(Cancelled):
        list(predictor.predict([dataset.path_of(s) for s in dataset.samples], is_cancelled=lambda: True))


def test_grad_cam_follows_what_speaks_for_the_class(predictor):
    """A head that reads one feature map: the heat must be that map's positive part."""
    import torch

    trained = predictor.trained
    view = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    found = explain(trained, view, 1)
    assert found.heat_HW.shape == (64, 64) and found.heat_HW.dtype == np.float32
    assert found.heat_HW.min() >= 0 and 0.5 < found.heat_HW.max() <= 1
    assert found.class_index == 1 and explain(trained, view).class_index == found.probabilities_C.argmax()

    # Reference: gradient and maps of the named layer, by hand.
    kept = {}
    layer = trained.module.get_submodule(found.layer)
    handle = layer.register_forward_hook(lambda _m, _i, out: kept.update(maps=out))
    images = trained.normaliser()(view[None]).requires_grad_(True)
    logits = trained.module(images)
    handle.remove()
    slopes = torch.autograd.grad(logits[0, 1], kept["maps"])[0]
    weights = slopes.mean((2, 3), keepdim=True)
    heat = (weights * kept["maps"]).sum(1)[0].relu().detach()
    large = torch.nn.functional.interpolate((heat / heat.max())[None, None], size=(64, 64), mode="bicubic")[0, 0].clamp(0, 1)
    np.testing.assert_allclose(found.heat_HW, large.numpy(), atol=1e-5)


def test_a_class_that_does_not_exist_is_bad_input(predictor):
    with pytest.raises(BadInput, match="knows 3"):
        explain(predictor.trained, np.zeros((64, 64, 3), np.uint8), len(CLASSES))


@pytest.mark.parametrize(("source", "backbone", "size"), [("timm", "test_vit", 160), ("torchvision", "squeezenet1_1", 64)])
def test_networks_without_a_last_map_are_explained_by_an_earlier_layer(tmp_path, source, backbone, size):
    trained = load_trained(make_run(tmp_path, source, backbone, size, is_pretrained=False))
    view = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    heat = explain(trained, view, 0).heat_HW
    assert heat.shape == (size, size) and heat.max() > 0
