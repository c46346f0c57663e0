"""What a backbone is to the rest of Studio: what is known before it is built, and what building it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn

    from studio.catalog.heads import Outlet

SourceKey = Literal["bundled", "torchvision", "timm"]


@dataclass(frozen=True, slots=True)
class BackboneInfo:
    """One pretrained network as its library describes it; made without building it. None means the library does not say."""

    source: SourceKey
    name: str
    title: str
    family: str
    num_parameters: int | None  # with the library's own classifier
    gflops: float | None  # multiply-adds of one image at `input_size`, in 1e9
    input_size: int  # px, the side the weights were evaluated with
    top1: float | None  # ImageNet-1k accuracy as a fraction in [0, 1]
    top5: float | None
    mean: tuple[float, float, float]  # of the normalisation, for channels in [0, 1]
    std: tuple[float, float, float]
    interpolation: Literal["bicubic", "bilinear"]
    crop_fraction: float  # share of the resized shorter side that evaluation keeps
    weights_bytes: int | None
    weights_url: str | None
    weights_sha256: str | None  # in hexadecimal; torchvision gives the first eight digits only
    licence: str | None
    year: int | None  # of its paper
    paper: str | None  # "arXiv 1512.03385"
    has_batch_norm: bool | None
    is_installed: bool  # its weights are on this computer

    @property
    def likely_bytes(self) -> int | None:
        """Of its weights: as stated or found on the disk, else four for each parameter, which is how nearly all files hold them."""
        return self.weights_bytes or (4 * self.num_parameters if self.num_parameters else None)


def year_of(paper: str | None) -> int | None:
    """Of an arXiv number: "2201.03545" is of 2022."""
    return 2000 + int(paper[:2]) if paper else None


@dataclass(frozen=True, slots=True)
class Stage:
    """Layers that are frozen or trained together. Names are those of `Built.module` ("backbone.layer1.0.conv1.weight").

    Every parameter and every buffer of the network belongs to exactly one stage. `module_names` are the largest modules that
    lie wholly in the stage, in execution order, so that `get_submodule(n).eval()` on each of them puts the stage into eval mode.
    """

    name: str
    parameter_names: tuple[str, ...]
    module_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WeightsReport:
    """What a weights file gave: names of tensors in the network's own naming where they matched, else as in the file."""

    matched: tuple[str, ...]
    missing: tuple[str, ...]  # the network has them, the file does not: they start from random values
    unexpected: tuple[str, ...]  # the file has them, the network does not: not used
    wrong_shape: tuple[str, ...]  # "name: 64 × 3 × 7 × 7 in the file, 64 × 3 × 3 × 3 here": not used
    skipped_classifier: tuple[str, ...]  # the file's classifier, made for other classes: not used, the head starts new

    @property
    def sentence(self) -> str:
        """The report in one line."""
        parts = [f"{len(self.matched):,} tensors matched"]
        if self.missing:
            parts.append(f"{len(self.missing):,} missing in the file")
        if self.wrong_shape:
            parts.append(f"{len(self.wrong_shape):,} of another shape")
        if self.unexpected:
            parts.append(f"{len(self.unexpected):,} in the file not used")
        if self.skipped_classifier:
            parts.append("its classifier is for other classes and was left out")
        return ", ".join(parts) + "."


@dataclass(frozen=True, slots=True)
class Built:
    """A network ready to train.

    `module` is `nn.Sequential(backbone=…, head=…)`: `module.backbone(images_NCHW)` gives what `outlet` says, features_NF with
    F = `num_features` where the network keeps its own end, `module.head` ends in dropout and one linear layer, and the whole gives
    logits_NC in train and eval mode alike. `stages` are in execution order; the last is named "head". `report` is None when all
    weights are random.
    """

    module: nn.Module
    stages: tuple[Stage, ...]
    report: WeightsReport | None
    num_features: int  # values, or channels of a map or of tokens, that the head begins with
    input_size: int  # px; the size it was built for
    outlet: Outlet  # what the backbone gives to the head
