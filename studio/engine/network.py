"""The network of a run: built, frozen where asked, and loaded again after training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from studio.catalog.backbones import BackboneInfo, Stage, backbone_info, build_backbone
from studio.catalog.schedules import stage_factors, thaw_epochs
from studio.core.event import StageDescribed
from studio.core.experiment import Experiment
from studio.core.rng import init_seed
from studio.core.run_folder import RunFolder


@dataclass
class Network:
    """A module with its stages in execution order, head last. Forward: images_NCHW -> logits_NC."""

    module: nn.Module
    stages: tuple[Stage, ...]
    is_frozen: tuple[bool, ...]  # per stage
    lr_factors: tuple[float, ...]  # per stage, times the head's learning rate
    thaw_epochs: tuple[int | None, ...] = ()  # per stage, the epoch from which it trains; None for never

    def train_mode(self) -> None:
        """Training mode where the network trains; frozen stages stay as in use: batch norm statistics, dropout and drop-path are still."""
        self.module.train()
        for stage, frozen in zip(self.stages, self.is_frozen, strict=True):
            if frozen:
                for name in stage.module_names:
                    self.module.get_submodule(name).eval()

    def set_epoch(self, epoch: int, thaw_epochs: tuple[int | None, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Freeze and thaw as asked for this epoch; names of the stages that train from now on, and of those that no longer do."""
        before, self.thaw_epochs = self.is_frozen, tuple(thaw_epochs)
        self.is_frozen = tuple(first is None or first > epoch for first in thaw_epochs)
        parameters = dict(self.module.named_parameters())
        for stage, frozen in zip(self.stages, self.is_frozen, strict=True):
            for name in stage.parameter_names:
                parameters[name].requires_grad_(not frozen)
        changes = list(zip(self.stages, before, self.is_frozen, strict=True))
        return tuple(s.name for s, was, now in changes if was and not now), tuple(s.name for s, was, now in changes if now and not was)

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
            )
            for s, frozen, factor, epoch in zip(self.stages, self.is_frozen, self.lr_factors, self.thaw_epochs, strict=True)
        )


def _is_decayed(parameter: nn.Parameter) -> bool:
    return parameter.ndim > 1


def build_network(experiment: Experiment, num_classes: int, *, with_weights: bool = True) -> Network:
    """The network an experiment asks for, on the CPU. Raises BadInput. `with_weights=False` when a checkpoint will be loaded over it."""
    model = experiment.model
    built = build_backbone(
        model.source,
        model.backbone,
        num_classes=num_classes,
        pretrained=model.pretrained and with_weights,
        dropout=model.dropout,
        weights_file=model.weights_file if with_weights else "",
        input_size=model.input_size,
        head_init=model.head_init,
        seed=init_seed(experiment.training.seed),
    )
    return frozen_as_asked(built.module, built.stages, experiment)


def frozen_as_asked(module: nn.Module, stages: tuple[Stage, ...], experiment: Experiment) -> Network:
    """The module as it trains in the first epoch."""
    names = [stage.name for stage in stages]
    network = Network(module, stages, (False,) * len(stages), stage_factors(experiment.optimiser, names))
    network.set_epoch(0, thaw_epochs(experiment.model, names))
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
        images = torch.as_tensor(images_NHWC)
        if self._device.type == "cuda":
            images = images.pin_memory().to(self._device, non_blocking=True)
        else:
            images = images.to(self._device)
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
        step=checkpoint.state["progress"]["step"],
    )
