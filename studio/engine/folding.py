"""Batch norm folded into the convolution before it, for passes in which nothing trains: a quarter to a half of the time of light networks.

Pairs are found by running the network once and seeing which batch norm is given what which convolution gave; no graph is traced, so
networks with control flow of their own work too. A pair that only looks like one (the convolution's output is used elsewhere as well)
shows in the answers: they are compared, and where they differ nothing is folded.
The arithmetic is that of torch.nn.utils.fusion.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

TOLERANCE = 1e-4  # of the largest logit, in float32; measured: 3e-7 to 9e-7 on ResNet-18 and EfficientNet-Lite0


class Folding:
    """Folds a network, and modules made alike such as its running mean. The pairs are found once."""

    def __init__(self, module: nn.Module):
        self._module = module
        self._pairs: list[tuple[str, str]] | None = None  # names of convolution and batch norm

    def fold(self, module: nn.Module, images_NCHW: torch.Tensor) -> nn.Module | None:
        """A copy of the module in eval mode without these batch norms; None where there are none, or where its answers on `images_NCHW` differ.

        The module is left as it is. Weights are copied: fold again when they have changed.
        """
        folded = copy.deepcopy(module).eval().requires_grad_(False)
        with torch.inference_mode():
            whole = folded(images_NCHW)
            if self._pairs is None:
                self._pairs = _find_pairs(folded, images_NCHW)
            if not self._pairs:
                return None
            for convolution, norm in self._pairs:
                _fold_pair(folded, convolution, norm)
            difference = (folded(images_NCHW) - whole).abs().max()
            return folded if difference <= TOLERANCE * whole.abs().max() else None


def _find_pairs(module: nn.Module, images_NCHW: torch.Tensor) -> list[tuple[str, str]]:
    names = {part: name for name, part in module.named_modules()}
    given: list[tuple[nn.Module, torch.Tensor]] = []  # by convolutions; kept, so that no other tensor takes one's place
    pairs: list[tuple[nn.Module, nn.Module]] = []
    ran: list[nn.Module] = []

    def after_convolution(part, _inputs, output) -> None:
        ran.append(part)
        given.append((part, output))

    def before_norm(part, inputs) -> None:
        ran.append(part)
        pairs.extend((convolution, part) for convolution, output in given[-4:] if output is inputs[0])

    handles = []
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            handles.append(part.register_forward_hook(after_convolution))
        elif isinstance(part, nn.BatchNorm2d) and part.track_running_stats:
            handles.append(part.register_forward_pre_hook(before_norm))
    try:
        module(images_NCHW)
    finally:
        for handle in handles:
            handle.remove()
    return [(names[a], names[b]) for a, b in pairs if ran.count(a) == ran.count(b) == 1]


def _fold_pair(module: nn.Module, convolution: str, norm: str) -> None:
    conv, bn = module.get_submodule(convolution), module.get_submodule(norm)
    ones, zeros = torch.ones_like(bn.running_mean), torch.zeros_like(bn.running_mean)
    weight, bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, bn.running_mean, bn.running_var, bn.eps, ones if bn.weight is None else bn.weight, zeros if bn.bias is None else bn.bias
    )  # fmt: skip
    conv.weight = nn.Parameter(weight.to(memory_format=_format_of(conv.weight)), requires_grad=False)
    conv.bias = nn.Parameter(bias, requires_grad=False)
    # timm's batch norms carry the activation that follows them
    after = [part for name in ("drop", "act") if isinstance(part := getattr(bn, name, None), nn.Module)]
    parent, _, name = norm.rpartition(".")
    setattr(module.get_submodule(parent), name, nn.Sequential(*after) if after else nn.Identity())


def _format_of(weight: torch.Tensor) -> torch.memory_format:
    is_last = weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
    return torch.channels_last if is_last else torch.contiguous_format
