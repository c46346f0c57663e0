"""The network of a run: built, frozen where asked, and loaded again after training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from studio.catalog.backbones import BackboneInfo, Stage, backbone_info, build_model
from studio.catalog.heads import Outlet
from studio.catalog.schedules import stage_factors, thaw_epochs
from studio.core.event import StageDescribed
from studio.core.experiment import Experiment, Model
from studio.core.problem import BadInput, errors_in
from studio.core.rng import init_seed
from studio.core.run_folder import RunFolder
from studio.dataset.dataset import Dataset
from studio.engine.device import to_device
from studio.engine.freezing import Plan, apply_modes, apply_plan, is_still, layer_problems, make_plan, require_training
from studio.engine.start_run import TakenOver, take_over


@dataclass
class Network:
    """A module with its stages in execution order, head last. Forward: images_NCHW -> logits_NC."""

    module: nn.Module
    stages: tuple[Stage, ...]
    lr_factors: tuple[float, ...]  # per stage, times the head's learning rate
    is_frozen: tuple[bool, ...] = ()  # per stage: none of its weights trains
    thaw_epochs: tuple[int | None, ...] = ()  # per stage, the epoch from which it trains; None for never
    plan: Plan = Plan(frozenset(), frozenset())
    outlet: Outlet | None = None  # what the backbone gives to the head
    taken_over: TakenOver | None = None  # what it has of an earlier run
    counting: dict[torch.dtype, list[torch.Tensor]] = field(
        default_factory=dict
    )  # buffers that a step changes, since the last `train_mode`

    def train_mode(self) -> None:
        """Training mode where the network trains; what is frozen stays as in use: batch norm statistics, dropout and drop-path are still."""
        apply_modes(self.module, self.plan)
        buffers = [buffer for part in self.module.modules() if part.training for buffer in part.buffers(recurse=False)]
        self.counting = {dtype: [buffer for buffer in buffers if buffer.dtype == dtype] for dtype in {buffer.dtype for buffer in buffers}}

    def statistics_kept(self) -> Callable[[], None]:
        """Remember what a step counts; the call puts it back."""
        kinds = self.counting
        before = {dtype: [torch.empty_like(buffer) for buffer in buffers] for dtype, buffers in kinds.items()}
        for dtype, buffers in kinds.items():  # one kernel for all of a kind: ResNet-50 has 159 of them
            torch._foreach_copy_(before[dtype], buffers)

        def put_back() -> None:
            for dtype, buffers in kinds.items():
                torch._foreach_copy_(buffers, before[dtype])

        return put_back

    def plan_for(self, epoch: int, model: Model, *, must_train: bool = True) -> Plan:
        """What trains in an epoch. Raises BadInput when a layer is named that is not there, or, if something must, when nothing trains."""
        thaws = thaw_epochs(model, [stage.name for stage in self.stages])
        if problems := errors_in(layer_problems(self.module, self.stages, model)):
            raise BadInput(*problems)
        plan = make_plan(self.module, self.stages, [first is None or first > epoch for first in thaws], model)
        if must_train:
            require_training(plan)
        return plan

    def last_plan(self, model: Model) -> Plan:
        """What has trained when every stage that ever does has begun to."""
        return make_plan(self.module, self.stages, [epoch is None for epoch in self.thaw_epochs], model)

    def set_epoch(self, epoch: int, model: Model, *, must_train: bool = True) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Freeze and thaw as asked for this epoch; names of the stages that train from now on, and of those that no longer do."""
        before, self.plan = self.is_frozen, self.plan_for(epoch, model, must_train=must_train)
        self.thaw_epochs = thaw_epochs(model, [stage.name for stage in self.stages])
        apply_plan(self.module, self.plan)
        self.is_frozen = tuple(not self.plan.trainable.intersection(stage.parameter_names) for stage in self.stages)
        changes = list(zip(self.stages, before or self.is_frozen, self.is_frozen, strict=True))
        return tuple(s.name for s, was, now in changes if was and not now), tuple(s.name for s, was, now in changes if now and not was)

    def frozen_as(self, experiment: Experiment) -> Network:
        """The same module as it trains in the first epoch of an experiment. Raises BadInput as `plan_for` does."""
        return replace(frozen_as_asked(self.module, self.stages, experiment), outlet=self.outlet)

    def is_still(self) -> tuple[bool, ...]:
        """Per stage, whether it gives the same for the same picture until the plan changes."""
        return tuple(is_still(stage, self.plan) for stage in self.stages)

    def mark_groups(self, groups: Iterable[dict[str, Any]]) -> None:
        """Say of every optimiser group whether any of it trains: "trains"."""
        for group in groups:
            group["trains"] = any(parameter.requires_grad for parameter in group["params"])

    def parameter_groups(self, weight_decay: float) -> tuple[list[dict[str, Any]], list[float]]:
        """Optimiser groups and the learning-rate factor of each: per stage, weights, then biases and norms without decay.

        Frozen stages have groups too: without gradients they are neither updated nor decayed, and the optimiser remembers nothing of
        them. "stage" is the stage's index, "is_decayed" says whether weight decay acts.
        """
        parameters = dict(self.module.named_parameters())
        groups, factors = [], []
        for index, (stage, factor) in enumerate(zip(self.stages, self.lr_factors, strict=True)):
            mine = [parameters[name] for name in stage.parameter_names]
            for is_decayed in (True, False):
                members = [p for p in mine if _is_decayed(p) == is_decayed]
                if members:
                    decay = weight_decay if is_decayed else 0.0
                    groups.append({"params": members, "weight_decay": decay, "stage": index, "is_decayed": is_decayed})
                    factors.append(factor)
        return groups, factors

    def num_undecayed(self) -> int:
        """Weights of stages that ever train which weight decay never acts on: norms and biases."""
        parameters = dict(self.module.named_parameters())
        training = [stage for stage, epoch in zip(self.stages, self.thaw_epochs, strict=True) if epoch is not None]
        return sum(parameters[n].numel() for stage in training for n in stage.parameter_names if not _is_decayed(parameters[n]))

    def trainable(self) -> list[nn.Parameter]:
        return [p for p in self.module.parameters() if p.requires_grad]

    def described(self) -> tuple[StageDescribed, ...]:
        parameters = dict(self.module.named_parameters())
        return tuple(
            StageDescribed(
                name=s.name,
                num_parameters=sum(parameters[n].numel() for n in s.parameter_names),
                is_frozen=frozen,
                lr_factor=factor,
                thaw_epoch=epoch,
                num_trainable=sum(parameters[n].numel() for n in s.parameter_names if n in self.plan.trainable),
            )
            for s, frozen, factor, epoch in zip(self.stages, self.is_frozen, self.lr_factors, self.thaw_epochs, strict=True)
        )


