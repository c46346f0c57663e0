"""Methods of the probe worker that look into the network of an experiment: its layers, its signal, its images, and what to do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.core.experiment import Experiment, Model, parse_experiment
from studio.core.problem import BadInput
from studio.engine.worker.place import openable
from studio.engine.worker.service import Call, Superseded

if TYPE_CHECKING:
    from studio.dataset.dataset import Dataset
    from studio.engine.network import Labels

BATCH = 8
NUM_IMAGES = 32  # of the user's, for questions about his images

_kept = threading.local()  # the list of images of the last question of this lane


def model_tree(call: Call, model: dict[str, Any], num_classes: int) -> dict[str, Any]:
    """{"stages": [node]}, see engine.tree.model_tree."""
    from studio.engine.describe import shapes_of
    from studio.engine.tree import model_tree as tree

    spec = Model.model_validate(Model().model_dump() | model)
    shapes = shapes_of(spec, num_classes)
    return {"stages": tree(shapes.built, shapes.stages)}


def signal(call: Call, experiment: dict[str, Any], whole: bool = False, dataset: str | None = None, list_number: int = 0) -> dict[str, Any]:
    """See engine.signal.trace_signal. On the user's images, or on noise where there are none ("are_real_images")."""
    import torch

    from studio.catalog.heads.build import prior_bias
    from studio.engine.network import build_network
    from studio.engine.signal import trace_signal

    spec = parse_experiment(experiment)
    images = _dataset(call, spec, dataset, list_number) if spec.data.source or spec.model.normalisation == "data" else None
    views, of_views = zip(*found, strict=True) if (found := list(_views(call, images, spec, BATCH)) if images else []) else ((), ())
    size, noise = spec.model.input_size, np.random.default_rng(0)
    is_real = len(views) > 1
    labels = _labels(images)
    num_classes = len(labels.classes)
    pixels = np.stack(views) if is_real else noise.integers(0, 256, (BATCH, size, size, 3), np.uint8)
    targets_N = torch.as_tensor([labels.classes.index(name) for name in of_views] if is_real else noise.integers(0, num_classes, BATCH))
    call.progress(0, None, "building the network")
    network = build_network(spec, num_classes, labels=labels)
    call.check()
    traced = trace_signal(network, _normaliser(spec, images)(pixels), targets_N, whole)
    prior_C = prior_bias(labels.shares)
    if torch.equal(network.module.head.linear.bias.detach(), prior_C):  # and not that of a file or a run
        losses_C = -prior_C.log_softmax(0)
        traced["first_loss"] += float(losses_C @ torch.tensor(labels.shares) - losses_C[targets_N].mean())
    return traced | {"are_real_images": is_real}


def first_loss(call: Call, experiment: dict[str, Any], dataset: str | None = None, list_number: int = 0) -> dict[str, Any]:
    """{"first_loss", "are_real_images"}: cross-entropy of the new network on a few of the user's images, before the first step; with the bias at the
    class prior as if every class had its share of them."""
    found = signal(call, experiment, False, dataset, list_number)
    return {key: found[key] for key in ("first_loss", "are_real_images")}


def domain_shift(
    call: Call, experiment: dict[str, Any], dataset: str | None = None, num_images: int = NUM_IMAGES, list_number: int = 0
) -> dict[str, Any]:
    """See engine.shift.measure_shift. Raises BadInput where there are no images, or no pretrained weights to compare with."""
    from studio.engine.network import build_network
    from studio.engine.shift import measure_shift

    spec = parse_experiment(experiment)
    if not (spec.model.pretrained or spec.model.start_run):
        raise BadInput("Random weights know no images. Switch Pretrained on to compare yours with what the backbone knows.")
    call.progress(0, None, "building the network")
    network = build_network(spec, 2)
    images = _dataset(call, spec, dataset, list_number)
    views, normalise = _views(call, images, spec, num_images), _normaliser(spec, images)

    def batches() -> Iterator:
        batch: list[np.ndarray] = []
        for view, _label in views:
            batch.append(view)
            if len(batch) == BATCH:
                yield normalise(np.stack(batch))
                batch = []
        if batch:
            yield normalise(np.stack(batch))

    found = measure_shift(network, batches(), spec.model, lambda count: call.progress(count, num_images, "images"))
    if not found["num_images"]:
        raise BadInput("No image could be read, so there is nothing to compare.")
    return found


