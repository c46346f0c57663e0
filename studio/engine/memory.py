"""Fitting a run into memory: the peak of a step is known before the first one, and a step that fails all the same goes in smaller parts.

The peak is the same estimate that the window shows, engine.footprint, for the plan of the epoch and the number format of the run; on a GPU, where
that comes near to what is free, it is put right by a step that is tried (engine.dry_step).
"""

from __future__ import annotations

import gc
import re
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from studio.core.experiment import Experiment, Optimiser, Training
from studio.engine.ahead import ahead
from studio.engine.footprint import Trace, estimate_memory, is_large, known_trace, num_bytes_of, trace_memory, without_values
from studio.engine.heap import LITTLE, MUCH
from studio.engine.lean import keep_less, may_be_lean
from studio.engine.network import Network
from studio.engine.recompute import blocks_of, recompute, recomputed

ROOM = 0.9  # of the free memory is planned with


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
    """What a training step of a run needs on top of what the process (the device) holds before the first one."""

    trace: Trace
    trainable: frozenset[str]
    training: Training  # with the precision that was chosen
    optimiser: Optimiser
    is_large: bool  # with everything kept
    is_lean: bool  # the batch norms keep less
    stays: float  # of what a pass takes, between the steps where they are large
    factor: float = 1.0  # of what a pass takes, where one was tried

    def peak(self, num_images: int, *, holds_best: bool = True) -> int:
        """Bytes with so many images at once, the weights left out. Copies of states, to go back to and of the best epoch, are not on a GPU; the
        latter is there after the first epoch only, where saving takes long beside an epoch."""
        found = self._estimate(num_images)
        beside = sum(found.get(name, 0) for name in ("heap", "optimiser", "average", "copies", *["best"] * holds_best))
        return round(self.factor * self.of_pass(num_images)) + beside

    def of_pass(self, num_images: int) -> int:
        """Bytes of a forward and backward pass as they are estimated, the optimiser's memory left out too."""
        found = self._estimate(num_images)
        return found["gradients"] + found["activations"] + found["batch"]

    def _estimate(self, num_images: int) -> dict[str, int]:
        training = self.training.model_copy(update={"batch_size": num_images})
        return estimate_memory(self.trace, self.trainable, training, self.optimiser, is_large=self.is_large)

    def fitting(self, batch_size: int, room: int) -> int:
        """The largest even part of the batch that fits; 1 where none does."""
        size = batch_size
        while size > 1 and self.peak(size) > room:
            size = -(-size // 2)
        return size


def step_memory(network: Network, precision: str, experiment: Experiment, *, recomputes: bool = False) -> StepMemory:
    """Of the plan as it stands, in the number format that was chosen, where asked with activations computed again in the backward pass. The
    module may be on any device; it is left as it was."""
    training = experiment.training.model_copy(update={"precision": precision})
    size, width = experiment.model.input_size, num_bytes_of(precision)
    trace = whole = known_trace(network.module, size, width)
    large = is_large(whole, network.plan.trainable, training, experiment.optimiser)
    lean = large and may_be_lean(training)
    if lean and not recomputes:  # blocks that are recomputed are not
        trace = known_trace(network.module, size, width, is_lean=True)
    if recomputes:
        module = without_values(network.module)
        if lean:
            keep_less(module, hooks=False)
        recompute(module, network.stages)
        trace = recomputed(trace, trace_memory(module, size, width), list(blocks_of(module, network.stages)))

    def activations(of: Trace) -> int:
        return estimate_memory(of, network.plan.trainable, training, experiment.optimiser)["activations"]

    stays = 0.0 if recomputes else MUCH if activations(trace) <= activations(whole) / 2 else LITTLE  # in all 0.8 of what `whole` takes
    return StepMemory(trace, network.plan.trainable, training, experiment.optimiser, large, lean, stays)


def free_bytes(device: torch.device) -> int:
    """Memory that a run can still take: of the device, or of the machine."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # by torch, for what comes
        return torch.cuda.mem_get_info(device)[0] + kept
    import psutil

    return psutil.virtual_memory().available + ahead.num_bytes


def advice(batch_size: int, fits: int, accumulation: int, precision: str, device: torch.device) -> str:
    """What the user can change instead, in one sentence."""
    steps: Sequence[str] = [f"set the batch size to {fits} and accumulate {accumulation * -(-batch_size // fits)} batches"]
    if precision == "fp32" and device.type == "cuda":
        steps = [*steps, "choose bf16 or fp16"]
    return f"For the same steps, {' or '.join(steps)}; freezing more of the network saves most."
