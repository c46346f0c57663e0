"""What a step drew for one picture, in words: the library's own names are those of its code."""

from __future__ import annotations

from typing import Any

import numpy as np

from studio.catalog.augments.catalog import catalog
from studio.core.words import NBSP, format_number

_TITLES = {
    "crop_coords": "cut out", "crop_params": "cut out", "pad_top": "border above", "pad_bottom": "border below", "pad_left": "border left",
    "pad_right": "border right", "factor": "quarter turns", "sat_shift": "saturation shift", "val_shift": "brightness shift",
    "ksize": "kernel", "num_bits": "bits", "color_shift": "colour shift", "holes": "patches", "n_segments": "areas",
    "group_element": "symmetry", "flare_center": "flare at", "temperature": "colour temperature", "clip_limit": "contrast limit",
}  # fmt: skip
_SIDES = ("pad_top", "pad_bottom", "pad_left", "pad_right")  # the order in which CropAndPad lists them
_NOT_SHOWN = {
    "shape", "cols", "rows", "interpolation", "mask_interpolation", "fill", "fill_mask", "border_mode", "bbox_matrix", "rotate_method",
    "matrix", "matrix_bbox", "max_height", "max_width", "output_shape", "result_shape", "map_x", "map_y", "generated_mesh", "tiles",
    "seed", "random_seed", "plasma_pattern", "noise_map", "mask", "mask_drop_mask", "mask_drop_values", "image_type",
}  # fmt: skip


def drawn_values(params: dict[str, Any], prefix: str = "") -> list[list[str]]:
    """Pairs of name and value as short texts; of large arrays the size. What tells a person nothing is left out."""
    found: list[list[str]] = []
    for name, value in params.items():
        if name in _NOT_SHOWN or value is None or callable(value) or isinstance(value, (list, tuple)) and not value:
            continue
        if name == "pad_params":
            sides = value if isinstance(value, dict) else dict(zip(_SIDES, value, strict=False))
            found += drawn_values(sides, prefix)
            continue
        child = catalog().get(str(name))
        title = f"{prefix}{child.title if child else _TITLES.get(name, str(name).replace('_', ' '))}"
        if isinstance(value, dict):
            found += drawn_values(value, f"{title}: ")
        else:
            found.append([title, _text(name, value)])
    return found


def _text(name: str, value: Any) -> str:
    if name in ("crop_coords", "crop_params") and isinstance(value, (list, tuple)) and len(value) == 4:
        left, top, right, bottom = map(int, value)
        return f"{right - left} × {bottom - top}{NBSP}px, {left}{NBSP}px from the left, {top}{NBSP}px from the top"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        return format_number(float(f"{value:.3g}"))
    if isinstance(value, np.ndarray) and name == "holes":
        return str(len(value))
    if isinstance(value, np.ndarray) and (value.size > 8 or value.ndim > 1):
        return f"{' × '.join(map(str, value.shape))} {'px' if name == 'kernel' else 'numbers'}"
    if isinstance(value, (list, tuple, np.ndarray)) and len(value) <= 8:
        return ", ".join(_text("", each) for each in value)
    return str(value)[:40]
