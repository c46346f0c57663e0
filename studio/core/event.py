"""What happened in a run: past-tense frozen dataclasses in one tagged union, one JSON line each.

The journal of these is the only channel from the engine to any reader. Unknown tags and unknown fields are skipped, so an
older window reads a newer journal.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Event:
    seq: int = 0  # position in the journal, from 0; set by the writer
    t: float = 0.0  # seconds of running time since the run's first start, monotonic over resumes; set by the writer


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event):
    """First line of every engine session of this run."""

    wall_time: float  # seconds since the Unix epoch
    pid: int
    session: int  # 0 for the first start, 1 for the first resume, ...
    resumed_step: int | None = None  # steps done in the checkpoint that was loaded


@dataclass(frozen=True, kw_only=True)
class PhaseStarted(Event):
    """phase: loading torch, scanning images, loading weights, taking over weights, first batch, compiling, training, validating, saving, testing, waiting for disk."""

    phase: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class StageDescribed:
    """A group of layers that is frozen or trained together, in execution order."""

    name: str
    num_parameters: int
    is_frozen: bool
    lr_factor: float = 1.0
    thaw_epoch: int | None = None  # the epoch from which it trains, 0 from the start; None for never
    num_trainable: int | None = None  # weights of it that train at the start of the session; None in older journals


@dataclass(frozen=True, kw_only=True)
class RunDescribed(Event):
    """Everything a reader needs for axes and captions; once per session, before the first step."""

    device: str  # "cpu", "cuda:0"
    device_name: str
    precision: str  # "fp32", "bf16", "fp16"
    channels_last: bool
    classes: tuple[str, ...]
    num_train: int
    num_validation: int
    num_test: int
    batch_size: int
    epochs: int
    steps_per_epoch: int
    num_parameters: int
    num_trainable: int
    stages: tuple[StageDescribed, ...]
    num_undecayed: int = 0  # weights of norms and biases of the stages that ever train: weight decay never acts on them
    accumulation: int = 1  # batches of one step
    num_synthetic: int = 0  # made images, which num_train does not count
    num_synthetic_per_epoch: int = 0  # of them seen in every epoch


@dataclass(frozen=True, kw_only=True)
class StepsReported(Event):
    """A batch of consecutive steps: element i belongs to step first_step + i (0-based). At most 10 of these a second."""

    first_step: int
    losses: tuple[float, ...]  # mean training loss of each step
    top1s: tuple[float, ...]  # training accuracy of each step, fraction in [0, 1]
    lrs: tuple[float, ...]  # learning rate of the head that was applied
    grad_norms: tuple[float, ...] = ()  # before clipping
    images_per_s: float = 0.0
    data_wait_fraction: float = 0.0  # share of the time the device waited for images


@dataclass(frozen=True, kw_only=True)
class EpochFinished(Event):
    epoch: int  # 0-based
    step: int  # steps done when it finished
    train_loss: float
    train_top1: float
    validation_loss: float | None  # this and the next three: None where no images are held back
    validation_top1: float | None
    validation_top5: float | None
    macro_f1: float | None
    class_recalls: tuple[float | None, ...]  # per class, None without validation images
    is_best: bool  # so far; where nothing is measured, the last is
    seconds: float  # of this epoch, validation included

    @property
    def words(self) -> str:
        """ "top-1 91.3%"; the loss in training where nothing is measured."""
        return f"top-1 {self.validation_top1:.1%}" if self.validation_top1 is not None else f"train loss {figure(self.train_loss)}"


@dataclass(frozen=True, kw_only=True)
class CheckpointSaved(Event):
    step: int
    path: str  # relative to the run folder
    num_bytes: int
    is_best: bool
    seconds: float


@dataclass(frozen=True, kw_only=True)
class SamplesReported(Event):
    """Some images of a recent training batch as the network saw them: tiles left to right in one PNG in the run folder."""

    step: int  # steps done with this batch: 1 for the first
    image: str  # path relative to the run folder
    tile_px: int
    ids: tuple[str, ...]
    labels: tuple[str, ...]
    predictions: tuple[str, ...]
    losses: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class SystemReported(Event):
    """About once a second."""

    process_bytes: int  # resident memory of the engine and its workers
    peak_bytes: int
    device_bytes: int | None = None  # allocated on the device; None without one
    device_total_bytes: int | None = None
    device_load_fraction: float | None = None
    cpu_fraction: float = 0.0  # of all cores
    memory_bytes: int = 0  # in use on the machine
    memory_total_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class WarningRaised(Event):
    code: str  # stable word for programs: "unreadable-image", "disk-full", "checkpoint-damaged", ...
    sentence: str
    fix: str = ""


@dataclass(frozen=True, kw_only=True)
class ExperimentEdited(Event):
    """Settings changed in flight. Written before the change is applied."""

    step: int  # the next step to run: from it on the values count
    values: dict[str, Any]  # "section.field" to plain data


@dataclass(frozen=True, kw_only=True)
class EditsAnswered(Event):
    """Every change asked for in the first `num_bytes` of commands.jsonl was made or refused: an engine that is started again leaves them be."""

    num_bytes: int


@dataclass(frozen=True, kw_only=True)
class StagesThawed(Event):
    """At the start of an epoch other stages train than before."""

    step: int  # the first step with them
    epoch: int  # 0-based, the one that starts
    stages: tuple[str, ...]  # train from now on
    frozen: tuple[str, ...] = ()  # train no longer: only after an edit
    num_trainable: int  # weights that train now


@dataclass(frozen=True, kw_only=True)
class StepCompiled(Event):
    """What came of compiling the forward and backward pass, before the first step with it. At the start, and when other layers train."""

    step: int  # steps done
    is_used: bool
    gain: float | None  # times as fast as before, measured; 0 where it gives something else, None where that was not measured
    seconds: float  # that compiling took
    sentence: str


@dataclass(frozen=True, kw_only=True)
class FrozenChecked(Event):
    """At the end of an epoch: whether everything that must not move is as it was. A change is told as a warning too."""

    step: int  # steps done
    epoch: int  # 0-based
    num_tensors: int  # parameters and buffers that were looked at
    fingerprint: str  # of all of them
    changed: tuple[str, ...] = ()  # names of those that moved


@dataclass(frozen=True, kw_only=True)
class GradientsSampled(Event):
    """On a few steps of many. Stages in execution order, as in RunDescribed; 0 where nothing trains."""

    step: int  # 0-based
    norms: tuple[float, ...]  # of the gradient of each stage, before clipping
    ratios: tuple[float, ...]  # length of the update as a share of the length of the weights


@dataclass(frozen=True, kw_only=True)
class PauseChanged(Event):
    is_paused: bool
    step: int  # steps done: in the newest checkpoint when it pauses, in all when it goes on
    reason: str = ""  # "" for the user's wish, "disk full", ...


@dataclass(frozen=True, kw_only=True)
class TestScored(Event):
    num_images: int
    top1: float
    top5: float | None  # None among five classes or fewer, as in all events
    macro_f1: float
    loss: float


@dataclass(frozen=True, kw_only=True)
class RunFinished(Event):
    """The run reached its end. Epochs and steps as in EpochFinished; scores are those of the best epoch on validation, None without images for it."""

    step: int
    epochs: int
    best_epoch: int
    top1: float | None
    top5: float | None
    loss: float | None
    macro_f1: float | None
    images_per_s: float  # over all training phases
    seconds: float
    stopped_early: bool = False

    @property
    def words(self) -> str:
        """ "top-1 91.3% at epoch 7"; what was kept where nothing is measured."""
        at = f"epoch {self.best_epoch + 1}"
        return f"top-1 {self.top1:.1%} at {at}" if self.top1 is not None else f"{at} is kept, nothing was measured"


@dataclass(frozen=True, kw_only=True)
class RunStopped(Event):
    """Stopped by the user before the end; can be resumed from `checkpoint` ("" when nothing was saved)."""

    step: int
    checkpoint: str = ""
    is_pause: bool = False  # a pause for which the engine ended, so that its memory is free


@dataclass(frozen=True, kw_only=True)
class RunFailed(Event):
    step: int
    sentence: str
    fix: str = ""
    trace: str = ""
    can_resume: bool = False
    is_device: bool = False  # the device is gone or broken, and nothing else


EVENTS: tuple[type[Event], ...] = (
    RunStarted, PhaseStarted, RunDescribed, StepsReported, EpochFinished, CheckpointSaved, SamplesReported, SystemReported,
    WarningRaised, ExperimentEdited, EditsAnswered, StagesThawed, StepCompiled, FrozenChecked, GradientsSampled, PauseChanged, TestScored, RunFinished, RunStopped, RunFailed,
)  # fmt: skip
_BY_TAG = {kind.__name__: kind for kind in EVENTS}
_FIELDS = {kind: frozenset(f.name for f in dataclasses.fields(kind)) for kind in EVENTS}
_STAGE_FIELDS = frozenset(f.name for f in dataclasses.fields(StageDescribed))


_to_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=vars).encode  # `json.dumps` would make one for every line
_SURROGATE = re.compile("[\ud800-\udfff]")


def encode(event: Event) -> bytes:
    """One JSON line, with its newline. Not-a-number and infinities are written as null, a byte of a path that is no text as an escape."""
    raw = {"event": type(event).__name__} | vars(event)
    try:
        line = _to_json(raw)
    except ValueError:
        line = None
    if line is None or "\\ud" in line:  # a surrogate: one of a pair, unless it came out of a path
        raw = {"event": type(event).__name__} | dataclasses.asdict(event)
        line = json.dumps(_readable(raw), separators=(",", ":"))
    return line.encode() + b"\n"


def decode(line: bytes) -> Event | None:
    """The event of one line; None for an unknown tag or a line that is not an event."""
    from pydantic_core import from_json  # three times as fast as json.loads; loaded here, since a window's first page needs no pydantic

    try:
        raw = from_json(line)
        kind = _BY_TAG.get(raw.pop("event", None))
        if kind is None:
            return None
        for name in raw.keys() - _FIELDS[kind]:
            del raw[name]
        for name, value in raw.items():
            if type(value) is list:
                raw[name] = tuple(value)
        if kind is RunDescribed:
            raw["stages"] = tuple(map(_stage, raw["stages"]))
        if raw.keys() != _FIELDS[kind]:
            return kind(**raw)
        event = object.__new__(
            kind
        )  # as `kind(**raw)` would, without a guarded assignment for every field: there may be a thousand a second
        event.__dict__.update(raw)
        return event
    except (ValueError, TypeError, AttributeError):
        return None


def figure(value: float | None) -> str:
    """A loss for people; one that is not finite comes out of a journal as None."""
    return "not finite" if value is None else f"{value:.3f}"


def _stage(raw: dict[str, Any]) -> StageDescribed:
    return StageDescribed(**{name: raw[name] for name in raw.keys() & _STAGE_FIELDS})


def _readable(value: Any) -> Any:
    """Without what no reader accepts: numbers that are none, and surrogates that stand alone."""
    if isinstance(value, str):
        return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04X}", value)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, dict):
        return {_readable(k): _readable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_readable(v) for v in value]
    return value
