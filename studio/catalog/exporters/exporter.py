"""What an exporter is given, and what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.reading import Reading

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

Answer = Callable[["np.ndarray"], "np.ndarray"]  # uint8[N, S, S, 3] evaluation views -> float32[N, C] probabilities


@dataclass(frozen=True)
class Exportable:
    """A trained network and everything that must travel with it. `module`: float32 images_NCHW, normalised -> logits_NC, eval mode, CPU."""

    module: nn.Module
    source: str  # library of the backbone: "bundled", "torchvision", "timm"
    backbone: str
    classes: tuple[str, ...]
    input_size: int  # px
    mean: tuple[float, float, float]  # of channels in [0, 1]
    std: tuple[float, float, float]
    interpolation: str
    crop_fraction: float  # share of the shorter side that the evaluation view keeps
    reading: Reading = Reading()  # how files become pixels
    reliability: dict[str, Any] | None = (
        None  # from the run's own validation: "temperature", "thresholds" by class, "answer_only_when_sure"
    )
    is_library_network: bool = True  # all stages and one linear layer in the classifier's place: what the library can build by itself

    @property
    def recipe(self) -> str:
        """How a picture becomes the network's input, in words."""
        side = "the shorter side" if self.crop_fraction == 1 else f"{self.crop_fraction:g} of the shorter side"
        r, g, b = self.reading.bands or (1, 2, 3)
        bands = f"bands {r}, {g} and {b} of files with more than three; " if self.reading.bands else ""
        return (
            f"Upright (EXIF applied), RGB, transparency over white; {bands}16 bits scaled so that {self.reading.white} is 255; the centre square of {side}; "
            f"resized to {self.input_size} x {self.input_size} by cv2's linear filter when shrinking to more than half, "
            f"by area averaging when shrinking further, {self.interpolation} when enlarging; "
            f"divided by 255; minus mean {list(self.mean)}, divided by std {list(self.std)} per channel."
        )


@dataclass(frozen=True)
class Exporter:
    """`write(exportable, folder)` makes its files; `open(folder)` loads them again with the format's own reader for the comparison.

    `usage` is a template of Python lines for preprocess.py that define `probabilities(views_NHWC)`.
    """

    key: str
    title: str
    detail: str
    main_file: str
    write: Callable[[Exportable, Path], dict[str, Any]]  # facts for the report, such as {"opset": 20}
    open: Callable[[Path], Answer]
    usage: str
