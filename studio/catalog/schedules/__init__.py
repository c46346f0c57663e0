"""Learning-rate schedules: pure functions of the experiment and the step, so what is drawn is what is applied.

Steps are optimiser updates, counted from 0. Everything is in closed form: the value at a step does not depend on which other steps
are asked for, so the engine asks for one row and the plot for a few thousand of ten million.

Each shape is one module with `TITLE`, `HELP`, `PAPER`, `FIELDS` and `factors(schedule, steps, body) -> float64[len(steps)]`, the rate
as a share of the peak; steps count from the start of the body. `python_lines(schedule, body)` is the same as code, the body of a
function of `i`, and `torch_call(schedule, body)` torch's own scheduler, None where torch has none like it. Optionally
`jumps(schedule, body)`, `momenta(schedule, base, steps, body)` with `momentum_lines`, and HAS_WARMUP or HAS_COOLDOWN = False where the
shape has its own. One line in `_MODULES` registers it, in the order of the gallery.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from studio.catalog.optimisers import kind_of
from studio.catalog.schedules import (
    constant,
    cosine,
    exponential,
    inverse_sqrt,
    linear,
    multi_step,
    one_cycle,
    plateau,
    points,
    polynomial,
    segments,
    step,
    warm_restarts,
)
from studio.catalog.schedules._curve import Body, cooldown, cosine_between, warmup
from studio.core.edit import Edit
from studio.core.experiment import Experiment, Model, Optimiser, Schedule

_MODULES: dict[str, ModuleType] = {
    "one_cycle": one_cycle,
    "cosine": cosine,
    "warm_restarts": warm_restarts,
    "linear": linear,
    "polynomial": polynomial,
    "exponential": exponential,
    "inverse_sqrt": inverse_sqrt,
    "constant": constant,
    "step": step,
    "multi_step": multi_step,
    "plateau": plateau,
    "segments": segments,
    "points": points,
}


@dataclass(frozen=True)
class Shape:
    """A family of curves as the gallery shows it. `fields` are the schedule settings that matter for it."""

    key: str
    title: str
    help: str
    paper: str
    fields: tuple[str, ...]
    is_open_loop: bool  # False where the rest of the curve depends on the run's own losses


SHAPES: tuple[Shape, ...] = tuple(
    Shape(key, m.TITLE, m.HELP, m.PAPER, m.FIELDS, getattr(m, "IS_OPEN_LOOP", True)) for key, m in _MODULES.items()
)

_SHAPE_OF = {shape.key: shape for shape in SHAPES}


def shape_of(key: str) -> Shape:
    return _SHAPE_OF[key]


Partly = Callable[[Model], Collection[str]]
"""Which stages of a network have single layers that train while the stage is frozen: a question of `model.layers` and `model.batch_norm`."""


def no_stage(model: Model) -> Collection[str]:
    return ()


def lr(
    experiment: Experiment,
    steps: Sequence[int] | np.ndarray,
    *,
    stages: Sequence[str],
    steps_per_epoch: int,
    validation_losses: Sequence[float] = (),
    edits: Sequence[Edit] = (),
    partly: Partly = no_stage,
) -> np.ndarray:
    """The learning rate of every stage at the given steps: float64[len(steps), len(stages)], finite and >= 0.

    `stages` are names in execution order, the head last. A frozen stage has rate 0. `validation_losses` are those of the epochs that
    have ended; only the plateau shape looks at them. After an edit the curve is that of the later experiment; a stage thaws or freezes
    at the start of an epoch, so an edit within an epoch counts for it from the next one. Steps after the end have the last rate.
    `partly` gives the names of the stages in which single layers train while the stage is frozen: they have a rate from the start.
    """
    steps = np.asarray(steps, np.int64)
    epoch_starts = steps // steps_per_epoch * steps_per_epoch
    rates = np.empty((len(steps), len(stages)))
    for now, at in _pieces(experiment, edits, steps):
        head = head_lr(now.schedule, steps[at], steps_per_epoch, validation_losses)
        rates[at] = head[:, None] * np.asarray(stage_factors(now.optimiser, stages))
    for now, at in _pieces(experiment, edits, epoch_starts):
        for stage, epoch in enumerate(rate_epochs(now.model, stages, partly)):
            if epoch is None:
                rates[at, stage] = 0.0
            elif epoch > 0:
                rates[at, stage] *= steps[at] >= epoch * steps_per_epoch
    return rates


def head_lr(
    schedule: Schedule, steps: Sequence[int] | np.ndarray, steps_per_epoch: int, validation_losses: Sequence[float] = ()
) -> np.ndarray:
    """The head's learning rate at the given steps: float64[len(steps)]. Others follow it by their factor."""
    return schedule.peak_lr * _factors(schedule, np.asarray(steps, np.int64), steps_per_epoch, validation_losses)


