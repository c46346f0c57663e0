"""The section `model`: the backbone, what of it trains, the head, and what the network sees."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from studio.core.head import HeadPart, order_problem
from studio.core.section import Section, Share, field

Deviation = Annotated[float, Field(ge=0.001, le=1.0)]


class Model(Section):
    """The pretrained backbone, what of it trains, and the new head."""

    source: Literal["bundled", "torchvision", "timm"] = field("bundled", "Source", "The library that the backbone comes from.")
    backbone: str = field("tf_efficientnet_lite0", "Backbone", "The name of the network in its library.", min_length=1, max_length=200)
    pretrained: bool = field(True, "Pretrained", "Start from ImageNet weights; off starts from random ones.")
    weights_file: str = field("", "Weights file", "A .safetensors or .pth file to start from instead of the library's weights.")
    weights_sha256: str = field(
        "",
        "Its SHA-256",
        "Of the weights file when it was chosen: a file that has changed since, if only by a bit, is refused. Empty looks at nothing.",
        pattern=r"^([0-9a-f]{64})?$",
    )
    train_stages: int = field(
        3,
        "Stages that train",
        "How many of the last stages train together with the new head; the stages before are frozen. "
        "0 trains the head only, −1 trains everything.",
        ge=-1,
        le=200,
    )
    cut: str = field(
        "",
        "Cut after",
        "The stage behind which the pretrained network ends and the new head begins; empty keeps all stages and replaces the classifier alone.",
        max_length=200,
    )
    thaw: dict[str, Annotated[int, Field(ge=-1, le=10_000)]] = field(
        {},
        "Thaw",
        "Stage name to the epoch from which it trains: 0 from the start, −1 never. Stages not named follow “Stages that train”.",
        takes="live",
    )
    layers: dict[str, Literal["train", "frozen"]] = field(
        {},
        "Single layers",
        "Modules and parameters that train from the start, or never, whatever their stage does, by their name in the network "
        "(“backbone.layer4.1” or “backbone.layer4.1.conv2.weight”); the longest name that fits decides.",
        takes="live",
    )
    batch_norm: dict[str, Literal["keep", "adapt", "train"]] = field(
        {},
        "Batch normalisation",
        "Stage name to what its batch normalisation does. Keep: the stored mean and variance stay. Adapt: they follow the data, the weights "
        "are fixed (arXiv 1603.04779). Train: they follow the data and the weights train. Stages not named keep while they are frozen, "
        "and train once they train.",
        takes="live",
    )
    head: tuple[HeadPart, ...] = field(
        (), "Head", "Parts between the backbone and the last layer, in order; none is one linear layer on the backbone's own pooling.",
        max_length=16,
    )  # fmt: skip
    dropout: float = field(0.2, "Dropout", "Share of features dropped before the last layer in training.", ge=0.0, le=0.95)
    head_init: Literal["he", "xavier", "orthogonal", "truncated normal", "zeros"] = field(
        "xavier",
        "Initialisation",
        "How new layers start. He: arXiv 1502.01852. Xavier: Glorot and Bengio 2010. Orthogonal: arXiv 1312.6120. "
        "Truncated normal: variance 1 / fan, cut at two sigma (LeCun et al. 1998). Zeros: to see that it sticks.",
    )
    head_init_fan: Literal["in", "out"] = field(
        "in", "Fan", "Which side keeps its variance: in, the activations; out, the gradients (He, truncated normal)."
    )
    head_bias: Literal["zero", "class prior"] = field(
        "zero",
        "Bias",
        "How the last layer's bias starts. Class prior: the logarithm of each class's share of the training images (arXiv 1708.02002, 4.1).",
    )
    start_run: str = field(
        "",
        "Start from run",
        "The folder of a run whose best weights this one starts from. Rows of classes of the same name are taken over; other classes "
        "start new. Backbone, cut and head must be those of that run.",
    )
    input_size: int = field(224, "Input size", "Side of the square the network sees.", unit="px", ge=16, le=1024)
    normalisation: Literal["backbone", "data", "custom"] = field(
        "backbone",
        "Normalise with",
        "Mean and standard deviation of each channel: those the backbone was trained with, this training split's own, or custom ones.",
    )
    custom_mean: tuple[Share, Share, Share] = field(
        (0.485, 0.456, 0.406), "Custom mean", "Mean of red, green and blue, each in 0 to 1 (custom)."
    )
    custom_std: tuple[Deviation, Deviation, Deviation] = field(
        (0.229, 0.224, 0.225), "Custom deviation", "Standard deviation of red, green and blue, each in 0.001 to 1 (custom)."
    )

    @field_validator("head")
    @classmethod
    def _has_sensible_order(cls, parts: tuple[HeadPart, ...]) -> tuple[HeadPart, ...]:
        if sentence := order_problem(parts):
            raise ValueError(sentence)
        return parts

    @property
    def architecture(self) -> tuple:
        """What decides which layers there are, whatever their weights and whatever of them trains. How wide some of them are depends on the input
        size (a map that is flattened, positions) and on the number of classes as well."""
        return self.source, self.backbone, self.cut, self.head
