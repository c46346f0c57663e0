"""Convolutions that apply the activation behind them as they write their result, with weights packed for the processor: what torch's compiler
would make of them, without a compiler.

The kernels are oneDNN's, float32, channels last. Which activation follows which convolution is seen by running the network once, as in
`folding`. A convolution that pads one side more than the other (timm's "same" padding, as TensorFlow does) gets a kernel with a row and a
column of zeros, which asks for the same padding on both sides and saves a padded copy of its input.
"""

from __future__ import annotations

import torch
from torch import nn

_OPERATION = "_convolution_pointwise"
_NONE = ("none", [], "")
ACTIVATIONS = {
    nn.ReLU: ("relu", [], ""),
    nn.ReLU6: ("hardtanh", [0.0, 6.0], ""),
    nn.Hardswish: ("hardswish", [], ""),
    nn.SiLU: ("swish", [], ""),
}  # type of the module: name, scalars and algorithm as the kernel knows it


def can_fuse(device: torch.device) -> bool:
    return device.type == "cpu" and torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, _OPERATION)


def fuse(module: nn.Module, images_NCHW: torch.Tensor) -> bool:
    """Change a module in eval mode, in place; whether there was anything to change. `images_NCHW` has the size and number of what will come;
    other sizes give the same answers, slower. Its weights must not change any more."""
    names = {part: name for name, part in module.named_modules()}
    seen = _watch(module, images_NCHW)
    followers = {follower for _, _, follower in seen.values() if follower}
    for part, name in names.items():
        parent, _, own = name.rpartition(".")
        if part in seen:
            in_shape, out_shape, follower = seen[part]
            setattr(
                module.get_submodule(parent), own, _Fused(part, in_shape, out_shape, ACTIVATIONS[type(follower)] if follower else _NONE)
            )
        elif part in followers:
            setattr(module.get_submodule(parent), own, _Unless(part))
    return bool(seen)


def _watch(module: nn.Module, images_NCHW: torch.Tensor) -> dict[nn.Module, tuple[torch.Size, torch.Size, nn.Module | None]]:
    """Shapes of input and output of every convolution that runs once, and the activation that is given just its output."""
    shapes: dict[nn.Module, tuple[torch.Size, torch.Size]] = {}
    followed: dict[nn.Module, nn.Module] = {}
    ran: list[nn.Module] = []
    given: list[tuple[nn.Module, torch.Tensor, int]] = []  # with the version, which changes where something is added in place

    def after(part, inputs, output) -> None:
        ran.append(part)
        shapes[part] = inputs[0].shape, output.shape
        given.append((part, output, output._version))

    def before(part, inputs) -> None:
        followed.update({conv: part for conv, output, version in given[-3:] if output is inputs[0] and output._version == version})

    handles = []
    for part in module.modules():
        if _is_plain(part):
            handles.append(part.register_forward_hook(after))
        elif type(part) in ACTIVATIONS:
            handles.append(part.register_forward_pre_hook(before))
    try:
        with torch.inference_mode(False), torch.no_grad():  # inference mode counts no versions
            module(images_NCHW)
    finally:
        for handle in handles:
            handle.remove()
    return {part: (*shapes[part], followed.get(part)) for part in shapes if ran.count(part) == 1}


def _is_plain(part: nn.Module) -> bool:
    is_known = type(part) is nn.Conv2d or type(part).__name__ == "Conv2dSame"
    return is_known and part.padding_mode == "zeros" and not isinstance(part.padding, str) and part.weight.dtype == torch.float32


class _Fused(nn.Module):
    """One convolution with what follows it. Inputs of another size go the ordinary way."""

    def __init__(self, conv: nn.Conv2d, in_shape: torch.Size, out_shape: torch.Size, activation: tuple[str, list[float], str]):
        super().__init__()
        self.conv, self._size, self._activation = conv, in_shape[2:], activation
        weight, padding = conv.weight.detach(), list(conv.padding)
        if type(conv) is not nn.Conv2d:
            weight, padding = _evenly_padded(conv, in_shape[2:], out_shape[2:])
        self._given = padding, list(conv.stride), list(conv.dilation), conv.groups
        weight = weight.contiguous(memory_format=torch.channels_last)
        self._weight = torch.ops.mkldnn._reorder_convolution_weight(weight, *self._given, list(in_shape))

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        if images_NCHW.shape[2:] != self._size or images_NCHW.dtype != torch.float32:
            return self.conv(images_NCHW)
        output = torch.ops.mkldnn._convolution_pointwise(images_NCHW, self._weight, self.conv.bias, *self._given, *self._activation)
        output.is_activated = self._activation is not _NONE
        return output


class _Unless(nn.Module):
    """An activation that leaves alone what has been through it."""

    def __init__(self, activation: nn.Module):
        super().__init__()
        self.activation = activation

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        if getattr(values, "is_activated", False):
            values.is_activated = False  # what is added to it later must go through
            return values
        return self.activation(values)


def _evenly_padded(conv: nn.Conv2d, size: torch.Size, out_size: torch.Size) -> tuple[torch.Tensor, list[int]]:
    """(weight, padding on both sides) that do what "same" padding of an input of this size does; it pads at most one more behind than before."""
    weight, padding = conv.weight.detach(), []
    for axis in (0, 1):
        reach = (conv.kernel_size[axis] - 1) * conv.dilation[axis] + 1
        total = max(0, (out_size[axis] - 1) * conv.stride[axis] + reach - size[axis])
        if total % 2:
            spread = [1, 0, 0, 0] if axis == 1 else [0, 0, 1, 0]
            weight = nn.functional.pad(weight, spread)
        padding.append(-(-total // 2))
    return weight, padding
