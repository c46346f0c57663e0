"""How much arithmetic each stage of a network takes, from shapes alone: multiply-adds of convolutions and linear layers for one image.

Attention's products of activations are not counted: about a tenth of a ViT at 224 px.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from studio.catalog.backbones import Stage
from studio.catalog.backbones.shapes import shapes_alone


def stage_work(module: nn.Module, stages: Sequence[Stage], images_NCHW: torch.Tensor) -> list[int]:
    """Multiply-adds per image and stage of a forward pass; the module is left in the mode it was in. Works on the meta device."""
    stage_of = {id(m): i for i, s in enumerate(stages) for n in s.module_names for m in module.get_submodule(n).modules()}
    work = [0] * len(stages)

    def count(part, _inputs, output) -> None:
        index = stage_of.get(id(part))
        if index is not None and isinstance(output, torch.Tensor):
            per_output = part.weight[0].numel()  # in_channels / groups x kernel, or in_features
            work[index] += output.numel() // len(images_NCHW) * per_output

    modes = {part: part.training for part in module.modules()}
    handles = [m.register_forward_hook(count) for m in module.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    try:
        module.eval()
        with torch.no_grad(), shapes_alone():
            module(images_NCHW)
    finally:
        for handle in handles:
            handle.remove()
        for part, is_training in modes.items():
            part.training = is_training
    return work
