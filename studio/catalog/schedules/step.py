"""A drop every few epochs, as torch's StepLR; epochs count from the start of the run."""

from __future__ import annotations

import numpy as np

from studio.catalog.schedules._curve import Body
from studio.core.experiment import Schedule

TITLE = "Step"
HELP = "Holds the rate and drops it every few epochs. The classic of AlexNet and ResNet; the drops show as steps in the loss."
PAPER = "He et al., arXiv 1512.03385"
FIELDS = ("peak_lr", "step_epochs", "step_factor", "warmup_fraction", "start_factor", "final_factor", "cooldown_fraction")


def factors(schedule: Schedule, steps: np.ndarray, body: Body) -> np.ndarray:
    num_drops = (steps + body.first) // body.to_steps(schedule.step_epochs)
    return schedule.step_factor ** num_drops.astype(float)


def jumps(schedule: Schedule, body: Body) -> np.ndarray:
    """The steps of the run with another rate than the step before."""
    every, end = body.to_steps(schedule.step_epochs), body.first + body.num_steps
    return np.arange(every, end, every)


def python_lines(schedule: Schedule, body: Body) -> list[str]:
    return [f"return {schedule.step_factor!r} ** ((i + {body.first}) // {body.to_steps(schedule.step_epochs)})"]


def torch_call(schedule: Schedule, body: Body) -> str | None:
    every = body.to_steps(schedule.step_epochs)
    if body.first == 0:
        return f"StepLR(optimizer, step_size={every}, gamma={schedule.step_factor!r})"
    drops = (jumps(schedule, body) - body.first).tolist()
    if drops and drops[0] <= 0:
        return None  # a drop within the warm-up
    return f"MultiStepLR(optimizer, milestones={drops}, gamma={schedule.step_factor!r})"
