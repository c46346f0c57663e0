"""Heat maps over pictures: inferno, more opaque where it is hotter, so that the picture stays to be seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from PySide6.QtGui import QImage


def heat_image(heat_HW: np.ndarray) -> QImage:
    """A QImage with alpha from float32 HxW in [0, 1]; not-a-number counts as cold."""
    import pyqtgraph as pg

    table = pg.colormap.get("inferno").getLookupTable(0.0, 1.0, 256, alpha=False)
    level = np.clip(np.nan_to_num(heat_HW) * 255, 0, 255).astype(np.uint8)
    height, width = level.shape
    pixels = np.empty((height, width, 4), np.uint8)
    pixels[..., :3] = table[level]
    pixels[..., 3] = np.minimum(255, level.astype(int) * 2)
    return QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_RGBA8888).copy()


def take_heat(reference: dict[str, Any]) -> np.ndarray:
    """float32 HxW of a result's {"content", "width", "height"}. Raises ValueError where it is not whole."""
    return np.frombuffer(reference["content"], np.float32).reshape(int(reference["height"]), int(reference["width"]))
