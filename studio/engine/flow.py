"""How the gradient flows: its norm per stage, and how much an update changes the weights, on a few steps of many.

A sampled step measures what sampling costs; the next one is so many steps later that it takes at most 1 % of the time, with room for what a
clock around the sample does not see (benchmarks/flow.py).
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from statistics import median

import torch

from studio.engine.network import Network

SHARE = 0.006  # of the time of the steps, as the clock around the samples sees it
LEAST_S = 0.5  # between two samples, so that the journal stays small
ALMOST_NONE = 1e-6  # of the largest stage's gradient per weight
PATIENCE = 2  # samples in a row before it is said: a head that starts at zero lets nothing through in the first step alone
_FEW_STEPS, _MANY_STEPS = 3, 15  # whose time is looked at


class Flow:
    """Used from the training loop: `begin` and `end` stand around the optimiser's update."""

    def __init__(self, network: Network):
        self._network = network
        self._names = [stage.name for stage in network.stages]
        self._sampled: tuple[int, float] | None = None  # step and time of the last sample
        self._seen: tuple[int, float] = (-2, 0.0)  # step and time of the last question
        self._step_times: deque[float] = deque(maxlen=_MANY_STEPS)
        self._weights: list[list[torch.Tensor]] = []
        self._before: list[list[torch.Tensor]] = []
        self._norms: list[float] = []
        self._cost = 0.0
        self._silent: dict[str, int] = {}
        self._told: set[str] = set()

    def is_due(self, step: int) -> bool:
        """Asked once in every step: the time between two questions is that of a step."""
        now, (seen, seen_at) = time.perf_counter(), self._seen
        if step == seen + 1:
            self._step_times.append(now - seen_at)
        self._seen = step, now
        if self._sampled is None:
            return True
        last, last_at = self._sampled
        between = self.steps_between()
        return between is not None and step >= last + between and now >= last_at + LEAST_S

    def steps_between(self) -> int | None:
        """So many steps take so long that a sample is SHARE of it; None while the time of a step is not known. A median: validation, pauses
        and the samples themselves lie between steps too."""
        if len(self._step_times) < _FEW_STEPS:
            return None
        return max(1, math.ceil(self._cost / (SHARE * max(median(self._step_times), 1e-6))))

    def begin(self) -> None:
        """Before the update, with gradients in place."""
        start = time.perf_counter()
        parameters = dict(self._network.module.named_parameters())
        self._weights = [
            [p for name in stage.parameter_names if (p := parameters[name]).requires_grad and p.grad is not None]
            for stage in self._network.stages
        ]
        self._norms = _read([_norm([p.grad for p in mine]) for mine in self._weights])
        self._before = [[p.detach().clone() for p in mine] for mine in self._weights]
        self._cost = time.perf_counter() - start

    def end(self, step: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """After the update: (norm of the gradient, length of the update as a share of that of the weights) of every stage."""
        start = time.perf_counter()
        with torch.no_grad():
            moved = [_norm([p - old for p, old in zip(*pair, strict=True)]) for pair in zip(self._weights, self._before, strict=True)]
            sizes = [_norm(old) for old in self._before]
            figures = _read([*moved, *sizes])
        ratios = [move / max(size, 1e-12) for move, size in zip(figures[: len(moved)], figures[len(moved) :], strict=True)]
        self._before = []
        now = time.perf_counter()
        self._cost += now - start
        self._sampled = step, now
        return tuple(float(f"{n:.4g}") for n in self._norms), tuple(float(f"{r:.4g}") for r in ratios)

    def silent(self, norms: Sequence[float]) -> list[str]:
        """Stages that train and have received almost no gradient in a row of samples; each is named once."""
        counts = [sum(p.numel() for p in mine) for mine in self._weights]
        strengths = [norm / math.sqrt(count) if count else 0.0 for norm, count in zip(norms, counts, strict=True)]
        most, found = max(strengths, default=0.0), []
        for name, strength, count in zip(self._names, strengths, counts, strict=True):
            is_silent = count and math.isfinite(most) and strength <= ALMOST_NONE * most
            self._silent[name] = self._silent.get(name, 0) + 1 if is_silent else 0
            if self._silent[name] == PATIENCE and name not in self._told:
                self._told.add(name)
                found.append(name)
        return found


def _read(figures: list[torch.Tensor]) -> list[float]:
    """What they are, with one wait for the device instead of one for each."""
    device = next((figure.device for figure in figures if figure.device.type != "cpu"), torch.device("cpu"))
    return torch.stack([figure.to(device, non_blocking=True) for figure in figures]).tolist()


def _norm(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """The length of all of them as one vector; 0 of none."""
    if not tensors:
        return torch.zeros(())
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(tensors)))).float()
