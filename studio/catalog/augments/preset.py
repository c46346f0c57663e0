"""Four strengths of augmentation. Each says in words what it does, and builds the albumentations transforms that do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TransformDescription:
    title: str
    detail: str


@dataclass(frozen=True)
class Preset:
    key: str
    title: str
    help: str
    transforms: tuple[TransformDescription, ...]
    build: Callable[[int, bool], list[Any]] | None  # (input_size, horizontal_flip) -> albumentations transforms


def _crop(input_size: int, least_area: float):
    import albumentations as alb
    import cv2

    return alb.RandomResizedCrop(
        size=(input_size, input_size),
        scale=(least_area, 1.0),
        ratio=(3 / 4, 4 / 3),
        interpolation=cv2.INTER_CUBIC,
        area_for_downscale="image",
    )


def _flip(horizontal_flip: bool) -> list[Any]:
    import albumentations as alb

    return [alb.HorizontalFlip(p=0.5)] if horizontal_flip else []


def _turn(degrees: float, shift_fraction: float, shear: float, p: float):
    import albumentations as alb
    import cv2

    return alb.Affine(
        rotate=(-degrees, degrees),
        translate_percent=(-shift_fraction, shift_fraction),
        shear=(-shear, shear),
        border_mode=cv2.BORDER_REFLECT_101,
        p=p,
    )


def _colour(amount: float, hue: float, p: float):
    import albumentations as alb

    span = (1 - amount, 1 + amount)
    return alb.ColorJitter(brightness=span, contrast=span, saturation=span, hue=(-hue, hue), p=p)


def _light(input_size: int, horizontal_flip: bool) -> list[Any]:
    return [_crop(input_size, 0.5), *_flip(horizontal_flip)]


def _medium(input_size: int, horizontal_flip: bool) -> list[Any]:
    return [_crop(input_size, 0.35), *_flip(horizontal_flip), _turn(12, 0.0, 0.0, 0.5), _colour(0.2, 0.02, 0.7)]


def _strong(input_size: int, horizontal_flip: bool) -> list[Any]:
    import albumentations as alb

    return [
        _crop(input_size, 0.2),
        *_flip(horizontal_flip),
        _turn(20, 0.05, 8, 0.7),
        _colour(0.4, 0.05, 0.8),
        alb.OneOf([alb.GaussianBlur(sigma_limit=(0.3, 1.5)), alb.GaussNoise(std_range=(0.02, 0.08))], p=0.3),
        alb.CoarseDropout(num_holes_range=(1, 2), hole_height_range=(0.1, 0.3), hole_width_range=(0.1, 0.3), p=0.5),
    ]


_MIRROR = TransformDescription("Mirror", "Left and right swapped, half of the time, where the Mirror switch is on.")

PRESETS = (
    Preset(
        "none",
        "None",
        "The centre of every image as it is; Mirror is off too. Good for a first test, poor for fewer than 1,000 images.",
        (),
        None,
    ),
    Preset(
        "light",
        "Light",
        "Crops and mirror images. A safe start for photographs.",
        (TransformDescription("Random crop", "50 to 100 % of the area, sides between 3:4 and 4:3, scaled to the input size."), _MIRROR),
        _light,
    ),
    Preset(
        "medium",
        "Medium",
        "Closer crops, small turns and colour changes. For a few hundred images per class or fewer.",
        (
            TransformDescription("Random crop", "35 to 100 % of the area, sides between 3:4 and 4:3, scaled to the input size."),
            _MIRROR,
            TransformDescription("Turn", "Up to 12 degrees either way, half of the time."),
            TransformDescription("Colour", "Brightness, contrast and saturation within 20 %, hue within 2 %, in 70 % of the images."),
        ),
        _medium,
    ),
    Preset(
        "strong",
        "Strong",
        "All of it and covered patches. For long runs in which the network would otherwise learn the images by heart.",
        (
            TransformDescription("Random crop", "20 to 100 % of the area, sides between 3:4 and 4:3, scaled to the input size."),
            _MIRROR,
            TransformDescription("Turn, shift, shear", "Up to 20 degrees, 5 % of the side, 8 degrees of shear, in 70 % of the images."),
            TransformDescription("Colour", "Brightness, contrast and saturation within 40 %, hue within 5 %, in 80 % of the images."),
            TransformDescription("Blur or noise", "One of the two, gentle, in 30 % of the images."),
            TransformDescription("Covered patches", "One or two rectangles of 10 to 30 % of the side, half of the time."),
        ),
        _strong,
    ),
)
