"""The forward and backward pass of a training step as recordings of the GPU's work (CUDA graphs), which one call each plays again.

Putting the thousand kernels of a step into the GPU's queue one by one takes the processor about as long as the GPU takes to run them (ResNet-50 at
batch 128 in bf16 on an H100: 30 ms of 34), so what the loop and the loaders do besides makes the GPU wait: 2,600 to 3,100 images/s of the 3,770 that
it does. Played from a recording they take 10 ms, and the kernels are the same ones, so nothing is to be weighed but memory: a recording keeps that
of its activations for itself.

Not where gradients of several batches are added up: a recording gives its gradients in the same memory each time (pytorch issue 181723). Not in
exact mode, with several processes, where activations are computed again, or where the network itself waits for the device.
"""

from __future__ import annotations

import contextlib
import gc
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from studio.core.event import StepCompiled
from studio.engine.memory import free_bytes, is_out_of_memory, let_go, step_memory
from studio.engine.precision import Precision
from studio.engine.step_trial import StandIn, example, first_words, gain_of, nothing_changed, num_at_once, what_it_fits

if TYPE_CHECKING:
    from studio.engine.setup import Setup

LEAST_STEPS = 100  # until the end of the run: recording and trying take a second or two
LEAST_GAIN = 0.98  # a step by itself need not be faster: what counts is that the processor is free
SHARE = 0.4  # of the free memory, since other passes need theirs beside it


def follow_recording(s: Setup) -> None:
    """Before the steps of an epoch: record them where other layers train, or other numbers of images go through at once, than before; tell what came
    of it."""
    key = what_it_fits(s) if _can_be_recorded(s) else ""
    if key == s.recorded_for:
        return
    if s.recorded:
        s.recorded = None
        gc.collect()  # it holds itself
        torch.cuda.empty_cache()  # without a GPU nothing
    s.recorded_for = key
    if not key or _num_left(s) < LEAST_STEPS:
        return
    need = step_memory(s.network, s.precision.name, s.experiment).peak(num_at_once(s))
    if need > SHARE * free_bytes(s.device):
        return
    with nothing_changed(s):
        s.reporter.tell(_try(s))


def _can_be_recorded(s: Setup) -> bool:
    t = s.asked.training
    in_parts = num_at_once(s) < min(t.batch_size, s.epoch_size)
    others = s.compiled or t.exact or s.recomputes or s.prefix.trains_from_cache
    return _has_queue(s.device) and s.ranks.is_alone and t.accumulation == 1 and not (in_parts or others)


def _has_queue(device: torch.device) -> bool:
    return device.type == "cuda"


def _num_left(s: Setup) -> int:
    """Steps until the end of the run."""
    return (s.experiment.schedule.epochs - s.progress.epoch) * s.steps_per_epoch - s.progress.step_in_epoch


def _try(s: Setup) -> StepCompiled:
    """Record a step, and keep it where it gives the same and is not slower."""
    batch, start = example(s), time.monotonic()
    inputs, gain = s.inputs(batch), None
    try:
        with _errors_for_waiting():
            s.logits(s.network.module, batch, inputs).float().sum().backward()
        run = record(s.network.module, s.precision, inputs)
        gain = gain_of(s, batch, inputs, run)
    except Exception as exc:  # whatever a network does that cannot be recorded: the run needs none of it
        if is_out_of_memory(exc):
            let_go(exc)
        sentence = f"A step could not be recorded for the GPU, so the run goes on without: {first_words(exc)[:200]}"
    else:
        if gain >= LEAST_GAIN:
            s.recorded = StandIn(run, inputs.shape)
        sentence = _sentence(gain)
    seconds = time.monotonic() - start
    gain = None if gain is None else round(gain, 3)
    return StepCompiled(step=s.progress.step, is_used=s.recorded is not None, gain=gain, seconds=round(seconds, 1), sentence=sentence)


def _sentence(gain: float) -> str:
    if gain >= LEAST_GAIN:
        return f"A step is recorded and given to the GPU in one piece: {gain:.2f} times as fast by itself, and the processor is free meanwhile."
    if gain:
        return f"Recorded for the GPU a step runs {gain:.2f} times as fast, so the run goes on without."
    return "Recorded for the GPU a step gives something else, so the run goes on without."


class _Whole(nn.Module):
    """The network in a number format. What records changes the module it is given, so it gets this one; it stays in training mode by itself,
    whatever mode the parts of the network are in."""

    def __init__(self, network: nn.Module, precision: Precision, device: torch.device):
        super().__init__()
        self.network = network
        self._form = partial(precision.autocast, device)

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        with self._form():
            torch.set_autocast_cache_enabled(False)  # copies of the weights are made anew when it is played
            try:
                return self.network(images_NCHW)
            finally:
                torch.set_autocast_cache_enabled(True)


def record(network: nn.Module, precision: Precision, inputs: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """What plays the recording: logits_NC from images_NCHW of the shape of `inputs`, with gradients to all weights that train."""
    torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)  # gradients of recordings come on a stream of their own
    with _as_before_where_it_fails(inputs.device):
        whole = torch.cuda.make_graphed_callables(_Whole(network, precision, inputs.device), (inputs.clone(),), allow_unused_input=True)
    return lambda images_NCHW: whole(images_NCHW).clone()  # the next step writes where this one's answers are


@contextlib.contextmanager
def _as_before_where_it_fails(device: torch.device) -> Iterator[None]:
    """A recording that breaks off leaves its stream and its draws in force."""
    stream = torch.cuda.current_stream(device)
    try:
        yield
    except BaseException:
        torch.cuda.set_stream(stream)
        torch.cuda.default_generators[device.index].graphsafe_set_state(torch.Generator(device).graphsafe_get_state())
        raise


@contextlib.contextmanager
def _errors_for_waiting() -> Iterator[None]:
    """What waits for the device cannot be recorded: better to know before."""
    mode = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls it a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(mode)
