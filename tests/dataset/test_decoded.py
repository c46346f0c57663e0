"""Decoded pictures on disk, and the fast JPEG decoder: the same bits as ever, within a budget, and never in the way."""

from __future__ import annotations

import io
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from studio.catalog.augments.view import decoded_view
from studio.core import reading
from studio.core.experiment import Augment
from studio.core.place import cache_dir
from studio.core.reading import Reading
from studio.core.rng import sample_seed
from studio.core.trim import drop_oldest, files_two_below
from studio.dataset import decoded
from studio.dataset import image as image_module
from studio.dataset.decoded import DecodedCache, budget, clear, content_of, decoded_folder, set_budget, used_bytes
from studio.dataset.image import decode
from studio.dataset.thumbnail import thumbnail
from tests.builders import build_dataset

from .corpus import jpeg


def _picture(height: int = 20, width: int = 30, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_picture_comes_back_as_it_was_by_content_and_view(tmp_path):
    cache = DecodedCache(tmp_path)
    cache.put(content_of(b"file"), "a", _picture())
    found = DecodedCache(tmp_path).get(content_of(b"file"), "a")
    np.testing.assert_array_equal(found, _picture())
    found[0] = 0  # the caller's own
    assert cache.get(content_of(b"file"), "b") is None and cache.get(content_of(b"file changed"), "a") is None


def test_the_budget_holds_and_the_least_recently_used_go_first(tmp_path):
    cache = DecodedCache(tmp_path, budget_bytes=10_000)
    for i in range(8):
        cache.put(content_of(bytes([i])), "v", _picture())
    kept = [i for i in range(8) if cache.get(content_of(bytes([i])), "v") is not None]
    assert kept == [0, 1, 2, 3, 4], "a run does not throw away what it has just written"
    for path in tmp_path.glob("*/*"):
        os.utime(path, ns=(1, 1))
    assert cache.get(content_of(b"\2"), "v") is not None
    assert drop_oldest(files_two_below(tmp_path), 2_000) <= 2_000
    assert [i for i in range(8) if cache.get(content_of(bytes([i])), "v") is not None] == [2]


def test_no_more_than_a_tenth_of_what_is_free_on_the_disk_is_filled(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=50_000))
    cache = DecodedCache(tmp_path, budget_bytes=1_000_000)
    for i in range(8):
        cache.put(content_of(bytes([i])), "v", _picture())
    assert 0 < used_in(tmp_path) <= 5_000


def used_in(folder) -> int:
    return sum(path.stat().st_size for path in folder.glob("*/*"))


def test_who_finds_all_pictures_does_not_look_through_the_cache(tmp_path, monkeypatch):
    DecodedCache(tmp_path).put(content_of(b"file"), "v", _picture())

    def look(_paths):
        raise AssertionError("looked at every file")

    monkeypatch.setattr(decoded, "total_bytes", look)
    assert DecodedCache(tmp_path).get(content_of(b"file"), "v") is not None


