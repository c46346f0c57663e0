"""What a network would cost to train, before any of it is computed: parameters, shapes, memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from studio.catalog.backbones import Built, backbone_info, build_model
from studio.catalog.backbones.describe import StageDescription, describe
from studio.catalog.optimisers import kind_of
from studio.core.experiment import Model, Optimiser, Training, parse_experiment
from studio.engine.network import frozen_as_asked
from studio.engine.work import stage_work

_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}


@dataclass(frozen=True)
class _Shapes:
    """A network without values. `outputs` are numbers per image that each stage's layers give out: (sum, largest)."""

    built: Built
    stages: tuple[StageDescription, ...]
    outputs: tuple[tuple[int, int], ...]
    work: tuple[int, ...]  # multiply-adds per image and stage


def describe_model(model: Model, training: Training, optimiser: Optimiser, num_classes: int) -> dict[str, Any]:
    """The network of `model` in numbers, as plain data. Raises BadInput.

    "memory" (bytes) is an estimate for a training step: weights; gradients and optimiser values of what trains; the batch; and
    activations: every layer's output from the first training stage on (kept for the backward pass), before it the two largest of one
    layer. In half precision activations take two bytes. Buffers of the libraries come on top: 0.3 to 1 GB on a GPU.
    """
    shapes = shapes_of(model, num_classes)
    spec = parse_experiment({"model": model.model_dump(), "training": training.model_dump(), "optimiser": optimiser.model_dump()})
    network = frozen_as_asked(shapes.built.module, shapes.built.stages, spec)
    stages = [
        {
            "name": stage.name,
            "num_parameters": stage.num_parameters,
            "num_trainable": 0 if is_frozen else stage.num_parameters,
            "is_frozen": is_frozen,
            "lr_factor": factor,
            "thaw_epoch": epoch,
            "output_shape": list(stage.output_shape),
            "num_blocks": stage.num_blocks,
            "has_batch_norm": stage.has_batch_norm,
            "work": work,  # multiply-adds of a forward pass
        }
        for stage, is_frozen, factor, epoch, work in zip(
            shapes.stages, network.is_frozen, network.lr_factors, network.thaw_epochs, shapes.work, strict=True
        )
    ]
    total = sum(stage["num_parameters"] for stage in stages)
    trainable = sum(stage["num_trainable"] for stage in stages)
    never = [epoch is None for epoch in network.thaw_epochs]  # memory must do for the last epoch, when all that ever train do
    ever = sum(stage.num_parameters for stage, is_never in zip(shapes.stages, never, strict=True) if not is_never)
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
        "memory": _memory(shapes, never, model.input_size, training, optimiser, total, ever),
    }


def _memory(
    shapes: _Shapes, is_frozen, input_size: int, training: Training, optimiser: Optimiser, total: int, trainable: int
) -> dict[str, int]:
    width = _BYTES.get(training.precision, 2 if torch.cuda.is_available() else 4)
    kept = sum(sum_ for (sum_, _), frozen in zip(shapes.outputs, is_frozen, strict=True) if not frozen)
    passing = max((largest for (_, largest), frozen in zip(shapes.outputs, is_frozen, strict=True) if frozen), default=0)
    values = kind_of(optimiser.kind).num_values
    return {
        "weights": 4 * (total + sum(s.num_buffers for s in shapes.stages)) * (2 if optimiser.ema_decay else 1),
        "gradients": 4 * trainable,
        "optimiser": 4 * values * trainable,
        "activations": width * training.batch_size * (kept + 2 * passing),
        "batch": 4 * 3 * input_size**2 * training.batch_size,
    }


def shapes_of(model: Model, num_classes: int) -> _Shapes:
    """The network of `model` without values, kept for the next question. Raises BadInput."""
    fields = {"source", "backbone", "cut", "head", "dropout", "input_size"}
    return _shapes(model.model_dump_json(include=fields), num_classes)


@lru_cache(maxsize=8)
def _shapes(asked: str, num_classes: int) -> _Shapes:
    model = Model.model_validate_json(asked)
    built = build_model(model, num_classes, device="meta")
    stages = tuple(describe(built, model.input_size))
    size = model.input_size
    work = stage_work(built.module, built.stages, torch.empty(1, 3, size, size, device="meta"))
    return _Shapes(built, stages, tuple(_outputs(built, size)), tuple(work))


def _outputs(built: Built, input_size: int) -> list[tuple[int, int]]:
    """Per stage, how many numbers its layers give out for one image: in all, and the largest layer."""
    stage_of = {id(m): i for i, s in enumerate(built.stages) for n in s.module_names for m in built.module.get_submodule(n).modules()}
    sums, largest = [0] * len(built.stages), [0] * len(built.stages)

    def count(module, _inputs, output) -> None:
        stage = stage_of.get(id(module))
        if stage is not None and isinstance(output, torch.Tensor):
            sums[stage] += output.numel()
            largest[stage] = max(largest[stage], output.numel())

    handles = [m.register_forward_hook(count) for m in built.module.modules() if not any(m.children())]
    try:
        was_training = built.module.training
        built.module.eval()
        with torch.no_grad():
            built.module(torch.empty(1, 3, input_size, input_size, device="meta"))
        built.module.train(was_training)
    finally:
        for handle in handles:
            handle.remove()
    return list(zip(sums, largest, strict=True))
