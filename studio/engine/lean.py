"""Batch norms keep for the backward pass what they are given, and what can be computed from that without a convolution is not kept besides.

torch keeps two or three tensors for a convolution, its batch norm and their activation: what each of them gives out. What a batch norm gives out is one
multiplication and one addition away from what it is given, so it is computed again when the backward pass asks for it, and so are its sum with a
shortcut, the activation behind it, and where a max pooling found what it took. A half of a step's activations (ResNet-18, EfficientNet-Lite0), for some
passes over memory; convolutions are never computed twice, unlike with `recompute`. Small steps keep everything. As in Bulò et al., In-Place Activated
BatchNorm, arXiv 1712.02616, from the other end: there what is given out is kept, and inverted. The bits stay.
"""

from __future__ import annotations

import psutil
import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

from studio.core.experiment import Training
from studio.engine.recipe import KINDS, Activated, Normed, Recipe, in_parts, note_kept, recipe_of, summed

LARGE_STEP_BYTES = 1_300_000_000  # ResNet-18 at batch 64, EfficientNet-Lite0 from 17; below, 4 to 6 % of the time were paid for some 0.5 GB
LARGE_STEP_SHARE = 1 / 8  # of the memory of a small computer
_aten = torch.ops.aten
_ADDITIONS = {torch.add, torch.Tensor.add, torch.Tensor.add_, torch.Tensor.__add__, torch.Tensor.__iadd__}


def is_on_processor(training: Training) -> bool:
    return training.device == "cpu" or not torch.accelerator.is_available()


def may_be_lean(training: Training) -> bool:
    """Whether a run keeps less where its steps are large, as far as that can be told before its number format is chosen: on a processor, where nobody
    wants it otherwise."""
    return is_on_processor(training) and training.checkpointing != "off" and training.precision in ("auto", "fp32")


def large_step_bytes() -> int:
    """Activations of a step, all of them kept, from which on memory is worth some per cent of time."""
    return min(LARGE_STEP_BYTES, int(LARGE_STEP_SHARE * psutil.virtual_memory().total))


def keep_less(module: nn.Module, *, hooks: bool = True) -> int:
    """From now on the batch norms of this module keep less where it trains in float32; how many were changed. Names and weights stay. Without `hooks`
    what is saved for the backward pass can be looked at from outside, with `recipe_of` and `note_kept`, but all is kept."""
    if isinstance(module.__dict__.get("forward"), _LeanNetwork):
        return 0  # already
    norms = [part for part in module.modules() if _is_norm(part)]
    for part in module.modules():
        if _is_norm(part):
            part.forward = _LeanNorm(part)
        elif type(part) in KINDS:
            part.forward = _LeanActivation(part)
        elif type(part) is nn.MaxPool2d and not part.return_indices:
            part.forward = _LeanPool(part)
    if norms:
        module.forward = _LeanNetwork(module, norms, hooks)
    return len(norms)


def keep_all(module: nn.Module) -> None:
    """The parts of this module keep again what torch keeps, for whoever has a better way: what hangs on the backward pass of an activation here is
    no saved tensor, so nobody else could leave it out."""
    for part in module.modules():
        if isinstance(part.__dict__.get("forward"), _LeanNorm | _LeanActivation | _LeanPool):
            del part.forward


def is_lean_norm(part: nn.Module) -> bool:
    return isinstance(part.__dict__.get("forward"), _LeanNorm)


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
        kind, looked_at = recipe.kind, recipe.before if recipe.kind.wants_input else recipe

        def back(rows: slice) -> torch.Tensor:
            return kind.back(gradient[rows], looked_at.look(rows))

        is_alike = gradient.stride() == recipe.given.stride()
        found = in_parts(recipe.given, back) if is_alike and not looked_at.is_kept else back(slice(None))
        recipe.forget()
        return found, None, None


class _Pool(torch.autograd.Function):
    """Max pooling that keeps neither what it is given nor where the largest value was, which torch tells in eight bytes."""

    @staticmethod
    def forward(ctx, values, recipe, options):
        ctx.recipe, ctx.options = recipe, options
        return _aten.max_pool2d_with_indices(values, *options)[0]

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        recipe, ctx.recipe = ctx.recipe, None

        def back(rows: slice) -> torch.Tensor:
            values = recipe.look(rows)
            places = _aten.max_pool2d_with_indices(values, *ctx.options)[1]
            return _aten.max_pool2d_with_indices_backward(gradient[rows], values, *ctx.options, places)

        return in_parts(recipe.given, back), None, None


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
        Normed(images_NCHW.detach(), mean, inverse * norm.weight.detach(), norm.bias.detach()).hang_on(out)
        for name in ("drop", "act"):  # timm's carry the activation that follows them
            if isinstance(after := getattr(norm, name, None), nn.Module):
                out = after(out)
        return out


class _LeanActivation:
    def __init__(self, activation: nn.Module):
        self._activation = activation

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        recipe = recipe_of(values)
        if recipe is None or isinstance(recipe, Activated) or not values.requires_grad or torch.compiler.is_compiling():
            return type(self._activation).forward(self._activation, values)
        recipe = Activated(recipe, KINDS[type(self._activation)])
        return recipe.hang_on(_Activation.apply(values, recipe, self._activation.inplace))


class _LeanPool:
    def __init__(self, pool: nn.MaxPool2d):
        self._pool = pool

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        pool, recipe = self._pool, recipe_of(values)
        if recipe is None or not values.requires_grad or torch.compiler.is_compiling():
            return type(pool).forward(pool, values)
        sizes = [
            [size, size] if isinstance(size, int) else list(size) for size in (pool.kernel_size, pool.stride, pool.padding, pool.dilation)
        ]
        return _Pool.apply(values, recipe, (*sizes, pool.ceil_mode))


class _LeanNetwork:
    def __init__(self, module: nn.Module, norms: list[nn.Module], hooks: bool):
        self._module, self._norms, self._hooks = module, norms, hooks

    def __call__(self, *inputs, **options):
        own = type(self._module).forward
        if torch.compiler.is_compiling() or not torch.is_grad_enabled() or not any(norm.training for norm in self._norms):
            return own(self._module, *inputs, **options)
        with _Sums():
            if not self._hooks:
                return own(self._module, *inputs, **options)
            with torch.autograd.graph.saved_tensors_hooks(_pack, _unpack):
                return own(self._module, *inputs, **options)


class _Sums(TorchFunctionMode):
    """Shortcuts are added outside of layers."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func not in _ADDITIONS or kwargs or len(args) != 2 or not all(type(part) is torch.Tensor for part in args):
            return func(*args, **(kwargs or {}))
        recipe, out = summed(*args), func(*args)
        return recipe.hang_on(out) if recipe and out.requires_grad else out


def _pack(tensor: torch.Tensor) -> torch.Tensor | Recipe:
    if recipe := recipe_of(tensor):
        recipe.is_wanted = True
        return recipe
    if not isinstance(tensor, nn.Parameter):
        note_kept(tensor)
    return tensor.detach()  # with its own graph, what a layer gives out would hold itself until a backward pass


def _unpack(kept: torch.Tensor | Recipe) -> torch.Tensor:
    return kept.made() if isinstance(kept, Recipe) else kept
