"""Where the network looked: Grad-CAM (Selvaraju et al., arXiv 1610.02391)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from studio.core.problem import BadInput
from studio.engine.network import Trained


@dataclass(frozen=True)
class Explanation:
    """`heat_HW` is float32 in [0, 1] over the view, all zero where nothing speaks for the class."""

    heat_HW: np.ndarray
    probabilities_C: np.ndarray  # float32
    class_index: int
    layer: str  # the module whose output was weighed


def explain(trained: Trained, view_HWC: np.ndarray, class_index: int | None = None) -> Explanation:
    """Grad-CAM of one evaluation view (uint8[S, S, 3]) for a class, the predicted one by default.

    The maps are those of the last stage; where they carry no gradient or have no extent (a transformer that reads one token
    only), those of the last layer before that do. Raises BadInput for a class that does not exist or a network without maps.
    """
    num_classes = len(trained.classes)
    if class_index is not None and not 0 <= class_index < num_classes:
        raise BadInput(f"There is no class number {class_index}; the network knows {num_classes}, from 0.")
    module = trained.module.eval()
    device = next(module.parameters()).device
    outputs: dict[str, torch.Tensor] = {}
    handles = [module.get_submodule(name).register_forward_hook(_keep(outputs, name)) for name in _candidates(trained, module)]
    try:
        with torch.enable_grad():
            images = trained.normaliser(device)(view_HWC[None]).requires_grad_(True)
            logits = module(images).float()
            chosen = int(logits[0].argmax()) if class_index is None else class_index
            names = list(outputs)
            gradients = torch.autograd.grad(logits[0, chosen], [outputs[n] for n in names], allow_unused=True)
    finally:
        for handle in handles:
            handle.remove()
    probabilities = logits[0].softmax(0).detach().cpu().numpy()
    for name, gradient in reversed(list(zip(names, gradients, strict=True))):
        if gradient is None:
            continue
        maps, slopes = _as_maps(outputs[name].detach()), _as_maps(gradient)
        if maps is None or not slopes.any():
            continue
        heat = (slopes.mean((1, 2), keepdim=True) * maps).sum(0).clamp_min(0)
        return Explanation(_enlarged(heat, view_HWC.shape[0]), probabilities, chosen, name)
    raise BadInput(f"{trained.info.title} has no feature maps that could be shown.")


def _candidates(trained: Trained, module: nn.Module) -> list[str]:
    """Modules of every stage but the head, in execution order: each stage's parts, and the blocks of the last two stages."""
    names: list[str] = []
    stages = trained.stages[:-1]
    for position, stage in enumerate(stages):
        for name in stage.module_names:
            if position >= len(stages) - 2:
                names += [f"{name}.{child}" for child, _ in module.get_submodule(name).named_children()]
            names.append(name)
    return names


def _keep(outputs: dict[str, torch.Tensor], name: str):
    def hook(_module, _inputs, output) -> None:
        if isinstance(output, torch.Tensor) and output.ndim in (3, 4) and output.requires_grad:
            outputs.pop(name, None)
            outputs[name] = output  # in order of execution

    return hook


def _as_maps(tensor: torch.Tensor) -> torch.Tensor | None:
    """[C, h, w] of one image's feature maps, from NCHW, NHWC or tokens; None where there is no extent."""
    value = tensor[0].float()
    if value.ndim == 3:
        if value.shape[1] != value.shape[2] and value.shape[0] == value.shape[1]:
            value = value.permute(2, 0, 1)  # Swin keeps channels last
        return value if value.shape[1] > 1 and value.shape[2] > 1 else None
    num_tokens, _ = value.shape
    side = int(num_tokens**0.5)
    if side < 2:
        return None
    patches = value[num_tokens - side * side :]  # class and register tokens come first
    return patches.T.reshape(value.shape[1], side, side)


def _enlarged(heat_hw: torch.Tensor, size: int) -> np.ndarray:
    peak = heat_hw.max()
    heat = heat_hw / peak if peak > 0 else heat_hw
    large = nn.functional.interpolate(heat[None, None], size=(size, size), mode="bicubic", align_corners=False)
    return large[0, 0].clamp(0, 1).cpu().numpy().astype(np.float32)
