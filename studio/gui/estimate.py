"""What a run of the draft would cost: parameters from the probe, time from runs that were measured."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from studio.core.experiment import Experiment
from studio.core.problem import Repair
from studio.core.run_digest import model_id
from studio.gui.runs import RunsController
from studio.gui.store import ExperimentStore
from studio.gui.workers import WorkerClient
from studio.supervise.worker import WorkerError

ASK_AFTER_MS = 150
_NOT_ON_DISK = {  # settings of a model that change neither what is kept of it nor where its features may be
    "pretrained", "weights_file", "weights_sha256", "start_run", "dropout", "head_init", "head_init_fan", "head_bias", "normalisation", "custom_mean",
    "custom_std",
}  # fmt: skip
_FIELD = re.compile(r"^(?:model|training|optimiser)\.\w+: ", re.MULTILINE)  # which field a sentence is about, for the command line


@dataclass(frozen=True)
class TimeEstimate:
    """Seconds of one epoch of the draft, and where the figure comes from ("measured on run 4")."""

    seconds_per_epoch: float
    source: str


@dataclass(frozen=True)
class TimedDraft:
    """Of which draft a timing is: `question` decides the speed of training, `network` the work of the stages."""

    question: tuple
    network: tuple


class Estimates(QObject):
    """Follows the draft. A figure that is being asked for anew stays, marked as stale, until the new one is there."""

    changed = Signal()

    def __init__(self, store: ExperimentStore, runs: RunsController, probe: WorkerClient, parent: QObject | None = None):
        super().__init__(parent)
        self._store, self._runs, self._probe = store, runs, probe
        self.model: dict | None = None
        self.problem = ""
        self.repair: Repair | None = None  # a way out of the problem
        self.stage_distances: dict[str, float | None] | None = None  # from what the backbone knows, in sigmas; None: not measured
        self._disks: dict[tuple, dict] = {}  # by what decides the use of the disk
        self._asked: tuple | None = None
        self._answered: tuple | None = None
        self._stages_of: tuple = ()  # of which architecture `model` tells the stages
        self._speed: tuple[tuple, float] | None = None  # of which draft, images per second
        self._stage_seconds: tuple[tuple, tuple[float, ...]] = ((), ())  # of which network
        self._titles: dict[tuple[str, str], str] = {}
        self._timer = QTimer(self, singleShot=True, interval=ASK_AFTER_MS)
        self._timer.timeout.connect(self._ask)
        store.experiment_changed.connect(lambda old, new: self.refresh())
        store.dataset_changed.connect(lambda _: self.refresh())
        runs.active_changed.connect(lambda _: self.changed.emit())
        runs.ended.connect(lambda _: self.changed.emit())

    def refresh(self) -> None:
        """Ask the probe when the network has changed."""
        if self._question() != self._asked:
            self._timer.start()
        self.changed.emit()

    @property
    def is_stale(self) -> bool:
        """Whether `model` and `problem` are of the draft as it was before."""
        return self._answered != self._question()

    @property
    def draft_model(self) -> dict | None:
        """`model` where its stages are the draft's, whatever of them trains; None while those of another network alone are known."""
        return self.model if self._stages_of == self._store.experiment.model.architecture else None

    @property
    def backbone_title(self) -> str:
        """How the draft's backbone is called."""
        from studio.catalog.backbones import cached_backbones

        model = self._store.experiment.model
        key = (model.source, model.backbone)
        if key not in self._titles:
            self._titles = {(info.source, info.name): info.title for info in cached_backbones()}
            self._titles.setdefault(key, model.backbone)
        return self._titles[key]

    @property
    def num_parameters(self) -> int | None:
        return self.model.get("num_parameters") if self.model else None

    @property
    def num_trainable(self) -> int | None:
        return self.model.get("num_trainable") if self.model else None

    @property
    def stages(self) -> list[dict]:
        """In execution order: name, num_parameters, is_frozen, ... as the probe's describe_model gives them."""
        return self.model.get("stages", []) if self.model else []

    @property
    def memory_bytes(self) -> dict[str, int] | None:
        """Estimated memory of the device by use; None while not known."""
        found = self.model.get("memory") if self.model else None
        return found if isinstance(found, dict) else None

    @property
    def time(self) -> TimeEstimate | None:
        """From the newest run of the same network, batch and use of features, scaled by the number of images; None without one."""
        from studio.catalog.augments import cached_views

        draft, dataset = self._store.experiment, self._store.dataset
        num_train = dataset.epoch_size(draft.data.synthetic_fraction) if dataset else 0
        same = model_id(draft.model)
        for entry in reversed(self._runs.finished):
            if entry.summary.model_id != same or entry.experiment.model != draft.model:
                continue
            if (described := entry.state.description) is None:
                continue
            if entry.experiment.training.batch_size != draft.training.batch_size or not described.num_train:
                continue
            if bool(cached_views(entry.experiment)) != bool(cached_views(draft)):
                continue
            seconds = sorted(e.seconds for e in entry.state.epochs)[len(entry.state.epochs) // 2]
            scale = num_train / (described.num_train + described.num_synthetic_per_epoch) if num_train else 1.0
            return TimeEstimate(seconds * scale, f"measured on {entry.name}")
        if self._speed is not None and self._speed[0] == self._speed_question() and num_train:
            return TimeEstimate(num_train / self._speed[1], "timed here, without loading images")
        return None

    @property
    def stage_seconds(self) -> tuple[float, ...]:
        """Per stage, measured seconds of the forward pass of an image; empty where they were not measured."""
        return self._stage_seconds[1] if self._stage_seconds[0] == self._network() else ()

    def _network(self) -> tuple:
        """What decides the work of the stages: beside which there are, the size of what they see and where they run."""
        model = self._store.experiment.model
        return *model.architecture, model.input_size, self._store.experiment.training.device

    def take_domain(self, found: dict | None) -> None:
        """The answer of the probe's domain_shift, or that it no longer holds."""
        self.stage_distances = {row["name"]: row["bn_distance"] for row in found["stages"]} if found else None
        self.changed.emit()

    def timed_draft(self) -> TimedDraft:
        """The draft of a timing that begins now."""
        return TimedDraft(self._speed_question(), self._network())

    def take_speed(self, draft: TimedDraft, images_per_s: float, stage_seconds: Sequence[float] = ()) -> None:
        """What a draft's network was timed at on this device; it counts for that draft alone, and where no run was measured.

        `stage_seconds`, of a forward pass, hold for as long as the network is the same, whatever of it trains.
        """
        self._stage_seconds = (draft.network, tuple(stage_seconds))
        if images_per_s > 0 and self._speed != (draft.question, images_per_s):
            self._speed = (draft.question, images_per_s)
            self.changed.emit()

    def _speed_question(self) -> tuple:
        return *self._question(), self._store.experiment.training.device

    def find_disk_use(
        self, experiment: Experiment, num_classes: int, then: Callable[[dict | None], object], on_error: Callable[[WorkerError], object]
    ) -> None:
        """Tell what of a network decides its use of the disk (a dataset.disk_use.NetworkUse as plain data), None where it cannot be made; an
        error is told where that is not known. The probe is asked about what was never a draft here."""
        question = _disk_question(experiment, num_classes)
        if question in self._disks:
            then(self._disks[question])
            return

        def take(result: dict) -> None:
            self._note_disk(question, result)
            then(self._disks.get(question))

        def refuse(error: WorkerError) -> None:
            if error.is_refusal:
                then(None)
            else:
                on_error(error)

        self._probe.call("describe_model", _params(experiment, num_classes), take, refuse, key="estimates.disk")

    def _note_disk(self, question: tuple, result: dict) -> None:
        if "disk" in result:
            self._disks[question] = result["disk"]

    def _question(self) -> tuple:
        dataset = self._store.dataset
        return _question_of(self._store.experiment, len(dataset.classes) if dataset else 10)

    def _ask(self) -> None:
        question = self._question()
        if question == self._asked:
            return
        self._asked = question
        experiment, num_classes = self._store.experiment, question[1]
        self._probe.call(
            "describe_model",
            _params(experiment, num_classes),
            lambda result: self._on_described(question, experiment, result),
            lambda error: self._on_failed(question, error),
        )

    def _on_described(self, question: tuple, experiment: Experiment, result: dict) -> None:
        self._answered, self._stages_of = question, experiment.model.architecture
        self._note_disk(_disk_question(experiment, question[1]), result)
        self.model, self.problem, self.repair = result, "", None
        self.changed.emit()

    def _on_failed(self, question: tuple, error: WorkerError) -> None:
        self._answered = question
        self.model, self.problem, self.repair = None, _FIELD.sub("", error.sentence), error.repair
        self.changed.emit()


def _question_of(experiment: Experiment, num_classes: int) -> tuple:
    """What decides the answer of describe_model."""
    model, training = experiment.model, experiment.training
    return model.model_dump_json(), num_classes or 10, training.batch_size, training.precision, *_disk_question(experiment, num_classes)


def _disk_question(experiment: Experiment, num_classes: int) -> tuple:
    """What decides the use of the disk in it."""
    model, training, optimiser = experiment.model.model_dump_json(exclude=_NOT_ON_DISK), experiment.training, experiment.optimiser
    goes_back = training.not_finite, bool(training.roll_back_steps)
    return model, num_classes or 10, *goes_back, optimiser.kind, bool(optimiser.ema_decay)


def _params(experiment: Experiment, num_classes: int) -> dict[str, Any]:
    """Of describe_model."""
    sections = {name: getattr(experiment, name).model_dump(mode="json") for name in ("model", "training", "optimiser")}
    return sections | {"num_classes": num_classes}
