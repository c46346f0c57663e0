"""What a network would cost to train, before any of it is computed: parameters, shapes, memory."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import Any

import torch
from torch import nn

from studio.catalog.backbones import Built, backbone_info, build_model
from studio.catalog.backbones.describe import StageDescription, describe
from studio.core.experiment import Experiment, Model, Optimiser, Training, parse_experiment
from studio.dataset.disk_use import FrozenStart, NetworkUse
from studio.engine.checkpoint import checkpoints_bytes
from studio.engine.footprint import Trace, estimate_memory, is_large, known_trace, num_bytes_of
from studio.engine.freezing import has_statistics, is_still, still_tensors
from studio.engine.lean import may_be_lean
from studio.engine.network import Network, frozen_as_asked
from studio.engine.work import stage_work


@dataclass(frozen=True)
class Shapes:
    """A network without values."""

    built: Built
    stages: tuple[StageDescription, ...]
    work: tuple[int, ...]  # multiply-adds per image and stage

    def frozen_start(self, epoch: int, num_stages: int) -> FrozenStart:
        """The first stages, still from an epoch on. Before a head that trains alone lies all the backbone, its pooling too."""
        is_whole = num_stages == len(self.stages) - 1
        num_values = self.built.num_features if is_whole else math.prod(self.stages[num_stages - 1].output_shape or (0,))
        return FrozenStart(epoch, num_values, sum(self.work[:num_stages]) / max(1, sum(self.work)))


def describe_model(model: Model, training: Training, optimiser: Optimiser, num_classes: int) -> dict[str, Any]:
    """The network of `model` in numbers, as plain data. Raises BadInput.

    "memory" (bytes, by use) is an estimate of the peak of a training step, see engine.footprint. "stops" say the same for every place of the
    freeze line, with the stages before it frozen from the start. Buffers of the libraries come on top: 0.3 to 1 GB on a GPU. "disk" is a
    dataset.disk_use.NetworkUse.
    """
    shapes = shapes_of(model, num_classes)
    traced = partial(_trace, _asked(model), num_classes, num_bytes_of(training.precision))

    def memory(trainable: frozenset[str]) -> dict[str, int]:
        large = is_large(traced(lean=False), trainable, training, optimiser)
        return estimate_memory(traced(lean=large and may_be_lean(training)), trainable, training, optimiser, is_large=large)

    spec = parse_experiment({"model": model.model_dump(), "training": training.model_dump(), "optimiser": optimiser.model_dump()})
    network = frozen_as_asked(shapes.built.module, shapes.built.stages, spec, must_train=False)  # the page shows it, and says so
    stages = [
        {
            "name": stage.name,
            "num_parameters": stage.num_parameters,
            "num_trainable": num_trainable,
            "num_buffers": stage.num_buffers,
            "num_norm_values": sum(map(_num_statistics, norms.values())),
            "is_frozen": is_frozen,
            "lr_factor": factor,
            "thaw_epoch": epoch,
            "output_shape": list(stage.output_shape),
            "num_blocks": stage.num_blocks,
            "has_batch_norm": stage.has_batch_norm,
            "macs": work,  # multiply-adds of a forward pass of one image
            "parameters": list(part.parameter_names),
            "norms": list(norms),  # batch norms
        }
        for stage, part, is_frozen, factor, epoch, work, norms, num_trainable in zip(
            shapes.stages, network.stages, network.is_frozen, network.lr_factors, network.thaw_epochs, shapes.work, _norms(network),
            [told.num_trainable for told in network.described()], strict=True,
        )
    ]  # fmt: skip
    total = sum(stage["num_parameters"] for stage in stages)
    trainable = sum(stage["num_trainable"] for stage in stages)
    still = still_tensors(network.module, network.plan)
    buffers = [name for name, _ in network.module.named_buffers()]
    last = network.last_plan(spec.model)  # memory must do for the last epoch, when all that ever train do
    info = backbone_info(model.source, model.backbone)
    return {
        "title": info.title,
        "stages": stages,
        "num_parameters": total,
        "num_trainable": trainable,
        "num_undecayed": network.num_undecayed(),
        "num_features": shapes.built.num_features,
        "input_size": model.input_size,
        "num_classes": num_classes,
        "num_frozen_buffers": sum(network.module.get_buffer(name).numel() for name in buffers if name in still),
        "num_moving_buffers": sum(network.module.get_buffer(name).numel() for name in buffers if name not in still),
        "memory": memory(last.trainable),
        "disk": asdict(network_use(shapes, network, spec)),
        "stops": [
            {
                "num_trainable": sum(stage["num_parameters"] for stage in stages[boundary:]),
                "memory": memory(_names(shapes.built.stages[boundary:])),
            }
            for boundary in range(len(stages))
        ],
    }


def network_use(shapes: Shapes, network: Network, experiment: Experiment) -> NetworkUse:
    """What a run of this network, without values and frozen as asked, writes to the disk."""
    model, stages, starts = experiment.model, network.stages, []
    for epoch in sorted({0, *(epoch for epoch in network.thaw_epochs if epoch)}):
        plan = network.plan_for(epoch, model, must_train=False)
        num_still = next((i for i, stage in enumerate(stages) if not is_still(stage, plan)), len(stages))
        if 0 < num_still < len(stages) and (not starts or num_still != starts[-1][1]):
            starts.append((epoch, num_still))
    checkpoints = checkpoints_bytes(network.module, network.last_plan(model).trainable, experiment.training, experiment.optimiser)
    return NetworkUse(checkpoints, tuple(shapes.frozen_start(epoch, num_still) for epoch, num_still in starts))


def _names(stages) -> frozenset[str]:
    return frozenset(name for stage in stages for name in stage.parameter_names)


def _norms(network: Network) -> list[dict[str, nn.Module]]:
    """Per stage, its batch norms by name."""
    inside = [
        [
            (f"{name}.{key}" if key else name, m)
            for name in stage.module_names
            for key, m in network.module.get_submodule(name).named_modules()
        ]
        for stage in network.stages
    ]
    return [{name: module for name, module in found if has_statistics(module)} for found in inside]


def _num_statistics(norm: nn.Module) -> int:
    """Running means and variances of a batch norm."""
    return sum(b.numel() for key, b in norm.named_buffers(recurse=False) if key.startswith("running_"))


def shapes_of(model: Model, num_classes: int) -> Shapes:
    """The network of `model` without values, kept for the next question. Raises BadInput."""
    return _shapes(_asked(model), num_classes)


def _asked(model: Model) -> str:
    """What decides the shapes."""
    return model.model_dump_json(include={"source", "backbone", "cut", "head", "dropout", "input_size"})


@lru_cache(maxsize=8)
def _shapes(asked: str, num_classes: int) -> Shapes:
    model = Model.model_validate_json(asked)
    built = build_model(model, num_classes, device="meta")
    stages = tuple(describe(built, model.input_size))
    size = model.input_size
    work = stage_work(built.module, built.stages, torch.empty(1, 3, size, size, device="meta"))
    return Shapes(built, stages, tuple(work))


@lru_cache(maxsize=16)
def _trace(asked: str, num_classes: int, width: int, *, lean: bool) -> Trace:
    built = _shapes(asked, num_classes).built
    return known_trace(built.module, built.input_size, width, is_lean=lean)
