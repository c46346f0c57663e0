"""The preview shows what training is given, bit for bit, and says what goes wrong where it goes wrong."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.catalog.augments import evaluation_view
from studio.catalog.backbones import bundled, listing
from studio.core.experiment import Experiment, TransformSpec
from studio.core.reading import Reading
from studio.core.rng import epoch_order, sample_seed
from studio.dataset.image import read_image
from studio.supervise.worker import Worker
from tests.builders import build_dataset
from tests.worker.conftest import Asker

SIZE = 24


@pytest.fixture(scope="module")
def preview(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(tmp_path_factory.mktemp("preview-home")))
        worker = Worker("preview")
        yield Asker(worker)
        worker.close(5)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Paths of eight training images, and the data set."""
    dataset = build_dataset(tmp_path_factory.mktemp("photos"), ("a", "b"), num_train=4, num_validation=1, size_px=40)
    return tuple(dataset.path_of(s) for s in dataset.part("train")), dataset


def pixels(reference: dict) -> np.ndarray:
    return np.frombuffer(reference["content"], np.uint8).reshape(reference["height"], reference["width"], 3)


def spec_of(**values) -> Experiment:
    return Experiment().changed({"model.input_size": SIZE, "training.seed": 11} | {k.replace("__", "."): v for k, v in values.items()})


def subjects_of(paths, indices, epoch: int = 0) -> list[dict]:
    return [{"path": paths[i], "index": i, "epoch": epoch} for i in indices]


def test_a_blended_batch_is_the_one_that_training_sees(preview, photos):
    from studio.engine.loader import Loader, Source
    from studio.engine.mix import draw_mix
    from studio.engine.plan import training_requests

    paths, dataset = photos
    spec = spec_of(augment__preset="medium", augment__mixup_p=0.5, augment__cutmix_p=0.5, training__batch_size=8)
    labels = [s.label for s in dataset.part("train")]
    order = epoch_order(11, 1, 8)
    asked = [{"path": paths[i], "index": int(i), "epoch": 1, "label": labels[i]} for i in order]
    source = Source(paths, spec.augment, SIZE, "bicubic", 0.875, Reading(), 8, cache_bytes=1 << 20)
    kinds = set()
    for step in range(6):
        result, parts = preview.parts("batch", experiment=spec.model_dump(mode="json"), subjects=asked, step=step)
        mix = draw_mix(spec.augment, 8, SIZE, 11, step, 0)
        with Loader(source, 8) as loader:
            trained = next(iter(loader.batches(training_requests(11, 1, 8, 8))))
            blended = mix.pictures(trained.images_NHWC, 8)
        kinds.add(result["kind"])
        assert result["share"] == mix.share
        for i, part in enumerate(parts):
            np.testing.assert_array_equal(pixels(part["image"]), blended[i])
            assert sum(share for _, share in part["labels"]) == pytest.approx(1)
            assert part["labels"][0][0] == labels[order[i]] and part["labels"][-1][0] in ("a", "b")
    assert kinds == {"MixUp", "CutMix"}


def test_a_strip_goes_from_low_to_high_and_leaves_the_other_steps_alone(preview, photos):
    paths, _ = photos
    steps = (TransformSpec(name="HorizontalFlip", p=1.0), TransformSpec(name="GaussianBlur", p=0.1))
    spec = spec_of(augment__preset="custom", augment__transforms=steps)
    result, parts = preview.parts(
        "strip", experiment=spec.model_dump(mode="json"), subject=subjects_of(paths, [2])[0], step=1, param="sigma_limit"
    )
    assert result["values"] == [0.1, 2.075, 4.05, 6.025, 8.0] == [part["value"] for part in parts]
    sharpness = [float(np.abs(np.diff(pixels(part["image"]).astype(int), axis=1)).mean()) for part in parts]
    assert sharpness == sorted(sharpness, reverse=True) and sharpness[0] > 2 * sharpness[4]
    assert all([d["name"] for d in part["drawn"]] == ["HorizontalFlip", "GaussianBlur"] for part in parts)
    assert [name for name, _ in parts[1]["drawn"][1]["values"]] == ["kernel"]


