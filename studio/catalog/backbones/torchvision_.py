"""torchvision's classification networks, with the metadata of their weights."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import replace
from functools import lru_cache, partial
from importlib.metadata import version as version_of
from pathlib import Path

from studio.catalog.backbones import installed
from studio.catalog.backbones.backbone import BackboneInfo, year_of
from studio.catalog.backbones.body import Body, Tensors, unknown_name
from studio.catalog.backbones.stage import group_by_size

KEY = "torchvision"
TITLE = "torchvision"

# name prefix: family, the network's written name (with the rest of the name), arXiv number of its paper, has batch norm
_FAMILIES = (
    ("alexnet", "AlexNet", "AlexNet", "1404.5997", False),
    ("convnext_", "ConvNeXt", "ConvNeXt-{}", "2201.03545", False),
    ("densenet", "DenseNet", "DenseNet-{}", "1608.06993", True),
    ("efficientnet_v2_", "EfficientNet V2", "EfficientNet V2-{}", "2104.00298", True),
    ("efficientnet_", "EfficientNet", "EfficientNet-{}", "1905.11946", True),
    ("googlenet", "GoogLeNet", "GoogLeNet", "1409.4842", True),
    ("inception_v3", "Inception", "Inception v3", "1512.00567", True),
    ("maxvit_", "MaxViT", "MaxViT-{}", "2204.01697", True),
    ("mnasnet", "MNASNet", "MNASNet {}", "1807.11626", True),
    ("mobilenet_v2", "MobileNet", "MobileNet V2", "1801.04381", True),
    ("mobilenet_v3_", "MobileNet", "MobileNet V3 {}", "1905.02244", True),
    ("regnet_", "RegNet", "RegNet-{}", "2003.13678", True),
    ("resnet", "ResNet", "ResNet-{}", "1512.03385", True),
    ("resnext", "ResNeXt", "ResNeXt-{}", "1611.05431", True),
    ("shufflenet_v2_", "ShuffleNet", "ShuffleNet V2 {}", "1807.11164", True),
    ("squeezenet", "SqueezeNet", "SqueezeNet {}", "1602.07360", False),
    ("swin_v2_", "Swin", "Swin V2-{}", "2111.09883", False),
    ("swin_", "Swin", "Swin-{}", "2103.14030", False),
    ("vgg", "VGG", "VGG-{}", "1409.1556", None),
    ("vit_", "ViT", "ViT-{}", "2010.11929", False),
    ("wide_resnet", "Wide ResNet", "Wide ResNet-{}", "1605.07146", True),
)
_WITHOUT_CLASSIFIER = "IMAGENET1K_FEATURES"  # VGG-16's: the classifier in that file is not a number


def version() -> str:
    return version_of("torchvision")


def infos() -> tuple[BackboneInfo, ...]:
    """One entry per set of weights; a network's usual weights bear its plain name, others "name.TAG"."""
    from torchvision import models

    found = []
    for name in models.list_models(module=models):
        weights = models.get_model_weights(name)
        usual = weights.DEFAULT
        found.append(_info(name, name, usual, ""))
        found += [_info(f"{name}.{w.name}", name, w, w.name) for w in weights if w is not usual and w.name != _WITHOUT_CLASSIFIER]
    return tuple(found)


def info(name: str) -> BackboneInfo:
    known = _infos_by_name()
    if name not in known:
        raise unknown_name(TITLE, name, known)
    found = known[name]
    return replace(found, is_installed=weights_path(found) is not None)


@lru_cache(maxsize=1)
def _infos_by_name() -> dict[str, BackboneInfo]:
    return {i.name: i for i in infos()}


def weights_path(info: BackboneInfo) -> Path | None:
    return installed.find(info)


def build(name: str, input_size: int, weights: Path | None = None) -> Body:
    from torch import nn
    from torchvision import models

    from studio.catalog.backbones.weights_file import load_all, read_tensors

    architecture = name.partition(".")[0]
    if architecture not in models.list_models(module=models):
        raise unknown_name(TITLE, name, models.list_models(module=models))
    options: dict = {}
    if architecture in ("googlenet", "inception_v3"):
        # Without the auxiliary classifiers the forward pass gives logits only. The input transform of the library is left out too:
        # it turns ImageNet's normalisation into mean 0.5 and std 0.5, which `_info` names instead.
        options = {"aux_logits": False, "transform_input": False, "init_weights": weights is None}
    elif architecture.startswith("vit_"):
        options = {"image_size": input_size}
    elif architecture == "maxvit_t":
        options = {"input_size": (input_size, input_size)}
    network = models.get_model(architecture, weights=None, **options)
    classifier, num_features = _remove_classifier(network, nn)
    if architecture.startswith("densenet"):  # its forward pass has this without a module; a network cut here would lack it
        network.features.add_module("relu5", nn.ReLU())
    if architecture.startswith("mnasnet"):  # its class refuses tensors that carry no version, as those from safetensors
        network = nn.Sequential(OrderedDict(layers=network.layers, pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten()))
    body = Body(network, num_features, group_by_size(network), (classifier,), partial(_translate, network))
    if weights is not None:
        load_all(body, read_tensors(weights), weights)
    return body


