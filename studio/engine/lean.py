"""Batch norms keep for the backward pass what they are given, and nothing that they and the activation behind them give out is kept besides.

torch keeps two or three tensors for a convolution, its batch norm and their activation: what each of them gives out. What a batch norm gives out is one
multiplication and one addition away from what it is given, so it is computed again when the backward pass asks for it. A quarter (ResNet-18) to a
half (EfficientNet-Lite0) of a step's activations, for a pass over memory each; convolutions are never computed twice, unlike with `recompute`. As in
Bulò et al., In-Place Activated BatchNorm, arXiv 1712.02616, from the other end: there what is given out is kept, and inverted. The bits stay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from studio.core.experiment import Training


class _Kind(NamedTuple):
    run: Callable[[torch.Tensor, bool], torch.Tensor]  # of values, in place or not
    back: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # of the gradient and values
    wants_input: bool  # values of `back` are what the activation is given, or what it gives out


_aten = torch.ops.aten
_KINDS = {
    nn.ReLU: _Kind(nn.functional.relu, lambda gradient, out: _aten.threshold_backward(gradient, out, 0), False),
    nn.ReLU6: _Kind(nn.functional.relu6, lambda gradient, out: _aten.hardtanh_backward(gradient, out, 0.0, 6.0), False),
    nn.SiLU: _Kind(nn.functional.silu, _aten.silu_backward, True),
    nn.Hardswish: _Kind(nn.functional.hardswish, _aten.hardswish_backward, True),
}


class Recipe:
    """How to compute again what a batch norm in training, and the activation behind it where there is one, gave out. It hangs on that tensor."""

    def __init__(self, given: torch.Tensor, mean: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor):
        self._given, self._mean, self._scale, self._bias = given, mean, scale, bias
        self.kind: _Kind | None = None
        self.version = 0  # of the tensor: what was changed since is something else
        self._made: torch.Tensor | None = None

    def before(self) -> torch.Tensor:
        """Without the activation. The kernel of evaluation mode, with a variance of one: its arithmetic is then that of training, to the bit."""
        ones = torch.ones_like(self._mean)
        return torch.native_batch_norm(self._given, self._scale, self._bias, self._mean, ones, False, 0.0, 0.0)[0]

    def made(self) -> torch.Tensor:
        """Kept until the backward pass has come to the activation itself."""
        if self._made is None:
            values = self.before()
            self._made = values if self.kind is None else self.kind.run(values, True)
        return self._made

    def followed_by(self, kind: _Kind) -> Recipe:
        """That of another tensor, made from the one this hangs on, which may be used as it is besides."""
        other = Recipe(self._given, self._mean, self._scale, self._bias)
        other.kind = kind
        return other

    def forget(self) -> None:
        self._made = None


def recipe_of(tensor: torch.Tensor) -> Recipe | None:
    """Of a tensor as a batch norm or the activation behind it gave it out."""
    recipe = getattr(tensor, "recipe", None)
    return recipe if recipe is not None and recipe.version == tensor._version else None


def is_lean(training: Training) -> bool:
    """Whether a run keeps less, as far as that can be told before its number format is chosen: on a processor, where nobody wants it otherwise."""
    on_processor = training.device == "cpu" or not torch.accelerator.is_available()
    return on_processor and training.checkpointing != "off" and training.precision in ("auto", "fp32")


def keep_less(module: nn.Module, *, hooks: bool = True) -> int:
    """From now on the batch norms of this module keep less where it trains in float32; how many were changed. Names and weights stay. Without `hooks`
    what is saved for the backward pass can be looked at from outside, with `recipe_of`, but all is kept."""
    count = 0
    if isinstance(module.__dict__.get("forward"), _LeanNetwork):
        return count  # already
    for part in module.modules():
        if _is_norm(part):
            part.forward, count = _LeanNorm(part), count + 1
        elif type(part) in _KINDS:
            part.forward = _LeanActivation(part)
    if hooks and count:
        module.forward = _LeanNetwork(module)
    return count


def keep_all(module: nn.Module) -> None:
    """The parts of this module keep again what torch keeps, for whoever has a better way: what hangs on the backward pass of an activation here is
    no saved tensor, so nobody else could leave it out."""
    for part in module.modules():
        if isinstance(part.__dict__.get("forward"), _LeanNorm | _LeanActivation):
            del part.forward


def _is_norm(part: nn.Module) -> bool:
    is_known = type(part) is nn.BatchNorm2d or type(part).__name__ == "BatchNormAct2d"
    return is_known and part.affine and part.track_running_stats and part.momentum is not None


class _Norm(torch.autograd.Function):
    """Batch norm in training mode, and what it normalised with."""

    @staticmethod
    def forward(ctx, images_NCHW, weight, bias, running_mean, running_var, momentum, eps):
        out, mean, inverse = torch.native_batch_norm(images_NCHW, weight, bias, running_mean, running_var, True, momentum, eps)
        ctx.save_for_backward(images_NCHW, weight, mean, inverse)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, inverse)
        return out, mean, inverse

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient, _mean, _inverse):
        images, weight, mean, inverse = ctx.saved_tensors
        wanted = list(ctx.needs_input_grad[:3])
        return *_aten.native_batch_norm_backward(gradient, images, weight, None, None, mean, inverse, True, ctx.eps, wanted), *[None] * 4


class _Activation(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values, recipe, in_place):
        out = recipe.kind.run(values, in_place)
        if in_place:
            ctx.mark_dirty(out)
        ctx.recipe = recipe
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        recipe, ctx.recipe = ctx.recipe, None  # what hangs on a node is not freed with what it has saved
        values = recipe.before() if recipe.kind.wants_input else recipe.made()
        recipe.forget()
        return recipe.kind.back(gradient, values), None, None


class _LeanNorm:
    """Stands in for `forward` of one batch norm; copied with it, unlike a closure over it."""

    def __init__(self, norm: nn.BatchNorm2d):
        self._norm = norm

    def __call__(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        norm = self._norm
        is_asked = norm.training and torch.is_grad_enabled() and (images_NCHW.requires_grad or norm.weight.requires_grad)
        is_usual = (
            images_NCHW.dtype == torch.float32 and images_NCHW.numel() > images_NCHW.shape[1]
        )  # of a single value torch says what is wrong
        if not (is_asked and is_usual) or torch.compiler.is_compiling():
            return type(norm).forward(norm, images_NCHW)
        norm.num_batches_tracked.add_(1)
        out, mean, inverse = _Norm.apply(images_NCHW, norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.momentum, norm.eps)
        out.recipe = Recipe(images_NCHW.detach(), mean, inverse * norm.weight.detach(), norm.bias.detach())
        out.recipe.version = out._version
        for name in ("drop", "act"):  # timm's carry the activation that follows them
            if isinstance(after := getattr(norm, name, None), nn.Module):
                out = after(out)
        return out


class _LeanActivation:
    def __init__(self, activation: nn.Module):
        self._activation = activation

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        recipe = recipe_of(values)
        if recipe is None or recipe.kind is not None or not values.requires_grad or torch.compiler.is_compiling():
            return type(self._activation).forward(self._activation, values)
        recipe = recipe.followed_by(_KINDS[type(self._activation)])
        out = _Activation.apply(values, recipe, self._activation.inplace)
        out.recipe, recipe.version = recipe, out._version
        return out


class _LeanNetwork:
    def __init__(self, module: nn.Module):
        self._module = module

    def __call__(self, *inputs, **options):
        own = type(self._module).forward
        if not torch.is_grad_enabled() or torch.compiler.is_compiling():
            return own(self._module, *inputs, **options)
        with torch.autograd.graph.saved_tensors_hooks(_pack, _unpack):
            return own(self._module, *inputs, **options)


def _pack(tensor: torch.Tensor) -> torch.Tensor | Recipe:
    recipe = recipe_of(tensor)
    return (
        tensor.detach() if recipe is None else recipe
    )  # with its own graph, what a layer gives out would hold itself until a backward pass


def _unpack(kept: torch.Tensor | Recipe) -> torch.Tensor:
    return kept.made() if isinstance(kept, Recipe) else kept
