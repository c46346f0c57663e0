"""The parts that a new head is built from, in the order in which features pass through them.

They stand between the place where the backbone is cut and the last layer, which is always there: dropout and one linear layer to the
classes. What each part does to the shape, and how it is built, is in `studio.catalog.heads`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from studio.core.section import Section
from studio.core.section import field as _field

Activation = Literal["relu", "gelu", "silu", "tanh", "none"]


class Convolution(Section):
    """A block of convolutions over the feature map, with batch normalisation and a way around them."""

    kind: Literal["convolution"] = "convolution"
    channels: int = _field(0, "Channels", "Channels that come out; 0 keeps as many as come in.", ge=0, le=8192)
    kernel: Literal[1, 3, 5, 7] = _field(3, "Kernel", "Side of the filters; the size of the map stays.", unit="px")
    depth: int = _field(2, "Depth", "Convolutions one after the other.", ge=1, le=4)
    norm: Literal["batch", "none"] = _field("batch", "Normalisation", "Batch normalisation after each convolution: arXiv 1502.03167.")
    residual: bool = _field(
        True,
        "Way around",
        "Adds what comes in to what comes out (arXiv 1512.03385), through a 1 × 1 convolution where the channels change.",
    )
    activation: Activation = _field("relu", "Activation", "What follows each convolution.")


class Pooling(Section):
    """From a feature map to one vector. Without this part the backbone's own pooling stays, or the average is taken."""

    kind: Literal["pooling"] = "pooling"
    method: Literal["average", "max", "gem", "flatten"] = _field(
        "average",
        "Method",
        "Average or maximum over all places; GeM, a learnt mean between the two (arXiv 1711.02512); flatten keeps every place.",
    )


class Hidden(Section):
    """A linear layer with normalisation and activation."""

    kind: Literal["hidden"] = "hidden"
    width: int = _field(512, "Width", "Values that come out.", ge=1, le=16_384)
    norm: Literal["none", "batch", "layer"] = _field(
        "none", "Normalisation", "Between the linear layer and the activation. Batch: arXiv 1502.03167. Layer: arXiv 1607.06450."
    )
    activation: Activation = _field("relu", "Activation", "What follows it.")


class Dropout(Section):
    """Sets values to zero at random in training."""

    kind: Literal["dropout"] = "dropout"
    share: float = _field(0.2, "Share", "Share of values set to zero in training (JMLR 15, 1929).", ge=0.0, le=0.95)


HeadPart = Annotated[Convolution | Pooling | Hidden | Dropout, Field(discriminator="kind")]


def order_problem(parts: tuple[HeadPart, ...]) -> str:
    """What is wrong with the order of the parts, in one sentence; "" when nothing is."""
    is_vector = False
    for part in parts:
        if is_vector and isinstance(part, Convolution):
            return "a convolution needs a feature map, so it cannot come after pooling or a hidden layer; move it up."
        if is_vector and isinstance(part, Pooling):
            return "pooling needs a feature map, so it can come once only, before hidden layers."
        is_vector |= isinstance(part, (Pooling, Hidden))
    return ""
