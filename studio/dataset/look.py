"""What pictures look like, by a few honest measures, and what that means for augmentation. No network: names of classes and colours.

None of it is certain, and the sentences say so: grey with dark surroundings can be an X-ray or a night. Whether pictures are seen from above
cannot be told from such measures at all: a mean over the directions of edges and light took product photographs for aerial ones. Names say it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

FEWEST = 24  # pictures, before anything is said about looks
_SIGN = re.compile(r"^(digit|letter|char(acter)?|number)?[\s_-]?\w$", re.IGNORECASE)
_FACES = re.compile(r"(^|[^a-z])(face|person|man|woman|smil\w*|beard|glasses|emotion|happy|sad|angry|surprised?|neutral|fear)([^a-z]|$)", re.IGNORECASE)  # fmt: skip
_MEDICAL = re.compile(r"(x[\s_-]?ray|\bct\b|\bmri?\b|tumou?r|pneumonia|carcinoma|benign|malignant|lesion|melanoma|retina|fracture|covid)", re.IGNORECASE)  # fmt: skip
_AERIAL = re.compile(r"(aerial|satellite|residential|farmland|cropland|runway|airport|harbou?r|river|highway|pasture|annual\s?crop|sealake)", re.IGNORECASE)  # fmt: skip


@dataclass(frozen=True)
class Look:
    """Shares of the pictures, in [0, 1]; a picture can count for several."""

    grey: float  # without colour
    two_tone: float  # nearly all pixels are close to the darkest or the lightest
    paper: float  # a light ground without colour, and darker strokes on less than a third of it
    chalk: float  # the reverse: light strokes on a dark ground
    dark_rim: float  # without colour, continuous tones, and dark all around: what many scans of bodies look like, and other pictures too
    num_pictures: int


@dataclass(frozen=True)
class Hint:
    """`kind` is digits, text, grey, medical, aerial or faces; `avoid` are transforms by name, `preset` a better start, "" for none."""

    kind: str
    sentence: str
    avoid: tuple[str, ...] = ()
    preset: str = ""


def look_at(pictures: Sequence[np.ndarray]) -> Look:
    """From uint8[H, W, 3] pictures; small thumbnails are enough. 64 of them take some 30 ms."""
    counts = np.zeros(5, int)
    for picture in pictures:
        values = picture.astype(np.float32)
        level = values.mean(2)
        is_grey = np.abs(values - level[..., None]).mean() < 2
        low, high = np.percentile(level, (1, 99))
        span, rim = high - low, _rim(level)
        light, dark = level > high - 0.2 * span, level < low + 0.2 * span
        is_two_tone = span > 40 and (light | dark).mean() > 0.9
        is_paper = (
            span > 60 and np.median(rim) > 170 and light.mean() > 0.4 and _colour(values) < 20 and _is_thin(level < high - 0.5 * span)
        )
        is_chalk = span > 60 and np.median(rim) < 60 and dark.mean() > 0.4 and is_grey and _is_thin(level > low + 0.5 * span)
        has_dark_rim = is_grey and span > 60 and np.median(rim) < low + 0.15 * span and not is_two_tone and not is_chalk
        counts += is_grey, is_two_tone, is_paper, is_chalk, has_dark_rim
    return Look(*(counts / max(1, len(pictures))).tolist(), len(pictures))


def _rim(level_HW: np.ndarray) -> np.ndarray:
    """The outermost pixels."""
    return np.concatenate([level_HW[0], level_HW[-1], level_HW[:, 0], level_HW[:, -1]])


def _is_thin(mask_HW: np.ndarray) -> bool:
    """Whether it is strokes: there are some, and next to nothing is left where a quarter of the shorter side is worn off."""
    width = 2 * max(1, round(min(mask_HW.shape) / 8)) + 1
    if min(mask_HW.shape) <= width or not 0.01 < mask_HW.mean() < 0.5:
        return False
    inner = sliding_window_view(mask_HW, width, axis=0).all(-1)
    inner = sliding_window_view(inner, width, axis=1).all(-1)
    return bool(inner.sum() < 0.02 * mask_HW.sum())


def _colour(values_HWC: np.ndarray) -> float:
    """How far apart the channels are on the lightest half of the picture: paper can be yellowed, but not red."""
    level = values_HWC.mean(2)
    light = values_HWC[level >= np.median(level)]
    return float(np.ptp(light, axis=1).mean())


def hints(classes: Sequence[str], look: Look | None) -> list[Hint]:
    """What the names and the looks say, the surest first. Each sentence says what it rests on."""
    found: list[Hint] = []
    seen = look if look and look.num_pictures >= FEWEST else None
    signs = [name for name in classes if _SIGN.match(name.strip())]
    if classes and len(signs) * 2 > len(classes):
        words = f"{len(signs)} of {len(classes)} classes are single signs: mirrored or turned upside down, a digit or letter means something else."
        found.append(Hint("digits", words, ("HorizontalFlip", "VerticalFlip", "D4", "SquareSymmetry", "RandomRotate90", "Transpose")))
    elif seen and max(seen.two_tone, seen.paper, seen.chalk) > 0.6:
        words = f"{max(seen.two_tone, seen.paper, seen.chalk):.0%} of the pictures are strokes on an even ground, as pages, digits and drawings are."
        words += " If they are to be read, mirroring and heavy blur spoil them."
        found.append(Hint("text", words, ("HorizontalFlip", "VerticalFlip", "GaussianBlur", "CoarseDropout"), "document"))
    for kind, pattern, sentence, avoid, preset in (
        ("medical", _MEDICAL, "may be a medical finding: colour and contrast can carry it, and sides matter in the body. If so, vary them little.",
         ("HorizontalFlip", "ColorJitter", "HueSaturationValue", "CLAHE", "Equalize", "InvertImg"), "light"),
        ("aerial", _AERIAL, "may be seen from above. If no side is up in your pictures, quarter turns are safe and help.", (), "aerial"),
        ("faces", _FACES, "may be about faces: mirroring leaves a face a face; upside down or strongly stretched it is one that never comes.",
         ("VerticalFlip", "RandomRotate90", "ElasticTransform", "GridDistortion", "ThinPlateSpline"), ""),
    ):  # fmt: skip
        named = [name for name in classes if pattern.search(name)]
        if named:
            found.append(Hint(kind, f"By its name, “{named[0][:40]}” {sentence}", avoid, preset))
    kinds = {hint.kind for hint in found}
    if seen and seen.grey > 0.8 and not kinds & {"digits", "text", "medical"}:
        of_colour = ("HueSaturationValue", "ChannelShuffle", "RGBShift", "ToSepia")
        if seen.dark_rim > 0.6:
            words = f"{seen.dark_rim:.0%} of the pictures are grey with dark surroundings, as X-rays and other scans often are. If yours are, contrast"
            words += " can carry the finding and sides can matter."
            found.append(Hint("medical", words, (*of_colour, "HorizontalFlip", "CLAHE", "Equalize", "InvertImg")))
        else:
            words = f"{seen.grey:.0%} of the pictures are grey: changes of hue and saturation do nothing to grey, or tint it."
            found.append(Hint("grey", words, of_colour))
    return found
