"""A planted heavy blur is flagged and a small shift is not, on photographs with the bundled backbone; looks and names give plain advice."""

from __future__ import annotations

import numpy as np
import pytest

from studio.core.experiment import TransformSpec
from studio.core.problem import BadInput
from studio.dataset.image import read_image
from studio.dataset.look import hints, look_at
from studio.dataset.thumbnail import thumbnail
from studio.engine.label_safety import LabelSafety
from studio.engine.network import bundled_network


@pytest.fixture(scope="module")
def photographs(shared_data):
    folder = shared_data / "clothing" / "train"
    found = [(path, name) for name in ("dress", "hat", "shoes") for path in sorted((folder / name).glob("*.jpg"))[:3]]
    return [read_image(str(path)) for path, _ in found], [name for _, name in found]


def test_a_heavy_blur_is_flagged_and_a_small_shift_is_not(photographs):
    pictures, labels = photographs
    trained = bundled_network()
    safety = LabelSafety(trained.module, trained.module.head, trained.normaliser(), pictures, labels, 128)
    blur = safety.measure(TransformSpec(name="GaussianBlur", params={"sigma_limit": (9.0, 9.0)}))
    shift = safety.measure(TransformSpec(name="Affine", p=0.1, params={"translate_percent": (-0.04, 0.04), "border_mode": 4}))
    assert blur.verdict == "flagged" and blur.ratio > 1 and shift.verdict == "fine" and shift.ratio < 0.3
    assert safety.accuracy is None and blur.accuracy is None, "the general network knows none of these classes: tests/worker/test_probe.py"
    assert safety.measure(TransformSpec(name="Affine", params={"translate_percent": (-0.04, 0.04), "border_mode": 4})) == shift


def test_one_class_is_not_enough(photographs):
    trained = bundled_network()
    with pytest.raises(BadInput, match="at least two"):
        LabelSafety(trained.module, trained.module.head, trained.normaliser(), photographs[0][:2], ["hat", "hat"], 64)


def _kinds(classes, pictures=()):
    return [hint.kind for hint in hints(classes, look_at(pictures) if pictures else None)]


def test_names_say_digits_faces_medical_and_aerial():
    assert _kinds(["0", "1", "2", "seven"]) == ["digits"]
    assert _kinds(["A", "B"]) == _kinds(["digit 1", "digit 2"]) == ["digits"]
    assert _kinds(["smiling", "neutral"]) == ["faces"]
    assert _kinds(["NORMAL", "PNEUMONIA"]) == ["medical"]
    assert _kinds(["runway", "sea"]) == ["aerial"]
    assert _kinds(["dress", "hat", "shoes"]) == _kinds([]) == []


def test_looks_say_text_grey_and_scans_and_usual_photographs_say_nothing(shared_data):
    draws = np.random.default_rng(0)

    def pictures(make):
        return [np.broadcast_to(np.clip(make(), 0, 255)[..., None], (48, 48, 3)).astype(np.uint8) for _ in range(32)]

    def strokes():
        rows = np.zeros((48, 48))
        for row in range(6, 42, 8):
            rows[row : row + 3, 6 : draws.integers(20, 42)] = draws.random() * 0.3 + 0.7
        return rows

    text = pictures(lambda: np.where(draws.random((48, 48)) < 0.2, 10, 245))
    page = pictures(lambda: 235 - 190 * strokes() + draws.normal(0, 6, (48, 48)))
    chalk = pictures(lambda: 12 + 220 * strokes() + draws.normal(0, 4, (48, 48)))
    assert _kinds(["invoice", "letter form"], text) == _kinds(["a", "form"], page) == _kinds(["one", "two"], chalk) == ["text"]
    y, x = np.mgrid[-1:1:48j, -1:1:48j]
    body = np.clip(1.1 - (x**2 / 0.5 + y**2 / 0.7), 0, 1)
    scan = pictures(lambda: 8 + 200 * body * draws.uniform(0.6, 1) + draws.normal(0, 4, (48, 48)))
    assert _kinds(["sick", "well"], scan) == ["medical"]
    grey = pictures(lambda: draws.integers(60, 200, (48, 48)))
    assert _kinds(["a lung", "a heart"], grey) == ["grey"], "grey alone is not called medical"
    assert _kinds(["a lung", "a heart"], grey[:5]) == [], "a handful of pictures says nothing"
    files = sorted((shared_data / "clothing" / "train").glob("*/*.jpg"))[::40][:48]
    assert _kinds(["dress", "hat", "shoes"], [thumbnail(str(path), 64) for path in files]) == []
    signs = sorted((shared_data / "signs").rglob("*.JPG"))[::40][:40]
    assert len(signs) >= 24 and not {"medical", "text"} & set(_kinds(["stop", "yield"], [thumbnail(str(path), 64) for path in signs]))
