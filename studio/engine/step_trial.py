"""Whether something may stand in for the network's call in a training step: it gives the same, and how much faster it is.

Two things do: what torch's compiler makes of the network (`compiled_step`), and a recording of its kernels (`recorded_step`). Only the call is
replaced: the modules, the names of their weights and what hangs on them stay, so checkpoints, proofs and averages know nothing of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from studio.engine.device import seed_draws, synchronise
from studio.engine.loader import Batch, Request

if TYPE_CHECKING:
    from studio.engine.setup import Setup

ROUNDS = 4
MOST_APART = 0.05  # of probabilities, and of the length of the gradient as a share of it


@dataclass(frozen=True)
class StandIn:
    run: Callable[[torch.Tensor], torch.Tensor]  # stands in for the network's call
    shape: torch.Size  # of what it takes

    def takes(self, inputs: torch.Tensor) -> bool:
        return inputs.shape == self.shape


def what_it_fits(s: Setup) -> str:
    """The steps that a stand-in is good for."""
    plan = hashlib.sha256(repr((sorted(s.network.plan.trainable), sorted(s.network.plan.active))).encode()).hexdigest()[:16]
    tail = ", from features" if s.prefix.trains_from_cache else ""
    return f"{plan}, {num_at_once(s)} images{tail}{', recomputing' if s.recomputes else ''}"


def num_at_once(s: Setup) -> int:
    """Images that go through the network at once in most steps."""
    share = -(-min(s.asked.training.batch_size, s.epoch_size) // s.ranks.count)
    return -(-share // -(-share // s.micro_batch)) if s.micro_batch else share


def example(s: Setup) -> Batch:
    """A batch as the steps will be given them."""
    count = num_at_once(s)
    if s.prefix.trains_from_cache:
        request = Request(tuple(i % len(s.parts["train"]) for i in range(count)))
        return next(s.prefix.training_batches([request], s.progress.epoch))
    size = s.view["input_size"]
    images = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)
    return Batch(images, np.arange(count))


def gain_of(s: Setup, batch: Batch, inputs: torch.Tensor, run: Callable) -> float:
    """How many times as fast the network is with its stand-in; 0 where it does not give the same."""
    sides = (s.network.module, run)
    times: list[list[float]] = [[], []]
    for number in range(ROUNDS):
        found = [one_pass(s, batch, inputs, side) for side in sides]  # in turn, so that a busy moment hits both
        if number == 0 and not _agree(*(answer for _, *answer in found)):
            return 0.0
        for some, (seconds, *_) in zip(times, found, strict=True):
            some.append(seconds)
    return min(times[0]) / min(times[1])


def one_pass(s: Setup, batch: Batch, inputs: torch.Tensor, run: Callable) -> tuple[float, torch.Tensor, torch.Tensor]:
    """(seconds, probabilities_NC, length of the gradient) of a forward and backward pass, always with the same draws. On a processor CPU seconds:
    what neighbours take does not count."""
    clock = time.process_time if s.device.type == "cpu" else time.perf_counter
    s.optimiser.zero_grad(set_to_none=True)
    seed_draws(0, s.device)
    synchronise(s.device)
    start = clock()
    logits_NC = s.logits(s.network.module, batch, inputs, run).float()
    logits_NC.logsumexp(1).mean().backward()
    synchronise(s.device)
    seconds = clock() - start
    norm = torch.nn.utils.get_total_norm([weight.grad for weight in s.network.trainable() if weight.grad is not None])
    return seconds, logits_NC.detach().softmax(1), norm


def _agree(plain: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    (some_NC, norm), (others_NC, other_norm) = plain, other
    is_norm_alike = abs(norm - other_norm) <= MOST_APART * norm if torch.isfinite(norm) else True  # fp16 may overflow without its scaler
    return bool((some_NC - others_NC).abs().max() <= MOST_APART and is_norm_alike)


def first_words(exc: BaseException) -> str:
    """The first line of what an exception says that is not empty; what it is where it says nothing."""
    return next((line.strip() for line in str(exc).splitlines() if line.strip()), type(exc).__name__)


@contextlib.contextmanager
def nothing_changed(s: Setup) -> Iterator[None]:
    """Weights, statistics and random states are afterwards as before."""
    put_back = s.network.statistics_kept()
    try:
        with torch.random.fork_rng(devices=[s.device] if s.device.type == "cuda" else []):
            yield
    finally:
        put_back()
        s.optimiser.zero_grad(set_to_none=True)
