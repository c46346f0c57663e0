"""The layers of a network as a tree: stages, modules in the order they run, parameters; with shapes, and with what runs side by side.

Everything is seen in one forward pass with shapes only. A sum of two tensors of the same shape inside a module is a way around; a module
whose children are given the same tensor and whose answers are joined has branches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd
from torch.utils._python_dispatch import TorchDispatchMode

from studio.catalog.backbones import Built
from studio.catalog.backbones.backbone import Stage
from studio.catalog.backbones.describe import StageDescription
from studio.catalog.backbones.shapes import shapes_alone

NORMS = ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm", "BatchNormAct2d")
_SUMS = ("aten::add", "aten::add_")


def model_tree(built: Built, described: Sequence[StageDescription]) -> list[dict[str, Any]]:
    """A node per stage, with the figures of its description. Nodes: name, label, kind, num_parameters, num_buffers, output_shape, shape (of parameters), is_parameter, layout
    ("series", "branches", "residual"), has_batch_norm, num_drops, children. Counts are those of torch; shapes are of one image."""
    seen = _Seen(built.module)
    seen.run(built.input_size)
    return [_stage(built, *pair, seen) for pair in zip(built.stages, described, strict=True)]


class _Seen(TorchDispatchMode):
    """What one forward pass shows: outputs, order, sums and joins by module."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module
        self.names = {part: name for name, part in module.named_modules()}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.order: dict[str, int] = {}
        self.sums: set[str] = set()
        self.joins: set[str] = set()
        self.inputs: dict[str, int] = {}
        self._stack: list[str] = []
        self._alive: list[Any] = []  # so that no other tensor takes one's identity

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if self._stack:
            name = func._schema.name
            if name in _SUMS and all(isinstance(a, torch.Tensor) for a in args[:2]) and args[0].ndim > 2 and args[0].shape == args[1].shape:
                self.sums.add(self._stack[-1])
            elif name == "aten::cat" and len(args[0]) > 1:
                self.joins.add(self._stack[-1])
        return func(*args, **(kwargs or {}))

    def run(self, size: int) -> None:
        handles = []
        for part in self.module.modules():
            handles.append(part.register_forward_pre_hook(self._enter))
            handles.append(part.register_forward_hook(self._leave))
        was_training = self.module.training
        self.module.eval()
        try:
            with torch.no_grad(), shapes_alone(), self:
                self.module(torch.empty(2, 3, size, size, device="meta"))  # two: what is broadcast over images is no way around
        finally:
            for handle in handles:
                handle.remove()
            self.module.train(was_training)
            self._alive = []

    def _enter(self, part, inputs) -> None:
        name = self.names[part]
        self._stack.append(name)
        self.order.setdefault(name, len(self.order))
        if inputs and isinstance(inputs[0], torch.Tensor):
            self._alive.append(inputs[0])
            self.inputs[name] = id(inputs[0])

    def _leave(self, part, _inputs, output) -> None:
        name = self.names[part]
        while self._stack and self._stack.pop() != name:  # a part that was left by an exception
            pass
        if isinstance(output, torch.Tensor) and output.ndim > 1:
            self._alive.append(output)
            self.shapes[name] = tuple(output.shape[1:])


def _stage(built: Built, stage: Stage, described: StageDescription, seen: _Seen) -> dict[str, Any]:
    module = built.module
    names = sorted((n for n in stage.module_names if n in seen.order or _has_tensors(module.get_submodule(n))), key=_at(seen))
    children = [_node(module.get_submodule(name), name, name.removeprefix("backbone."), seen) for name in names]
    inside = tuple(f"{name}." for name in stage.module_names)
    children += [_parameter(name, module.get_parameter(name)) for name in stage.parameter_names if not name.startswith(inside)]
    return {
        "name": stage.name,
        "label": stage.name,
        "kind": "stage",
        "num_parameters": described.num_parameters,
        "num_buffers": described.num_buffers,
        "output_shape": list(described.output_shape) or None,
        "shape": None,
        "is_parameter": False,
        "layout": "series",
        "has_batch_norm": described.has_batch_norm,
        "num_drops": sum(map(_num_drops, map(module.get_submodule, stage.module_names))),
        "children": children,
    }


