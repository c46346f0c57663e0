"""How much memory a training step takes at its peak, estimated from one forward pass with shapes only.

torch itself says what it saves for the backward pass (saved-tensor hooks), tensor by tensor; storages that are saved twice count once.
The backward pass is then followed layer by layer: saved tensors go, gradients of weights come, and the gradients of the layer at hand
are there. The largest sum is the peak, or that of the optimiser's update where it is larger.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from studio.catalog.optimisers import kind_of
from studio.core.experiment import Optimiser, Training

_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
_IMAGES = 2  # batch norm needs two


@dataclass(frozen=True)
class Layer:
    """In numbers per image: `saved` for the backward pass, `passing` in and out. `parameters` are names with their sizes."""

    parameters: tuple[tuple[str, int], ...]
    saved: float
    passing: float


@dataclass(frozen=True)
class Trace:
    """Layers in the order they run, with everything training."""

    layers: tuple[Layer, ...]
    num_values: int  # parameters and buffers
    image: int  # values of one image


def trace_memory(module: nn.Module, input_size: int) -> Trace:
    """Of a module on the meta device; it is left as it was."""
    names = {id(p): (name, p.numel()) for name, p in module.named_parameters()}
    known = {t.untyped_storage()._cdata for t in (*module.parameters(), *module.buffers())}
    kept: list = []
    layers: list[Layer] = []
    saved = 0.0

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal saved
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in known and not isinstance(tensor, nn.Parameter):
            known.add(key)
            kept.append(storage)  # so that no other storage takes its place
            saved += storage.nbytes() / 4
        return tensor

    def leave(part, inputs, output) -> None:
        nonlocal saved
        tensors = [t for t in (*inputs, output) if isinstance(t, torch.Tensor)]
        mine = tuple(names[id(p)] for p in part.parameters(recurse=False))
        layers.append(Layer(mine, saved / _IMAGES, sum(t.numel() for t in tensors) / _IMAGES))
        saved = 0.0

    wanted = [p.requires_grad for p in module.parameters()]
    modes = {part: part.training for part in module.modules()}
    handles = [m.register_forward_hook(leave) for m in module.modules() if not any(m.children()) or any(True for _ in m.parameters(False))]
    try:
        module.train().requires_grad_(True)
        with torch.enable_grad(), _FusedAttention(), torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            module(torch.empty(_IMAGES, 3, input_size, input_size, device="meta"))
    finally:
        for handle in handles:
            handle.remove()
        for parameter, asked in zip(module.parameters(), wanted, strict=True):
            parameter.requires_grad_(asked)
        for part, is_training in modes.items():
            part.training = is_training
    layers.append(Layer((), saved / _IMAGES, 0.0))
    total = sum(t.numel() for t in (*module.parameters(), *module.buffers()))
    return Trace(tuple(layers), total, 3 * input_size**2)


class _Attention(torch.autograd.Function):
    """What fused attention keeps: its inputs and what it gives out, not the matrix of weights, which it computes again."""

    @staticmethod
    def forward(ctx, query, key, value):
        out = query.new_empty(*query.shape[:-1], value.shape[-1])
        ctx.save_for_backward(query, key, value, out)
        return out

    @staticmethod
    def backward(ctx, *gradients):
        raise NotImplementedError("shapes only")


class _FusedAttention(TorchFunctionMode):
    """Without values torch takes the plain road through attention; devices take the fused one."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.nn.functional.scaled_dot_product_attention:
            return _Attention.apply(*args[:3])
        return func(*args, **(kwargs or {}))


def estimate_memory(trace: Trace, trainable: Collection[str], training: Training, optimiser: Optimiser) -> dict[str, int]:
    """Bytes at the peak of a step, by use: weights, gradients, optimiser, activations, batch."""
    width = _BYTES.get(training.precision, 2 if torch.cuda.is_available() else 4)
    batch = training.batch_size
    start = next((i for i, layer in enumerate(trace.layers) if any(name in trainable for name, _ in layer.parameters)), len(trace.layers))
    own = [sum(size for name, size in layer.parameters if name in trainable) for layer in trace.layers]
    passing = max((layer.passing for layer in trace.layers[:start]), default=0.0)
    saved = [layer.saved if i >= start else 0.0 for i, layer in enumerate(trace.layers)]
    left, gradients = sum(saved), 0
    peak = (left + passing, 0)  # (activations per image, gradients) at the worst moment
    for i in range(len(trace.layers) - 1, start - 1, -1):
        gradients += own[i]
        now = (left + trace.layers[i].passing, gradients)
        peak = max(peak, now, key=lambda p: width * batch * p[0] + 4 * p[1])
        left -= saved[i]
    if 4 * gradients > width * batch * peak[0] + 4 * peak[1]:
        peak = (0.0, gradients)  # at the update, when activations are gone
    values = kind_of(optimiser.kind).num_values
    cast = sum(own) * width if width < 4 else 0  # weights in half precision are kept for the backward pass
    return {
        "weights": 4 * trace.num_values + (4 * trace.num_values if optimiser.ema_decay else 0) + cast,
        "gradients": 4 * peak[1],
        "optimiser": 4 * values * sum(own),
        "activations": round(width * batch * peak[0]),
        "batch": 4 * trace.image * batch,
    }
