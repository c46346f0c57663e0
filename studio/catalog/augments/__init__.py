"""The road of one image to the square the network sees: one code path for training, validation, prediction, preview and export.

Importable without albumentations and cv2; `build_pipeline` and `evaluation_view` import them when called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from studio.catalog.augments.preset import PRESETS, Preset, TransformDescription
from studio.catalog.augments.view import centre_view, evaluation_view, shrink_to_working_size
from studio.core.experiment import Augment, Experiment

if TYPE_CHECKING:
    import numpy as np

Pipeline = Callable[["np.ndarray", int], "np.ndarray"]

__all__ = [
    "PRESETS", "Pipeline", "Preset", "TransformDescription", "build_pipeline", "cached_views", "evaluation_view", "shrink_to_working_size",
]  # fmt: skip


def cached_views(experiment: Experiment) -> int:
    """How many different pictures of each training image a run keeps features of; 0 where training computes everything anew."""
    is_still = _preset_of(experiment.augment).build is None
    training = experiment.training
    return {"off": 0, "exact": int(is_still), "views": 1 if is_still else training.cached_views}[training.feature_cache]


def build_pipeline(augment: Augment, input_size: int) -> Pipeline:
    """A function (image uint8[H, W, 3], seed) -> uint8[input_size, input_size, 3], contiguous.

    The result depends on the two arguments only, never on earlier calls. The function holds state while it runs: one per thread.
    """
    preset = _preset_of(augment)
    if preset.build is None:
        return lambda image, seed: centre_view(shrink_to_working_size(image, input_size), input_size)

    import os

    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would ask a server for a newer version
    import albumentations as alb
    import numpy as np

    compose = alb.Compose(preset.build(input_size, augment.horizontal_flip))

    def apply(image: np.ndarray, seed: int) -> np.ndarray:
        compose.set_random_seed(seed)
        return np.ascontiguousarray(compose(image=shrink_to_working_size(image, input_size))["image"])

    return apply


def _preset_of(augment: Augment) -> Preset:
    return next(preset for preset in PRESETS if preset.key == augment.preset)
