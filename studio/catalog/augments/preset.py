"""Ready pipelines. A preset is a list of the same steps that a person puts together by hand: there is one way to build a pipeline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from studio.catalog.augments.catalog import catalog
from studio.core.experiment import Augment, TransformSpec

BICUBIC, REFLECT = 2, 4  # cv2.INTER_CUBIC, cv2.BORDER_REFLECT_101


@dataclass(frozen=True)
class TransformDescription:
    title: str
    detail: str


@dataclass(frozen=True)
class Preset:
    """`build(mirror)` gives the steps; `transforms` says them in words, where there are words shorter than the steps' own."""

    key: str
    title: str
    help: str
    build: Callable[[bool], tuple[TransformSpec, ...]]
    transforms: tuple[TransformDescription, ...] = ()


def pipeline_of(augment: Augment) -> tuple[TransformSpec, ...]:
    """The steps that an experiment asks for, those that are off too."""
    if augment.preset == "custom":
        return augment.transforms
    return preset_of(augment).build(augment.horizontal_flip)


def preset_of(augment: Augment) -> Preset | None:
    """None for a custom pipeline."""
    return next((preset for preset in PRESETS if preset.key == augment.preset), None)


def _step(name: str, p: float = 1.0, of: tuple[TransformSpec, ...] = (), **params) -> TransformSpec:
    """A step that says what differs from the defaults, as the page does."""
    known = catalog()[name]
    return TransformSpec(name=name, p=p, params={n: v for n, v in params.items() if known.param(n).default != v}, of=of)


def _crop(least_area: float) -> TransformSpec:
    return _step("RandomResizedCrop", scale=(least_area, 1.0), interpolation=BICUBIC, area_for_downscale="image")


def _flip(mirror: bool) -> tuple[TransformSpec, ...]:
    return (_step("HorizontalFlip", 0.5),) if mirror else ()


def _turn(degrees: float, shift: float, shear: float, p: float) -> TransformSpec:
    more = {"translate_percent": (-shift, shift), "shear": (-shear, shear)} if shift else {}
    return _step("Affine", p, rotate=(-degrees, degrees), border_mode=REFLECT, **more)  # fmt: skip


def _colour(amount: float, hue: float, p: float) -> TransformSpec:
    span = (1 - amount, 1 + amount)
    return _step("ColorJitter", p, brightness=span, contrast=span, saturation=span, hue=(-hue, hue))


def _light(mirror: bool) -> tuple[TransformSpec, ...]:
    return (_crop(0.5), *_flip(mirror))


def _medium(mirror: bool) -> tuple[TransformSpec, ...]:
    return (_crop(0.35), *_flip(mirror), _turn(12.0, 0.0, 0.0, 0.5), _colour(0.2, 0.02, 0.7))


def _strong(mirror: bool) -> tuple[TransformSpec, ...]:
    return (
        _crop(0.2),
        *_flip(mirror),
        _turn(20.0, 0.05, 8.0, 0.7),
        _colour(0.4, 0.05, 0.8),
        _step("OneOf", 0.3, (_step("GaussianBlur", 0.5, sigma_limit=(0.3, 1.5)), _step("GaussNoise", 0.5, std_range=(0.02, 0.08)))),
        _step("CoarseDropout", 0.5, hole_height_range=(0.1, 0.3), hole_width_range=(0.1, 0.3)),
    )


def _photo_robustness(mirror: bool) -> tuple[TransformSpec, ...]:
    """The corruptions of real cameras and uploads, milder than those of ImageNet-C (arXiv 1903.12261)."""
    blurs = (
        _step("GaussianBlur", 0.5, sigma_limit=(0.3, 1.5)),
        _step("MotionBlur", 0.5),
        _step("Defocus", 0.5, radius=(1, 3), alias_blur=(0.1, 0.3)),
    )
    noises = (_step("GaussNoise", 0.5, std_range=(0.02, 0.08)), _step("ISONoise", 0.5))
    return (
        _crop(0.35),
        *_flip(mirror),
        _colour(0.3, 0.03, 0.7),
        _step("RandomGamma", 0.2),
        _step("OneOf", 0.3, blurs),
        _step("OneOf", 0.3, noises),
        _step("ImageCompression", 0.3, quality_range=(35, 90)),
        _step("Downscale", 0.1, scale_range=(0.5, 0.8)),
    )


