"""Fitting a run into memory: the peak of a step is known before the first one, and a step that fails all the same goes in smaller parts.

What a step needs on top of the weights is found with two pictures: the network runs forward once, and every tensor that autograd keeps for the
backward pass is counted. Kept tensors grow with the batch, gradients and the optimiser's memory do not.
"""

from __future__ import annotations

import gc
import re
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from studio.catalog.optimisers import kind_of
from studio.core.experiment import Experiment

ROOM = 0.9  # of the free memory is planned with


class OutOfMemory(Exception):
    """A step did not fit into memory and left nothing behind. The cause is what torch raised."""


def is_out_of_memory(exc: BaseException) -> bool:
    """Whether an exception says that memory ran out, on the device or here."""
    if isinstance(exc, MemoryError) or type(exc).__name__ == "OutOfMemoryError":
        return True
    return isinstance(exc, RuntimeError) and bool(re.search(r"out of memory|can't allocate memory|not enough memory", str(exc)))


def let_go(exc: BaseException | None) -> None:
    """Free what the frames of a failed step still hold."""
    while exc is not None:
        traceback.clear_frames(exc.__traceback__)
        exc = exc.__cause__
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@dataclass(frozen=True)
class StepMemory:
    """Bytes of a training step on top of what the process (the device) holds before the first one."""

    fixed: int  # gradients and the optimiser's memory of what trains
    per_image: int  # pictures, and what is kept for the backward pass
    passing: int  # per image, the two largest tensors on their way: they exist only for moments

    def peak(self, num_images: int) -> int:
        return self.fixed + num_images * (self.per_image + self.passing)

    def fitting(self, batch_size: int, room: int) -> int:
        """The largest even part of the batch that fits; 1 where none does."""
        size = batch_size
        while size > 1 and self.peak(size) > room:
            size = -(-size // 2)
        return size


def measure_step(module: nn.Module, images_NCHW: torch.Tensor, autocast, experiment: Experiment) -> StepMemory:
    """Needs the module in the mode it trains in, and at least two pictures. Statistics and random state are put back."""
    buffers = [buffer.clone() for buffer in module.buffers()]
    weights = {p.untyped_storage().data_ptr() for p in module.parameters()}
    seen: set[int] = set()
    kept_bytes, largest = 0, [0, 0]
    alive: list[torch.Tensor] = []  # so that no other tensor takes a counted one's place

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept_bytes
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen and storage.data_ptr() not in weights:
            seen.add(storage.data_ptr())
            alive.append(tensor)
            kept_bytes += storage.nbytes()
        return tensor

    def watch(_module, _inputs, output) -> None:
        if isinstance(output, torch.Tensor):
            largest.append(output.untyped_storage().nbytes())

    handles = [m.register_forward_hook(watch) for m in module.modules() if not any(m.children())]
    try:
        devices = [images_NCHW.device] if images_NCHW.is_cuda else []
        with torch.random.fork_rng(devices=devices), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), autocast():
            module(images_NCHW)
    finally:
        for handle in handles:
            handle.remove()
        with torch.no_grad():
            for buffer, value in zip(module.buffers(), buffers, strict=True):
                buffer.copy_(value)
    trained = sum(p.numel() * p.element_size() for p in module.parameters() if p.requires_grad)
    count = len(images_NCHW)
    return StepMemory(
        fixed=trained * (1 + kind_of(experiment.optimiser.kind).num_values),
        per_image=(kept_bytes + images_NCHW.numel() * images_NCHW.element_size()) // count,
        passing=sum(sorted(largest)[-2:]) // count,
    )


def free_bytes(device: torch.device) -> int:
    """Memory that a run can still take: of the device, or of the machine."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    import psutil

    return psutil.virtual_memory().available


def advice(batch_size: int, fits: int, accumulation: int, precision: str, device: torch.device) -> str:
    """What the user can change instead, in one sentence."""
    steps: Sequence[str] = [f"set the batch size to {fits} and accumulate {accumulation * -(-batch_size // fits)} batches"]
    if precision == "fp32" and device.type == "cuda":
        steps = [*steps, "choose bf16 or fp16"]
    return f"For the same steps, {' or '.join(steps)}; freezing more of the network saves most."
