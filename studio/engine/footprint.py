"""How much memory a training step takes at its peak, estimated from two forward passes with shapes only.

torch itself says what it saves for the backward pass (saved-tensor hooks), tensor by tensor; storages that are saved twice count once.
The backward pass is then followed layer by layer: saved tensors go, gradients of weights come, and the gradients of the layer at hand
are there. What is frozen in front saves nothing and is through before anything is saved: for it a second pass, without gradients, counts
what is there at once. The largest sum is the peak, or that of the optimiser's update where it is larger. The window asks before a run and the run
before its first step; both ask here. What is estimated is what torch's allocator gives out; the process is larger by its libraries.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import weakref
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import torch
from pydantic import TypeAdapter
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from studio.catalog.optimisers import kind_of
from studio.core.experiment import Optimiser, Training
from studio.core.file import write_atomically
from studio.core.place import cache_dir
from studio.engine.lean import is_lean_norm, is_on_processor, keep_less, large_step_bytes
from studio.engine.recipe import Recipe, note_kept, recipe_of
from studio.engine.snapshot import NUM_HELD, goes_back

_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
_IMAGES = 2  # batch norm needs two
HEAP_SHARE = 0.2  # of a large step's activations: what is free between its pieces (engine.heap), and what convolutions need in passing


@dataclass(frozen=True)
class Layer:
    """In bytes per image: `saved` for the backward pass, `passing` in and out, and in a pass that saves nothing the most that is `alive` up to
    its end. `parameters` are names with their sizes. `again`: what has been computed again (engine.lean) and is there in its backward pass."""

    parameters: tuple[tuple[str, int], ...]
    saved: float
    passing: float
    alive: float = 0.0
    again: float = 0.0


@dataclass(frozen=True)
class Trace:
    """Layers in the order they run, with everything training."""

    layers: tuple[Layer, ...]
    num_values: int  # parameters and buffers
    image: int  # values of one image
    width: int = 4  # bytes of a value in the number format that it was traced in


_KEPT = TypeAdapter(Trace)
_FORMAT = 3  # of what is kept; a tracing that finds other figures takes the next


def num_bytes_of(precision: str) -> int:
    """Of a value in this number format; "auto" means half precision on a GPU."""
    return _BYTES.get(precision, 2 if torch.cuda.is_available() else 4)


def trace_memory(module: nn.Module, input_size: int, width: int = 4) -> Trace:
    """Of a module on the meta device, which is left as it was. `width` 2: as under autocast, layer by layer."""
    names = {id(p): (name, p.numel()) for name, p in module.named_parameters()}
    images = torch.empty(_IMAGES, 3, input_size, input_size, device="meta")
    known = {t.untyped_storage()._cdata for t in (*module.parameters(), *module.buffers(), images)}
    alive = _alive(module, images, known, width)
    kept: list = []
    layers: list[Layer] = []
    saved, again = 0.0, _Again()

    def know(storage: torch.UntypedStorage) -> None:
        known.add(storage._cdata)
        kept.append(storage)  # so that no other storage takes its place

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal saved
        storage = tensor.untyped_storage()
        if recipe := recipe_of(tensor):
            again.ask(recipe, len(layers), storage.nbytes())
        elif not isinstance(tensor, nn.Parameter):
            note_kept(tensor)
            if storage._cdata not in known:
                know(storage)
                saved += storage.nbytes()
        return tensor.detach()  # kept with its own graph, what a layer gives out would hold itself for ever

    def leave(part, inputs, output) -> None:
        nonlocal saved
        tensors = [t for t in (*inputs, output) if isinstance(t, torch.Tensor)]
        mine = tuple(names[id(p)] for p in part.parameters(recurse=False))
        again.give(recipe_of(output), len(layers))
        passing = sum(t.nbytes for t in (*tensors, *tensors[-1:] * is_lean_norm(part)))  # torch's kernel asks for what it gives out twice
        layers.append(Layer(mine, saved / _IMAGES, passing / _IMAGES, alive[part]))
        saved = 0.0

    # Weights in half precision count as weights: they do not grow with the batch.
    modes = _AsOnDevice(width < 4, lambda made: know(made.untyped_storage())), torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t)
    wanted = [p.requires_grad for p in module.parameters()]
    try:
        module.requires_grad_(True)
        with _mode(module, True), _leaving(module, leave), torch.enable_grad(), modes[0], modes[1]:
            module(images)
    finally:
        for parameter, asked in zip(module.parameters(), wanted, strict=True):
            parameter.requires_grad_(asked)
    layers.append(Layer((), saved / _IMAGES, 0.0))
    there = again.by_layer(len(layers))
    layers = [replace(layer, again=there[i] / _IMAGES) for i, layer in enumerate(layers)]
    total = sum(t.numel() for t in (*module.parameters(), *module.buffers()))
    return Trace(tuple(layers), total, 3 * input_size**2, width)


class _Again:
    """When tensors that are computed again are there: in the backward pass from the last layer that asks for one to that which gave it out."""

    def __init__(self):
        self._asked: dict[Recipe, tuple[int, int]] = {}  # (number of the last layer that asks, bytes)
        self._given: dict[Recipe, int] = {}

    def ask(self, recipe: Recipe, layer: int, num_bytes: int) -> None:
        self._asked[recipe] = layer, num_bytes

    def give(self, recipe: Recipe | None, layer: int) -> None:
        if recipe:
            self._given[recipe] = layer

    def by_layer(self, num_layers: int) -> list[float]:
        """Bytes of two images that are there at each of so many layers."""
        found = [0.0] * num_layers
        for recipe, (last, num_bytes) in self._asked.items():
            last = max([last, *(later for other, (later, _) in self._asked.items() if recipe in _behind(other))])
            for layer in range(self._given.get(recipe, self._asked[recipe][0]), last + 1):
                found[layer] += num_bytes
        return found


def _behind(recipe: Recipe) -> set[Recipe]:
    """What is made on the way to it."""
    return set(recipe.needs).union(*map(_behind, recipe.needs))


def _alive(module: nn.Module, images: torch.Tensor, known: Collection[int], width: int) -> dict[nn.Module, float]:
    """Per layer, bytes of an image that are there at the most in a pass without gradients, since the layer before it ended."""
    found: dict[nn.Module, float] = defaultdict(float)
    count = _Alive(known)

    def leave(part, _inputs, _output) -> None:
        found[part] = max(found[part], count.most / _IMAGES)
        count.most = count.now

    with _mode(module, False), _leaving(module, leave), torch.no_grad(), _AsOnDevice(width < 4, count.leave_out), count:
        module(images)
    return found


@contextlib.contextmanager
def _mode(module: nn.Module, is_training: bool):
    """Every part in this mode, and in its own again behind it."""
    modes = {part: part.training for part in module.modules()}
    module.train(is_training)
    try:
        yield
    finally:
        for part, was_training in modes.items():
            part.training = was_training


@contextlib.contextmanager
def _leaving(module: nn.Module, leave: Callable):
    """`leave` is told when a layer has run: a part without parts, or with parameters of its own."""
    parts = [m for m in module.modules() if not any(m.children()) or any(True for _ in m.parameters(False))]
    handles = [part.register_forward_hook(leave) for part in parts]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Alive(TorchDispatchMode):
    """Bytes of all tensors that are made while it is on, as long as they are there."""

    def __init__(self, known: Collection[int]):
        super().__init__()
        self.now = self.most = self._most_before = 0
        self._sizes = dict.fromkeys(known, 0)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and (storage := tensor.untyped_storage())._cdata not in self._sizes:
                self._sizes[storage._cdata] = storage.nbytes()
                self.now += storage.nbytes()
                weakref.finalize(storage, self._forget, storage._cdata)
        self._most_before, self.most = self.most, max(self.most, self.now)
        return made

    def _forget(self, key: int) -> None:
        self.now -= self._sizes.pop(key, 0)

    def leave_out(self, tensor: torch.Tensor) -> None:
        """What has just been made does not count."""
        key = tensor.untyped_storage()._cdata
        self.now -= self._sizes[key]
        self._sizes[key], self.most = 0, self._most_before


def known_trace(module: nn.Module, input_size: int, width: int = 4, *, is_lean: bool = False) -> Trace:
    """`trace_memory` of a module on any device, where asked as engine.lean trains it, kept on this computer: to find it out takes a second at the
    start of a run."""
    shapes = [(name, *tensor.shape) for name, tensor in (*module.named_parameters(), *module.named_buffers())]
    what = f"{_FORMAT} {torch.__version__} {input_size} {width}{' lean' if is_lean else ''} {module!r} {shapes}"  # Swin's windows show in its buffers alone
    path = cache_dir() / "traces" / f"{hashlib.sha256(what.encode()).hexdigest()[:32]}.json"
    try:
        return _KEPT.validate_json(path.read_bytes())
    except (OSError, ValueError):
        bare = without_values(module)
        if is_lean:
            keep_less(bare, hooks=False)
        trace = trace_memory(bare, input_size, width)
    with contextlib.suppress(OSError):
        write_atomically(path, _KEPT.dump_json(trace), is_durable=False)
    return trace


def without_values(module: nn.Module) -> nn.Module:
    """A copy of a module on the meta device, which takes no memory."""
    import torch._meta_registrations  # noqa: F401 - see studio.engine.no_compiler

    memo: dict[int, object] = {id(p): nn.Parameter(p.detach().to("meta"), requires_grad=p.requires_grad) for p in module.parameters()}
    memo |= {id(b): b.detach().to("meta") for b in module.buffers()}
    made = copy.deepcopy(module, memo)
    for part in made.modules():
        part.__dict__.pop("_conv_forward", None)  # engine.conv_gradients saves what torch saves, and asks for autocast
        part.__dict__.pop("forward", None)  # engine.recompute, engine.lean
    return made


class _Attention(torch.autograd.Function):
    """What fused attention keeps: its inputs and what it gives out, not the matrix of weights, which it computes again."""

    @staticmethod
    def forward(ctx, query, key, value):
        batch, *heads, length, _ = query.shape  # the answer lies in memory so that the heads can be joined without a copy
        out = query.new_empty(batch, length, *heads, value.shape[-1]).movedim(1, -2)
        ctx.save_for_backward(query, key, value, out)
        return out

    @staticmethod
    def backward(ctx, *gradients):
        raise NotImplementedError("shapes only")


_HALVED = {
    functional.linear, functional.conv1d, functional.conv2d, functional.conv3d, functional.conv_transpose2d, torch.matmul, torch.bmm,
    torch.mm, torch.addmm, torch.baddbmm, torch.Tensor.matmul, torch.Tensor.__matmul__, torch.Tensor.bmm,
}  # fmt: skip
_WIDENED = {functional.layer_norm, functional.group_norm, functional.softmax, torch.softmax, torch.Tensor.softmax}


class _AsOnDevice(TorchFunctionMode):
    """What devices do and the meta device does not: attention is fused, and under autocast products are computed in half precision,
    normalisations over features in full (https://docs.pytorch.org/docs/stable/amp.html, op reference)."""

    def __init__(self, is_half: bool, on_cast_weight: Callable[[torch.Tensor], None]):
        super().__init__()
        self._is_half, self._on_cast_weight = is_half, on_cast_weight

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            return _Attention.apply(*self._cast(args[:3], torch.bfloat16))
        if func is functional.multi_head_attention_forward and args[0] is args[1] is args[2] and not kwargs.get("need_weights", True):
            return self._self_attention(*args, **kwargs)
        if func in _HALVED:
            args, kwargs = self._cast(args, torch.bfloat16), dict(zip(kwargs, self._cast(kwargs.values(), torch.bfloat16), strict=True))
        elif func in _WIDENED:
            args = self._cast(args, torch.float32)
        return func(*args, **kwargs)

    def _cast(self, values, dtype: torch.dtype) -> tuple:
        return tuple(self._cast_one(v, dtype) if isinstance(v, torch.Tensor) and v.is_floating_point() else v for v in values)

    def _cast_one(self, tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        if not self._is_half or tensor.dtype == dtype:
            return tensor
        made = tensor.to(dtype)
        if isinstance(tensor, nn.Parameter):
            self._on_cast_weight(made)
        return made

    def _self_attention(self, inputs_LNC, _k, _v, _width, num_heads, in_weight, in_bias, _bk, _bv, _zero, _p, out_weight, out_bias, **_):
        """nn.MultiheadAttention of one tensor with itself, in the steps and copies that torch takes."""
        length, count, width = inputs_LNC.shape
        projected = functional.linear(*self._cast((inputs_LNC, in_weight, in_bias), torch.bfloat16))
        parts = projected.unflatten(-1, (3, width)).movedim(-2, 0).contiguous()
        heads = [part.view(length, count * num_heads, width // num_heads).transpose(0, 1) for part in parts.unbind()]
        joined = _Attention.apply(*heads).transpose(0, 1).contiguous().view(length, count, width)
        return functional.linear(*self._cast((joined, out_weight, out_bias), torch.bfloat16)), None


def is_large(whole: Trace, trainable: Collection[str], training: Training, optimiser: Optimiser) -> bool:
    """Whether memory is worth some of a step's time. `whole`: of a step that keeps everything."""
    return estimate_memory(whole, trainable, training, optimiser)["activations"] >= large_step_bytes()


def estimate_memory(
    trace: Trace, trainable: Collection[str], training: Training, optimiser: Optimiser, *, is_large: bool = False
) -> dict[str, int]:
    """Bytes at the peak of a step, by use: weights, gradients, optimiser, activations, batch; "average", and in the memory of the computer "copies" to
    go back to and "best", the best epoch until it is written (see engine.saving), where a run has them. A step that is large, as `is_large` says,
    takes some "heap" there besides."""
    width = num_bytes_of(training.precision)
    scale = training.batch_size * width / trace.width
    start = next((i for i, layer in enumerate(trace.layers) if any(name in trainable for name, _ in layer.parameters)), len(trace.layers))
    own = [sum(size for name, size in layer.parameters if name in trainable) for layer in trace.layers]
    saved = [layer.saved if i >= start else 0.0 for i, layer in enumerate(trace.layers)]
    left, gradients = sum(saved), 0
    in_front = max((layer.alive for layer in trace.layers[:start]), default=0.0)  # gone before the first tensor is saved
    peak = (max(left, in_front), 0)  # (activations per image, gradients) at the worst moment
    for i in range(len(trace.layers) - 1, start - 1, -1):
        gradients += own[i]
        now = (left + trace.layers[i].passing + trace.layers[i].again, gradients)
        peak = max(peak, now, key=lambda p: scale * p[0] + 4 * p[1])
        left -= saved[i]
    if 4 * gradients > scale * peak[0] + 4 * peak[1]:
        peak = (0.0, gradients)  # at the update, when activations are gone
    values = kind_of(optimiser.kind).num_values
    cast = sum(own) * width if width < 4 else 0  # weights in half precision are kept for the backward pass
    average = 4 * trace.num_values if optimiser.ema_decay else 0
    trained = sum(own) + trace.num_values - sum(size for layer in trace.layers for _, size in layer.parameters)  # weights and all buffers
    learnt = 4 * values * sum(own) + average
    state, is_here, may_go_back = 4 * trained + learnt, is_on_processor(training), goes_back(training)
    copies = NUM_HELD * state if may_go_back and is_here else 0
    best = state * (2 if may_go_back else 1) if is_here else 0  # a copy may hold the best of an epoch before
    activations = round(scale * peak[0])
    heap = round(HEAP_SHARE * activations) if is_large and is_here else 0
    return {
        "weights": 4 * trace.num_values + cast,
        "gradients": 4 * peak[1],
        "optimiser": 4 * values * sum(own),
        "activations": activations,
        "batch": 4 * trace.image * training.batch_size,
    } | {name: size for name, size in (("heap", heap), ("average", average), ("copies", copies), ("best", best)) if size}
