"""The section `augment`: what is done to training images."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import field_validator

from studio.core.section import Section, field

Strength = Literal[
    "none", "light", "medium", "strong", "photo robustness", "aerial", "document", "trivial augment", "rand augment", "augmix", "custom",
]  # fmt: skip


class TransformSpec(Section):
    """One step of an augmentation pipeline, by its name in the catalogue. Parameters that are not named keep their defaults."""

    name: str = field("HorizontalFlip", "Transform", "Its name in the catalogue.", pattern=r"^[A-Za-z][A-Za-z0-9]{0,63}$")
    is_on: bool = field(True, "On", "Off leaves the step in the list and out of the pipeline.")
    p: float = field(0.5, "Probability", "Share of the images that it is applied to.", ge=0.0, le=1.0)
    params: dict[str, Any] = field({}, "Parameters", "Name to value: numbers, words, switches, and lists or tables of them.", max_length=64)
    of: tuple[TransformSpec, ...] = field((), "Choices", "The steps that One of, Some of and Sequence choose from or run.", max_length=32)

    @field_validator("params")
    @classmethod
    def _keep_plain(cls, params: dict[str, Any]) -> dict[str, Any]:
        return {name: plain_value(value) for name, value in params.items()}


def plain_value(value: Any, depth: int = 0) -> Any:
    """The same value with tuples for lists, so that it equals itself after TOML and JSON. Raises ValueError for anything but plain data."""
    if isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, (list, tuple, dict)) and depth < 4 and len(value) <= 256:
        if isinstance(value, dict):
            return {str(name): plain_value(each, depth + 1) for name, each in value.items()}
        return tuple(plain_value(each, depth + 1) for each in value)
    raise ValueError("Only finite numbers, words, switches, and short lists or tables of them can be parameters")


class Augment(Section):
    """What is done to training images, with new random values every epoch."""

    preset: Strength = field("light", "Strength", "How much the training images are varied; custom takes the transforms listed below.")
    horizontal_flip: bool = field(
        True, "Mirror", "Flip left and right half of the time (presets). Switch off when the side matters (text, left and right)."
    )
    transforms: tuple[TransformSpec, ...] = field(
        (), "Transforms", "The steps of the custom pipeline, in order; every one gets its own random values.", max_length=64
    )
    mixup_p: float = field(
        0.0, "MixUp", "Share of the batches whose images and labels are blended in pairs; 0 is off. arXiv 1710.09412.", ge=0.0, le=1.0
    )
    mixup_alpha: float = field(
        0.2, "MixUp alpha", "How even the blend is: Beta(alpha, alpha); small values keep one of the two images.", gt=0.0, le=10.0
    )
    cutmix_p: float = field(
        0.0, "CutMix", "Share of the batches in which a rectangle of each image comes from another; labels by area. 0 is off. "
        "With MixUp, both shares shrink alike where they exceed 1 together. arXiv 1905.04899.", ge=0.0, le=1.0,
    )  # fmt: skip
    cutmix_alpha: float = field(
        1.0, "CutMix alpha", "How large the rectangles are: the area is drawn from Beta(alpha, alpha).", gt=0.0, le=10.0
    )

    @property
    def mixes(self) -> bool:
        return self.mixup_p > 0 or self.cutmix_p > 0
