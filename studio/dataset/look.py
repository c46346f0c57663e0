"""What pictures look like, by a few honest measures, and what that means for augmentation. No network: names of classes and colours.

Whether pictures are seen from above cannot be told from such measures: a mean over the directions of edges and light took product photographs
for aerial ones. Names say it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST = 24  # pictures, before anything is said about looks
_SIGN = re.compile(r"^(digit|letter|char(acter)?|number)?[\s_-]?\w$", re.IGNORECASE)
_FACES = re.compile(r"(^|[^a-z])(face|person|man|woman|smil\w*|beard|glasses|emotion|happy|sad|angry|surprised?|neutral|fear)([^a-z]|$)", re.IGNORECASE)  # fmt: skip
_MEDICAL = re.compile(r"(x[\s_-]?ray|\bct\b|\bmri?\b|tumou?r|pneumonia|carcinoma|benign|malignant|lesion|melanoma|retina|fracture|covid)", re.IGNORECASE)  # fmt: skip
_AERIAL = re.compile(r"(aerial|satellite|residential|farmland|cropland|runway|airport|harbou?r|river|highway|pasture|annual\s?crop|sealake)", re.IGNORECASE)  # fmt: skip


@dataclass(frozen=True)
class Look:
    """Shares in [0, 1]."""

    grey: float  # pictures without colour
    two_tone: float  # pictures of which nearly all pixels are close to the darkest or the lightest
    num_pictures: int


@dataclass(frozen=True)
class Hint:
    """`kind` is digits, text, medical, aerial or faces; `avoid` are transforms by name, `preset` a better start, "" for none."""

    kind: str
    sentence: str
    avoid: tuple[str, ...] = ()
    preset: str = ""


def look_at(pictures: Sequence[np.ndarray]) -> Look:
    """From uint8[H, W, 3] pictures; small thumbnails are enough. 64 of them take some 20 ms."""
    grey = two_tone = 0
    for picture in pictures:
        values = picture.astype(np.float32)
        grey += bool(np.abs(values - values.mean(2, keepdims=True)).mean() < 2)
        level = values.mean(2)
        low, high = np.percentile(level, (1, 99))
        near = (level < low + 0.2 * (high - low)) | (level > high - 0.2 * (high - low))
        two_tone += bool(near.mean() > 0.9 and high - low > 40)
    count = max(1, len(pictures))
    return Look(grey / count, two_tone / count, len(pictures))


def hints(classes: Sequence[str], look: Look | None) -> list[Hint]:
    """What the names and the looks say, the surest first. Each sentence says what it rests on."""
    found: list[Hint] = []
    seen = look if look and look.num_pictures >= FEWEST else None
    signs = [name for name in classes if _SIGN.match(name.strip())]
    if classes and len(signs) * 2 > len(classes):
        words = f"{len(signs)} of {len(classes)} classes are single signs: mirrored or turned upside down, a digit or letter means something else."
        found.append(Hint("digits", words, ("HorizontalFlip", "VerticalFlip", "D4", "SquareSymmetry", "RandomRotate90", "Transpose")))
    elif seen and seen.two_tone > 0.6:
        words = f"{seen.two_tone:.0%} of the pictures have two tones, like text or drawings: mirroring and heavy blur make them unreadable."
        found.append(Hint("text", words, ("HorizontalFlip", "VerticalFlip", "GaussianBlur", "CoarseDropout"), "document"))
    for kind, pattern, sentence, avoid, preset in (
        ("medical", _MEDICAL, "sounds medical: colour and contrast can carry the finding, and sides matter in the body. Vary them little.",
         ("HorizontalFlip", "ColorJitter", "HueSaturationValue", "CLAHE", "Equalize", "InvertImg"), "light"),
        ("aerial", _AERIAL, "sounds like a view from above, where no side is up: quarter turns are safe and help.", (), "aerial"),
        ("faces", _FACES, "sounds like faces: mirroring is fine, turning upside down and strong stretching are not.",
         ("VerticalFlip", "RandomRotate90", "ElasticTransform", "GridDistortion", "ThinPlateSpline"), ""),
    ):  # fmt: skip
        named = [name for name in classes if pattern.search(name)]
        if named:
            found.append(Hint(kind, f"“{named[0][:40]}” {sentence}", avoid, preset))
    kinds = {hint.kind for hint in found}
    if seen and seen.grey > 0.8 and not kinds & {"digits", "text", "medical"}:
        words = (
            f"{seen.grey:.0%} of the pictures are grey: changes of hue and saturation do nothing, those of contrast may hide what matters."
        )
        found.append(Hint("medical", words, ("HueSaturationValue", "ChannelShuffle", "RGBShift", "ToSepia")))
    return found
