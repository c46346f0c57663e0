"""Resizing, by one rule for training, validation, prediction, previews and exports: another filter changes 3 to 4 % of the answers.

A picture pixel that covers fewer than four pixels of the image is read by the linear filter, which looks at four; from there on by area
averaging, since the others alias. cv2's averaging takes seven times as long where the factor is no whole number, and decides nothing there:
docs/measurements.md, "The resampling filter".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from studio.core.reading import Reading

SPARED_FACTOR = 1.25  # up to this many times larger it is kept as it is: shrinking a little costs more than it saves (2 of 7 ms per photo)
WORKING_FACTOR = 1.5  # a decoded image is kept at most this many times the input size: crops down to 45 % of the area lose nothing

COVERED = 4  # pixels that the linear filter reads
RULE = 2  # number of the rule of resizing: pictures and features that are kept on disk are named by it

LEAST_SIDE, LONGEST_SIDE = 32, 4096  # pixels, of images that are enlarged before they are varied


def shrink_to_working_size(image: np.ndarray, input_size: int) -> np.ndarray:
    """The image with its shorter side `WORKING_FACTOR * input_size`; itself when it is at most `SPARED_FACTOR` times larger.

    Doing it twice changes nothing, so a kept shrunk image and the file give the same picture.
    """
    height, width = image.shape[:2]
    size = working_size(height, width, input_size)
    return image if size == (height, width) else resize(image, *size)


def working_size(height: int, width: int, input_size: int) -> tuple[int, int]:
    """Height and width of what `shrink_to_working_size` makes of such an image."""
    limit = round(WORKING_FACTOR * input_size)
    if min(height, width) <= SPARED_FACTOR * limit:
        return height, width
    scale = limit / min(height, width)
    return max(limit, round(height * scale)), max(limit, round(width * scale))


def decoded_view(input_size: int, reading: Reading, evaluation: tuple[str, float] | None) -> str:
    """How a kept picture was read and reduced: to working size, or for evaluation with (interpolation, crop fraction)."""
    return f"{RULE} {input_size} {reading.key} {evaluation or 'working'}"


def grow_to_least_size(image: np.ndarray) -> np.ndarray:
    """The image with its shorter side at least `LEAST_SIDE`: many steps cannot work on fewer pixels. A strip is cut to its centre first."""
    height, width = image.shape[:2]
    if min(height, width) >= LEAST_SIDE:
        return image
    scale = LEAST_SIDE / min(height, width)
    longest = max(1, int(LONGEST_SIDE / scale))
    top, left = max(0, height - longest) // 2, max(0, width - longest) // 2
    part = image[top : top + longest, left : left + longest]
    return resize(part, max(LEAST_SIDE, round(part.shape[0] * scale)), max(LEAST_SIDE, round(part.shape[1] * scale)))


def evaluation_view(image: np.ndarray, input_size: int, interpolation: str = "bicubic", crop_fraction: float = 1.0) -> np.ndarray:
    """The centre square as the network sees it when it is not training: uint8[input_size, input_size, 3].

    `crop_fraction` of the shorter side is kept: what "resize to 256, centre crop 224" keeps is 0.875. Cropping comes first, so that a
    very long image never becomes a huge one. `interpolation` ("bicubic", "bilinear", ...) is used for enlarging.
    """
    return centre_view(image, input_size, interpolation, crop_fraction)


def centre_view(image: np.ndarray, input_size: int, interpolation: str = "bicubic", crop_fraction: float = 1.0) -> np.ndarray:
    height, width = image.shape[:2]
    side = max(1, round(min(height, width) * crop_fraction))
    top, left = (height - side) // 2, (width - side) // 2
    return resize(image[top : top + side, left : left + side], input_size, input_size, interpolation)


def resize(image: np.ndarray, height: int, width: int, interpolation: str = "bicubic") -> np.ndarray:
    """uint8[H, W, 3] -> uint8[height, width, 3], contiguous."""
    import cv2
    import numpy as np

    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    if height <= image.shape[0] and width <= image.shape[1]:
        is_near = image.shape[0] * image.shape[1] < COVERED * height * width
        flag = cv2.INTER_LINEAR if is_near else cv2.INTER_AREA
    else:
        flag = {"bilinear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST}.get(interpolation, cv2.INTER_CUBIC)
    return cv2.resize(image, (width, height), interpolation=flag)


def resized_crop(base: type) -> type:
    """`base` is albumentations' RandomResizedCrop. Where it is asked to average when shrinking, it resizes as every other view is resized."""

    class RandomResizedCrop(base):
        def apply(self, img, crop_coords, **params):
            if self.area_for_downscale is None:
                return super().apply(img, crop_coords, **params)
            left, top, right, bottom = crop_coords
            enlarge = {0: "nearest", 1: "bilinear"}.get(self.interpolation, "bicubic")  # cv2's numbers
            return resize(img[top:bottom, left:right], *self.size, enlarge)

    return RandomResizedCrop
