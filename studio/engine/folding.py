"""Batch norm folded into the convolution before it, for passes in which nothing trains: a quarter to a half of the time of light networks.

Pairs are found by running the network once and seeing which batch norm is given what which convolution gave; no graph is traced, so
networks with control flow of their own work too. A pair that only looks like one (the convolution's output is used elsewhere as well)
shows in the answers: they are compared, and where they differ nothing is folded.
The arithmetic is that of torch.nn.utils.fusion. On a processor convolutions can apply their activation too (`fusing`), where a trial says that
this is faster.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from studio.engine.fusing import can_fuse, fuse

TRIALS = 3
TOLERANCE = 1e-4  # of the largest logit, in float32; measured: 3e-7 to 9e-7 on ResNet-18 and EfficientNet-Lite0


class Folding:
    """Folds a network, and modules made alike such as its running mean. The pairs are found once."""

    def __init__(self, module: nn.Module, fuses: bool | None = False, choose: Callable[[Callable[[], bool]], bool] = lambda trial: trial()):
        """Where `fuses` is None, `choose` is asked once whether to fuse; it is given the trial that tells."""
        self._module = module
        self._pairs: list[tuple[str, str]] | None = None  # names of convolution and batch norm
        self.fuses, self._choose = fuses, choose

    def fold(self, module: nn.Module, images_NCHW: torch.Tensor) -> nn.Module | None:
        """A copy of the module in eval mode without these batch norms; None where there are none, or where its answers on `images_NCHW` differ,
        which are as many as will go through at once.

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
            if not _agrees(folded, images_NCHW, whole):
                return None
            if not can_fuse(images_NCHW.device):
                return folded
            if self.fuses is None:
                self.fuses = self._choose(lambda: _is_faster_fused(folded, images_NCHW, whole))
            fused = _fused(folded, images_NCHW, whole) if self.fuses else None
            return folded if fused is None else fused


def _agrees(module: nn.Module, images_NCHW: torch.Tensor, whole_NC: torch.Tensor) -> bool:
    return bool((module(images_NCHW) - whole_NC).abs().max() <= TOLERANCE * whole_NC.abs().max())


def _fused(folded: nn.Module, images_NCHW: torch.Tensor, whole_NC: torch.Tensor) -> nn.Module | None:
    """A copy with fused convolutions; None where there are none, or where its answers differ."""
    fused = copy.deepcopy(folded)
    return fused if fuse(fused, images_NCHW) and _agrees(fused, images_NCHW, whole_NC) else None


def _is_faster_fused(folded: nn.Module, images_NCHW: torch.Tensor, whole_NC: torch.Tensor) -> bool:
    """In CPU seconds over all threads: what neighbours take does not count."""
    fused = _fused(folded, images_NCHW, whole_NC)
    if fused is None:
        return False
    best = {folded: float("inf"), fused: float("inf")}
    for _ in range(TRIALS):
        for module in best:
            start = time.process_time()
            module(images_NCHW)
            best[module] = min(best[module], time.process_time() - start)
    return best[fused] < best[folded]


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
