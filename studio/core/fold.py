"""One pure fold from events to the state of a run: live, finished and picked-up-again runs are read by the same code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from studio.core import event as ev
from studio.core.curve import Curve, thinned
from studio.core.edit import label_of
from studio.core.outcome import Status
from studio.core.step_columns import StepColumns, StepsPassed, as_columns

MAX_NOTICES = 2000
MAX_PHASES = 32
MAX_SAMPLES = 1000  # of gradients: more columns than a heat map has pixels
MAX_CHECKPOINTS = 64
MAX_POINTS = 1 << 17  # of a curve over steps: 30 times what a screen shows; a run of days must not fill the memory of the window
WAITS_FOR = ("disk-full", "images-gone", "loader-hangs")  # warnings after which a run pauses until that is mended


@dataclass(frozen=True)
class Notice:
    """A line of the event list. kind: start, phase, epoch, best, thaw, edit, checkpoint, warning, pause, end, failure."""

    t: float
    step: int
    kind: str
    sentence: str
    fix: str = ""


@dataclass(frozen=True)
class RunState:
    """All that views show of a run. Steps are 0-based; curves over steps have x = step, curves over epochs x = steps done."""

    status: Status = Status.QUEUED
    phase: str = ""
    phase_detail: str = ""
    phases: tuple[ev.PhaseStarted, ...] = ()  # of this session, the last MAX_PHASES
    session_t: float = 0.0  # running time when this session started, s
    t: float = 0.0  # running time of the last event, s
    wall_time: float = 0.0  # of the last start, s since the Unix epoch
    pid: int | None = None
    description: ev.RunDescribed | None = None
    step: int = 0  # steps done
    train_loss: Curve = Curve()
    train_top1: Curve = Curve()
    lr: Curve = Curve()
    grad_norm: Curve = Curve()
    step_time: Curve = Curve()  # running time at step, s
    validation_loss: Curve = Curve()
    validation_top1: Curve = Curve()
    validation_top5: Curve = Curve()
    epochs: tuple[ev.EpochFinished, ...] = ()
    images_per_s: float = 0.0
    data_wait_fraction: float = 0.0
    system: ev.SystemReported | None = None
    system_history: tuple[ev.SystemReported, ...] = ()  # the last 60
    load_history: tuple[tuple[float, float], ...] = ()  # (images per s, data wait fraction) at each of them
    samples: ev.SamplesReported | None = None
    checkpoints: tuple[ev.CheckpointSaved, ...] = ()
    warnings: tuple[ev.WarningRaised, ...] = ()
    notices: tuple[Notice, ...] = ()
    edits: tuple[ev.ExperimentEdited, ...] = ()  # as they were made; see core.edit for what counts at which step
    frozen_checks: tuple[ev.FrozenChecked, ...] = ()  # one per epoch
    gradients: tuple[ev.GradientsSampled, ...] = ()  # at most MAX_SAMPLES, evenly thinned
    test: ev.TestScored | None = None
    finished: ev.RunFinished | None = None
    failed: ev.RunFailed | None = None
    stopped: ev.RunStopped | None = None
    is_whole: bool = True  # False where it comes from a digest: no curves over steps, no notices

    @property
    def best(self) -> ev.EpochFinished | None:
        return next((e for e in reversed(self.epochs) if e.is_best), None)

    @property
    def is_measured(self) -> bool:
        """Whether images are held back; without, the last epoch counts as the best."""
        return self.description is None or self.description.num_validation > 0

    @property
    def is_released(self) -> bool:
        """Paused, with its engine ended: nothing of it is in memory, and Resume goes on exactly."""
        return self.stopped is not None and self.stopped.is_pause

    @property
    def waits_for(self) -> ev.WarningRaised | None:
        """What a run waits for until the user mends it, a full disk or images that are gone: then it goes on by itself, and only so."""
        last = next((n for n in reversed(self.notices) if n.kind == "pause"), None) if self.status is Status.PAUSED else None
        if last is None or ":" not in last.sentence:  # the user paused it
            return None
        return next((w for w in reversed(self.warnings) if w.code in WAITS_FOR), None)

    @property
    def shares_cores(self) -> bool:
        """Whether it computes on this computer's processor now: whatever a window does on the same cores, the run has to wait for."""
        return self.status is Status.RUNNING and self.description is not None and self.description.device == "cpu"

    @property
    def num_steps(self) -> int:
        d = self.description
        return d.epochs * d.steps_per_epoch if d else 0

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the running time per step so far, validation included; None before it can be known."""
        if not self.num_steps or self.step < 2 or not len(self.step_time) or not self.status.is_active:
            return None
        first_x, first_t = self.step_time.x[0], self.step_time.y[0]
        done = self.step - first_x
        return (self.t - first_t) / done * (self.num_steps - self.step) if done > 0 else None


def fold(state: RunState, events: Iterable[ev.Event | StepColumns | StepsPassed]) -> RunState:
    """The state after `events`. Pure: the old state stays valid."""
    reports: list[ev.StepsReported] = []  # those that follow one another are taken in one go
    for event in events:
        if isinstance(event, ev.StepsReported):
            reports.append(event)
            continue
        state, reports = _with_reports(state, reports), []
        if isinstance(event, StepColumns):
            state = _with_steps(state, event)
        elif isinstance(event, StepsPassed):
            state = _past_steps(state, event)
        else:
            state = _with(_after(state, event), t=max(state.t, event.t))
    return _with_reports(state, reports)


def _with(state: RunState, **values: Any) -> RunState:
    """As `dataclasses.replace`, at a tenth of its time: a list of runs folds a million events."""
    new = object.__new__(RunState)
    new.__dict__.update(state.__dict__)
    new.__dict__.update(values)
    return new


def _noted(state: RunState, event: ev.Event, kind: str, sentence: str, fix: str = "") -> RunState:
    return _with(state, notices=(*state.notices, Notice(event.t, state.step, kind, sentence, fix))[-MAX_NOTICES:])


def _after(state: RunState, event: ev.Event) -> RunState:
    match event:
        case ev.SystemReported():
            loads = (*state.load_history, (state.images_per_s, state.data_wait_fraction))[-60:]
            return _with(state, system=event, system_history=(*state.system_history, event)[-60:], load_history=loads)
        case ev.RunStarted():
            state = _with(
                state, status=Status.STARTING, pid=event.pid, wall_time=event.wall_time, failed=None, stopped=None, finished=None,
                phases=(), session_t=event.t,
            )  # fmt: skip
            if event.resumed_step is not None:
                state = _rewound(state, event.resumed_step)
            resumed = "" if event.session == 0 else f", resumed at step {event.resumed_step or 0}"
            return _noted(state, event, "start", f"Started{resumed}")
        case ev.PhaseStarted():
            status = Status.RUNNING if event.phase in ("training", "caching features", "validating", "testing") else state.status
            phases = (*state.phases, event)[-MAX_PHASES:]
            return _with(state, phase=event.phase, phase_detail=event.detail, phases=phases, status=status)
        case ev.RunDescribed():
            frozen = sum(s.is_frozen for s in event.stages)
            state = _with(state, description=event)
            return _noted(
                state, event, "start", f"On {event.device_name}, {event.precision}. {frozen} of {len(event.stages)} stages frozen"
            )
        case ev.EpochFinished():
            return _with_epoch(state, event)
        case ev.CheckpointSaved():
            kept = tuple(c for c in state.checkpoints if c.path != event.path)
            return _with(state, checkpoints=(*kept, event)[-MAX_CHECKPOINTS:])
        case ev.SamplesReported():
            return _with(state, samples=event)
        case ev.WarningRaised():
            return _noted(_with(state, warnings=(*state.warnings, event)[-MAX_NOTICES:]), event, "warning", event.sentence, event.fix)
        case ev.ExperimentEdited():
            return _with_edit(state, event)
        case ev.StagesThawed():
            return _with_thaw(state, event)
        case ev.StepCompiled():
            return _noted(state, event, "phase", event.sentence)
        case ev.FrozenChecked():
            return _with(state, frozen_checks=(*state.frozen_checks, event))
        case ev.GradientsSampled():
            samples = (*state.gradients, event)
            return _with(state, gradients=samples[::2] if len(samples) > MAX_SAMPLES else samples)
        case ev.PauseChanged():
            status = Status.PAUSED if event.is_paused else Status.RUNNING
            why = f": {event.reason}" if event.reason else ""
            words = f"Paused{why}, safe at step {event.step:,}" if event.is_paused else "Going on"
            return _noted(_with(state, status=status), event, "pause", words)
        case ev.TestScored():
            return _noted(_with(state, test=event), event, "end", f"Test set: top-1 {event.top1:.1%} on {event.num_images:,} images")
        case ev.RunFinished():
            words = f"Finished: {event.words}{', stopped early' if event.stopped_early else ''}"
            return _noted(_with(state, status=Status.FINISHED, finished=event, step=event.step, phase=""), event, "end", words)
        case ev.RunStopped():
            words = f"Paused with its memory released, safe at step {event.step:,}" if event.is_pause else f"Stopped at step {event.step:,}"
            return _noted(_with(state, status=Status.STOPPED, stopped=event, phase=""), event, "pause" if event.is_pause else "end", words)
        case ev.RunFailed():
            return _noted(_with(state, status=Status.FAILED, failed=event, phase=""), event, "failure", event.sentence, event.fix)
    return state


def _with_reports(state: RunState, reports: list[ev.StepsReported]) -> RunState:
    for steps in as_columns(reports) if reports else ():
        state = _with_steps(state, steps)
    return state


def _with_steps(state: RunState, steps: StepColumns) -> RunState:
    if steps.first_step < state.step:
        state = _rewound(state, steps.first_step)
    x = range(steps.first_step, steps.end)
    return _with(
        state,
        t=max(state.t, float(steps.ts[-1])),
        step=steps.end,
        train_loss=_longer(state.train_loss, x, steps.losses),
        train_top1=_longer(state.train_top1, x, steps.top1s),
        lr=_longer(state.lr, x, steps.lrs),
        grad_norm=state.grad_norm if steps.grad_norms is None else _longer(state.grad_norm, x, steps.grad_norms),
        step_time=_longer(state.step_time, x, steps.times(float(state.step_time.y[-1]) if len(state.step_time) else None)),
        images_per_s=steps.images_per_s,
        data_wait_fraction=steps.data_wait_fraction,
    )


def _past_steps(state: RunState, steps: StepsPassed) -> RunState:
    """As `_with_steps`, without a point of a curve."""
    if steps.first_step < state.step:
        state = _rewound(state, steps.first_step)
    return _with(
        state, t=max(state.t, steps.t), step=steps.end, images_per_s=steps.images_per_s, data_wait_fraction=steps.data_wait_fraction,
        is_whole=False,
    )  # fmt: skip


def _longer(curve: Curve, x: range, y: np.ndarray) -> Curve:
    """The curve with more points; when they become too many, half of the old ones go. The journal keeps them all."""
    while len(curve) + len(y) > MAX_POINTS and len(curve) > MAX_POINTS // 2:
        curve = Curve().extended(*thinned(curve.x, curve.y))
    return curve.extended(x, y)


def _with_epoch(state: RunState, event: ev.EpochFinished) -> RunState:
    is_measured = event.validation_top1 is not None
    curves = {}
    if is_measured:
        curves = {
            name: getattr(state, name).before(event.step).extended(event.step, getattr(event, name))
            for name in ("validation_loss", "validation_top1", "validation_top5")
        }
    state = _with(state, epochs=(*(e for e in state.epochs if e.epoch < event.epoch), event), **curves)
    is_best = event.is_best and is_measured
    words = f"Epoch {event.epoch + 1}: {event.words}{', best so far' if is_best else ''}"
    return _noted(state, event, "best" if is_best else "epoch", words)


def _with_edit(state: RunState, event: ev.ExperimentEdited) -> RunState:
    """A change in flight counts from now on, and stays over a resume from an older checkpoint: it comes true again at its step."""
    epochs = event.values.get("schedule.epochs")
    described = replace(state.description, epochs=epochs) if state.description and isinstance(epochs, int) else state.description
    words = ", ".join(f"{label_of(path)} {_value(value)}" for path, value in event.values.items())
    state = _with(state, edits=(*state.edits, event), description=described)
    return _noted(state, event, "edit", f"Changed from step {event.step + 1:,} on: {words}")


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return "changed" if isinstance(value, (dict, list, tuple)) else str(value)


def _with_thaw(state: RunState, event: ev.StagesThawed) -> RunState:
    if state.description:
        stages = tuple(
            replace(s, is_frozen=s.name in event.frozen or s.is_frozen and s.name not in event.stages) for s in state.description.stages
        )
        state = _with(state, description=replace(state.description, stages=stages, num_trainable=event.num_trainable))
    done = [f"{', '.join(names)} {words}" for names, words in ((event.stages, "thawed"), (event.frozen, "frozen")) if names]
    # As the Schedule page counts: “at epoch 2” is where two epochs are done.
    return _noted(state, event, "thaw", f"At epoch {event.epoch}: {'; '.join(done) or 'single layers thawed or frozen'}")


def _rewound(state: RunState, step: int) -> RunState:
    """The state with everything after `step` steps taken back: a resume repeats those steps."""
    return _with(
        state,
        step=step,
        **{name: getattr(state, name).before(step) for name in ("train_loss", "train_top1", "lr", "grad_norm", "step_time")},
        **{name: getattr(state, name).before(step + 1) for name in ("validation_loss", "validation_top1", "validation_top5")},
        epochs=tuple(e for e in state.epochs if e.step <= step),
        frozen_checks=tuple(e for e in state.frozen_checks if e.step <= step),
        gradients=tuple(e for e in state.gradients if e.step < step),
    )
