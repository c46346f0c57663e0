"""One pure fold from events to the state of a run: live, finished and picked-up-again runs are read by the same code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from studio.core import event as ev
from studio.core.curve import Curve, thinned
from studio.core.edit import label_of
from studio.core.outcome import Status
from studio.core.step_columns import StepColumns, StepsPassed, as_columns
from studio.core.top5 import worth_telling
from studio.core.words import format_number

MAX_NOTICES = 2000
MAX_PHASES = 32
MAX_SAMPLES = 1000  # of gradients: more columns than a heat map has pixels
MAX_CHECKPOINTS = 64
MAX_HISTORY = 60  # reports of the computer, one a second
MAX_POINTS = 1 << 17  # of a curve over steps: 30 times what a screen shows; a run of days must not fill the memory of the window
SLOW = ("data-wait", "augmentation-slow")  # warnings that training waits for images
CACHING = "caching features"
AT_WORK = ("training", CACHING, "validating", "testing")  # phases in which a run is past its start
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
    def way_to_feed(self) -> str:
        """What to change where training waits for images, as the engine last said it; empty where it has not."""
        return next((w.fix for w in reversed(self.warnings) if w.code in SLOW), "")

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
    """The state after `events`. Pure: the old state stays valid. Whole journals are cheap: a list of runs folds a million events."""
    draft = _Draft(state)
    reports: list[ev.StepsReported] = []  # those that follow one another are taken in one go
    for event in events:
        if isinstance(event, ev.StepsReported):
            reports.append(event)
            continue
        if reports:
            draft.take_reports(reports)
            reports = []
        draft.take(event)
    if reports:
        draft.take_reports(reports)
    return draft.state()


# What grows with the events, and how many of the last ones are kept (None: all, or those that are picked where it grows).
_KEPT = {
    "phases": MAX_PHASES, "system_history": MAX_HISTORY, "load_history": MAX_HISTORY, "warnings": MAX_NOTICES, "notices": MAX_NOTICES,
    "epochs": None, "edits": None, "frozen_checks": None, "gradients": None, "checkpoints": None,
}  # fmt: skip


class _Draft:
    """A state that takes events: the fields of RunState by their names, those of `_KEPT` as lists from their first new item on."""

    def __init__(self, state: RunState):
        self.__dict__.update(state.__dict__)
        self._measured: list[ev.EpochFinished] = []  # not yet points of the curves

    def state(self) -> RunState:
        """What it has come to; the draft is of no use afterwards."""
        self._draw_measured()
        fields = self.__dict__
        del fields["_measured"]
        for name, most in _KEPT.items():
            values = fields[name]
            if type(values) is list:
                fields[name] = tuple(values if most is None else values[-most:])
        state = object.__new__(RunState)
        state.__dict__.update(fields)
        return state

    def _list(self, name: str) -> list:
        values = self.__dict__[name]
        if type(values) is tuple:  # of the state before, which stays as it is
            values = self.__dict__[name] = list(values)
        return values

    def _note(self, event: ev.Event, kind: str, sentence: str, fix: str = "") -> None:
        self._list("notices").append(Notice(event.t, self.step, kind, sentence, fix))

    def take(self, event: ev.Event | StepColumns | StepsPassed) -> None:
        match event:
            case StepColumns():
                self._take_steps(event)
                return
            case StepsPassed():
                self._pass_steps(event)
                return
            case ev.SystemReported():
                self.system = event
                self._list("system_history").append(event)
                self._list("load_history").append((self.images_per_s, self.data_wait_fraction))
            case ev.RunStarted():
                self.status, self.pid, self.wall_time, self.session_t = Status.STARTING, event.pid, event.wall_time, event.t
                self.failed = self.stopped = self.finished = None
                self.phases = ()
                if event.resumed_step is not None:
                    self._rewind(event.resumed_step)
                is_resumed = event.session > 0 and event.resumed_step is not None
                self._note(event, "start", f"Started, resumed at step {event.resumed_step}" if is_resumed else "Started")
            case ev.PhaseStarted():
                if event.phase in AT_WORK:
                    self.status = Status.RUNNING
                self.phase, self.phase_detail = event.phase, event.detail
                self._list("phases").append(event)
            case ev.RunDescribed():
                frozen = sum(s.is_frozen for s in event.stages)
                self.description = event
                words = f"On {event.device_name}, {event.precision}. {frozen} of {len(event.stages)} stages frozen"
                self._note(event, "start", words)
            case ev.EpochFinished():
                self._take_epoch(event)
            case ev.CheckpointSaved():
                kept = [c for c in self.checkpoints if c.path != event.path]
                self.checkpoints = [*kept, event][-MAX_CHECKPOINTS:]
            case ev.SamplesReported():
                self.samples = event
            case ev.WarningRaised():
                self._list("warnings").append(event)
                self._note(event, "warning", event.sentence, event.fix)
            case ev.ExperimentEdited():
                self._take_edit(event)
            case ev.StagesThawed():
                self._take_thaw(event)
            case ev.StepCompiled():
                self._note(event, "phase", event.sentence)
            case ev.FrozenChecked():
                self._list("frozen_checks").append(event)
            case ev.GradientsSampled():
                samples = self._list("gradients")
                samples.append(event)
                if len(samples) > MAX_SAMPLES:
                    del samples[1::2]
            case ev.PauseChanged():
                is_starting = self.phases and not any(started.phase in AT_WORK for started in self.phases)
                self.status = Status.PAUSED if event.is_paused else Status.STARTING if is_starting else Status.RUNNING
                why = f": {event.reason}" if event.reason else ""
                self._note(event, "pause", f"Paused{why}, safe at step {event.step:,}" if event.is_paused else "Going on")
            case ev.TestScored():
                self.test = replace(event, top5=self._worth_telling(event.top5))
                self._note(event, "end", f"Test set: top-1 {event.top1:.1%} on {event.num_images:,} images")
            case ev.RunFinished():
                self.status, self.step, self.phase = Status.FINISHED, event.step, ""
                self.finished = replace(event, top5=self._worth_telling(event.top5))
                self._note(event, "end", f"Finished: {event.words}{', stopped early' if event.stopped_early else ''}")
            case ev.RunStopped():
                self.status, self.stopped, self.phase = Status.STOPPED, event, ""
                how = "Paused with its memory released, safe" if event.is_pause else "Stopped"
                self._note(event, "pause" if event.is_pause else "end", f"{how} at step {event.step:,}")
            case ev.RunFailed():
                self.status, self.failed, self.phase = Status.FAILED, event, ""
                self._note(event, "failure", event.sentence, event.fix)
        self.t = max(self.t, event.t)

    def take_reports(self, reports: list[ev.StepsReported]) -> None:
        for steps in as_columns(reports):
            self._take_steps(steps)

    def _take_steps(self, steps: StepColumns) -> None:
        if steps.first_step < self.step:
            self._rewind(steps.first_step)
        x = range(steps.first_step, steps.end)
        self.t, self.step = max(self.t, float(steps.ts[-1])), steps.end
        self.train_loss = _longer(self.train_loss, x, steps.losses)
        self.train_top1 = _longer(self.train_top1, x, steps.top1s)
        self.lr = _longer(self.lr, x, steps.lrs)
        if steps.grad_norms is not None:
            self.grad_norm = _longer(self.grad_norm, x, steps.grad_norms)
        times = steps.times(float(self.step_time.y[-1]) if len(self.step_time) else None)
        self.step_time = _longer(self.step_time, x, times)
        self.images_per_s, self.data_wait_fraction = steps.images_per_s, steps.data_wait_fraction

    def _pass_steps(self, steps: StepsPassed) -> None:
        """As `_take_steps`, without a point of a curve."""
        if steps.first_step < self.step:
            self._rewind(steps.first_step)
        self.t, self.step, self.is_whole = max(self.t, steps.t), steps.end, False
        self.images_per_s, self.data_wait_fraction = steps.images_per_s, steps.data_wait_fraction

    def _worth_telling(self, top5: float | None) -> float | None:
        """Runs of earlier versions told it of two classes too."""
        return worth_telling(top5, len(self.description.classes)) if self.description else top5

    def _take_epoch(self, event: ev.EpochFinished) -> None:
        if event.validation_top5 is not None and self._worth_telling(event.validation_top5) is None:
            event = replace(event, validation_top5=None)
        is_measured = event.validation_top1 is not None
        if is_measured:
            if not self._measured or self._measured[-1].step >= event.step:
                self._draw_measured()
                self._cut(_VALIDATION, event.step)
            self._measured.append(event)
        epochs = self._list("epochs")
        if epochs and epochs[-1].epoch >= event.epoch:
            epochs[:] = [e for e in epochs if e.epoch < event.epoch]
        epochs.append(event)
        is_best = event.is_best and is_measured
        words = f"Epoch {event.epoch + 1}: {event.words}{', best so far' if is_best else ''}"
        self._note(event, "best" if is_best else "epoch", words)

    def _draw_measured(self) -> None:
        """All in one go: a few numbers cost no more than one."""
        epochs, self._measured = self._measured, []
        if epochs:
            for name in _VALIDATION:
                told = epochs if name != "validation_top5" else [epoch for epoch in epochs if epoch.validation_top5 is not None]
                setattr(self, name, getattr(self, name).extended([e.step for e in told], [getattr(e, name) for e in told]))

    def _cut(self, names: Sequence[str], step: int) -> None:
        for name in names:
            setattr(self, name, getattr(self, name).before(step))

    def _take_edit(self, event: ev.ExperimentEdited) -> None:
        """A change in flight counts from now on, and stays over a resume from an older checkpoint: it comes true again at its step."""
        epochs = event.values.get("schedule.epochs")
        if self.description and isinstance(epochs, int):
            self.description = replace(self.description, epochs=epochs)
        self._list("edits").append(event)
        words = ", ".join(f"{label_of(path)} {_value(value)}" for path, value in event.values.items())
        self._note(event, "edit", f"Changed from step {event.step + 1:,} on: {words}")

    def _take_thaw(self, event: ev.StagesThawed) -> None:
        if self.description:
            stages = tuple(
                replace(s, is_frozen=s.name in event.frozen or s.is_frozen and s.name not in event.stages) for s in self.description.stages
            )
            self.description = replace(self.description, stages=stages, num_trainable=event.num_trainable)
        done = [f"{', '.join(names)} {words}" for names, words in ((event.stages, "thawed"), (event.frozen, "frozen")) if names]
        # As the Schedule page counts: “at epoch 2” is where two epochs are done.
        self._note(event, "thaw", f"At epoch {event.epoch}: {'; '.join(done) or 'single layers thawed or frozen'}")

    def _rewind(self, step: int) -> None:
        """Take everything after `step` steps back: a resume repeats those steps."""
        self.step = step
        self._draw_measured()
        self._cut(("train_loss", "train_top1", "lr", "grad_norm", "step_time"), step)
        self._cut(_VALIDATION, step + 1)
        self.epochs = [e for e in self.epochs if e.step <= step]
        self.frozen_checks = [e for e in self.frozen_checks if e.step <= step]
        self.gradients = [e for e in self.gradients if e.step < step]


_VALIDATION = ("validation_loss", "validation_top1", "validation_top5")


def _longer(curve: Curve, x: range, y: np.ndarray) -> Curve:
    """The curve with more points; when they become too many, half of the old ones go. The journal keeps them all."""
    while len(curve) + len(y) > MAX_POINTS and len(curve) > MAX_POINTS // 2:
        curve = Curve().extended(*thinned(curve.x, curve.y))
    return curve.extended(x, y)


def _value(value: object) -> str:
    if isinstance(value, float):
        return format_number(value)
    return "changed" if isinstance(value, (dict, list, tuple)) else str(value)
