"""A network and a list of backbones for the tests of the Model page."""

from __future__ import annotations

from studio.catalog.backbones import BackboneInfo

SIZES = (960, 9_000, 17_000, 47_000, 540_000, 2_000_000, 12_810)
NAMES = ("stem", "stage 1", "stage 2", "stage 3", "stage 4", "stage 5", "head")
DESCRIBED = {
    "stages": [
        {"name": name, "num_parameters": size, "output_shape": [8 * i + 8, 112 >> i, 112 >> i] if name != "head" else [10], "num_blocks": 2, "has_batch_norm": True}
        for i, (name, size) in enumerate(zip(NAMES, SIZES, strict=True))
    ],
    "num_parameters": sum(SIZES),
    "num_trainable": 2_000_000,
}  # fmt: skip


def _layer(name: str, kind: str, count: int, *, buffers: int = 0) -> dict:
    return {
        "name": name, "label": name.rpartition(".")[2], "kind": kind, "num_parameters": count, "num_buffers": buffers, "output_shape": [8, 4, 4],
        "has_batch_norm": buffers > 0,
        "children": [{"name": f"{name}.weight", "label": "weight", "kind": "parameter", "num_parameters": count, "shape": [count], "is_parameter": True}],
    }  # fmt: skip


def _stage(name: str, size: int) -> dict:
    if name == "head":
        return {"name": name, "label": name, "num_parameters": size, "children": [_layer("head.linear", "Linear", size)]}
    module = f"backbone.{name.replace(' ', '_')}"
    parts = [_layer(f"{module}.conv", "Conv2d 3×3", size - 100), _layer(f"{module}.bn", "BatchNorm2d", 100, buffers=101)]
    block = {
        "name": module, "label": module.rpartition(".")[2], "kind": "Block", "num_parameters": size, "num_buffers": 101, "has_batch_norm": True,
        "layout": "branches" if name == "stage 2" else "residual", "children": parts,
    }  # fmt: skip
    return {"name": name, "label": name, "num_parameters": size, "num_buffers": 101, "has_batch_norm": True, "children": [block]}


TREE = [_stage(name, size) for name, size in zip(NAMES, SIZES, strict=True)]


MAP = {"layout": "map", "shape": [64, 7, 7], "num_prefix": 0, "is_read_by_token": False}
VECTOR = {"layout": "vector", "shape": [4096], "num_prefix": 0, "is_read_by_token": False}
CUTS = {
    "points": [
        {"stage": "stage 4", "title": "after stage 4", "outlet": MAP | {"shape": [32, 14, 14]}, "reason": ""},
        {"stage": "dense 1", "title": "before FC7", "outlet": VECTOR, "reason": ""},
        {"stage": "stage 3", "title": "after stage 3", "outlet": None, "reason": "its branches have not met there"},
        {"stage": "stage 5", "title": "after stage 5", "outlet": MAP, "reason": ""},
    ],
    "num_features": 64,
}


def info(name: str, source: str = "torchvision", **more) -> BackboneInfo:
    values = {
        "title": name, "family": "ResNet", "num_parameters": 25_000_000, "gflops": 4.1, "input_size": 224, "top1": 0.8, "top5": 0.95,
        "mean": (0.5,) * 3, "std": (0.5,) * 3, "interpolation": "bilinear", "crop_fraction": 0.875, "weights_bytes": 100_000_000,
        "weights_url": f"https://weights.example/{name}.pth", "weights_sha256": None, "licence": "BSD-3-Clause", "year": 2015,
        "paper": "arXiv 1512.03385",
        "has_batch_norm": True, "is_installed": False,
    }  # fmt: skip
    return BackboneInfo(source=source, name=name, **(values | more))


BUNDLED = info(
    "tf_efficientnet_lite0", "bundled", title="EfficientNet-Lite0", family="EfficientNet", is_installed=True, weights_url=None, top1=0.748, gflops=0.385,
    num_parameters=4_650_000,
)  # fmt: skip
LIST = (
    BUNDLED,
    info("resnet50"),
    info("resnet18", num_parameters=11_700_000, top1=0.697, gflops=1.8, is_installed=True, input_size=192),
    info("vit_b_16", family="ViT", num_parameters=86_000_000, top1=0.81, gflops=17.6),
    info("mystery", "timm", family="vision transformer", num_parameters=None, top1=None, gflops=None, weights_bytes=None, licence=None),
)
