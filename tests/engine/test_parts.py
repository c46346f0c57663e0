"""Augmentation, loader, precision and words for failures, one by one."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import torch
from engine_runs import SMALL, small_run

from studio.catalog.augments import PRESETS, Pipeline, build_pipeline, evaluation_view, shrink_to_working_size
from studio.core.experiment import Augment, Experiment, TransformSpec
from studio.core.file import write_atomically
from studio.core.problem import BadInput
from studio.core.reading import Reading
from studio.dataset.dataset import Dataset
from studio.dataset.image import ImageRefused
from studio.engine import loader as loader_module
from studio.engine.evaluate import Answers, score, scores_json
from studio.engine.failure import DataGone, describe
from studio.engine.loader import LEAST_AHEAD, Loader, Request, Source
from studio.engine.plan import steps_per_epoch, training_requests


def _photo(height: int = 120, width: int = 160) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x % 256, y % 256, (x * y) % 256], 2).astype(np.uint8)


@pytest.mark.parametrize("preset", [p.key for p in PRESETS])
@pytest.mark.parametrize("shape", [(120, 160), (700, 500), (1, 9), (40, 2000)])
def test_same_seed_same_picture_whatever_was_drawn_before(preset, shape):
    photo = _photo(*shape)
    one, two = build_pipeline(Augment(preset=preset), 64), build_pipeline(Augment(preset=preset), 64)
    first = one(photo, 7)
    two(photo, 1)
    assert first.shape == (64, 64, 3) and first.dtype == np.uint8 and first.flags.c_contiguous
    assert np.array_equal(first, two(photo, 7))
    assert np.array_equal(first, one(shrink_to_working_size(photo, 64), 7)), "a kept shrunk image gives the same picture"
    if preset != "none" and shape in ((120, 160), (700, 500)):
        assert not np.array_equal(first, one(photo, 8))


def test_mirror_can_be_switched_off():
    photo = np.zeros((64, 64, 3), np.uint8)
    photo[:, 40:] = 255
    pipeline = build_pipeline(Augment(preset="light", horizontal_flip=False), 64)
    assert all(picture[:, -1].mean() >= picture[:, 0].mean() for picture in (pipeline(photo, seed) for seed in range(20)))


def test_the_evaluation_view_is_the_centre_and_averages_when_it_shrinks():
    stripes = np.zeros((256, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    view = evaluation_view(stripes, 64)
    assert view.shape == (64, 64, 3) and abs(int(view.mean()) - 127) < 3 and view.std() < 5
    assert evaluation_view(np.zeros((1, 60_000, 3), np.uint8), 32).shape == (32, 32, 3)


@pytest.mark.parametrize("shape", [(90, 90), (60, 75), (32, 48)])
def test_a_random_crop_of_everything_is_resized_as_the_evaluation_view_is(shape):
    """One way to resize for training, validation and export."""
    photo = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    side = min(shape)
    centre = photo[(shape[0] - side) // 2 :, (shape[1] - side) // 2 :][:side, :side]
    crop = TransformSpec(
        name="RandomResizedCrop", params={"scale": (1.0, 1.0), "ratio": (1.0, 1.0), "interpolation": 2, "area_for_downscale": "image"}
    )
    np.testing.assert_array_equal(Pipeline((crop,), 48)(centre, 3), evaluation_view(photo, 48))


def _source(folder, num_trained: int, **more) -> Source:
    dataset = Dataset.from_json(folder.dataset_path.read_bytes())
    paths = tuple(dataset.path_of(s) for s in (*dataset.part("train"), *dataset.part("validation")))
    return Source(paths, Augment(preset="medium"), 48, "bicubic", 0.875, Reading(), num_trained, more.get("cache_bytes", 1 << 24))


def test_batches_are_the_same_with_any_number_of_workers_with_or_without_memory(tmp_path):
    folder = small_run(tmp_path)
    (tmp_path / "images/class-0/0002.png").write_bytes(b"not an image")

    def load(num_workers: int, cache_bytes: int, **how):
        with Loader(_source(folder, 42, cache_bytes=cache_bytes), 8, num_workers) as loader:
            asked = iter(list(training_requests(0, 5, 42, 8)))
            abandoned = loader.batches(asked, **how)
            next(abandoned)  # a caller that walks away must not disturb the next
            ahead = 6 - len(list(asked))
            two_epochs = [*training_requests(0, 0, 42, 8), *training_requests(0, 1, 42, 8), Request(tuple(range(42, 50)))]
            return ahead, [(b.images_NHWC.copy(), b.indices) for b in loader.batches(two_epochs, **how)]

    (no_ahead, here), (one_ahead, beside), (ahead, workers) = load(0, 1 << 24), load(0, 0, reads_ahead=True), load(3, 0)
    assert (no_ahead, one_ahead) == (1, 2) and ahead >= LEAST_AHEAD, "the next batches are in hand while one is computed"
    assert len(here) == len(beside) == len(workers) == 13
    for (images_a, indices_a), *others in zip(here, beside, workers, strict=True):
        for images_b, indices_b in others:
            assert np.array_equal(images_a, images_b) and np.array_equal(indices_a, indices_b)
            assert images_a.dtype == images_b.dtype == np.uint8
    assert 2 not in np.concatenate([indices for _, indices in here]), "the broken image is replaced"


@pytest.mark.parametrize("channels_last", [True, False])
def test_pictures_go_to_the_device_as_bytes_and_become_numbers_there(monkeypatch, channels_last):
    from studio.engine import network

    sent = []
    monkeypatch.setattr(network, "to_device", lambda values, device: sent.append(values) or torch.as_tensor(values).to(device))
    pictures = np.random.default_rng(0).integers(0, 256, (2, 8, 6, 3), np.uint8)
    mean, std = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.25, 0.3])
    made = network.Normaliser(mean, std, torch.device("cpu"), channels_last)(pictures)
    assert len(sent) == 1 and sent[0] is pictures, "a quarter of the bytes of numbers, and no copy on the way"
    assert made.dtype == torch.float32 and made.is_contiguous(
        memory_format=torch.channels_last if channels_last else torch.contiguous_format
    )
    np.testing.assert_allclose(made.permute(0, 2, 3, 1), (pictures / 255 - mean) / std, rtol=1e-5, atol=1e-5)


def test_a_loader_process_loads_neither_torch_nor_a_translator_of_fortran():
    code = (
        "from studio.engine.loader import import_without_torch as load; load(); import albumentations, numpy, sys; "
        "print('torch' in sys.modules, 'numpy.f2py' in sys.modules, numpy.f2py.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False numpy.f2py", "who asks for it later gets it"


@pytest.mark.parametrize("stays", [False, True], ids=["moved", "the folder stays, empty, as of a drive that is not mounted"])
def test_loader_processes_say_that_the_whole_folder_is_gone(tmp_path, stays):
    folder = small_run(tmp_path)
    source = dataclasses.replace(_source(folder, 42, cache_bytes=0), root=str(tmp_path / "images"))
    with Loader(source, 8, num_workers=2) as loader:
        batches = loader.batches([Request(tuple(range(8)))] * 9)
        next(batches)
        (tmp_path / "images").rename(tmp_path / "elsewhere")
        if stays:
            (tmp_path / "images").mkdir()
        with pytest.raises(DataGone, match="images"):
            list(batches)


def test_a_file_that_cannot_be_removed_while_it_is_mapped_is_gone_when_the_loader_is_closed(tmp_path, monkeypatch):
    unlink = os.unlink

    def as_on_windows(path, **where):
        if path == pool._path and not pool._map.closed:
            raise PermissionError(13, "in use")
        unlink(path, **where)

    monkeypatch.setattr(os, "unlink", as_on_windows)
    loader = Loader(_source(small_run(tmp_path), 42), 8, num_workers=1)
    pool = loader._pool
    assert list(loader.batches([Request(tuple(range(8)))])) and os.path.exists(pool._path)
    loader.close()
    assert not os.path.exists(pool._path)


def test_files_of_killed_loaders_are_removed_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("studio-batches-abc", "studio-other"):
        (tmp_path / name).touch()
    loader_module._remove_left_behind()
    assert [path.name for path in tmp_path.iterdir()] == ["studio-other"]


def test_a_read_that_fails_is_tried_again_and_a_file_that_fails_alone_is_left_out_until_the_loader_starts_again(tmp_path, monkeypatch):
    source = dataclasses.replace(_source(small_run(tmp_path), 42, cache_bytes=0), root=str(tmp_path / "images"))
    read, fails = loader_module.read_bytes, {source.paths[2]: 1, source.paths[5]: 99}

    def failing(path):
        if fails.get(path, 0) > 0:
            fails[path] -= 1
            raise ImageRefused("cannot be read (Input/output error)", errno.EIO)
        return read(path)

    monkeypatch.setattr(loader_module, "read_bytes", failing)
    monkeypatch.setattr(loader_module, "RETRIES_S", (0.0, 0.0))
    asked = [Request(tuple(range(8)), tuple(range(8)))]
    with Loader(source, 8) as loader:
        (batch,) = loader.batches(asked)
        assert batch.indices.tolist() == [0, 1, 2, 3, 4, 6, 6, 7] and list(batch.refused) == [5]
        fails.clear()
        (batch,) = loader.batches(asked)
        assert batch.indices.tolist() == [0, 1, 2, 3, 4, 6, 6, 7], "not tried again in each epoch"
        loader.restart()
        (batch,) = loader.batches(asked)
        assert batch.indices.tolist() == list(range(8)) and not batch.refused


def test_an_epoch_started_in_its_middle_is_the_rest_of_the_whole_one():
    whole, rest = list(training_requests(3, 2, 50, 8)), list(training_requests(3, 2, 50, 8, first_step=4))
    assert rest == whole[4:] and len(whole) == steps_per_epoch(50, 8) == 7
    assert sorted(i for r in whole for i in r.indices) == list(range(50))


def test_measuring_the_precision_changes_no_weight_and_no_random_state(tmp_path):
    from studio.engine.network import build_network
    from studio.engine.precision import choose_precision

    experiment = Experiment().changed(SMALL | {"training.precision": "auto"})
    network = build_network(experiment, 3)
    before = {k: v.clone() for k, v in network.module.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    first = choose_precision(network, experiment, torch.device("cpu"))
    assert torch.equal(torch.rand(4), expected)
    assert all(torch.equal(v, before[k]) for k, v in network.module.state_dict().items())
    assert all(p.grad is None for p in network.module.parameters())
    assert choose_precision(network, experiment, torch.device("cpu")) == first, "the verdict is remembered"


def test_no_format_is_tried_where_frozen_layers_run_once_and_only_a_head_trains(monkeypatch):
    from studio.engine import precision
    from studio.engine.network import build_network

    def chosen(**more):
        experiment = Experiment().changed(SMALL | {"training.precision": "fp32", "model.train_stages": 0} | more)
        return precision.choose_precision(build_network(experiment, 3), experiment, torch.device("cpu"))

    tried = []
    monkeypatch.setattr(precision, "measure", lambda network, options, *_: tried.append(options) or {o: [1.0] for o in options})
    assert chosen(**{"augment.preset": "none"}) == precision.Precision("fp32", True) and not tried
    chosen(**{"augment.preset": "medium", "training.feature_cache": "exact"})
    assert tried and precision.PLAIN in tried[0], "every epoch runs the whole network"


def test_a_number_format_that_the_device_lacks_is_refused():
    from studio.engine.precision import candidates

    with pytest.raises(BadInput, match="fp16 needs a GPU"):
        candidates("fp16", torch.device("cpu"))
    assert {p.name for p in candidates("auto", torch.device("cpu"))} == {"fp32", "bf16"}


def test_a_file_that_is_being_read_is_replaced_a_moment_later_where_the_system_forbids_it_at_once(tmp_path, monkeypatch):
    real, refusals = os.replace, [PermissionError(13, "in use")] * 2

    def replace(old, new):
        if refusals:
            raise refusals.pop()
        real(old, new)

    monkeypatch.setattr(os, "replace", replace)
    write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new" and not refusals
    refusals += [PermissionError(13, "in use")] * 9
    with pytest.raises(PermissionError):
        write_atomically(tmp_path / "a", b"newer")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_scores_agree_with_a_reference():
    from sklearn.metrics import confusion_matrix, f1_score, precision_score, top_k_accuracy_score

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 8, 200)
    probabilities = rng.dirichlet(np.ones(8), 200).astype(np.float32)
    found = score(Answers(np.arange(200), labels, probabilities, np.ones(200, np.float32)), 8)
    predicted = probabilities.argmax(1)
    assert found.confusion_CC.tolist() == confusion_matrix(labels, predicted).tolist()
    assert found.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert [r["precision"] for r in found.per_class] == pytest.approx(precision_score(labels, predicted, average=None).tolist())
    assert found.top5 == pytest.approx(top_k_accuracy_score(labels, probabilities, k=5))
    assert score(Answers(np.arange(200), labels % 5, probabilities[:, :5], np.ones(200, np.float32)), 5).top5 is None, "it would be 100 %"


def test_of_ten_thousand_classes_what_is_not_empty_of_the_confusion_is_kept():
    num_classes, labels = 10_000, np.repeat(np.arange(100), 2)
    probabilities = np.zeros((200, num_classes), np.float32)
    probabilities[np.arange(200), np.where(labels == 70, 9_000, labels)] = 1
    found = score(Answers(np.arange(200), labels, probabilities, np.ones(200, np.float32)), num_classes)
    assert (
        found.confusion_CC is None and found.top1 == 0.99 and found.cells.tolist() == [[i, 9_000 if i == 70 else i, 2] for i in range(100)]
    )
    assert found.per_class[70]["recall"] == 0 and found.per_class[9_000]["precision"] == 0 and found.per_class[5]["f1"] == 1
    raw = scores_json(found, [f"class {i}" for i in range(num_classes)])
    assert raw["confusion"] is None and raw["confusion_cells"] == found.cells.tolist() and len(json.dumps(raw)) < 2_000_000


@pytest.mark.parametrize(
    ("error", "sentence", "fix"),
    [
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 123 bytes."),
            "Batch size 32",
            "Try 16",
        ),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ..."), "does not fit", "Try 16"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "GPU reported an error", "Resume"),
        (ValueError("surprise"), "unexpected error: ValueError: surprise", "Details"),
    ],
)
def test_failures_are_said_in_plain_words_with_a_way_out(error, sentence, fix):
    failure = describe(error, Experiment())
    assert sentence in failure.sentence and fix in failure.fix
