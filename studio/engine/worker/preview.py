"""Methods of the preview worker: what augmentation makes of an image, by the code that training runs."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

import numpy as np

from studio.core.experiment import Augment, Experiment, parse_experiment
from studio.core.problem import BadInput
from studio.core.rng import sample_seed
from studio.dataset.image import ImageRefused, read_image
from studio.engine.worker.place import openable, shown_name
from studio.engine.worker.service import Call, Method

_pipelines = threading.local()  # a pipeline holds state while it runs: one per thread


def warm_up(call: Call) -> dict[str, Any]:
    """Import albumentations before the first picture is asked for."""
    call.progress(0, None, "loading torch")
    _pipeline(Augment(preset="medium"), 64)(np.zeros((64, 64, 3), np.uint8), 0)
    return {}


def variants(
    call: Call, experiment: dict[str, Any], image_path: str, sample_index: int = 0, epoch: int = 0, count: int = 9
) -> dict[str, Any]:
    """What the network is given of one training image in `count` epochs from `epoch` on, bit for bit.

    `sample_index` is the image's position in the training part. Result: {"images": [reference, ...], "seeds": [...]}.
    """
    spec = parse_experiment(experiment)
    if not 1 <= count <= 64:
        raise BadInput(f"{count} variants cannot be shown; 1 to 64 can.")
    image = _image(image_path, spec.data.max_megapixels, _stamp(image_path))
    if not hasattr(_pipelines, "is_warm"):
        call.progress(0, count, "loading torch")
    pipeline = _pipeline(spec.augment, spec.model.input_size)
    references = []
    for i in range(count):
        call.progress(i, count, "varying")
        references.append(call.image(pipeline(image, sample_seed(spec.training.seed, epoch + i, sample_index))))
    return {"images": references, "seeds": [sample_seed(spec.training.seed, epoch + i, sample_index) for i in range(count)]}


def as_network_sees(call: Call, experiment: dict[str, Any], image_path: str) -> dict[str, Any]:
    """The evaluation view: {"image": reference, "original": {"width", "height"}}."""
    from studio.catalog.augments import evaluation_view

    spec = parse_experiment(experiment)
    image = _image(image_path, spec.data.max_megapixels, _stamp(image_path))
    interpolation, crop_fraction = _view_of(spec)
    call.check()
    view = evaluation_view(image, spec.model.input_size, interpolation, crop_fraction)
    return {"image": call.image(view), "original": {"width": image.shape[1], "height": image.shape[0]}}


def _view_of(spec: Experiment) -> tuple[str, float]:
    from studio.catalog.backbones import backbone_info

    info = backbone_info(spec.model.source, spec.model.backbone)
    return info.interpolation, info.crop_fraction


def _pipeline(augment: Augment, input_size: int):
    """The training loader's own pipeline, kept while it does not change."""
    from studio.catalog.augments import build_pipeline

    key = (augment, input_size)
    if getattr(_pipelines, "key", None) != key:
        _pipelines.pipeline, _pipelines.key, _pipelines.is_warm = build_pipeline(augment, input_size), key, True
    return _pipelines.pipeline


@lru_cache(maxsize=16)
def _image(path: str, max_megapixels: float, stamp: tuple[int, int]) -> np.ndarray:
    try:
        return read_image(openable(path), max_megapixels=max_megapixels)
    except ImageRefused as exc:
        raise BadInput(f"{shown_name(path)} cannot be shown: {exc.reason}.") from None


def _stamp(path: str) -> tuple[int, int]:
    """Size and time of a file: another picture under the same name is read again."""
    import os

    try:
        info = os.stat(openable(path))
    except OSError as exc:
        raise BadInput(f"{shown_name(path)} cannot be read: {exc.strerror}.") from None
    return info.st_size, info.st_mtime_ns


METHODS = {"warm_up": Method(warm_up), "variants": Method(variants), "as_network_sees": Method(as_network_sees)}
