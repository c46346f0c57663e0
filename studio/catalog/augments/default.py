"""Where Studio departs from albumentations' defaults: parameters that it requires, or whose default fails on most pictures."""

from __future__ import annotations

from typing import Any

# Sizes that are the network's input size where they are not given: a cropping step makes what the network sees.
SIZE_PARAMS: dict[str, tuple[str, ...]] = {
    "CenterCrop": ("height", "width"),
    "LongestMaxSize": ("max_size",),
    "PadIfNeeded": ("min_height", "min_width"),
    "RandomCrop": ("height", "width"),
    "RandomResizedCrop": ("size",),
    "Resize": ("height", "width"),
    "SmallestMaxSize": ("max_size",),
}  # fmt: skip

OUR_DEFAULTS: dict[str, dict[str, Any]] = {
    "CenterCrop": {"pad_if_needed": True},  # small pictures cannot be cropped without
    "CropAndPad": {"percent": (-0.1, 0.1)},  # one of px and percent is required
    "GridElasticDeform": {"num_grid_xy": (4, 4), "magnitude": 10},  # required
    "ImageCompression": {"quality_range": (40, 95)},  # 99 to 100 changes nothing that can be seen
    "Pad": {"padding": 16},  # pads nothing by default
    "RandomCrop": {"pad_if_needed": True},
    "XYMasking": {"num_masks_x": (1, 2), "num_masks_y": (1, 2), "mask_x_length": (4, 24), "mask_y_length": (4, 24)},  # masks nothing by default
}  # fmt: skip


def completed(name: str, params: dict[str, Any], input_size: int) -> dict[str, Any]:
    """Parameters for the constructor: those given, our defaults, and the input size where a size is not given."""
    sizes = {size: (input_size, input_size) if size == "size" else input_size for size in SIZE_PARAMS.get(name, ())}
    ours = OUR_DEFAULTS.get(name, {})
    if name == "CropAndPad" and "px" in params:
        ours = {}
    return sizes | ours | params
