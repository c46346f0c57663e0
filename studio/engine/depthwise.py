"""A backward pass of depthwise convolutions for processors, where torch's own is slow in bf16: 69 % of a step of EfficientNet-Lite0.

The forward pass stays as it is. The gradient of the input is a depthwise convolution with the flipped kernel where the stride is 1, else it is
computed in float32; the gradient of the weight is computed in float32. Both are exact up to rounding (checked against torch in the tests).
It is used only where a trial on the device says that the whole step gets faster.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.functional import conv2d


class _Depthwise(torch.autograd.Function):
    """conv2d with groups = channels = output channels, dilation 1."""

    @staticmethod
    def forward(ctx, images_NCHW, weight, bias, stride, padding):
        ctx.save_for_backward(images_NCHW, weight)
        ctx.stride, ctx.padding, ctx.has_bias = stride, padding, bias is not None
        return conv2d(images_NCHW, weight, bias, stride, padding, 1, weight.shape[0])

    @staticmethod
    def backward(ctx, gradient):
        images, weight = ctx.saved_tensors
        channels, kernel = weight.shape[0], weight.shape[2:]
        grad_images = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            pads = tuple(k - 1 - p for k, p in zip(kernel, ctx.padding, strict=True))
            if ctx.stride == (1, 1) and min(pads) >= 0:
                grad_images = conv2d(gradient, weight.flip(2, 3), None, 1, pads, 1, channels)
            else:
                exact = torch.nn.grad.conv2d_input(
                    images.shape, weight.float(), gradient.float(), stride=ctx.stride, padding=ctx.padding, groups=channels
                )
                grad_images = exact.to(images.dtype)
        if ctx.needs_input_grad[1]:
            exact = torch.nn.grad.conv2d_weight(
                images.float(), weight.shape, gradient.float(), stride=ctx.stride, padding=ctx.padding, groups=channels
            )
            grad_weight = exact.to(weight.dtype)
        if ctx.has_bias and ctx.needs_input_grad[2]:
            grad_bias = gradient.sum((0, 2, 3))
        return grad_images, grad_weight, grad_bias, None, None


def depthwise_layers(module: nn.Module) -> list[nn.Conv2d]:
    """The layers that the fast backward pass can stand in for."""
    return [
        layer
        for layer in module.modules()
        if type(layer) is nn.Conv2d
        and layer.groups == layer.in_channels == layer.out_channels > 1
        and layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
    ]


def use_fast_backward(module: nn.Module) -> int:
    """From now on the depthwise layers of this module compute their gradients this way; how many there are. Names and weights stay."""
    layers = depthwise_layers(module)
    for layer in layers:
        layer._conv_forward = _Forward(layer)
    return len(layers)


@contextlib.contextmanager
def fast_backward(module: nn.Module) -> Iterator[None]:
    """As `use_fast_backward`, for a trial."""
    use_fast_backward(module)
    try:
        yield
    finally:
        for layer in depthwise_layers(module):
            layer.__dict__.pop("_conv_forward", None)


class _Forward:
    """Stands in for `Conv2d._conv_forward` of one layer; copied with it, unlike a closure over the layer."""

    def __init__(self, layer: nn.Conv2d):
        self._stride, self._padding = layer.stride, layer.padding

    def __call__(self, images_NCHW, weight, bias):
        kind = images_NCHW.device.type
        if torch.is_autocast_enabled(kind):  # torch casts for its own functions only
            dtype = torch.get_autocast_dtype(kind)
            images_NCHW, weight = images_NCHW.to(dtype), weight.to(dtype)
            bias = None if bias is None else bias.to(dtype)
        return _Depthwise.apply(images_NCHW, weight, bias, self._stride, self._padding)
