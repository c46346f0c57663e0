"""Pretrained image networks of three sources behind one door. Importing this package imports no library.

- `list_backbones()`, `cached_backbones()`, `backbone_info(source, name)`: what there is
- `build_backbone(source, name, num_classes=…, pretrained=…)`: a network with a new head, cut into stages
- `build_model(model, num_classes)`: the same from the `Model` of an experiment
- `cut_points(source, name, input_size)`: where it can be cut, and what it gives there
- `describe(built)`: what each stage holds and gives
- `download_weights(info, progress, is_cancelled)`: the only function that uses the network
"""

from studio.catalog.backbones.backbone import BackboneInfo, Built, Stage, WeightsReport
from studio.catalog.backbones.build import accepted_input_sizes, build_backbone, build_model, takes_input_size
from studio.catalog.backbones.cutting import CutPoint, cut_points
from studio.catalog.backbones.describe import StageDescription, describe
from studio.catalog.backbones.download import DownloadCancelled, download_weights
from studio.catalog.backbones.listing import backbone_info, cached_backbones, list_backbones

__all__ = [
    "BackboneInfo",
    "Built",
    "CutPoint",
    "DownloadCancelled",
    "Stage",
    "StageDescription",
    "WeightsReport",
    "accepted_input_sizes",
    "backbone_info",
    "build_backbone",
    "build_model",
    "cached_backbones",
    "cut_points",
    "describe",
    "download_weights",
    "list_backbones",
    "takes_input_size",
]
