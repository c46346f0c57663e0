"""A run in short: the figures that lists of runs show, and enough of its events to show one run without reading its journal.

Thousands of runs are held like this; the curves over steps are read from the journal when one of them is looked at.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import msgspec

from studio.core import event as ev
from studio.core.experiment import Experiment, Model
from studio.core.fold import CACHING, RunState, fold
from studio.core.outcome import Status

MAX_LOSSES = 64  # more than a cell of a table has room for
NUM_CHECKPOINTS = 3


class RunSummary(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What stands in a list. Scores are those of the best epoch on validation; None where no epoch is done. Ten thousand of them are unpacked in
    some 20 ms."""

    status: Status = Status.QUEUED
    name: str = ""
    source: str = ""  # text form of the folder with the images
    backbone_source: str = ""
    backbone: str = ""
    model_id: int = 0  # equal for equal settings of the network
    device: str = ""  # as asked for
    train_stages: int = 0
    thaws: bool = False
    preset: str = ""
    shape: str = ""
    peak_lr: float = 0.0
    epochs_planned: int = 0
    epochs_done: int = 0
    step: int = 0
    t: float = 0.0  # running time, s
    wall_time: float = 0.0  # of the last start, s since the Unix epoch
    top1: float | None = None
    top5: float | None = None
    macro_f1: float | None = None
    loss: float | None = None
    best_epoch: int | None = None
    losses: tuple[float, ...] = ()  # of the validation, evenly thinned to MAX_LOSSES
    num_trainable: int | None = None
    images_per_s: float = 0.0  # of a finished run over all its steps, of another one in its last report
    has_checkpoint: bool = False  # as its journal says
    is_released: bool = False  # stopped as a pause
    speed_id: int = 0  # equal where images take as long; 0 where it trained on kept features, whose speed is not that of the network


_unpacker = msgspec.msgpack.Decoder(RunSummary)


def summarise(experiment: Experiment, state: RunState) -> RunSummary:
    best, described, losses = state.best, state.description, state.validation_loss.y
    if len(losses) > MAX_LOSSES:
        losses = losses[[round(i * (len(losses) - 1) / (MAX_LOSSES - 1)) for i in range(MAX_LOSSES)]]
    model, schedule = experiment.model, experiment.schedule
    return RunSummary(
        status=state.status, name=experiment.name, source=experiment.data.source, backbone_source=model.source, backbone=model.backbone,
        model_id=model_id(model), device=experiment.training.device, train_stages=model.train_stages, thaws=bool(model.thaw), preset=experiment.augment.preset, shape=schedule.shape,
        peak_lr=schedule.peak_lr, epochs_planned=schedule.epochs, epochs_done=len(state.epochs), step=state.step, t=state.t,
        wall_time=state.wall_time, top1=best and best.validation_top1, top5=best and best.validation_top5, macro_f1=best and best.macro_f1,
        loss=best and best.validation_loss, best_epoch=best and best.epoch, losses=tuple(losses.tolist()),
        num_trainable=described and described.num_trainable,
        images_per_s=state.finished.images_per_s if state.finished else state.images_per_s, has_checkpoint=bool(state.checkpoints),
        is_released=state.is_released, speed_id=0 if _reads_features(state) else speed_id(experiment),
    )  # fmt: skip


def _reads_features(state: RunState) -> bool:
    return any(phase.phase == CACHING for phase in state.phases)  # it is told in each epoch that does


def model_id(model: Model) -> int:
    """To find runs of the same network without unpacking their settings."""
    return zlib.crc32(model.model_dump_json().encode())


_SPEED_OF_MODEL = {"source", "backbone", "input_size", "cut", "head", "train_stages", "thaw", "layers", "batch_norm"}


def speed_id(experiment: Experiment) -> int:
    """To find runs in which an image takes as long: of the network, what of it trains, and how steps are taken on which device."""
    training = experiment.training
    steps = training.batch_size, training.precision, training.device, experiment.optimiser.kind
    return zlib.crc32(f"{experiment.model.model_dump_json(include=_SPEED_OF_MODEL)}{steps}".encode())


@dataclass(frozen=True, slots=True)
class RunDigest:
    """`packed` holds the experiment and the events worth keeping, compressed: one or two kilobytes. None where the run index has it."""

    summary: RunSummary
    packed: bytes | None

    @classmethod
    def of(cls, experiment: Experiment, state: RunState) -> RunDigest:
        lines = b"".join(map(ev.encode, _events(state)))
        return cls(summarise(experiment, state), zlib.compress(experiment.model_dump_json().encode() + b"\n" + lines, 1))

    def experiment(self) -> Experiment:
        """ValueError when what is packed is not an experiment (of this version), or not here."""
        return Experiment.model_validate_json(self._lines()[0])

    def state(self) -> RunState:
        """Without curves over steps, notices and figures of the computer; `is_whole` says so. ValueError as `experiment`."""
        events = [event for line in self._lines()[1:] if (event := ev.decode(line)) is not None]
        s = self.summary
        return replace(
            fold(RunState(), events), status=s.status, step=s.step, t=s.t, images_per_s=s.images_per_s, is_whole=False, notices=()
        )

    def _lines(self) -> list[bytes]:
        if self.packed is None:
            raise ValueError("It is in the run index.")
        try:
            return zlib.decompress(self.packed).splitlines() or [b""]
        except zlib.error as exc:
            raise ValueError(str(exc)) from exc


def pack_summary(summary: RunSummary) -> bytes:
    return msgspec.msgpack.encode(summary)


def unpack_summary(packed: bytes) -> RunSummary:
    """Inverse of `pack_summary`; ValueError when it is not what that wrote."""
    return _unpacker.decode(packed)


def _events(state: RunState) -> list[ev.Event]:
    found: list[ev.Event] = []
    if state.pid is not None or state.wall_time:
        found.append(ev.RunStarted(wall_time=state.wall_time, pid=state.pid or 0, session=0))
    if state.description:
        found.append(state.description)
    found += [replace(epoch, class_recalls=()) for epoch in state.epochs]
    found += [*state.checkpoints[-NUM_CHECKPOINTS:], *state.edits]
    return found + [event for event in (state.test, state.finished, state.stopped, state.failed) if event is not None]