def _is_decayed(parameter: nn.Parameter) -> bool:
    return parameter.ndim > 1


@dataclass(frozen=True)
class Labels:
    """Class names in the order of the logits, and how many training images each has."""

    classes: tuple[str, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, dataset: Dataset) -> Labels:
        counts = Counter(sample.label for sample in dataset.part("train"))
        return cls(tuple(dataset.classes), tuple(counts[name] for name in dataset.classes))

    @property
    def shares(self) -> list[float]:
        """Of each class among the training images; where there are none, all have the same."""
        total = sum(self.counts)
        return [count / total if total else 1 / len(self.counts) for count in self.counts]


def build_network(experiment: Experiment, num_classes: int, *, with_weights: bool = True, labels: Labels | None = None) -> Network:
    """The network an experiment asks for, on the CPU. Raises BadInput. `with_weights=False` when a checkpoint will be loaded over it.

    A start from an earlier run, and a bias at the class prior, need `labels`; without them rows and bias start new.
    """
    model = experiment.model
    from_run = bool(model.start_run) and with_weights
    seed = init_seed(experiment.training.seed)
    built = build_model(model, num_classes, with_weights=with_weights and not from_run, class_shares=labels and labels.shares, seed=seed)
    taken = take_over(built.module, model, labels.classes if labels else ()) if from_run else None
    return replace(frozen_as_asked(built.module, built.stages, experiment), outlet=built.outlet, taken_over=taken)