def momentum(
    experiment: Experiment, steps: Sequence[int] | np.ndarray, *, steps_per_epoch: int, edits: Sequence[Edit] = ()
) -> np.ndarray | None:
    """Momentum (SGD, RMSprop) or beta 1 (others) at the given steps, float64[len(steps)]; None where it stays at its setting."""
    versions = [experiment, *(edit.experiment for edit in edits)]
    if not any(cycles_momentum(v.schedule) for v in versions) and len({base_momentum(v) for v in versions}) == 1:
        return None
    steps = np.asarray(steps, np.int64)
    values = np.empty(len(steps))
    for now, at in _pieces(experiment, edits, steps):
        cycle, base = getattr(_MODULES[now.schedule.shape], "momenta", None), base_momentum(now)
        if cycle:
            body = body_of(now.schedule, steps_per_epoch)
            local = steps[at] - body.first
            values[at] = np.where(local < body.num_steps, cycle(now.schedule, base, np.clip(local, 0, body.num_steps - 1), body), base)
        else:
            values[at] = base
    return values


def weight_decay(
    experiment: Experiment,
    steps: Sequence[int] | np.ndarray,
    *,
    steps_per_epoch: int,
    validation_losses: Sequence[float] = (),
    edits: Sequence[Edit] = (),
) -> np.ndarray:
    """The weight decay at the given steps: float64[len(steps)]. The cosine course is that of DINO, arXiv 2104.14294."""
    steps = np.asarray(steps, np.int64)
    values = np.empty(len(steps))
    for now, at in _pieces(experiment, edits, steps):
        optimiser = now.optimiser
        first, last = optimiser.weight_decay, optimiser.weight_decay * optimiser.weight_decay_final
        num_steps = now.schedule.epochs * steps_per_epoch
        share = np.clip(steps[at], 0, num_steps - 1) / num_steps
        match optimiser.weight_decay_course:
            case "constant":
                values[at] = first
            case "linear":
                values[at] = first + (last - first) * share
            case "cosine":
                values[at] = cosine_between(first, last, share)
            case "with the rate":
                values[at] = first * _factors(now.schedule, steps[at], steps_per_epoch, validation_losses)
    return values


def thaw_epochs(model: Model, stages: Sequence[str]) -> tuple[int | None, ...]:
    """The epoch from which each stage trains, 0 from the start; None for never. The head, the last of `stages`, always trains."""
    first = 0 if model.train_stages < 0 else len(stages) - 1 - model.train_stages
    asked = [model.thaw.get(name, 0 if i >= first else -1) for i, name in enumerate(stages)]
    return tuple(0 if i == len(stages) - 1 else None if epoch < 0 else epoch for i, epoch in enumerate(asked))


def rate_epochs(model: Model, stages: Sequence[str], partly: Partly = no_stage) -> tuple[int | None, ...]:
    """The epoch from which each stage has a learning rate: as `thaw_epochs`, but 0 for the stages of which single layers train while frozen."""
    single = partly(model)
    return tuple(0 if name in single else epoch for name, epoch in zip(stages, thaw_epochs(model, stages), strict=True))


def stage_factors(optimiser: Optimiser, stages: Sequence[str]) -> tuple[float, ...]:
    """Multipliers of the head's rate: 1 for the head, the last, times LR by depth for each stage before it, or the stage's own."""
    last = len(stages) - 1
    return tuple(
        1.0 if i == last else optimiser.stage_lr_factors.get(name, optimiser.stage_lr_factor ** (last - i)) for i, name in enumerate(stages)
    )