def _node(part: nn.Module, name: str, label: str, seen: _Seen) -> dict[str, Any]:
    inner = [(key, child) for key, child in part.named_children() if f"{name}.{key}" in seen.order or _has_tensors(child)]
    inner.sort(key=lambda pair: _at(seen)(f"{name}.{pair[0]}"))
    children = [_node(child, f"{name}.{key}", key, seen) for key, child in inner]
    children += [_parameter(f"{name}.{key}", p) for key, p in part.named_parameters(recurse=False)]
    shape = seen.shapes.get(name)
    return {
        "name": name,
        "label": label,
        "kind": _kind(part),
        "num_parameters": sum(p.numel() for p in part.parameters()),
        "num_buffers": sum(b.numel() for b in part.buffers()),
        "output_shape": list(shape) if shape else None,
        "shape": None,
        "is_parameter": False,
        "layout": _layout(name, [key for key, _ in inner], seen),
        "has_batch_norm": any(type(m).__name__ in NORMS for m in part.modules()),
        "num_drops": _num_drops(part),
        "children": children,
    }


def _parameter(name: str, parameter: nn.Parameter) -> dict[str, Any]:
    shape = list(parameter.shape)
    return {
        "name": name, "label": name.rpartition(".")[2], "kind": "parameter", "num_parameters": parameter.numel(), "num_buffers": 0,
        "output_shape": None, "shape": shape, "is_parameter": True, "layout": "series", "has_batch_norm": False, "num_drops": 0, "children": [],
    }  # fmt: skip


def _layout(name: str, children: list[str], seen: _Seen) -> str:
    given = [seen.inputs.get(f"{name}.{key}") for key in children]
    start = seen.inputs.get(name)
    num_beside = sum(one is not None and one == start for one in given)
    if name in seen.joins and num_beside > 1:
        return "branches"
    return "residual" if name in seen.sums or (name in seen.joins and (num_beside or start is None)) else "series"


def _kind(part: nn.Module) -> str:
    """ "Conv2d 3×3 /2"; of a block around one convolution the same: "BasicConv2d 1×1"."""
    kind = type(part).__name__
    parts = list(part.children())
    convolutions = [child for child in parts if isinstance(child, nn.Conv2d)]
    if len(convolutions) == 1 and all(child in convolutions or next(child.children(), None) is None for child in parts):
        return f"{kind} {_kind(convolutions[0]).partition(' ')[2]}"
    if isinstance(part, nn.Conv2d):
        height, width = part.kernel_size
        stride = f" /{part.stride[0]}" if part.stride[0] > 1 else ""
        depth = (
            " depthwise" if part.groups > 1 and part.groups == part.in_channels else f" in {part.groups} groups" if part.groups > 1 else ""
        )
        return f"{kind} {height}×{width}{stride}{depth}"
    if isinstance(part, nn.Linear):
        return f"{kind} {part.in_features:,} → {part.out_features:,}"
    return kind


def _at(seen: _Seen):
    return lambda name: seen.order.get(name, len(seen.order))


def share_left_out(part: nn.Module) -> float:
    """What a dropout or drop-path leaves out at random in training; 0 for any other module."""
    is_drop = isinstance(part, _DropoutNd) or type(part).__name__ == "StochasticDepth"
    return (part.p if is_drop else getattr(part, "drop_prob", None)) or 0.0


def _num_drops(part: nn.Module) -> int:
    return sum(share_left_out(m) > 0 for m in part.modules())


def _has_tensors(part: nn.Module) -> bool:
    return next(part.parameters(), None) is not None or next(part.buffers(), None) is not None