def frozen_as_asked(module: nn.Module, stages: tuple[Stage, ...], experiment: Experiment, *, must_train: bool = True) -> Network:
    """The module as it trains in the first epoch. Raises BadInput as `Network.plan_for` does."""
    names = [stage.name for stage in stages]
    network = Network(module, stages, stage_factors(experiment.optimiser, names))
    network.set_epoch(0, experiment.model, must_train=must_train)
    return network


class Normaliser:
    """uint8 pictures to what the network was trained with; runs on the device. mean and std of channels in [0, 1]."""

    def __init__(self, mean, std, device: torch.device, channels_last: bool):
        self._scale = torch.tensor([1 / (255 * s) for s in std], device=device).view(1, 3, 1, 1)
        self._shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=device).view(1, 3, 1, 1)
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._device = device

    def __call__(self, images_NHWC: np.ndarray | torch.Tensor) -> torch.Tensor:
        """uint8[N, H, W, 3] -> float32[N, 3, H, W] on the device."""
        images = to_device(images_NHWC, self._device)
        floats = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=self._format)
        return floats.mul_(self._scale).add_(self._shift)


@dataclass(frozen=True)
class Trained:
    """A trained network ready for use: `module` in eval mode, float32, on the CPU. mean and std are those it was trained with."""

    module: nn.Module
    classes: tuple[str, ...]
    input_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    crop_fraction: float
    experiment: Experiment
    info: BackboneInfo
    stages: tuple[Stage, ...]
    step: int  # optimiser steps it was trained for
    note: str = ""  # that it is not the checkpoint that was asked for, because that is damaged

    def normaliser(self, device: torch.device | str = "cpu") -> Normaliser:
        return Normaliser(self.mean, self.std, torch.device(device), channels_last=False)


def load_trained(folder: RunFolder, which: Literal["best", "last"] = "best") -> Trained:
    """The network of a run's best or last checkpoint, its running mean where one is kept. Raises BadInput when there is none that is whole."""
    from safetensors.torch import load_file

    from studio.engine.checkpoint import require_checkpoint

    checkpoint = require_checkpoint(folder, which)
    experiment, view = folder.experiment(), checkpoint.state["view"]
    classes = tuple(checkpoint.state["classes"])
    experiment = experiment.changed({"model.input_size": view["input_size"]})
    network = build_network(experiment, len(classes), with_weights=False)
    network.module.load_state_dict(load_file(checkpoint.weights_path))
    info = replace(backbone_info(experiment.model.source, experiment.model.backbone), mean=tuple(view["mean"]), std=tuple(view["std"]))
    return Trained(
        module=network.module.eval(),
        classes=classes,
        input_size=view["input_size"],
        mean=tuple(view["mean"]),
        std=tuple(view["std"]),
        interpolation=view["interpolation"],
        crop_fraction=view["crop_fraction"],
        experiment=experiment,
        info=info,
        stages=network.stages,
        step=checkpoint.step,
        note=checkpoint.note,
    )


def bundled_network() -> Trained:
    """The backbone that comes with the program, with a head of its own that means nothing: for embeddings."""
    experiment = Experiment()
    info = backbone_info(experiment.model.source, experiment.model.backbone)
    network = build_network(experiment, 2)
    return Trained(
        module=network.module.eval(),
        classes=("", " "),
        input_size=experiment.model.input_size,
        mean=info.mean,
        std=info.std,
        interpolation=info.interpolation,
        crop_fraction=info.crop_fraction,
        experiment=experiment,
        info=info,
        stages=network.stages,
        step=0,
    )