def test_nothing_that_is_kept_is_used_once_files_become_pixels_by_other_rules(studio_home, tmp_path, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(jpeg())

    def names() -> tuple[str, int]:
        thumbnail(str(tmp_path / "a.jpg"), 32)
        return decoded_view(32, Reading(), None), len(list((cache_dir() / "thumbnails").glob("*/*")))

    before, num_before = names()
    assert names() == (before, num_before)
    monkeypatch.setattr(reading, "DECODING", reading.DECODING + 1)
    after, num_after = names()
    assert after != before and num_after == num_before + 1


def test_a_cut_or_missing_file_and_a_place_that_is_no_folder_mean_decoding_again(tmp_path):
    cache = DecodedCache(tmp_path / "kept")
    cache.put(content_of(b"x"), "v", _picture())
    (path,) = (tmp_path / "kept").glob("*/*")
    path.write_bytes(path.read_bytes()[:-5])
    assert cache.get(content_of(b"x"), "v") is None
    (tmp_path / "file").write_bytes(b"")
    nowhere = DecodedCache(tmp_path / "file")
    nowhere.put(content_of(b"x"), "v", _picture())
    assert nowhere.get(content_of(b"x"), "v") is None


def test_the_loader_gives_the_same_batches_from_the_cache_and_decodes_nothing_twice(tmp_path, monkeypatch):
    from studio.engine import loader

    dataset = build_dataset(tmp_path / "images", ("a", "b"), num_train=3, num_validation=1, size_px=90)
    paths = [dataset.path_of(s) for s in dataset.samples]
    asked = [loader.Request((0, 1, 2), tuple(sample_seed(0, 0, i) for i in range(3))), loader.Request((3, 4))]
    num_decoded = 0

    def counted(data, *options):
        nonlocal num_decoded
        num_decoded += 1
        return decode(data, *options)

    monkeypatch.setattr(loader, "decode", counted)

    def batches(folder: str):
        source = loader.Source(
            tuple(paths), Augment(preset="medium"), 32, "bicubic", 0.875, Reading(), 6, cache_bytes=0, decoded_folder=folder
        )
        with loader.Loader(source, 4) as made:
            return [batch.images_NHWC.copy() for batch in made.batches(asked)]

    plain, first, again = batches(""), batches(str(decoded_folder())), batches(str(decoded_folder()))
    assert num_decoded == 10, "five without a cache, five to fill it, none from it"
    for one, two, three in zip(plain, first, again, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "options", [{"quality": 60}, {"quality": 95, "subsampling": 0}, {"progressive": True}, {"optimize": True, "subsampling": 1}], ids=str
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_fast_decoder_gives_the_bits_of_pillow(mode, options, orientation, monkeypatch):
    picture = Image.fromarray(_picture(37, 51)).resize((151, 83)).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    picture.save(out, "JPEG", exif=exif, **options)
    fast = decode(out.getvalue())
    monkeypatch.setattr(image_module, "simplejpeg", None)
    np.testing.assert_array_equal(fast, decode(out.getvalue()))


def test_the_chosen_budget_holds_for_every_process_and_what_is_too_much_goes_at_once(studio_home):
    assert budget() == 4_000_000_000
    cache = DecodedCache(decoded_folder())
    for i in range(5):
        cache.put(content_of(bytes([i])), "v", _picture())
    assert used_bytes() == 5 * 1808
    assert set_budget(4_000) == 2 * 1808 == used_bytes() and budget() == 4_000
    DecodedCache(decoded_folder()).put(content_of(b"new"), "v", _picture())
    assert used_bytes() <= 4_000, "a cache that is opened later keeps to it"
    assert clear() == 0 == used_bytes()


def test_a_thumbnail_is_made_of_the_picture_that_training_has_kept(studio_home, tmp_path):
    data = io.BytesIO()
    Image.fromarray(_picture(300, 400)).save(data, "JPEG")
    (tmp_path / "a.jpg").write_bytes(data.getvalue())
    kept = np.full((150, 200, 3), 77, np.uint8)
    DecodedCache(decoded_folder()).put(content_of(data.getvalue()), "view", kept)
    assert np.abs(thumbnail(str(tmp_path / "a.jpg"), 96, is_square=True, decoded_view="view").astype(int) - 77).max() <= 1
    assert np.ptp(thumbnail(str(tmp_path / "a.jpg"), 200, is_square=True, decoded_view="view")) > 50, "too small for this one"


def test_preview_and_thumbnails_show_what_a_run_has_decoded_without_decoding_it_again(studio_home, tmp_path, monkeypatch):
    from studio.core.experiment import Experiment
    from studio.dataset import thumbnail as thumbnail_module
    from studio.engine.loader import Loader, Request
    from studio.engine.setup import source_for, view_for
    from studio.engine.worker import pictures
    from studio.gui.widgets.thumb import thumbnail_reader

    experiment = Experiment().changed({"model.input_size": 64, "training.workers": 0})
    dataset = build_dataset(tmp_path / "images", ("a", "b"), num_train=2, num_validation=1, size_px=300)
    samples = dataset.part("train")
    paths = [dataset.path_of(s) for s in samples]
    source = source_for(experiment, dataset, samples, view_for(experiment, dataset), len(samples))
    with Loader(source, 4) as loader:
        list(loader.batches([Request(tuple(range(4)), tuple(range(4)))]))
        kept = [loader._reader._image(i, is_training=True).pixels for i in range(4)]

    def again(*_args, **_options):
        raise AssertionError("decoded again")

    monkeypatch.setattr(pictures, "decode", again)
    monkeypatch.setattr(thumbnail_module, "decode_noted", again)
    read = thumbnail_reader(SimpleNamespace(experiment=experiment))
    for path, picture in zip(paths, kept, strict=True):
        np.testing.assert_array_equal(pictures.working_picture(path, dataset.reading, 64), picture)
        assert read(path, 64, dataset.reading).shape == (64, 64, 3)
    with pytest.raises(AssertionError, match="decoded again"):  # what no run has read
        pictures.working_picture(dataset.path_of(dataset.part("validation")[0]), dataset.reading, 64)