def advice(
    call: Call, experiment: dict[str, Any], images_per_class: list[int], domain: dict[str, Any] | None = None, has_gpu: bool | None = None
) -> dict[str, Any]:
    """{"advice": [fields of catalog.advice.Advice, and "is_followed": the draft does it already; last]}. `domain` is the answer of `domain_shift`; None where it was not asked."""
    from studio.catalog.advice import Situation, followed, plain
    from studio.catalog.advice import advice as advised
    from studio.engine.device import choose_device

    spec = parse_experiment(experiment)
    distances = {row["name"]: row["bn_distance"] for row in domain["stages"]} if domain else None
    gpu = choose_device(spec.training.device).type != "cpu" if has_gpu is None else has_gpu
    has_norm = any(d is not None for d in distances.values()) if distances else None
    situation = Situation(spec, tuple(images_per_class), distances, gpu, has_norm)
    told = [(advised(situation), False), (followed(situation), True)]
    return {"advice": [each | {"is_followed": is_followed} for found, is_followed in told for each in plain(found)]}


def _normaliser(spec: Experiment, images: Dataset | None):
    import torch

    from studio.engine.network import Normaliser
    from studio.engine.setup import view_for

    view = view_for(spec, images)
    return Normaliser(view["mean"], view["std"], torch.device("cpu"), channels_last=False)


def _views(call: Call, images: Dataset, spec: Experiment, count: int) -> Iterator[tuple[np.ndarray, str]]:
    """Evaluation views of training images with their classes, spread over them all: uint8[S, S, 3]. Files that cannot be read are passed over."""
    from studio.catalog.augments import evaluation_view
    from studio.catalog.backbones import backbone_info
    from studio.dataset.image import ImageRefused, read_image

    info = backbone_info(spec.model.source, spec.model.backbone)
    samples = images.part("train")
    for position in np.linspace(0, len(samples) - 1, min(count, len(samples))).round().astype(int):
        call.check()
        try:
            image = read_image(images.path_of(samples[position]), spec.data.reading)
        except (ImageRefused, OSError):
            continue
        yield evaluation_view(image, spec.model.input_size, info.interpolation, info.crop_fraction), samples[position].label


def _labels(images: Dataset | None) -> Labels:
    """Classes as they are, two at least; ten without a name where there are no images."""
    from studio.engine.network import Labels

    found = Labels.of(images) if images else Labels(("",) * 10, (0,) * 10)
    num_missing = max(0, 2 - len(found.classes))
    return Labels(found.classes + ("",) * num_missing, found.counts + (0,) * num_missing)


def _dataset(call: Call, spec: Experiment, dataset: str | None, list_number: int) -> Dataset:
    """The list of images: a file as Dataset.to_json writes it, or a scan of the source, kept for the next question about the same settings and
    `list_number`: whoever asks counts his own scans, as the files may have changed between two."""
    from studio.dataset.dataset import Cancelled, Dataset
    from studio.dataset.scan import scan

    if dataset:
        with open(openable(dataset), "rb") as file:
            return Dataset.from_json(file.read())
    asked = spec.data.model_dump_json(), list_number
    if getattr(_kept, "asked", None) != asked:
        try:
            _kept.dataset = scan(
                spec.data, progress=lambda done, total, *_: call.progress(done, total, "files"), is_cancelled=call.is_cancelled
            )
        except Cancelled:
            raise Superseded from None
        _kept.asked = asked
    return _kept.dataset
