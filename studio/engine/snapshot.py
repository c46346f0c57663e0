"""States of the last steps, held in memory: where a run goes back to when its loss stops being a number.

What a run has learnt is a function of the step, so a state from before the wanted step is enough: the steps up to it are done again and give the
same bits. Two are held, at least as many steps apart as the run is to go back, so the older one always lies far enough behind.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

    from studio.core.experiment import Training

NUM_HELD = 2
EVERY_S = 1.0  # a copy takes milliseconds, and steps done again cost as much as steps
SHARE = 0.02  # of the time goes into copies, at most


def goes_back(training: Training) -> bool:
    """Whether states are held, so that a run can go back by some steps."""
    return training.not_finite == "go back" and training.roll_back_steps > 0


@dataclass(frozen=True)
class Held:
    """A state that is not on the disk: its step, all tensors and the rest of a checkpoint's state."""

    step: int
    tensors: dict[str, dict[str, torch.Tensor]]
    state: dict
    best: Held | None = None  # the best epoch, where that was in memory only


class Snapshots:
    """The last states of a run that may go back, oldest first. Empty where the user chose something else."""

    def __init__(self):
        self._held: deque[Held] = deque(maxlen=NUM_HELD)
        self._taken_at = self._seconds = 0.0

    def is_due(self, step: int, num_back: int) -> bool:
        """Whether the state after `step` steps is to be held, in a run that goes back by `num_back`."""
        if not self._held:
            return True
        is_far = step - self._held[-1].step >= num_back
        return is_far and time.monotonic() - self._taken_at >= max(EVERY_S, self._seconds / SHARE)

    def make_room(self) -> None:
        """Let go of the oldest before the next copy is made, so that there are never more than two. Where one is due, the newer lies far enough
        behind."""
        if len(self._held) == NUM_HELD:
            self._held.popleft()

    def add(self, held: Held, seconds: float) -> None:
        """`seconds`: what the copy took."""
        self._held.append(held)
        self._taken_at, self._seconds = time.monotonic(), seconds

    def clear(self) -> None:
        self._held.clear()

    def for_step(self, step: int) -> Held | None:
        """The newest state from which a step can be reached; None where all are later."""
        return next((held for held in reversed(self._held) if held.step <= step), None)

    @property
    def oldest(self) -> Held | None:
        return self._held[0] if self._held else None

    @property
    def best_steps(self) -> set[int]:
        """The checkpoints that were the best at these steps: whoever goes back needs them again."""
        return {held.state["progress"]["best"]["step"] for held in self._held if held.state["progress"]["best"]}

    def drop_after(self, step: int) -> None:
        """Forget what the run went back behind."""
        while self._held and self._held[-1].step > step:
            self._held.pop()

    def part_from(self, module: nn.Module) -> None:
        """Frozen weights are not copied, since they stay the same; copy them now, because they are about to train."""
        live = {weight.data_ptr() for weight in module.parameters()}

        def parted(held: Held) -> Held:
            model = {name: t.to("cpu", copy=True) if t.data_ptr() in live else t for name, t in held.tensors["model"].items()}
            return Held(held.step, held.tensors | {"model": model}, held.state, held.best and parted(held.best))

        self._held = deque(map(parted, self._held), maxlen=NUM_HELD)
