"""Heads as torch modules, built from their plan and initialised. Heavy imports stand inside functions."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from studio.catalog.heads.outlet import Outlet
from studio.catalog.heads.plan import Step, plan_head
from studio.core.head import Convolution, Dropout, Hidden, Pooling

if TYPE_CHECKING:
    from torch import nn

TRUNCATED_STD = 0.87962566103423978  # of a standard normal distribution cut at two sigma


def build_head(
    parts: tuple,
    outlet: Outlet,
    num_classes: int,
    *,
    dropout: float = 0.0,
    init: str = "xavier",
    fan: str = "in",
    class_shares: Sequence[float] | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> nn.Module:
    """`nn.Sequential` of the steps of `plan_head`, from what the outlet gives to logits_NC. Equal arguments give equal weights.

    `class_shares` are the classes' shares of the training images: the last bias starts at their logarithms, so that the first answers
    are the shares. None starts it at zero. On device "meta" it has shapes and no values. Raises BadInput as `plan_head` does.
    """
    import torch
    from torch import nn

    head = nn.Sequential()
    with seeded(seed):  # layers' own first values are drawn and thrown away; `skip_init` would import sympy for a third of a second
        for step in plan_head(parts, outlet, num_classes, dropout):
            head.add_module(step.name, _module(step, parts, outlet, dropout).to(device))
    if device != "meta":
        initialise(head, init, fan, torch.Generator().manual_seed(seed))
        if class_shares is not None:
            with torch.no_grad():
                head.linear.bias.copy_(prior_bias(class_shares))
    return head


def prior_bias(class_shares: Sequence[float]):
    """float32[C]: logits that answer with the classes' shares of the training images."""
    import torch

    return torch.tensor([max(share, 1e-6) for share in class_shares]).log()


def initialise(head: nn.Module, init: str, fan: str, generator) -> None:
    """New values for every linear and convolution weight, in order; biases are zero, normalisation layers pass everything through.

    He: N(0, 2 / fan). Xavier: uniform with variance 2 / (fan in + fan out). Truncated normal: N(0, 1 / fan) cut at two sigma, its
    variance after the cut. Orthogonal: rows or columns of a random rotation.
    """
    from torch import nn

    for module in head.modules():
        if not isinstance(module, (nn.Linear, nn.Conv2d)):
            continue
        weight = module.weight
        match init:
            case "he":
                nn.init.kaiming_normal_(weight, mode=f"fan_{fan}", generator=generator)
            case "xavier":
                nn.init.xavier_uniform_(weight, generator=generator)
            case "orthogonal":
                nn.init.orthogonal_(weight, generator=generator)
            case "truncated normal":
                std = (1 / _fan(weight, fan)) ** 0.5 / TRUNCATED_STD
                nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std, generator=generator)
            case "zeros":
                nn.init.zeros_(weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _fan(weight, fan: str) -> int:
    places = weight[0, 0].numel()
    return weight.shape[1 if fan == "in" else 0] * places


@contextmanager
def seeded(seed: int):
    """Inside, the CPU's global generator starts from `seed`; after it, the generator is where it was."""
    import torch

    state = torch.default_generator.get_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(state)


def _module(step: Step, parts: tuple, outlet: Outlet, dropout: float) -> nn.Module:
    from torch import nn

    part = parts[step.part] if step.part is not None else None
    match step.kind, part:
        case "map", _:
            return _modules().AsMap(outlet)
        case "token", _:
            return _modules().Token()
        case "pooling", None:
            return _pooling("average")
        case "pooling", Pooling():
            return _pooling(part.method)
        case "convolution", Convolution():
            return _modules().Block(part, step.shape_in[0], step.shape_out[0])
        case "hidden", Hidden():
            return _hidden(part, step.shape_in[0])
        case "dropout", Dropout():
            return nn.Dropout(part.share)
        case "dropout", _:
            return nn.Dropout(dropout)
    return nn.Linear(step.shape_in[0], step.shape_out[0])


def _pooling(method: str) -> nn.Module:
    from torch import nn

    match method:
        case "average":
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case "max":
            return nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten())
        case "gem":
            return _modules().GeM()
    return nn.Flatten()


def _hidden(part: Hidden, num_in: int) -> nn.Module:
    from torch import nn

    made = nn.Sequential()
    made.add_module("linear", nn.Linear(num_in, part.width))
    if part.norm != "none":
        made.add_module("norm", (nn.BatchNorm1d if part.norm == "batch" else nn.LayerNorm)(part.width))
    if part.activation != "none":
        made.add_module("activation", _activation(part.activation))
    return made


def _activation(name: str) -> nn.Module:
    from torch import nn

    return {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh, "none": nn.Identity}[name]()


@cache
def _modules():
    """The modules that torch does not have; their classes can only be made once torch is there."""
    from types import SimpleNamespace

    import torch
    from torch import nn

    class AsMap(nn.Module):
        """What the outlet gives as maps_NCHW; tokens without their prefix."""

        def __init__(self, outlet: Outlet):
            super().__init__()
            self.is_tokens, self.num_prefix, self.places = outlet.layout == "tokens", outlet.num_prefix, outlet.places

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            if not self.is_tokens:
                return features.permute(0, 3, 1, 2)
            tokens = features[:, self.num_prefix :].transpose(1, 2)
            return tokens.reshape(len(features), -1, *self.places)

    class Token(nn.Module):
        """The first token of tokens_NLC."""

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return tokens[:, 0]

    class GeM(nn.Module):
        """Generalised mean over all places, (mean x^p)^(1/p) with a learnt p from 3 on (arXiv 1711.02512): maps_NCHW to NC."""

        def __init__(self, eps: float = 1e-6):
            super().__init__()
            self.p, self.eps = nn.Parameter(torch.full((1,), 3.0)), eps

        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            return maps.float().clamp(min=self.eps).pow(self.p).mean((2, 3)).pow(1 / self.p)

    class Block(nn.Module):
        """Convolutions with normalisation and activation; what comes in is added before the last activation (arXiv 1512.03385)."""

        def __init__(self, part: Convolution, num_in: int, num_out: int):
            super().__init__()
            self.body = nn.Sequential()
            for i in range(part.depth):
                self.body.append(_convolution(num_in if i == 0 else num_out, num_out, part.kernel, part.norm == "batch"))
                if i + 1 < part.depth:
                    self.body.append(_activation(part.activation))
            self.around = None
            if part.residual:
                self.around = nn.Identity() if num_in == num_out else _convolution(num_in, num_out, 1, part.norm == "batch")
            self.activation = _activation(part.activation)

        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            out = self.body(maps)
            return self.activation(out if self.around is None else out + self.around(maps))

    def _convolution(num_in: int, num_out: int, kernel: int, has_norm: bool) -> nn.Module:
        layer = nn.Conv2d(num_in, num_out, kernel, padding=kernel // 2, bias=not has_norm)
        return nn.Sequential(layer, nn.BatchNorm2d(num_out)) if has_norm else layer

    return SimpleNamespace(AsMap=AsMap, Token=Token, GeM=GeM, Block=Block)
