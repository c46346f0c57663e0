"""A backward pass of convolutions for processors, where torch's own is slow: 69 % of a step of EfficientNet-Lite0 in bf16, and for the weights
of wide layers half the speed of the forward pass (AVX2).

The forward pass stays as it is. Depthwise: the gradient of the input is a depthwise convolution with the flipped kernel where the stride is 1,
else it is computed in float32; the gradient of the weight is computed in float32. Wide: the gradient of the weight is one matrix product for each
place of the kernel. All are exact up to rounding (checked against torch in the tests). They are used only where a trial on the device says that
the whole step gets faster.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.functional import conv2d, pad

LEAST_CHANNELS = 256  # of a layer that counts as wide: with fewer the products gain nothing


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


class _Wide(torch.autograd.Function):
    """conv2d with groups 1, dilation 1."""

    @staticmethod
    def forward(ctx, images_NCHW, weight, bias, stride, padding):
        ctx.save_for_backward(images_NCHW, weight)
        ctx.stride, ctx.padding, ctx.bias_size = stride, padding, None if bias is None else list(bias.shape)
        return conv2d(images_NCHW, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx, gradient):
        images, weight = ctx.saved_tensors
        needs = ctx.needs_input_grad
        grad_images, _, grad_bias = torch.ops.aten.convolution_backward(
            gradient, images, weight, ctx.bias_size, ctx.stride, ctx.padding, (1, 1), False, (0, 0), 1, (needs[0], False, needs[2])
        )
        grad_weight = _weight_gradient(images, gradient, weight.shape[2:], ctx.stride, ctx.padding) if needs[1] else None
        return grad_images, grad_weight, grad_bias, None, None


def _weight_gradient(images_NCHW, gradient_NCHW, kernel, stride, padding) -> torch.Tensor:
    """[out channels, in channels, *kernel] in channels-last order: at each place of the kernel the product of the gradient and what that place saw.

    With the rows outermost, what a place saw lies in one piece within what its column of the kernel saw: one copy serves the column, or one for
    each step between two rows that it sees.
    """
    (above, left), (down, along) = padding, stride
    num_out, height, width = gradient_NCHW.shape[1:]
    images_HNWC = pad(images_NCHW, (left, left, above, above)).permute(2, 0, 3, 1)
    gradient = gradient_NCHW.permute(2, 0, 3, 1).reshape(-1, num_out).t()
    found = gradient.new_empty(num_out, *kernel, images_HNWC.shape[3])
    for x in range(kernel[1]):
        for first in range(min(down, kernel[0])):
            column = images_HNWC[first::down, :, x : x + along * (width - 1) + 1 : along].contiguous()
            for y in range(first, kernel[0], down):
                seen = column[y // down : y // down + height]
                torch.mm(gradient, seen.view(-1, seen.shape[3]), out=found[:, y, x])
    return found.permute(0, 3, 1, 2)


def depthwise_layers(module: nn.Module) -> list[nn.Conv2d]:
    """The layers of which this module has both gradients."""
    return [layer for layer in _plain_convolutions(module) if layer.groups == layer.in_channels == layer.out_channels > 1]


def wide_layers(module: nn.Module) -> list[nn.Conv2d]:
    """The layers of which this module has the gradient of the weight: worth it in float32 and channels last."""
    return [c for c in _plain_convolutions(module) if c.groups == 1 and c.in_channels >= LEAST_CHANNELS and max(c.kernel_size) > 1]


def _plain_convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [
        layer
        for layer in module.modules()
        if type(layer) is nn.Conv2d and layer.dilation == (1, 1) and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    ]


def use_own_gradients(module: nn.Module, *, wide: bool = True) -> None:
    """From now on depthwise and, if asked for, wide layers of this module compute their gradients this way. Names and weights stay."""
    for layers, function in ((depthwise_layers(module), _Depthwise), (wide_layers(module) if wide else [], _Wide)):
        for layer in layers:
            layer._conv_forward = _Forward(layer, function)


@contextlib.contextmanager
def own_gradients(module: nn.Module, *, wide: bool = True) -> Iterator[None]:
    """As `use_own_gradients`, for a trial."""
    use_own_gradients(module, wide=wide)
    try:
        yield
    finally:
        for layer in _plain_convolutions(module):
            layer.__dict__.pop("_conv_forward", None)


class _Forward:
    """Stands in for `Conv2d._conv_forward` of one layer; copied with it, unlike a closure over the layer."""

    def __init__(self, layer: nn.Conv2d, function: type[torch.autograd.Function]):
        self._stride, self._padding, self._function = layer.stride, layer.padding, function

    def __call__(self, images_NCHW, weight, bias):
        kind = images_NCHW.device.type
        if torch.is_autocast_enabled(kind):  # torch casts for its own functions only
            dtype = torch.get_autocast_dtype(kind)
            images_NCHW, weight = images_NCHW.to(dtype), weight.to(dtype)
            bias = None if bias is None else bias.to(dtype)
        return self._function.apply(images_NCHW, weight, bias, self._stride, self._padding)
