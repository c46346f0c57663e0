"""Optimisers: what can be chosen, how it is built, and how its settings change from step to step. Importable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studio.core.experiment import Optimiser

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Kind:
    """`fields` are the settings of `optimiser` that matter for this kind, besides those that matter for all (decay, clipping, ...)."""

    key: str
    title: str
    help: str
    paper: str
    fields: tuple[str, ...]
    num_values: int  # remembered for every weight


KINDS = (
    Kind(
        "adamw",
        "AdamW",
        "Steps scaled per weight, weight decay apart from the gradient. The usual choice for fine-tuning.",
        "Loshchilov and Hutter, arXiv 1711.05101",
        ("beta1", "beta2", "epsilon"),
        2,
    ),
    Kind(
        "adam",
        "Adam",
        "Steps scaled per weight, weight decay added to the gradient.",
        "Kingma and Ba, arXiv 1412.6980",
        ("beta1", "beta2", "epsilon"),
        2,
    ),
    Kind(
        "sgd",
        "SGD",
        "Plain steps with momentum. Needs a well-chosen learning rate, uses the least memory.",
        "Sutskever et al., ICML 2013 (momentum and Nesterov)",
        ("momentum", "nesterov"),
        1,
    ),
    Kind(
        "rmsprop",
        "RMSprop",
        "Steps divided by the running size of the gradient. What EfficientNet and MobileNet were trained with.",
        "Tieleman and Hinton, lecture 6.5, 2012",
        ("momentum", "beta2", "epsilon"),
        2,
    ),
    Kind(
        "lamb",
        "LAMB",
        "Adam whose step is scaled per layer by the size of its weights. Made for very large batches.",
        "You et al., arXiv 1904.00962",
        ("beta1", "beta2", "epsilon"),
        2,
    ),
    Kind(
        "lion",
        "Lion",
        "Only the sign of the momentum counts. Half of Adam's memory; wants a 3 to 10 times lower rate and Beta 2 near 0.99.",
        "Chen et al., arXiv 2302.06675",
        ("beta1", "beta2"),
        1,
    ),
)


def kind_of(key: str) -> Kind:
    return next(kind for kind in KINDS if kind.key == key)


def build_optimiser(optimiser: Optimiser, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """The optimiser over parameter groups ({"params": [...], "weight_decay": ...}). Learning rates are set by the loop at every step.

    Fused kernels where torch has them: one pass over the weights. LAMB and Lion are timm's; gradients are clipped by the loop alone.
    """
    import torch

    o = optimiser
    fused = groups[0]["params"][0].device.type in ("cpu", "cuda")
    betas = (o.beta1, o.beta2)
    match o.kind:
        case "sgd":
            return torch.optim.SGD(groups, lr=0.0, momentum=o.momentum, nesterov=o.nesterov and o.momentum > 0, fused=fused)
        case "rmsprop":
            return torch.optim.RMSprop(groups, lr=0.0, alpha=o.beta2, eps=o.epsilon, momentum=o.momentum)
        case "adamw":
            return torch.optim.AdamW(groups, lr=0.0, betas=betas, eps=o.epsilon, fused=fused)
        case "adam":
            return torch.optim.Adam(groups, lr=0.0, betas=betas, eps=o.epsilon, fused=fused)
        case "lamb":
            from timm.optim import Lamb

            return Lamb(groups, lr=0.0, betas=betas, eps=o.epsilon, max_grad_norm=None)
        case "lion":
            from timm.optim import Lion

            return Lion(groups, lr=0.0, betas=betas)


def set_group(
    made: torch.optim.Optimizer, group: dict[str, Any], optimiser: Optimiser, *, lr: float, momentum: float, weight_decay: float
) -> None:
    """The settings of one group for the next step. `momentum` is beta 1 where the optimiser has betas."""
    group["lr"], group["weight_decay"] = lr, weight_decay
    if "betas" in group:
        group["betas"] = (momentum, optimiser.beta2)
    else:
        group["momentum"] = momentum
    if "eps" in group:
        group["eps"] = optimiser.epsilon
    if "nesterov" in group:
        group["nesterov"] = optimiser.nesterov and momentum > 0
    if "alpha" in group:
        group["alpha"] = optimiser.beta2
        if momentum > 0:
            _give_momentum_buffers(made, group)


def begin_anew(made: torch.optim.Optimizer, group: dict[str, Any]) -> None:
    """A group that is updated for the first time: timm's LAMB counts the steps of a group also while it is frozen."""
    if "step" in group and not any(parameter in made.state for parameter in group["params"]):
        group["step"].zero_()


def _give_momentum_buffers(made: torch.optim.Optimizer, group: dict[str, Any]) -> None:
    """torch's RMSprop makes its momentum memory at the first step only; here momentum may rise from 0 later."""
    import torch

    for parameter in group["params"]:
        memory = made.state.get(parameter)
        if memory and "momentum_buffer" not in memory:
            memory["momentum_buffer"] = torch.zeros_like(parameter, requires_grad=False)
