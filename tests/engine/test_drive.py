"""A drive that fails is told from files that do."""

import dataclasses
import errno
import os
import time
from types import SimpleNamespace

import pytest
from engine_runs import small_run

from studio.dataset.dataset import Dataset
from studio.dataset.image import ImageRefused
from studio.engine import drive as drive_module
from studio.engine.drive import NUM_TRIED, Drive, devices_of
from studio.engine.failure import DataGone, NoReadableImages
from studio.engine.loader import Loader, Request
from studio.engine.setup import source_for

ASKED = [Request(tuple(range(8)), tuple(range(8)))]


@pytest.fixture
def images(tmp_path):
    """Folder, and the paths of two classes of six files."""
    paths = [tmp_path / "images" / label / f"{i}.png" for label in ("cat", "dog") for i in range(6)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "images", [str(path) for path in paths]


@pytest.fixture
def opened(monkeypatch):
    """Paths that the drive was asked for, and what makes them fail: called with the path, gives an errno or 0."""
    found, fault, real = [], [lambda path: 0], drive_module.open_regular

    def open_regular(path):
        found.append(path)
        if code := fault[0](path):
            raise ImageRefused("cannot be read", code)
        return real(path)

    monkeypatch.setattr(drive_module, "open_regular", open_regular)
    return found, fault


def _source_of(tmp_path, made: int = 0):
    folder = small_run(tmp_path)
    dataset = Dataset.from_json(folder.dataset_path.read_bytes())
    view = {"input_size": 48, "interpolation": "bicubic", "crop_fraction": 0.875}
    source = source_for(folder.experiment(), dataset, dataset.part("train"), view, len(dataset.part("train")))
    elsewhere = [tmp_path / "made" / f"{i}.png" for i in range(made)]
    for path in elsewhere:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    return dataclasses.replace(source, paths=(*source.paths, *map(str, elsewhere)))


@pytest.mark.parametrize("stays", [False, True], ids=["gone", "empty"])
def test_a_pulled_drive_is_noticed_where_made_images_lie_elsewhere(tmp_path, stays):
    source = _source_of(tmp_path, made=40)
    (tmp_path / "images").rename(tmp_path / "pulled")
    if stays:
        (tmp_path / "images").mkdir()
    with Loader(source, 8) as loader:
        with pytest.raises(DataGone):
            list(loader.batches(ASKED))
        assert not loader.finds_images(lambda seconds: None)
        if stays:
            (tmp_path / "images").rmdir()
        (tmp_path / "pulled").rename(tmp_path / "images")
        assert loader.finds_images(lambda seconds: None)
        loader.restart()
        assert not next(loader.batches(ASKED)).refused


def test_renamed_class_folders_are_missing_images_and_no_missing_drive(tmp_path, opened):
    source = _source_of(tmp_path)
    for folder in (tmp_path / "images").iterdir():
        folder.rename(folder.with_name(f"old {folder.name}"))
    with Loader(source, 8) as loader:
        with pytest.raises(NoReadableImages) as found:
            list(loader.batches(ASKED))
        assert len(found.value.refused) == 42
        assert not opened[0], "that they are missing says nothing of the drive: no others need be read"
        assert loader.finds_images(lambda seconds: None)


def test_a_folder_that_has_become_one_of_another_drive_and_holds_no_image_is_waited_for(images):
    root, paths = images
    ((_, device),) = devices_of(str(root), paths)
    before = Drive(str(root), paths, [(str(root), device + 1)])
    before.check_after(errno.ENOENT)  # plugged in again, a drive may have another number
    for folder in root.iterdir():
        folder.rename(folder.with_name(f"old {folder.name}"))
    with pytest.raises(DataGone) as found:
        before.check_after(errno.ENOENT)
    assert found.value.what == f"The images in {root} cannot be read (their drive is not there)"


@pytest.mark.parametrize("linked", ["folders", "files"])
def test_a_pulled_drive_that_the_folder_links_to_is_noticed_and_renamed_links_are_no_missing_drive(tmp_path, linked):
    source = _source_of(tmp_path, made=40)
    (tmp_path / "images").rename(tmp_path / "drive")
    (tmp_path / "images").mkdir()
    for folder in (tmp_path / "drive").iterdir():
        here = tmp_path / "images" / folder.name
        if linked == "folders":
            here.symlink_to(folder)
        else:
            here.mkdir()
            for path in folder.iterdir():
                (here / path.name).symlink_to(path)
    with Loader(dataclasses.replace(source, devices=devices_of(source.root, source.paths)), 8) as loader:
        (tmp_path / "drive").rename(tmp_path / "pulled")
        with pytest.raises(DataGone):
            list(loader.batches(ASKED))
        assert not loader.finds_images(lambda seconds: None)
        (tmp_path / "pulled").rename(tmp_path / "drive")
        assert loader.finds_images(lambda seconds: None)
        loader.restart()
        for folder in (tmp_path / "images").iterdir():
            folder.rename(folder.with_name(f"old {folder.name}"))
        with pytest.raises(NoReadableImages):
            list(loader.batches(ASKED))


def test_drives_mounted_in_the_folder_are_known_and_noticed_when_pulled(images, monkeypatch):
    root, paths = images
    real = drive_module._device_of
    mounted = {str(root / "cat"): 1001, str(root / "dog"): 1002}
    monkeypatch.setattr(drive_module, "_device_of", lambda folder: mounted.get(folder) or real(folder))
    drive = Drive(str(root), paths, devices_of(str(root), paths))
    drive.check_after(errno.ENOENT)
    for path in paths:
        os.remove(path)
    drive.check_after(errno.ENOENT)  # deleted, while their drives are there
    mounted.clear()
    with pytest.raises(DataGone):
        drive.check_after(errno.ENOENT)


def test_one_class_that_cannot_be_read_is_no_drive_that_fails_and_the_answer_is_remembered_for_moments(images, opened, monkeypatch):
    root, paths = images
    found, fault = opened
    fault[0] = lambda path: errno.EIO if "cat" in path else 0
    drive = Drive(str(root), paths)
    drive.check_after(errno.EIO)
    assert len(found) == NUM_TRIED and found[0] == paths[0] and found[-1] == paths[-1]
    drive.check_after(errno.EIO)
    assert len(found) == NUM_TRIED
    fault[0] = lambda path: errno.EIO
    later = time.monotonic() + drive_module.REMEMBERED_S
    monkeypatch.setattr(drive_module, "time", SimpleNamespace(monotonic=lambda: later))
    with pytest.raises(DataGone, match="error"):
        drive.check_after(errno.EIO)
