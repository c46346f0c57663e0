"""Mean, spread and histogram of the training pixels, each channel for itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from studio.dataset.dataset import Dataset, Sample
from studio.dataset.image import ImageRefused, decode_noted, read_bytes
from studio.dataset.split import position
from studio.dataset.verify import in_threads

NUM_BINS = 64
_LEAST_PX = 224  # about what a network sees; larger images are sampled on a grid, which keeps the spread


@dataclass(frozen=True)
class PixelStatistics:
    """Channels in order R, G, B; values scaled to [0, 1]. Every image has the same weight, whatever its size."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    histograms: np.ndarray  # float64[3, 64], each row sums to 1
    num_images: int


def pixel_statistics(
    dataset: Dataset,
    max_images: int = 500,
    progress: Callable[[int, int | None, str], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> PixelStatistics | None:
    """Over at most `max_images` training images, chosen by their path so that the choice is stable; None without a readable one.

    Raises Cancelled.
    """
    samples = sorted(dataset.part("train") or dataset.samples, key=lambda s: position(s.id, 0))[:max_images]

    def count(sample: Sample) -> np.ndarray | None:
        """How many pixels have each of the 256 values: int64[3, 256]."""
        try:
            data = read_bytes(dataset.path_of(sample))
            pixels = decode_noted(data, dataset.reading, least_px=_LEAST_PX).pixels
        except ImageRefused:
            return None
        every = max(1, min(pixels.shape[:2]) // _LEAST_PX)
        return np.stack([np.bincount(pixels[::every, ::every, c].ravel(), minlength=256) for c in range(3)])

    total = np.zeros((3, 256))
    num_images = 0
    for done, counts in enumerate(in_threads(count, samples, is_cancelled), 1):
        if counts is not None:
            total += counts / counts.sum(axis=1, keepdims=True)
            num_images += 1
        if progress and (done % 16 == 0 or done == len(samples)):
            progress(done, len(samples), "Measuring pixels")
    if not num_images:
        return None
    total /= num_images
    values = np.arange(256) / 255
    mean = total @ values
    std = np.sqrt(np.maximum(total @ values**2 - mean**2, 0))
    histograms = total.reshape(3, NUM_BINS, -1).sum(axis=2)
    return PixelStatistics(tuple(map(float, mean)), tuple(map(float, std)), histograms, num_images)
