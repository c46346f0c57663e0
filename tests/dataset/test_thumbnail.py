"""Thumbnails: size, orientation, the cache on disk and life without it."""

from __future__ import annotations

import os

import numpy as np
import pytest

from studio.core.place import cache_dir
from studio.dataset.image import ImageRefused
from studio.dataset.thumbnail import thumbnail

from .corpus import encoded, jpeg, photo, with_exif


def kept():
    return sorted(p for p in (cache_dir() / "thumbnails").glob("*/*"))


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(640, 480))
    return str(tmp_path / "a.jpg")


def test_a_thumbnail_fits_and_keeps_its_shape(path):
    small = thumbnail(path, 64)
    assert small.shape == (48, 64, 3) and small.dtype == np.uint8
    assert thumbnail(path, 64, is_square=True).shape == (64, 64, 3)


def test_small_images_are_not_enlarged_unless_a_square_is_asked_for(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(photo(20, 10), "PNG"))
    assert thumbnail(str(tmp_path / "a.png"), 64).shape == (10, 20, 3)
    assert thumbnail(str(tmp_path / "a.png"), 64, is_square=True).shape == (64, 64, 3)


@pytest.mark.parametrize("size", [(2000, 1), (1, 2000)])
def test_very_long_images_have_thumbnails(tmp_path, size):
    (tmp_path / "a.png").write_bytes(encoded(photo(*size), "PNG"))
    assert min(thumbnail(str(tmp_path / "a.png"), 64).shape) >= 1
    assert thumbnail(str(tmp_path / "a.png"), 64, is_square=True).shape == (64, 64, 3)


def test_thumbnails_are_upright(tmp_path):
    (tmp_path / "a.jpg").write_bytes(with_exif(6))
    assert thumbnail(str(tmp_path / "a.jpg"), 32).shape == (32, 24, 3)


def test_the_second_time_it_comes_from_the_cache(path):
    first = thumbnail(path, 64)
    assert len(kept()) == 1
    again = thumbnail(path, 64)
    assert np.abs(first.astype(int) - again).mean() < 5
    thumbnail(path, 32)
    thumbnail(path, 64, is_square=True)
    assert len(kept()) == 3


def test_a_changed_file_gets_a_new_thumbnail(path):
    thumbnail(path, 64)
    with open(path, "wb") as f:
        f.write(encoded(np.zeros((480, 640, 3), np.uint8)))
    assert thumbnail(path, 64).max() < 5


def test_a_damaged_cache_file_is_made_again(path):
    first = thumbnail(path, 64)
    kept()[0].write_bytes(b"junk")
    assert np.array_equal(thumbnail(path, 64), first)
    assert kept()[0].read_bytes() != b"junk"


def test_without_room_for_the_cache_it_goes_on(path, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "file"))  # no folder can be made in a file
    assert thumbnail(path, 64).shape == (48, 64, 3)


def test_a_full_disk_leaves_no_half_written_file(path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert thumbnail(path, 64).shape == (48, 64, 3)
    assert kept() == []


def test_broken_and_missing_files_are_refused(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    for name in ("a.jpg", "b.jpg"):
        with pytest.raises(ImageRefused):
            thumbnail(str(tmp_path / name), 64)
