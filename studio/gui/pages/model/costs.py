"""What backbones cost on this device with the draft's plan: memory is estimated for the rows in view, speed is measured where asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from studio.catalog.backbones import BackboneInfo
from studio.core.experiment import Experiment, Model
from studio.core.file import write_atomically
from studio.core.json_text import parse_json
from studio.core.outcome import Status
from studio.core.place import cache_dir
from studio.core.run_digest import speed_id
from studio.gui.context import Context
from studio.gui.estimate import TimedDraft
from studio.gui.pages.model.listing import NO_COST, Cost, Key, fit_of, key_of

_MAX_WAITING = 40  # rows in view; what scrolled away is asked again when it comes back


class Costs(QObject):
    """One question at a time, so that the chosen network's own description never waits long. GUI thread."""

    changed = Signal()

    def __init__(self, context: Context, parent: QObject | None = None):
        super().__init__(parent)
        self._context = context
        self.costs: dict[Key, Cost] = {}
        self._infos: dict[Key, BackboneInfo] = {}
        self._waiting: list[Key] = []
        self._asking: Key | None = None
        self._plan: tuple | None = None
        self._model = context.store.experiment.model  # the draft's, as it was followed last
        self._device_bytes: int | None = None
        self._device_name = ""
        self._speeds: dict[str, float] = _read_speeds()
        self.measuring: Key | None = None
        self.problem = ""
        context.store.experiment_changed.connect(lambda old, new: self._follow())
        context.store.dataset_changed.connect(lambda _: self._follow())
        context.runs.ended.connect(lambda _: self._take_runs())
        context.runs.entries_changed.connect(lambda: self._take_runs(is_news=False))
        self._follow()

    @property
    def has_gpu(self) -> bool:
        return self._device_name not in ("", "cpu")

    def set_infos(self, infos: Sequence[BackboneInfo]) -> None:
        self._infos = {key_of(info): info for info in infos}
        self._waiting = [key for key in self._waiting if key in self._infos]
        self._take_runs()

    def want(self, keys: Sequence[Key]) -> None:
        """The rows in view: their memory is estimated one after the other."""
        self._waiting = [k for k in keys if k in self._infos and self.costs.get(k, NO_COST).memory_bytes is None and not self._problem(k)]
        del self._waiting[_MAX_WAITING:]
        self._ask_next()

    def measure(self, key: Key) -> None:
        """Time training steps of a backbone for two seconds; `changed` tells when it is known."""
        if self.measuring is not None or key not in self._infos:
            return
        self.measuring, self.problem = key, ""
        speed_key = self._speed_key(key)
        draft = self._context.estimates.timed_draft() if self._is_chosen(key) else None
        self._context.probe.call(
            "measure", self._params(self._as_if(key)), lambda result: self._on_measured(speed_key, draft, result), self._on_measure_failed, key="model.measure"
        )  # fmt: skip
        self.changed.emit()

    # the plan

    def _follow(self) -> None:
        """Estimates hold for one plan, device and number of classes; that of the chosen backbone for the draft's network alone."""
        e, dataset = self._context.store.experiment, self._context.store.dataset
        plan = (
            e.model.train_stages, e.training.batch_size, e.training.precision, e.training.device, e.optimiser.kind,
            bool(e.optimiser.ema_decay), e.training.not_finite, bool(e.training.roll_back_steps), len(dataset.classes) if dataset else 10,
        )  # fmt: skip
        before, self._model = self._model, e.model
        if plan == self._plan:
            chosen = {(model.source, model.backbone) for model in (before, e.model)} & self._infos.keys()
            changed = [key for key in chosen if self._settings_of(key, before) != self._settings_of(key, e.model)]
            if changed:
                self._ask_anew(changed)
            return
        is_other_device = self._plan is None or plan[3] != self._plan[3]
        self._plan = plan
        if is_other_device:
            device = e.training.device
            task = self._context.background.run(lambda: _device_memory(device), self._on_device_known)
            self.destroyed.connect(task.cancel)  # with its page
        self._ask_anew(list(self.costs))

    def _ask_anew(self, keys: list[Key]) -> None:
        """What is known of these no longer holds."""
        asked = [key for key in keys if key in self.costs]
        self.costs = {key: cost for key, cost in self.costs.items() if key not in keys}
        self._take_runs()
        self.want(list(dict.fromkeys([*asked, *self._waiting])))

    def _on_device_known(self, found: tuple[str, int | None]) -> None:
        self._device_name, self._device_bytes = found
        self.costs = {k: replace(c, fit=fit_of(c.memory_bytes, self._device_bytes)) for k, c in self.costs.items()}
        self._take_runs()

    def _as_if(self, key: Key) -> Experiment:
        """The draft with another backbone. What names stages and layers of the present one is left out."""
        experiment, info = self._context.store.experiment, self._infos[key]
        if self._is_chosen(key):
            return experiment
        kept = {name: getattr(experiment.model, name) for name in _KEPT}
        own = {"source": info.source, "backbone": info.name, "input_size": info.input_size, "pretrained": False}
        optimiser = experiment.optimiser.model_copy(update={"stage_lr_factors": {}})
        return experiment.model_copy(update={"model": Model().model_copy(update=kept | own), "optimiser": optimiser})

    def _is_chosen(self, key: Key) -> bool:
        model = self._context.store.experiment.model
        return key == (model.source, model.backbone)

    def _settings_of(self, key: Key, draft: Model) -> tuple:
        """What decides the memory of a backbone besides the plan: as the draft has it where that is its network, else as `_as_if`."""
        is_chosen = key == (draft.source, draft.backbone)
        model = draft if is_chosen else Model().model_copy(update={"input_size": self._infos[key].input_size})
        return tuple(getattr(model, name) for name in _OWN)

    def _question(self, key: Key) -> tuple:
        return self._plan, self._settings_of(key, self._model)

    def _params(self, experiment: Experiment) -> dict:
        return {
            "model": experiment.model.model_dump(mode="json"),
            "num_classes": self._plan[-1],
            "training": experiment.training.model_dump(mode="json"),
            "optimiser": experiment.optimiser.model_dump(mode="json"),
        }

    # memory

    def _ask_next(self) -> None:
        if self._asking is not None or not self._waiting:
            return
        key = self._asking = self._waiting.pop(0)
        question = self._question(key)
        self._context.probe.call(
            "describe_model",
            self._params(self._as_if(key)),
            lambda result: self._on_described(key, question, result),
            lambda error: self._on_refused(key, question, error.sentence),
            key="model.cost",
        )

    def _on_described(self, key: Key, question: tuple, result: dict) -> None:
        memory = sum((result.get("memory") or {}).values()) or None
        self._answered(key, question, memory_bytes=memory, fit=fit_of(memory, self._device_bytes))

    def _on_refused(self, key: Key, question: tuple, sentence: str) -> None:
        self._answered(key, question, problem=sentence)

    def _answered(self, key: Key, question: tuple, **values) -> None:
        self._asking = None
        if key in self._infos:
            if question == self._question(key):
                self._put(key, **values)
                self.changed.emit()
            elif key not in self._waiting:
                self._waiting.append(key)
        self._ask_next()

    def _put(self, key: Key, **values) -> None:
        self.costs = self.costs | {key: replace(self.costs.get(key, NO_COST), **values)}

    def _problem(self, key: Key) -> str:
        return self.costs.get(key, NO_COST).problem

    # speed

    def _speed_key(self, key: Key) -> str:
        """Under which a speed is remembered: what decides it, the backbone first."""
        return "|".join((*key, str(speed_id(self._as_if(key))), self._device_name))

    def _on_measured(self, speed_key: str, draft: TimedDraft | None, result: dict) -> None:
        """`draft`: as it was when the measurement began, where its network is measured."""
        self.measuring = None
        self._speeds[speed_key] = float(result["images_per_s"])
        if draft is not None:
            self._context.estimates.take_speed(draft, self._speeds[speed_key], result.get("stage_seconds") or ())
        speeds = dict(self._speeds)
        self._context.background.run(lambda: _write_speeds(speeds), lambda _: None, lambda _: None)
        self._take_runs()

    def _on_measure_failed(self, error) -> None:
        self.measuring, self.problem = None, error.sentence
        self.changed.emit()

    def _take_runs(self, *, is_news: bool = True) -> None:
        """Speeds that were measured before, and those of finished runs that were asked for the same on this device. Told also where none is new,
        if something else is."""
        measured = {tuple(name.split("|")[:2]) for name in self._speeds} & self._infos.keys()
        found = {key: self._speeds[name] for key in measured if (name := self._speed_key(key)) in self._speeds}
        wanted: dict[Key, int] = {}
        for entry in self._context.runs.entries:
            run = entry.summary
            key = run.backbone_source, run.backbone
            if run.status is Status.FINISHED and run.images_per_s and not run.thaws and key in self._infos:
                if key not in wanted:
                    wanted[key] = speed_id(self._as_if(key))
                if run.speed_id == wanted[key]:
                    found[key] = run.images_per_s
        costs = self.costs | {k: replace(self.costs.get(k, NO_COST), images_per_s=speed) for k, speed in found.items()}
        is_news |= costs != self.costs
        self.costs = costs
        if is_news:
            self.changed.emit()


_KEPT = ("train_stages", "dropout", "head_init")  # of the draft's model
_OWN = ("input_size", "cut", "head", "thaw", "layers", "batch_norm")  # settings of a network that its memory depends on


def _device_memory(device: str) -> tuple[str, int | None]:
    """Name and memory of the device a run would have; for the processor that of the computer. Asks the driver: not on the GUI thread."""
    from studio.core.device import usable_gpus

    gpus = () if device == "cpu" else usable_gpus()
    if gpus and device != "mps":
        index = int(device.partition(":")[2] or 0) if device.startswith("cuda") else 0
        if index < len(gpus):
            return gpus[index].name, gpus[index].memory_bytes
    import psutil

    return "cpu", psutil.virtual_memory().total


def _file() -> Path:
    return cache_dir() / "speeds.json"


def _read_speeds() -> dict[str, float]:
    try:
        return {str(k): float(v) for k, v in parse_json(_file().read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write_speeds(speeds: dict[str, float]) -> None:
    write_atomically(_file(), json.dumps(speeds).encode())
