"""How far the signal comes: the variance of activations and of gradients, layer by layer, on one batch at the start of training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from studio.engine.network import Network

MOST_LAYERS = 120
KEEPS = 10.0  # variance that changes by less than this over the new layers is kept


@dataclass(frozen=True)
class Layer:
    name: str
    activation_variance: float
    gradient_variance: float  # of the loss with respect to what the layer gives out
    is_new: bool


def trace_signal(network: Network, images_NCHW: torch.Tensor, labels_N: torch.Tensor, whole: bool) -> dict[str, Any]:
    """{"layers": [fields of Layer], "sentence", "first_loss"} in the order they run: the new layers, or with `whole` the backbone's too.

    One forward and backward pass in training mode, without dropout; statistics that follow the data are put back.
    """
    module = network.module
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    chosen = _layers(module, whole)
    given: list[tuple[str, torch.Tensor]] = []
    handles = []
    for name in chosen:

        def keep(_module, _inputs, output, name=name) -> None:
            output.retain_grad()
            given.append((name, output))

        handles.append(module.get_submodule(name).register_forward_hook(keep))
    network.train_mode()
    for part in module.modules():
        if "Drop" in type(part).__name__ or type(part).__name__ == "StochasticDepth":
            part.eval()
    try:
        with torch.enable_grad():
            logits_NC = module(images_NCHW.requires_grad_(True))
            loss = nn.functional.cross_entropy(logits_NC.float(), labels_N)
            loss.backward()
        layers = [
            Layer(name, _variance(output), 0.0 if output.grad is None else _variance(output.grad), name.startswith("head."))
            for name, output in given
        ]
    finally:
        for handle in handles:
            handle.remove()
        module.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, buffer in module.named_buffers():
                buffer.copy_(before[name])
    return {"layers": [asdict(layer) for layer in layers], "sentence": _sentence(layers), "first_loss": float(loss.detach())}


def _layers(module: nn.Module, whole: bool) -> list[str]:
    """New layers with values of their own, their activations and pooling, and the convolutions and linear layers of the backbone."""
    found = [n for n, m in module.named_modules() if n.startswith("head.") and not any(m.children()) and "Drop" not in type(m).__name__]
    if whole:
        old = [n for n, m in module.named_modules() if n.startswith("backbone.") and isinstance(m, (nn.Conv2d, nn.Linear))]
        step = -(-len(old) // MOST_LAYERS) or 1
        found = old[::step] + found
    return found


def _variance(values: torch.Tensor) -> float:
    return float(f"{float(values.detach().float().var(unbiased=False)):.4g}")


def _sentence(layers: list[Layer]) -> str:
    new = [layer for layer in layers if layer.is_new]
    if not new:
        return ""
    stuck = [layer for layer in new[:-1] if layer.gradient_variance == 0.0]
    if stuck:
        return f"No gradient reaches {stuck[-1].name.removeprefix('head.')}: the layers before the last one stay as they are."
    if all(layer.activation_variance == 0.0 for layer in new):
        return "The new layers give nothing out: they start at zero. The last one learns, as nothing lies between it and the loss."
    first, last = new[0].activation_variance, new[-1].activation_variance
    ratio = last / first if first else 0.0
    if 1 / KEEPS <= ratio <= KEEPS:
        return "The new layers keep the signal: the variance of activations stays in its order of magnitude."
    return f"The variance of activations {'grows' if ratio > 1 else 'shrinks'} to {ratio:.3g} times over the new layers."