def _remove_classifier(network, nn) -> tuple[str, int]:
    """Replaces the last linear layer by nothing; gives its name and its number of inputs."""
    kind = type(network).__name__
    if kind == "SqueezeNet":  # classifies each place with a 1 × 1 convolution and averages; averaging first is the same sum
        last = network.classifier[1]
        network.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1))
        return "classifier.1", last.in_channels
    for attribute in ("fc", "classifier", "heads", "head"):
        if not hasattr(network, attribute):
            continue
        layer = getattr(network, attribute)
        if isinstance(layer, nn.Linear):
            setattr(network, attribute, nn.Identity())
            return attribute, layer.in_features
        key, last = list(layer.named_children())[-1]
        setattr(layer, key, nn.Identity())
        children = list(layer.children())
        if len(children) > 1 and isinstance(children[-2], nn.Dropout):
            children[-2].p = 0.0  # the new head has its own
        return f"{attribute}.{key}", last.in_features
    raise AssertionError(f"{kind} has no classifier that is known here")


_OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|conv))\.([12]\..+)$")


def _translate(network, tensors: Tensors) -> Tensors:
    """Old names of DenseNet, auxiliary classifiers, and ViT's position embeddings for another input size."""
    kind = type(network).__name__
    if kind == "DenseNet":
        return {_OLD_DENSENET.sub(r"\1\2", key): tensor for key, tensor in tensors.items()}
    if kind in ("GoogLeNet", "Inception3"):
        return {key: tensor for key, tensor in tensors.items() if not key.startswith(("aux1.", "aux2.", "AuxLogits."))}
    if kind == "VisionTransformer" and "encoder.pos_embedding" in tensors:
        from torchvision.models.vision_transformer import interpolate_embeddings

        return dict(interpolate_embeddings(network.image_size, network.patch_size, dict(tensors)))
    return tensors


def _info(name: str, architecture: str, weights, tag: str) -> BackboneInfo:
    view, meta = weights.transforms(), weights.meta
    metrics = meta.get("_metrics", {}).get("ImageNet-1K", {})
    family, title, paper, has_batch_norm = _described(architecture)
    is_own_scale = architecture in ("googlenet", "inception_v3")
    mean, std = ((0.5,) * 3, (0.5,) * 3) if is_own_scale else (tuple(view.mean), tuple(view.std))
    stamp = re.search(r"-([0-9a-f]{8,})\.pth$", weights.url)
    return BackboneInfo(
        source=KEY,
        name=name,
        title=f"{title} ({tag.removeprefix('IMAGENET1K_').replace('_', ' ')})" if tag else title,
        family=family,
        num_parameters=meta["num_params"],
        gflops=meta.get("_ops"),
        input_size=view.crop_size[0],
        top1=_fraction(metrics.get("acc@1")),
        top5=_fraction(metrics.get("acc@5")),
        mean=mean,
        std=std,
        interpolation="bicubic" if view.interpolation.value == "bicubic" else "bilinear",
        crop_fraction=round(view.crop_size[0] / view.resize_size[0], 4),
        weights_bytes=round(meta["_file_size"] * 2**20),
        weights_url=weights.url,
        weights_sha256=stamp[1] if stamp else None,
        licence=meta.get("license"),
        year=year_of(paper),
        paper=paper and f"arXiv {paper}",
        has_batch_norm=has_batch_norm,
        is_installed=False,
    )


def _described(architecture: str) -> tuple[str, str, str | None, bool | None]:
    for prefix, family, title, paper, has_batch_norm in _FAMILIES:
        if architecture.startswith(prefix):
            rest = architecture.removeprefix(prefix)
            if family == "VGG":
                has_batch_norm = rest.endswith("_bn")
                rest = rest.removesuffix("_bn")
                title += " with batch normalisation" if has_batch_norm else ""
            return family, title.format(_written(family, rest)), paper, bool(has_batch_norm)
    return architecture, architecture, None, None


def _written(family: str, rest: str) -> str:
    match family:
        case "ConvNeXt" | "MobileNet":
            return rest.capitalize()
        case "EfficientNet" | "EfficientNet V2" | "Swin" | "MaxViT":
            return rest.upper()
        case "ViT":
            return "/".join(part.upper() for part in rest.split("_"))
        case "RegNet":
            kind, _, size = rest.partition("_")
            return f"{kind.upper()} {size.replace('_', '.').replace('gf', ' GF').replace('mf', ' MF')}"
        case "ShuffleNet":
            return f"×{rest[1:].replace('_', '.')}"
        case "MNASNet" | "SqueezeNet":
            return rest.replace("_", ".")
        case "ResNeXt":
            return rest.replace("_", " ")
        case "Wide ResNet":
            return rest.replace("_", " ×")
        case _:
            return rest


def _fraction(percent: float | None) -> float | None:
    return None if percent is None else round(percent / 100, 5)