def test_a_value_that_cannot_be_is_said_on_its_own_tile(preview, photos):
    spec = spec_of(augment__preset="custom", augment__transforms=(TransformSpec(name="Blur"),))
    _, parts = preview.parts(
        "strip", experiment=spec.model_dump(mode="json"), subject=subjects_of(photos[0], [0])[0], step=0, param="blur_limit", values=[1, 7]
    )
    assert "at least 3" in parts[0]["error"] and "image" in parts[1]


def test_the_gallery_shows_transforms_on_the_photo_no_smaller_than_asked(preview, photos):
    names = ["HorizontalFlip", "CLAHE", "TrivialAugment"]
    result, parts = preview.parts(
        "gallery", experiment=spec_of().model_dump(mode="json"), subject=subjects_of(photos[0], [1])[0], names=names, size_px=12
    )
    assert result["count"] == 3 and [part["name"] for part in parts] == names
    assert all(pixels(part["image"]).shape == (SIZE // 2, SIZE // 2, 3) for part in parts)


def test_the_gallery_shows_mixes_of_the_photo_with_another_one_as_training_blends_them(preview, photos):
    paths, _ = photos
    asked = {"experiment": spec_of().model_dump(mode="json"), "subject": subjects_of(paths, [0])[0], "names": ["MixUp", "Blur", "CutMix"]}
    result, parts = preview.parts("gallery", **asked, partner=subjects_of(paths, [5])[0], size_px=SIZE)
    assert result["count"] == 3 and [part["name"] for part in parts] == ["Blur", "MixUp", "CutMix"]
    own, other = (evaluation_view(read_image(paths[i]), SIZE).astype(int) for i in (0, 5))
    mixed, cut = (pixels(part["image"]).astype(int) for part in parts[1:])
    share = np.clip((mixed - other).sum() / (own - other).sum(), 0, 1)
    assert 0.5 <= share <= 0.75 and np.abs(mixed - (share * own + (1 - share) * other)).max() <= 2
    is_own = (cut == own).all(2)
    assert 0.5 <= is_own.mean() <= 0.76 and (cut == other).all(2)[~is_own].all(), "each pixel is of one of the two"
    _, parts = preview.parts("gallery", **asked, partner={"path": "/gone.png"})
    assert [part["name"] for part in parts if "error" in part] == ["MixUp", "CutMix"]
    assert [part["name"] for part in preview.parts("gallery", **asked)[1]] == ["Blur"]


def test_a_step_that_cannot_be_done_says_so_on_the_tile_and_a_bad_file_does_not_stop_the_others(preview, photos, tmp_path):
    (tmp_path / "x.png").write_bytes(b"no picture")
    steps = (TransformSpec(name="RandomCrop", p=1.0, params={"height": 500, "width": 500, "pad_if_needed": False}),)
    spec = spec_of(augment__preset="custom", augment__transforms=steps)
    subjects = [{"path": str(tmp_path / "x.png")}, *subjects_of(photos[0], [0]), {"path": str(tmp_path / "gone.png")}]
    _, parts = preview.parts("tiles", experiment=spec.model_dump(mode="json"), subjects=subjects)
    assert "x.png cannot be shown" in parts[0]["error"] and "cannot be read" in parts[2]["error"]
    (drawn,) = parts[1]["drawn"]
    assert drawn["title"] == "Random crop" and "500" in drawn["failure"]


def test_a_pipeline_that_cannot_be_is_a_sentence_with_its_field(preview, photos):
    steps = (TransformSpec(name="Blur"), TransformSpec(name="PadIfNeeded", params={"pad_height_divisor": 8}))
    spec = spec_of(augment__preset="custom", augment__transforms=steps)
    error = preview.fail("tiles", experiment=spec.model_dump(mode="json"), subjects=subjects_of(photos[0], [0]))
    assert "augment.transforms.1" in error.sentence and "PadIfNeeded cannot be made" in error.sentence and error.trace == ""
    found = preview.ask("check_pipeline", experiment=spec.model_dump(mode="json"))["problems"]
    assert [p["field"] for p in found] == ["augment.transforms.1"]
    assert preview.ask("check_pipeline", experiment=spec_of().model_dump(mode="json")) == {"problems": []}


def test_pictures_that_begin_behind_the_unchanged_steps_are_those_of_a_fresh_start(preview, photos):
    """One step of nine is changed at a time, switched off or moved, as by a hand on the page; then every picture is made anew."""
    from studio.catalog.augments import Pipeline
    from studio.dataset.image import read_image

    names = [
        "RandomResizedCrop",
        "HorizontalFlip",
        "Affine",
        "ColorJitter",
        "GaussNoise",
        "CoarseDropout",
        "GridDropout",
        "Erasing",
        "Posterize",
    ]
    steps = [TransformSpec(name=name, p=0.7) for name in names]
    edits = [dict(enumerate(steps))]
    for number in (8, 3, 0, 5, 5, 7):
        edits.append(edits[-1] | {number: TransformSpec(name=names[number], p=0.9 - len(edits) / 20)})
    edits.append(edits[-1] | {2: TransformSpec(name="Affine", is_on=False)})
    edits.append(edits[-1] | {6: edits[-1][7], 7: edits[-1][6]})
    for edit in edits:
        spec = spec_of(augment__preset="custom", augment__transforms=tuple(edit.values()))
        _, parts = preview.parts("tiles", experiment=spec.model_dump(mode="json"), subjects=subjects_of(photos[0], range(4), epoch=1))
        fresh = Pipeline(spec.augment.transforms, SIZE)
        for i, part in enumerate(parts):
            picture, applied = fresh.traced(read_image(photos[0][i]), sample_seed(11, 1, i))
            np.testing.assert_array_equal(pixels(part["image"]), picture)
            assert [(d["step"], d["name"]) for d in part["drawn"]] == [(a.step, a.name) for a in applied]


def test_pictures_that_a_changed_step_acts_on_come_before_those_that_stay(preview, photos):
    for brightness in (1.2, 1.3):
        steps = ({"name": "HorizontalFlip"}, {"name": "ColorJitter", "p": 0.5, "params": {"brightness": (0.8, brightness)}})
        spec = spec_of(augment__preset="custom", augment__transforms=steps)
        _, parts = preview.parts(
            "tiles", experiment=spec.model_dump(mode="json"), subjects=subjects_of(photos[0], range(8), epoch=5), size_px=SIZE
        )
    changes = ["ColorJitter" in {drawn["name"] for drawn in part["drawn"]} for part in parts]
    assert changes == sorted(changes, reverse=True) and len(set(changes)) == 2
    assert sorted(part["tile"] for part in parts) == list(range(8))


def test_pictures_for_small_tiles_are_the_same_ones_shrunk(preview, photos):
    asked = {"experiment": spec_of(augment__preset="strong").model_dump(mode="json"), "subjects": subjects_of(photos[0], [0, 1])}
    _, whole = preview.parts("tiles", **asked)
    _, small = preview.parts("tiles", **asked, size_px=SIZE // 2)
    for each, part in zip(*(sorted(parts, key=lambda part: part["tile"]) for parts in (whole, small)), strict=True):
        quarters = pixels(each["image"]).reshape(SIZE // 2, 2, SIZE // 2, 2, 3).mean((1, 3))
        assert np.abs(pixels(part["image"]) - quarters).max() <= 1


def test_the_first_pictures_of_a_large_batch_are_blended_with_partners_from_all_of_it(preview, photos):
    spec = spec_of(augment__preset="light", augment__mixup_p=0.5, augment__cutmix_p=0.5)
    asked = {
        "experiment": spec.model_dump(mode="json"),
        "subjects": [s | {"label": str(s["index"])} for s in subjects_of(photos[0], range(8))],
    }
    for step in (0, 1, 2):
        whole, all_parts = preview.parts("batch", **asked, step=step)
        some, parts = preview.parts("batch", **asked, step=step, count=3)
        assert (some["count"], some["num_images"], some["kind"]) == (3, 8, whole["kind"])
        for mine, theirs in zip(parts, all_parts[:3], strict=True):
            np.testing.assert_array_equal(pixels(mine["image"]), pixels(theirs["image"]))
            assert mine["labels"] == theirs["labels"]


def test_normalised_pictures_show_the_numbers_that_the_network_gets(preview, photos):
    """The numbers are those of the engine's own normaliser, -2.5 as black and 2.5 as white."""
    import torch

    from studio.engine.network import Normaliser

    mean, std = (0.4, 0.5, 0.6), (0.2, 0.1, 0.3)
    spec = spec_of(augment__preset="medium", model__normalisation="custom", model__custom_mean=mean, model__custom_std=std)
    asked = {"experiment": spec.model_dump(mode="json"), "subjects": subjects_of(photos[0], [0, 1])}
    _, plain = preview.parts("tiles", **asked)
    _, shown = preview.parts("tiles", **asked, is_normalised=True)
    for before, after in zip(plain, shown, strict=True):
        numbers = Normaliser(mean, std, torch.device("cpu"), channels_last=False)(pixels(before["image"])[None].copy())[0].permute(1, 2, 0)
        grey = np.clip((numbers.numpy() + 2.5) * 51, 0, 255)
        assert np.abs(pixels(after["image"]) - grey).max() <= 0.51
    asked["experiment"]["model"]["normalisation"] = "data"
    assert "not measured yet" in preview.fail("tiles", **asked, is_normalised=True).sentence
    _, measured = preview.parts("tiles", **asked, is_normalised=True, measured=[mean, std])
    np.testing.assert_array_equal(pixels(measured[0]["image"]), pixels(shown[0]["image"]))


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "I;16", "1"])
def test_grey_transparent_palette_and_16_bit_pictures_are_varied_as_colour_pictures(preview, tmp_path, mode):
    """By steps that look at colours, channels or tables of 256 values; the same as of the colour picture that they are decoded to."""
    from studio.dataset.image import read_image

    draws = np.random.default_rng(3)
    made = Image.fromarray(draws.integers(0, 256, (30, 26, 4), np.uint8), "RGBA")
    made = Image.fromarray(draws.integers(0, 65536, (30, 26)).astype(np.uint16)) if mode == "I;16" else made.convert(mode)
    made.save(tmp_path / "odd.png")
    Image.fromarray(read_image(str(tmp_path / "odd.png"))).save(tmp_path / "plain.png")
    names = ("ToGray", "HueSaturationValue", "CLAHE", "ChannelShuffle", "Equalize", "ColorJitter", "PlanckianJitter", "ISONoise", "Affine")
    spec = spec_of(augment__preset="custom", augment__transforms=tuple(TransformSpec(name=name, p=1.0) for name in names))
    subjects = [{"path": str(tmp_path / name), "index": 4, "epoch": 2} for name in ("odd.png", "plain.png")]
    _, (odd, plain) = preview.parts("tiles", experiment=spec.model_dump(mode="json"), subjects=subjects)
    np.testing.assert_array_equal(pixels(odd["image"]), pixels(plain["image"]))
    assert [d["name"] for d in odd["drawn"]] == list(names) and not any(d["failure"] for d in odd["drawn"])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what a process has loaded is read from /proc")
def test_pictures_need_no_torch(photos, monkeypatch, tmp_path):
    """Nor do the numbers that a network gets, once the backbones have been listed: 105 MB and a second to start, not 580 MB."""
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path))
    (info,) = bundled.infos()
    listed = asdict(
        replace(info, source="torchvision", name="resnet18", mean=(0.4, 0.5, 0.6), weights_url="https://example.org/resnet18.pth")
    )
    listing._cache_file().parent.mkdir(parents=True)
    listing._cache_file().write_text(json.dumps({"versions": listing._versions(), "backbones": [listed]}))
    paths, _ = photos
    preview = Asker(Worker("preview"))
    try:
        asked = [s | {"label": str(s["index"])} for s in subjects_of(paths, range(8))]
        preview.parts("tiles", experiment=spec_of(augment__preset="strong").model_dump(mode="json"), subjects=asked)
        preview.parts("batch", experiment=spec_of(augment__cutmix_p=1.0).model_dump(mode="json"), subjects=asked)
        spec = spec_of(model__source="torchvision", model__backbone="resnet18")
        _, (plain, *_) = preview.parts("tiles", experiment=spec.model_dump(mode="json"), subjects=asked[:1])
        _, (shown, *_) = preview.parts("tiles", experiment=spec.model_dump(mode="json"), subjects=asked[:1], is_normalised=True)
        loaded = Path(f"/proc/{preview.worker.pid}/maps").read_text()
    finally:
        preview.worker.close(5)
    numbers = (pixels(plain["image"]) / 255 - listed["mean"]) / listed["std"]
    assert np.abs(pixels(shown["image"]) - np.clip((numbers + 2.5) * 51, 0, 255)).max() <= 0.51
    assert "cv2" in loaded
    assert "libtorch" not in loaded
