"""The road of one image to the square the network sees: one code path for training, validation, prediction, preview and export.

Importable without albumentations, torch and cv2; `build_pipeline` and `evaluation_view` import them when called.
"""

from __future__ import annotations

from studio.catalog.augments.pipeline import Applied, Pipeline, Tally
from studio.catalog.augments.preset import PRESETS, Preset, TransformDescription, pipeline_of, preset_of
from studio.catalog.augments.view import RULE, evaluation_view, shrink_to_working_size
from studio.core.experiment import Augment, Experiment

__all__ = [
    "Applied", "PRESETS", "Pipeline", "Preset", "RULE", "Tally", "TransformDescription", "build_pipeline", "cached_views", "evaluation_view", "is_still",
    "pipeline_of", "preset_of", "shrink_to_working_size", "views_gain",
]  # fmt: skip


def is_still(augment: Augment) -> bool:
    """Whether training sees the same pictures in every epoch."""
    return not augment.mixes and not any(step.is_on and step.p > 0 for step in pipeline_of(augment))


WORTHWHILE = 1.5  # "auto" takes cached views where training gets at least this many times faster


def cached_views(experiment: Experiment, prefix_share: float = 0.0) -> int:
    """How many different pictures of each training image a run keeps features of; 0 where training computes everything anew.

    `prefix_share` is the share of a forward pass that frozen layers take, in [0, 1]; only "auto" asks. Mixed pictures have features of their
    own, so nothing is kept for training where batches are mixed.
    """
    training = experiment.training
    if experiment.augment.mixes or training.feature_cache == "off":
        return 0
    if is_still(experiment.augment):
        return 1
    wants_views = training.feature_cache == "views" or (
        training.feature_cache == "auto" and views_gain(experiment, prefix_share) >= WORTHWHILE
    )
    return training.cached_views if wants_views else 0


def views_gain(experiment: Experiment, prefix_share: float) -> float:
    """How many times faster all epochs train on cached views: forward and backward through what trains takes three times a forward pass,
    the frozen layers run once per view instead of once per epoch."""
    behind = 3 * (1 - prefix_share)
    epochs, views = experiment.schedule.epochs, experiment.training.cached_views
    return (prefix_share + behind) / max(1e-9, prefix_share * min(views, epochs) / epochs + behind)


def build_pipeline(augment: Augment, input_size: int) -> Pipeline:
    """The pipeline of an experiment. Raises BadInput when a step cannot be built."""
    return Pipeline(pipeline_of(augment), input_size)