def _aerial(mirror: bool) -> tuple[TransformSpec, ...]:
    """From above there is no up: all eight turns and reflections, unless mirroring changes the class."""
    return (
        _crop(0.5),
        _step("SquareSymmetry") if mirror else _step("RandomRotate90"),
        _colour(0.25, 0.02, 0.7),
        _step("RandomFog", 0.1, fog_coef_range=(0.1, 0.3)),
        _step("RandomShadow", 0.1),
    )


def _document(_mirror: bool) -> tuple[TransformSpec, ...]:
    """Pages from scanners and telephones: never mirrored, hardly cropped."""
    return (
        _crop(0.8),
        _step("Affine", 0.5, rotate=(-3.0, 3.0), shear=(-2.0, 2.0), border_mode=REFLECT),
        _step("Perspective", 0.3, scale=(0.01, 0.05)),
        _step("RandomBrightnessContrast", 0.5),
        _step("OneOf", 0.3, (_step("GaussianBlur", 0.5, sigma_limit=(0.3, 1.0)), _step("MotionBlur", 0.5, blur_limit=(3, 3)))),
        _step("GaussNoise", 0.2, std_range=(0.02, 0.06)),
        _step("ImageCompression", 0.3, quality_range=(40, 90)),
        _step("ToGray", 0.1),
    )


def _policy(name: str) -> Callable[[bool], tuple[TransformSpec, ...]]:
    return lambda mirror: (_crop(0.35), *_flip(mirror), _step(name))


_MIRROR = TransformDescription("Mirror", "Left and right swapped, half of the time, where the Mirror switch is on.")

PRESETS = (
    Preset(
        "none",
        "None",
        "The centre of every image as it is; Mirror is off too. Good for a first test, poor for fewer than 1,000 images.",
        lambda _mirror: (),
    ),
    Preset(
        "light",
        "Light",
        "Crops and mirror images. A safe start for photographs.",
        _light,
        (TransformDescription("Random crop", "50 to 100 % of the area, sides between 3:4 and 4:3, scaled to the input size."), _MIRROR),
    ),
    Preset(
        "medium",
        "Medium",
        "Closer crops, small turns and colour changes. For a few hundred images per class or fewer.",
        _medium,
        (
            TransformDescription("Random crop", "35 to 100 % of the area, sides between 3:4 and 4:3, scaled to the input size."),
            _MIRROR,
            TransformDescription("Turn", "Up to 12 degrees either way, half of the time."),
            TransformDescription("Colour", "Brightness, contrast and saturation within 20 %, hue within 2 %, in 70 % of the images."),
        ),
    ),
    Preset(
        "strong",
        "Strong",
        "All of it and covered patches. For long runs in which the network would otherwise learn the images by heart.",
        _strong,
        (
            TransformDescription("Random crop", "20 to 100 % of the area, sides between 3:4 and 4:3, scaled to the input size."),
            _MIRROR,
            TransformDescription("Turn, shift, shear", "Up to 20 degrees, 5 % of the side, 8 degrees of shear, in 70 % of the images."),
            TransformDescription("Colour", "Brightness, contrast and saturation within 40 %, hue within 5 %, in 80 % of the images."),
            TransformDescription("Blur or noise", "One of the two, gentle, in 30 % of the images."),
            TransformDescription("Covered patches", "One or two rectangles of 10 to 30 % of the side, half of the time."),
        ),
    ),
    Preset(
        "photo robustness",
        "Photo robustness",
        "What cameras and uploads do to photographs: blur, noise, compression, light. For images that will come from anywhere.",
        _photo_robustness,
    ),
    Preset("aerial", "Aerial", "Seen from above, where no side is up: quarter turns, reflections, haze and shadows.", _aerial),
    Preset("document", "Document", "Scanned or photographed pages: small turns, blur and compression; never mirrored.", _document),
    Preset(
        "trivial augment",
        "TrivialAugment",
        "One random operation of random strength per image; nothing to tune. arXiv 2103.10158.",
        _policy("TrivialAugment"),
    ),
    Preset("rand augment", "RandAugment", "Two random operations of medium strength per image. arXiv 1909.13719.", _policy("RandAugment")),
    Preset(
        "augmix",
        "AugMix",
        "Blends several gently changed copies of the image; made for robustness. arXiv 1912.02781.",
        _policy("AugMix"),
    ),
)  # fmt: skip
