"""One training step of a copy of the network while a warm engine waits, so that the first step of the run is like every other.

oneDNN makes the machine code of each convolution when it is first asked for, for its very shape and number of threads, and keeps it; torch starts
its threads, and loads what an optimiser's first step asks for. The copy learns nothing that stays: weights, statistics and random states of the
run are as they were. On a processor only: a GPU's memory is not taken by what only waits.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import psutil
import torch
from torch import nn

from studio.catalog.augments import cached_views
from studio.catalog.optimisers import build_optimiser
from studio.core.experiment import Experiment
from studio.engine.ahead import MOST, key_of
from studio.engine.heap import suit_step
from studio.engine.lean import keep_less
from studio.engine.memory import StepMemory
from studio.engine.network import Network, Normaliser
from studio.engine.precision import Precision

MOST_S = 3.0  # of a pass forward; of a step that takes longer, what is prepared here is a small part, and a pass back cannot be broken off


def rehearsal_key(experiment: Experiment, num_images: int) -> str:
    """Of steps that one rehearsal is good for."""
    return f"{key_of(experiment)} {experiment.optimiser.clip_norm > 0} {num_images} images, {torch.get_num_threads()} threads"


def is_worth_it(network: Network, experiment: Experiment, need: StepMemory, num_images: int) -> bool:
    """Whether the run begins with steps of the whole network, and one takes no more than a share of the memory that is free."""
    may_read = experiment.training.feature_cache != "off" and cached_views(experiment, 1.0)
    reads_features = may_read and network.is_still()[0]
    return not reads_features and need.peak(num_images) < MOST * psutil.virtual_memory().available


def rehearse(
    network: Network, experiment: Experiment, precision: Precision, need: StepMemory, num_images: int, is_over: Callable[[], bool]
) -> bool:
    """Take the step, as lean as the run's; False where it was broken off since it `is_over` or took too long: between two layers on the way there,
    or before the way back. In a pass back whoever waits has to wait for its end: what is broken off there leaves tensors behind that only the end
    of the process frees."""
    suit_step(is_large=True)  # so that the heap does not grow by a step that is never taken
    try:
        with torch.random.fork_rng(devices=[]):
            return _step(network, experiment, precision, need, num_images, is_over)
    except _Over:
        return False
    finally:
        gc.collect()  # a network that keeps less refers to itself
        suit_step(is_large=False)


class _Over(Exception):
    """There is something else to do."""


def _step(
    network: Network, experiment: Experiment, precision: Precision, need: StepMemory, num_images: int, is_over: Callable[[], bool]
) -> bool:
    cpu, size = torch.device("cpu"), experiment.model.input_size
    trial = replace(network, module=copy.deepcopy(network.module))
    module = trial.module
    precision.place(module, cpu)
    if need.is_lean:
        keep_less(module)
    trial.train_mode()
    groups, _ = trial.parameter_groups(experiment.optimiser.weight_decay)
    optimiser = build_optimiser(experiment.optimiser, groups)
    pictures = np.random.default_rng(0).integers(0, 256, (num_images, size, size, 3), np.uint8)
    images_NCHW = Normaliser([0.5] * 3, [0.5] * 3, cpu, precision.channels_last)(pictures)
    end = time.monotonic() + MOST_S
    with precision.autocast(cpu), _breaking_off(module, lambda: is_over() or time.monotonic() > end):
        logits_NC = module(images_NCHW)
    if is_over():
        return False
    smoothing = experiment.training.label_smoothing
    nn.functional.cross_entropy(logits_NC.float(), torch.zeros(num_images, dtype=torch.int64), label_smoothing=smoothing).backward()
    trained = [weight for weight in trial.trainable() if weight.grad is not None]
    norm = torch.nn.utils.get_total_norm([weight.grad for weight in trained])
    if experiment.optimiser.clip_norm:
        torch.nn.utils.clip_grads_with_norm_(trained, experiment.optimiser.clip_norm, norm)
    optimiser.step()
    return True


@contextlib.contextmanager
def _breaking_off(module: nn.Module, is_over: Callable[[], bool]) -> Iterator[None]:
    """Before every layer look whether to go on. Raises _Over."""

    def look(*_) -> None:
        if is_over():
            raise _Over

    handles = [part.register_forward_pre_hook(look) for part in module.modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