def jumps(schedule: Schedule, steps_per_epoch: int) -> np.ndarray:
    """The steps that take another rate at once (restarts, drops), int64, ascending: a plot must show them and the step before."""
    found = getattr(_MODULES[schedule.shape], "jumps", None)
    body = body_of(schedule, steps_per_epoch)
    steps = found(schedule, body) if found else np.empty(0, np.int64)
    return steps[steps > body.first] if len(steps) else steps


def body_of(schedule: Schedule, steps_per_epoch: int) -> Body:
    """How the run divides into warm-up, the shape's own part and cool-down, in whole steps; warm-up goes before where they collide."""
    module, num_steps = _MODULES[schedule.shape], schedule.epochs * steps_per_epoch
    warm = round(schedule.warmup_fraction * num_steps) if getattr(module, "HAS_WARMUP", True) else 0
    cool = round(schedule.cooldown_fraction * num_steps) if getattr(module, "HAS_COOLDOWN", True) else 0
    warm = min(warm, num_steps - 1)
    cool = min(cool, num_steps - warm)
    return Body(warm, num_steps - warm - cool, cool, steps_per_epoch)


def cycles_momentum(schedule: Schedule) -> bool:
    return hasattr(_MODULES[schedule.shape], "momenta")


def python_lines(schedule: Schedule, body: Body) -> list[str]:
    """The shape as code: the body of a function of `i`, the step from the start of the body, that returns the share of the peak."""
    return _MODULES[schedule.shape].python_lines(schedule, body)


def momentum_lines(schedule: Schedule, base: float, body: Body) -> list[str]:
    """The momentum of a shape that cycles it, as code like `python_lines`."""
    return _MODULES[schedule.shape].momentum_lines(schedule, base, body)


def torch_call(schedule: Schedule, body: Body) -> str | None:
    """The shape as torch's own scheduler of `optimizer`; None where torch has none like it."""
    return _MODULES[schedule.shape].torch_call(schedule, body)


def _factors(schedule: Schedule, steps: np.ndarray, steps_per_epoch: int, validation_losses: Sequence[float]) -> np.ndarray:
    """The head's rate as a share of the peak: warm-up, shape and cool-down one after the other."""
    body = body_of(schedule, steps_per_epoch)
    end = body.first + body.num_steps
    steps = np.clip(steps, 0, end + body.num_cooldown - 1)
    is_warm, is_cool = steps < body.first, steps >= end
    is_body = ~(is_warm | is_cool)
    shares = np.empty(len(steps))
    if is_warm.any():
        shares[is_warm] = warmup(schedule, steps[is_warm], body.first)
    if is_body.any():
        shares[is_body] = _shape_factors(schedule, steps[is_body] - body.first, body, validation_losses)
    if is_cool.any():
        before = np.array([body.num_steps - 1])
        top = _shape_factors(schedule, before, body, validation_losses)[0] if body.num_steps else 1.0
        shares[is_cool] = cooldown(schedule, steps[is_cool] - end, body.num_cooldown, top)
    return shares


def _shape_factors(schedule: Schedule, steps: np.ndarray, body: Body, validation_losses: Sequence[float]) -> np.ndarray:
    module = _MODULES[schedule.shape]
    if getattr(module, "IS_OPEN_LOOP", True):
        return module.factors(schedule, steps, body)
    return module.factors(schedule, steps, body, validation_losses)


def base_momentum(experiment: Experiment) -> float:
    """What momentum is where the shape does not cycle it."""
    optimiser = experiment.optimiser
    return optimiser.momentum if "momentum" in kind_of(optimiser.kind).fields else optimiser.beta1


def _pieces(experiment: Experiment, edits: Sequence[Edit], steps: np.ndarray):
    """(experiment in force, which of the steps) for every experiment that counts at one of them."""
    number = np.searchsorted([edit.step for edit in edits], steps, side="right")
    for i, now in enumerate([experiment, *(edit.experiment for edit in edits)]):
        at = number == i
        if at.any():
            yield now, at
