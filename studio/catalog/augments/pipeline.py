"""From a list of steps to a function that varies pictures. The loader and the preview call the same object.

The result is a function of the picture and the seed alone. Every step draws from generators of its own, seeded by (seed, name of the step,
how many steps of that name stand before it): to move a slider of one step, switch it off or drag it elsewhere leaves the draws of all the
others as they are, which is what makes two previews comparable.
"""

from __future__ import annotations

import random
import warnings
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studio.catalog.augments.policy import POLICIES, build_policy
from studio.catalog.augments.view import centre_view, shrink_to_working_size
from studio.core.experiment import TransformSpec
from studio.core.problem import BadInput, error

if TYPE_CHECKING:
    import numpy as np

COMPOSITIONS = ("OneOf", "SomeOf", "Sequential")
# Sizes that a step may be given and that are the network's input size where they are not: a cropping step makes what the network sees.
SIZE_PARAMS = {"RandomResizedCrop": ("size",), "RandomSizedCrop": ("size",), "RandomCrop": ("height", "width"),
               "CenterCrop": ("height", "width"), "Resize": ("height", "width"), "PadIfNeeded": ("min_height", "min_width"),
               "LongestMaxSize": ("max_size",), "SmallestMaxSize": ("max_size",)}  # fmt: skip
# Crops that fail on pictures smaller than the input size unless they pad.
PADDED = ("RandomCrop", "CenterCrop")


@dataclass(frozen=True)
class Applied:
    """What a step did to one picture. `failure` says why it could not, and then the picture went on without it."""

    step: int  # its position among all steps of the pipeline, those that are off too
    name: str
    params: dict[str, Any]  # as drawn, with arrays
    failure: str = ""


class Pipeline:
    """(uint8[H, W, 3], seed) -> uint8[S, S, 3], contiguous. Holds state while it runs: one per thread.

    `failures` counts steps that could not be applied: {(name, reason): number}. Raises BadInput when a step cannot be built.
    """

    def __init__(self, steps: tuple[TransformSpec, ...], input_size: int):
        self.input_size = input_size
        self.failures: dict[tuple[str, str], int] = {}
        self._steps = []
        seen: dict[str, int] = {}
        for position, spec in enumerate(steps):
            occurrence = seen.get(spec.name, 0)
            seen[spec.name] = occurrence + 1
            if spec.is_on and spec.p > 0:
                key = zlib.crc32(f"{spec.name} {occurrence}".encode())
                self._steps.append((position, spec, key, _build(spec, input_size, f"augment.transforms.{position}", 1.0)))

    def __call__(self, image: np.ndarray, seed: int) -> np.ndarray:
        return self._run(image, seed, None)

    def traced(self, image: np.ndarray, seed: int) -> tuple[np.ndarray, list[Applied]]:
        """The same picture, and what every step that acted has drawn."""
        applied: list[Applied] = []
        return self._run(image, seed, applied), applied

    def take_failures(self) -> dict[tuple[str, str], int]:
        """What failed since the last call."""
        found, self.failures = self.failures, {}
        return found

    def _run(self, image: np.ndarray, seed: int, applied: list[Applied] | None) -> np.ndarray:
        import numpy as np

        image = shrink_to_working_size(image, self.input_size)
        if not image.flags.writeable:  # some steps write into what they are given
            image = image.copy()
        for position, spec, key, transform in self._steps:
            draws = random.Random(seed << 32 | key)
            if spec.p < 1 and draws.random() >= spec.p:
                continue
            transform.set_random_state(np.random.default_rng((seed, key)), draws)
            try:
                made = transform(image=image, force_apply=True)["image"]
                _check(made)
            except Exception as exc:  # whatever a step does not like about a picture: the picture goes on without it
                reason = _reason(exc, image)
                self.failures[spec.name, reason] = self.failures.get((spec.name, reason), 0) + 1
                if applied is not None:
                    applied.append(Applied(position, spec.name, {}, reason))
                continue
            image = made
            if applied is not None:
                applied.append(Applied(position, spec.name, _drawn(transform)))
        if image.shape[:2] != (self.input_size, self.input_size):
            image = centre_view(image, self.input_size)
        return np.ascontiguousarray(image)


def _build(spec: TransformSpec, input_size: int, field: str, p: float):
    """The object that does it. `p` is the weight inside a composition. Raises BadInput with a sentence."""
    import os

    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would ask a server for a newer version
    import albumentations as alb

    name = spec.name
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # albumentations only warns of what it then ignores
            if name in POLICIES:
                return build_policy(name, spec.params)
            if name in COMPOSITIONS:
                children = [_build(child, input_size, f"{field}.of.{i}", child.p) for i, child in enumerate(spec.of) if child.is_on]
                return getattr(alb, name)(children, **spec.params, p=p)
            return getattr(alb, name)(**sized(name, spec.params, input_size), p=p)
    except BadInput:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, Warning) as exc:
        raise BadInput(error(field, f"{name} cannot be made: {first_words(exc)}.")) from None


def sized(name: str, params: dict[str, Any], input_size: int) -> dict[str, Any]:
    """The parameters with the input size where a size is not given."""
    given = dict(params)
    for size in SIZE_PARAMS.get(name, ()):
        given.setdefault(size, (input_size, input_size) if size == "size" else input_size)
    if name in PADDED:
        given.setdefault("pad_if_needed", True)
    return given


def first_words(exc: BaseException) -> str:
    """The part of a library's message that a person can use, without its full stop."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    if len(lines) >= 3 and "validation error" in lines[0]:  # pydantic: count, field, what is wrong with it
        words = f"{lines[1]}: {lines[2].partition(' [type=')[0].removeprefix('Value error, ')}"
    else:
        words = lines[0] if lines else type(exc).__name__
    return words[:200].rstrip(".")


def _check(made: Any) -> None:
    import numpy as np

    if not isinstance(made, np.ndarray) or made.dtype != np.uint8 or made.ndim != 3 or made.shape[2] != 3 or not made.size:
        kind = f"{made.dtype}{list(made.shape)}" if isinstance(made, np.ndarray) else type(made).__name__
        raise ValueError(f"gives {kind} instead of an 8-bit colour picture")


def _reason(exc: Exception, image: np.ndarray) -> str:
    height, width = image.shape[:2]
    words = first_words(exc)
    if type(exc).__name__ == "error" or isinstance(exc, (IndexError, ZeroDivisionError)):  # cv2's own words help nobody
        words = f"does not work on a picture of {width} x {height} pixels"
    return words


def _drawn(transform) -> dict[str, Any]:
    """What a step has drawn; of a composition, what its children have."""
    if hasattr(transform, "transforms"):
        return {type(child).__name__: _drawn(child) for child in transform.transforms if getattr(child, "params", None)}
    return dict(getattr(transform, "params", {}))
