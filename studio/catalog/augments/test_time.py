"""Test-time augmentation: several views of one image, whose probabilities are averaged. Slower by their number, often a little better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.catalog.augments.view import evaluation_view, resize
from studio.core.problem import BadInput

if TYPE_CHECKING:
    import numpy as np

CORNER_SHARE = 0.875  # of the shorter side: "resize to 256, crop 224"


@dataclass(frozen=True)
class TestTime:
    """A choice. `views(image, input_size, interpolation, crop_fraction)` gives uint8[S, S, 3] each, the usual evaluation view first."""

    __test__ = False  # no test class, in spite of its name

    key: str
    title: str
    help: str
    num_views: int
    views: Callable[[np.ndarray, int, str, float], list[np.ndarray]]


def test_time(key: str) -> TestTime:
    """The choice of that key. Raises BadInput."""
    for choice in TEST_TIMES:
        if choice.key == key:
            return choice
    raise BadInput(f"There is no test-time augmentation “{key}”. Choose one of {', '.join(choice.key for choice in TEST_TIMES)}.")


test_time.__test__ = False


def _usual(image, size, interpolation, crop_fraction):
    return [evaluation_view(image, size, interpolation, crop_fraction)]


def _mirrored(views: list[np.ndarray]) -> list[np.ndarray]:
    return [turned for view in views for turned in (view, view[:, ::-1].copy())]


def _mirror(image, size, interpolation, crop_fraction):
    return _mirrored(_usual(image, size, interpolation, crop_fraction))


def _five(image, size, interpolation, crop_fraction):
    """The centre and the four corners of the picture: Krizhevsky et al., NeurIPS 2012."""
    height, width = image.shape[:2]
    side = max(1, round(min(height, width) * CORNER_SHARE))
    corners = [(0, 0), (0, width - side), (height - side, 0), (height - side, width - side)]
    found = [resize(image[top : top + side, left : left + side], size, size, interpolation) for top, left in corners]
    return _usual(image, size, interpolation, crop_fraction) + found


def _ten(image, size, interpolation, crop_fraction):
    return _mirrored(_five(image, size, interpolation, crop_fraction))


def _zooms(image, size, interpolation, crop_fraction):
    shares = (crop_fraction, min(1.0, crop_fraction * 1.15), crop_fraction * 0.85)
    return [evaluation_view(image, size, interpolation, share) for share in shares]


TEST_TIMES = (
    TestTime("off", "Off", "One view of each image, as in training's validation.", 1, _usual),
    TestTime("mirror", "Mirror", "The image and its mirror image. Not where the side matters.", 2, _mirror),
    TestTime("zooms", "Three zooms", "The usual view, one a little wider and one a little closer.", 3, _zooms),
    TestTime("five crops", "Five crops", "The usual view and the four corners.", 5, _five),
    TestTime("ten crops", "Ten crops", "Five crops and their mirror images. Not where the side matters.", 10, _ten),
)
