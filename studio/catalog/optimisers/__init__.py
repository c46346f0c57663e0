"""Optimisers: what can be chosen, and how it is built. Importable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studio.core.experiment import Optimiser

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Kind:
    key: str
    title: str
    help: str
    paper: str


KINDS = (
    Kind(
        "adamw",
        "AdamW",
        "Steps scaled per weight, weight decay apart from the gradient. The usual choice for fine-tuning.",
        "arXiv 1711.05101",
    ),
    Kind("adam", "Adam", "Steps scaled per weight, weight decay added to the gradient.", "arXiv 1412.6980"),
    Kind("sgd", "SGD", "Plain steps with momentum. Needs a well-chosen learning rate, uses the least memory.", ""),
)


def build_optimiser(optimiser: Optimiser, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """The optimiser over parameter groups ({"params": [...], "weight_decay": ...}). Learning rates are set by the loop at every step.

    Fused kernels: one pass over the weights on every device that has them.
    """
    import torch

    device = groups[0]["params"][0].device.type
    fused = device in ("cpu", "cuda")
    if optimiser.kind == "sgd":
        nesterov = optimiser.nesterov and optimiser.momentum > 0
        return torch.optim.SGD(groups, lr=0.0, momentum=optimiser.momentum, nesterov=nesterov, fused=fused)
    kind = torch.optim.AdamW if optimiser.kind == "adamw" else torch.optim.Adam
    return kind(groups, lr=0.0, betas=(optimiser.beta1, optimiser.beta2), fused=fused)
