"""What each stage of a network holds and gives, found with shapes only: no weights are copied and nothing is computed."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from studio.catalog.backbones.backbone import Built
from studio.catalog.backbones.passing import output_shape, pass_image
from studio.core.problem import BadInput, error

_BATCH_NORMS = ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm", "BatchNormAct2d")


@dataclass(frozen=True, slots=True)
class StageDescription:
    """One stage in numbers. `output_shape` is that of one image, without the batch axis: (C, H, W), (H, W, C) or (tokens, C)."""

    name: str
    num_parameters: int
    num_buffers: int  # numbers held in buffers (batch norm statistics, index tables)
    output_shape: tuple[int, ...]
    num_blocks: int  # modules that the stage repeats; 1 where it repeats none
    has_batch_norm: bool


def describe(built: Built, input_size: int | None = None) -> list[StageDescription]:
    """The stages of `built` in execution order for images of `input_size` px (None: the size it was built for).

    Raises BadInput when an image of that size does not pass through the network.
    """
    size = input_size or built.input_size
    # Parameters and buffers are handed to the copy as shapes, so their values are never copied.
    tensors = [*built.module.parameters(), *built.module.buffers()]
    network = copy.deepcopy(built.module, {id(t): _shape_only(t) for t in tensors})
    try:
        given = pass_image(network, built.stages, size)
    except Exception as exc:  # libraries refuse a size with whatever error their first unfitting layer raises
        raise BadInput(error("model.input_size", f"A {size} px image does not pass through this network: {exc}")) from exc
    return [_describe(network, stage, output_shape(given, index)) for index, stage in enumerate(built.stages)]


def _describe(network, stage, shape: tuple[int, ...]) -> StageDescription:
    modules = [network.get_submodule(name) for name in stage.module_names]
    inside = [m for module in modules for m in module.modules()]
    return StageDescription(
        name=stage.name,
        num_parameters=sum(network.get_parameter(name).numel() for name in stage.parameter_names),
        num_buffers=sum(b.numel() for m in inside for b in m.buffers(recurse=False)),
        output_shape=shape,
        num_blocks=_num_blocks(modules),
        has_batch_norm=any(type(m).__name__ in _BATCH_NORMS for m in inside),
    )


def _shape_only(tensor):
    from torch import nn

    shape = tensor.detach().to("meta")
    return nn.Parameter(shape, requires_grad=False) if isinstance(tensor, nn.Parameter) else shape


def _num_blocks(modules) -> int:
    return max(1, sum(_blocks_in(module) for module in modules))


def _blocks_in(module) -> int:
    """Containers count what they hold; a module of several layers is one block, a single layer none."""
    inner = [child for child in module.children() if next(child.parameters(), None) is not None]
    blocks = [child for child in inner if next(child.children(), None) is not None]
    is_container = type(module).__name__ in ("Sequential", "ModuleList") or (len(inner) > 1 and len({type(c) for c in inner}) == 1)
    if is_container and blocks:
        return sum(_blocks_in(child) for child in inner)
    return 1 if inner else 0
