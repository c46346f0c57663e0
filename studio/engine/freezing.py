"""What of a network trains, what follows the data, and what must not move: one function of the plan and the epoch.

Three wishes meet: the thaw plan of the stages, names of single layers, and what batch normalisation does in a stage. The narrower one
wins: a layer's name over its stage, and the longest name over shorter ones; batch normalisation that is asked to adapt or to train does
so in a frozen stage too, except where its own layer is named.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from studio.catalog.backbones import Stage
from studio.core.experiment import Model
from studio.core.path_text import shown
from studio.core.problem import BadInput, Problem, error, warning
from studio.core.single_layers import why_trains, wish_for
from studio.dataset.plan_check import NOTHING_TRAINS


@dataclass(frozen=True)
class Plan:
    """Names of parameters that train, and of modules in training mode, in one epoch."""

    trainable: frozenset[str]
    active: frozenset[str]  # modules whose dropout, drop-path and statistics are those of training


def make_plan(module: nn.Module, stages: Sequence[Stage], is_frozen: Sequence[bool], model: Model) -> Plan:
    """`is_frozen` per stage, as the thaw plan has it in this epoch."""
    norms = {name for name, part in module.named_modules() if has_statistics(part)}
    trainable: set[str] = set()
    active: set[str] = {""}
    for stage, frozen in zip(stages, is_frozen, strict=True):
        mode = model.batch_norm.get(stage.name)
        mine, by_mode = set(), set()
        for name in stage.parameter_names:
            if why := why_trains(model, stage.name, name, norms, frozen):
                (by_mode if why == "norm" and frozen else mine).add(name)
        trainable |= mine | by_mode
        inside = _Inside(mine, norms, mode, model.layers, active)
        for name in stage.module_names:
            before = len(active)
            inside.visit(module.get_submodule(name), name, bool(mine))
            if len(active) > before:
                active.update(_around(name))
    return Plan(frozenset(trainable), frozenset(active))


@dataclass(frozen=True)
class _Inside:
    """Finds what is in training mode inside a stage, into `active`."""

    trainable: set[str]
    norms: set[str]
    mode: str | None
    layers: Mapping[str, str]
    active: set[str]

    def visit(self, part: nn.Module, name: str, around: bool) -> None:
        """Modules without parameters (dropout, drop-path) go with what is `around` them."""
        own = [f"{name}.{key}" for key, _ in part.named_parameters()]
        trains = any(key in self.trainable for key in own) if own else around
        if self._follows(name, trains) if name in self.norms else trains:
            self.active.add(name)
        for key, child in part.named_children():
            self.visit(child, f"{name}.{key}", trains)

    def _follows(self, name: str, trains: bool) -> bool:
        """Whether the statistics of a normalisation follow the data."""
        match self.mode:
            case "keep":
                return False
            case "adapt":
                return True
            case "train":
                return wish_for(self.layers, name) != "frozen"
        return trains


def apply_plan(module: nn.Module, plan: Plan) -> None:
    """Let gradients go where something trains."""
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in plan.trainable)


def apply_modes(module: nn.Module, plan: Plan) -> None:
    """Training mode where the plan has it; everything else is as in use: statistics, dropout and drop-path are still."""
    module.eval()
    for name in plan.active:
        module.get_submodule(name).training = True  # of this module alone: its children have entries of their own


def still_tensors(module: nn.Module, plan: Plan) -> dict[str, torch.Tensor]:
    """Parameters and buffers that must not move: all but what trains and statistics that follow the data."""
    moving = {f"{name}.{key}" for name in plan.active if has_statistics(part := module.get_submodule(name)) for key in part._buffers}
    found = {name: tensor for name, tensor in module.named_parameters() if name not in plan.trainable}
    return found | {name: tensor for name, tensor in module.named_buffers() if name not in moving}


def is_still(stage: Stage, plan: Plan) -> bool:
    """Whether a stage gives the same for the same picture for as long as the plan holds."""
    if any(name in plan.trainable for name in stage.parameter_names):
        return False
    return not any(_is_inside(name, stage.module_names) for name in plan.active)


def layer_problems(module: nn.Module, stages: Sequence[Stage], model: Model) -> list[Problem]:
    """What is named but is not in the network: layers, and stages of batch normalisation and thawing."""
    found = []
    known = {name for name, _ in module.named_modules() if name} | {name for name, _ in module.named_parameters()}
    for name in model.layers:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=2)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            found.append(error("model.layers", f"There is no layer “{shown(name)}” in this network, so it would freeze nothing.{hint}"))
    names = [stage.name for stage in stages]
    for path, wishes in (("model.batch_norm", model.batch_norm), ("model.thaw", model.thaw)):
        for name in wishes:
            if name not in names:
                say = warning if path == "model.thaw" else error  # a plan may carry stages of the backbone chosen before
                found.append(say(path, f"There is no stage “{shown(name)}”. There are: {', '.join(names)}."))
    return found


def require_training(plan: Plan) -> None:
    """Raises BadInput where nothing trains."""
    if not plan.trainable:
        raise BadInput(NOTHING_TRAINS)


def has_statistics(module: nn.Module) -> bool:
    """Whether it is a normalisation that keeps a running mean or variance of what it sees."""
    return module._buffers.get("running_var") is not None or module._buffers.get("running_mean") is not None


def _around(name: str) -> list[str]:
    """The modules around one, without itself."""
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]


def _is_inside(name: str, modules: Iterable[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)
