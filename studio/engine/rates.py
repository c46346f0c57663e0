"""What every optimiser group gets at a step: computed a block of steps ahead by the very functions that draw the curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch

from studio.catalog import schedules
from studio.catalog.optimisers import set_group
from studio.core.edit import Edit
from studio.core.experiment import Experiment

BLOCK = 2048  # steps computed at once: some tenths of a millisecond of work and 100 KB


@dataclass(frozen=True)
class _Block:
    first: int
    rates: np.ndarray  # float64[BLOCK, stages]
    momenta: np.ndarray | None  # float64[BLOCK]; None where it stays at its setting
    decays: np.ndarray  # float64[BLOCK]
    thawed: Callable[[], np.ndarray]  # as `rates` where no stage is frozen, for single layers that train in a frozen stage


class Rates:
    """The settings that change from step to step. `asked` is the experiment the run began with; edits come on top."""

    def __init__(
        self,
        asked: Experiment,
        stages: Sequence[str],
        steps_per_epoch: int,
        edits: Sequence[Edit] = (),
        validation_losses: Sequence[float] = (),
    ):
        self._asked, self._stages, self._per_epoch = asked, tuple(stages), steps_per_epoch
        self._edits, self._losses = tuple(edits), tuple(validation_losses)
        self._block: _Block | None = None

    def after_edit(self, edits: Sequence[Edit]) -> None:
        self._edits, self._block = tuple(edits), None

    def after_epoch(self, validation_losses: Sequence[float]) -> None:
        self._losses = tuple(validation_losses)
        if not all(schedules.shape_of(e.schedule.shape).is_open_loop for e in (self._asked, *(edit.experiment for edit in self._edits))):
            self._block = None

    def stage_rates(self, step: int) -> np.ndarray:
        """float64[stages]: the learning rate of every stage at a step, the head's last; 0 where it is frozen."""
        block = self._block_with(step)
        return block.rates[step - block.first]

    def apply(self, optimiser: torch.optim.Optimizer, step: int, experiment: Experiment) -> float:
        """Set every group for this step; returns the head's rate. `experiment` is what counts at the step."""
        block = self._block_with(step)
        i = step - block.first
        settings = experiment.optimiser
        momentum = schedules.base_momentum(experiment) if block.momenta is None else float(block.momenta[i])
        rates, decay = block.rates[i].tolist(), float(block.decays[i])
        for group in optimiser.param_groups:
            rate = rates[group["stage"]]
            if rate == 0.0 and group.get("trains"):
                rate = float(block.thawed()[i, group["stage"]])
            set_group(
                optimiser,
                group,
                settings,
                lr=rate,
                momentum=momentum,
                weight_decay=decay if group["is_decayed"] else 0.0,
            )
        return rates[-1]

    def _block_with(self, step: int) -> _Block:
        block = self._block
        if block is None or not block.first <= step < block.first + BLOCK:
            steps = np.arange(step, step + BLOCK)
            common = {"steps_per_epoch": self._per_epoch, "edits": self._edits}
            with_losses = common | {"validation_losses": self._losses}
            rates = partial(schedules.lr, self._asked, steps, stages=self._stages, **with_losses)
            block = self._block = _Block(
                step,
                rates(),
                schedules.momentum(self._asked, steps, **common),
                schedules.weight_decay(self._asked, steps, **with_losses),
                cache(partial(rates, partly=lambda _: self._stages)),
            )
        return block
