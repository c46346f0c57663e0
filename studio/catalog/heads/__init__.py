"""New heads: presets, shapes step by step, and how they are built. Importable without torch."""

from __future__ import annotations

from dataclasses import dataclass

from studio.catalog.heads.build import build_head
from studio.catalog.heads.outlet import Outlet
from studio.catalog.heads.plan import Step, needs_map, plan_head
from studio.core.head import Convolution, Dropout, Hidden, Pooling


@dataclass(frozen=True)
class Preset:
    key: str
    title: str
    help: str
    parts: tuple


PRESETS = (
    Preset("linear", "Linear", "One layer from the features to the classes. Hard to beat with few images (arXiv 1411.1792).", ()),
    Preset(
        "mlp",
        "MLP",
        "A hidden layer before the last one: bends the border between classes that a frozen backbone cannot part by a line.",
        (Hidden(width=512, norm="batch", activation="relu"), Dropout(share=0.2)),
    ),
    Preset(
        "convolution",
        "Conv block",
        "Convolutions with a way around them over the feature map, then the average: new filters for details of your images.",
        (Convolution(), Pooling(method="average")),
    ),
)


def preset_of(parts: tuple) -> Preset | None:
    """The preset that these parts are; None for a head of one's own."""
    return next((preset for preset in PRESETS if preset.parts == tuple(parts)), None)


__all__ = ["PRESETS", "Outlet", "Preset", "Step", "build_head", "needs_map", "plan_head", "preset_of"]
