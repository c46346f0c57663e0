"""Activation checkpointing: blocks of the network keep what they are given, and compute the rest again in the backward pass.

About half the memory of a step or less, for the time of one more forward pass (Chen et al., arXiv 1604.06174). The bits stay: dropout draws
the same numbers again, and batch norms count each picture once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from studio.catalog.backbones import Stage
from studio.engine.footprint import Layer, Trace
from studio.engine.lean import keep_all


def blocks_of(module: nn.Module, stages: Sequence[Stage]) -> dict[str, nn.Module]:
    """The parts worth computing again, by name: children of sequences that have parts of their own. Single layers and the head are not."""
    found: dict[str, nn.Module] = {}
    for stage in stages[:-1]:
        for name in stage.module_names:
            found |= _blocks_in(name, module.get_submodule(name))
    return found


def _blocks_in(name: str, part: nn.Module) -> dict[str, nn.Module]:
    children = list(part.named_children())
    if not children:
        return {}
    if isinstance(part, nn.Sequential | nn.ModuleList) and any(any(child.children()) for _, child in children):
        return {key: block for own, child in children for key, block in _blocks_in(f"{name}.{own}", child).items()}
    return {} if isinstance(part, nn.ModuleList) else {name: part}


def recompute(module: nn.Module, stages: Sequence[Stage]) -> int:
    """From now on the blocks of this module are computed twice where gradients are wanted; how many there are. Names and weights stay."""
    blocks = blocks_of(module, stages)
    for block in blocks.values():
        keep_all(block)
        block.forward = _Twice(block)
    return len(blocks)


class _Twice:
    """Stands in for `forward` of one block; copied with it, unlike a closure over the block."""

    def __init__(self, block: nn.Module):
        self._block = block

    def __call__(self, *inputs, **options):
        own = type(self._block).forward
        if not torch.is_grad_enabled():
            return own(self._block, *inputs, **options)
        if torch.compiler.is_compiling():  # computes values again, never what they count
            return checkpoint(own, self._block, *inputs, use_reentrant=False, **options)
        return checkpoint(own, self._block, *inputs, use_reentrant=False, context_fn=self._contexts, **options)

    def _contexts(self):
        return contextlib.nullcontext(), _without_counting(self._block)


@contextlib.contextmanager
def _without_counting(block: nn.Module) -> Iterator[None]:
    """Batch norms that train count into copies of their running statistics, which are thrown away."""
    own = [(part, dict(part._buffers)) for part in block.modules() if part.training and part._buffers]
    for part, buffers in own:
        part._buffers.update({name: None if buffer is None else buffer.clone() for name, buffer in buffers.items()})
    try:
        yield
    finally:
        for part, buffers in own:
            part._buffers.update(buffers)


def recomputed(trace: Trace, outside: Trace, blocks: Sequence[str]) -> Trace:
    """What a step takes with recomputing, from the trace of the plain network and `outside`, that of the same one with `recompute`: at the
    worst moment of the backward pass one block's activations are there besides what is kept outside of blocks."""
    kept = dict.fromkeys(blocks, 0.0)
    now = ""
    for layer in trace.layers:  # layers without weights belong to the block before them
        for name, _ in layer.parameters:
            now = next((block for block in blocks if name.startswith(f"{block}.")), "")
        if now:
            kept[now] += layer.saved
    return replace(outside, layers=(*outside.layers, Layer((), 0.0, max(kept.values(), default=0.0))))
