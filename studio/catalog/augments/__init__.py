"""The road of one image to the square the network sees: one code path for training, validation, prediction, preview and export.

Importable without albumentations, torch and cv2; `build_pipeline` and `evaluation_view` import them when called.
"""

from __future__ import annotations

from studio.catalog.augments.pipeline import Applied, Pipeline, Tally
from studio.catalog.augments.preset import PRESETS, Preset, TransformDescription, pipeline_of, preset_of
from studio.catalog.augments.view import evaluation_view, shrink_to_working_size
from studio.core.experiment import Augment, Experiment

__all__ = [
    "Applied", "PRESETS", "Pipeline", "Preset", "Tally", "TransformDescription", "build_pipeline", "cached_views", "evaluation_view", "is_still",
    "pipeline_of", "preset_of", "shrink_to_working_size",
]  # fmt: skip


def is_still(augment: Augment) -> bool:
    """Whether training sees the same pictures in every epoch."""
    return not augment.mixes and not any(step.is_on and step.p > 0 for step in pipeline_of(augment))


def cached_views(experiment: Experiment) -> int:
    """How many different pictures of each training image a run keeps features of; 0 where training computes everything anew.

    Mixed pictures have features of their own, so nothing is kept for training where batches are mixed.
    """
    if experiment.augment.mixes:
        return 0
    still, training = is_still(experiment.augment), experiment.training
    return {"off": 0, "exact": int(still), "views": 1 if still else training.cached_views}[training.feature_cache]


def build_pipeline(augment: Augment, input_size: int) -> Pipeline:
    """The pipeline of an experiment. Raises BadInput when a step cannot be built."""
    return Pipeline(pipeline_of(augment), input_size)
