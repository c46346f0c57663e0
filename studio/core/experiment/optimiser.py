"""The section `optimiser`: how a gradient becomes an update."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from studio.core.section import Section, field


class Optimiser(Section):
    """How a gradient becomes an update."""

    kind: Literal["adamw", "adam", "sgd", "rmsprop", "lamb", "lion"] = field(
        "adamw",
        "Optimiser",
        "AdamW: arXiv 1711.05101. Adam: arXiv 1412.6980. SGD with momentum. LAMB: arXiv 1904.00962. Lion: arXiv 2302.06675.",
    )
    weight_decay: float = field(
        0.02,
        "Weight decay",
        "Pulls weights towards zero; never applied to biases and normalisation layers.",
        takes="live",
        log=True,
        ge=0.0,
        le=1.0,
    )
    weight_decay_course: Literal["constant", "linear", "cosine", "with the rate"] = field(
        "constant", "Decay over time", "How the weight decay gets to its final value.", takes="live"
    )
    weight_decay_final: float = field(
        1.0, "Final decay", "Last weight decay as a share of the first (linear, cosine).", takes="live", ge=0.0, le=100.0
    )
    momentum: float = field(0.9, "Momentum", "Share of the last update that is kept (SGD, RMSprop).", takes="live", ge=0.0, lt=1.0)
    nesterov: bool = field(True, "Nesterov", "Look ahead along the momentum (SGD).")
    beta1: float = field(0.9, "Beta 1", "Decay of the gradient's running mean (Adam, AdamW, LAMB, Lion).", takes="live", ge=0.0, lt=1.0)
    beta2: float = field(
        0.999, "Beta 2", "Decay of the squared gradient's running mean (Adam, AdamW, LAMB, Lion, RMSprop).", takes="live", ge=0.0, lt=1.0
    )
    epsilon: float = field(
        1e-8, "Epsilon", "Added to the denominator (Adam, AdamW, LAMB, RMSprop).", takes="live", log=True, gt=0.0, le=1.0
    )
    clip_norm: float = field(
        1.0, "Clip gradients", "Gradients longer than this are shortened to it; 0 is off.", takes="live", ge=0.0, le=1000.0
    )
    ema_decay: float = field(
        0.0,
        "Average weights",
        "EMA: the running mean of the weights that is validated and kept, with this decay; 0 is off. arXiv 2111.12763.",
        takes="live",
        ge=0.0,
        lt=1.0,
    )
    stage_lr_factor: float = field(
        0.5,
        "LR by depth",
        "Each stage before the head learns at this many times the rate of the one after it.",
        takes="live",
        gt=0.0,
        le=1.0,
    )
    stage_lr_factors: dict[str, Annotated[float, Field(ge=0.0, le=100.0)]] = field(
        {}, "LR of single stages", "Stage name to its share of the head's rate, instead of LR by depth.", takes="live"
    )
