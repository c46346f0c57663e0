"""The sample sets need no network, are whole or absent, and train without a complaint."""

from __future__ import annotations

import subprocess
import sys

import pytest

from studio.core.experiment import Data, Experiment
from studio.core.place import cache_dir
from studio.core.problem import BadInput
from studio.dataset.image import read_image
from studio.dataset.plan_check import check_run
from studio.dataset.sample_set import SAMPLE_SETS, prepare_sample_set
from studio.dataset.scan import scan


@pytest.mark.parametrize("sample", SAMPLE_SETS, ids=lambda sample: sample.key)
def test_a_sample_set_is_what_it_says_and_ready_to_train(sample):
    said = []
    folder = prepare_sample_set(sample.key, lambda *args: said.append(args))
    dataset = scan(Data(source=str(folder)))
    assert (len(dataset.samples), len(dataset.classes)) == (sample.num_images, sample.num_classes)
    assert check_run(Experiment(), dataset) == []
    assert said[-1][:2] == (sample.num_images, sample.num_images)
    assert folder.is_relative_to(cache_dir())


def test_the_pictures_are_the_digits():
    folder = prepare_sample_set("digits")
    zero = read_image(str(folder / "0" / "0000.png"))
    assert zero.shape == (32, 32, 3)
    assert zero[16, 16].max() < 60 and zero[16].max() > 120  # a ring: dark in the middle


def test_a_second_call_writes_nothing_and_a_missing_file_is_written_again():
    folder = prepare_sample_set("digits-small")
    before = folder.stat().st_mtime_ns
    assert prepare_sample_set("digits-small") == folder and folder.stat().st_mtime_ns == before
    next(folder.rglob("*.png")).unlink()
    prepare_sample_set("digits-small")
    assert len(list(folder.rglob("*.png"))) == 200


def test_what_somebody_added_to_a_sample_set_stays():
    folder = prepare_sample_set("digits-small")
    own = folder / "train" / "eleven" / "mine.png"
    own.parent.mkdir()
    own.write_bytes(b"mine")
    prepare_sample_set("digits-small")
    next(folder.glob("val/*/*.png")).unlink()
    prepare_sample_set("digits-small")
    assert own.read_bytes() == b"mine" and len(list(folder.rglob("*.png"))) == 201


def test_a_failure_leaves_nothing_half_written(monkeypatch):
    calls = []

    def progress(*args):
        calls.append(args)
        raise OSError(28, "No space left on device")

    with pytest.raises(BadInput, match="No space left on device"):
        prepare_sample_set("digits", progress)
    assert calls and list((cache_dir() / "samples").iterdir()) == []


def test_an_unknown_sample_set_names_those_there_are():
    with pytest.raises(BadInput, match="There are: digits, digits-small."):
        prepare_sample_set("flowers")


def test_the_dataset_package_loads_nothing_heavy():
    modules = "scan verify image thumbnail statistics check sample_set plan_check".split()
    code = "import sys; " + "; ".join(f"import studio.dataset.{m}" for m in modules)
    code += "; print([m for m in ('torch', 'cv2', 'sklearn', 'PySide6', 'albumentations') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
