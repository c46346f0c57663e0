"""From a list of steps to a function that varies pictures. The loader and the preview call the same object.

The result is a function of the picture and the seed alone. Every step draws from generators of its own, seeded by (seed, name of the step,
how many steps of that name stand before it): to move a slider of one step, switch it off or drag it elsewhere leaves the draws of all the
others as they are, which is what makes two previews comparable.
"""

from __future__ import annotations

import functools
import random
import re
import time
import warnings
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from studio.catalog.augments.catalog import COMPOSITIONS
from studio.catalog.augments.check import step_problems
from studio.catalog.augments.default import completed
from studio.catalog.augments.load import load_albumentations
from studio.catalog.augments.policy import POLICIES, build_policy
from studio.catalog.augments.trail import Mark, Trail
from studio.catalog.augments.view import centre_view, grow_to_least_size, resized_crop, shrink_to_working_size
from studio.core.experiment import TransformSpec
from studio.core.problem import BadInput, error

if TYPE_CHECKING:
    import numpy as np

_NOT_STRICT = ("MedianBlur", "RandomRotate90", "ToSepia")  # their constructors do not take the argument
_WARNING = ("PiecewiseAffine", "ShiftScaleRotate")  # they say that they are slow, or that Affine can do it


@dataclass(frozen=True)
class Applied:
    """What a step did to one picture. `failure` says why it could not, and then the picture went on without it."""

    step: int  # its position among all steps of the pipeline, those that are off too
    name: str
    params: dict[str, Any]  # as drawn, with arrays
    failure: str = ""


@dataclass
class Tally:
    """What varying pictures has cost and what went wrong: numbers of failures by (name, reason), seconds by name of the step."""

    num_images: int = 0
    failures: dict[tuple[str, str], int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        self.num_images += other.num_images
        for mine, theirs in ((self.failures, other.failures), (self.seconds, other.seconds)):
            for key, value in theirs.items():
                mine[key] = mine.get(key, 0) + value


class Pipeline:
    """(uint8[H, W, 3], seed) -> uint8[S, S, 3], contiguous. Holds state while it runs: one per thread.

    `kept` holds built steps, to take from and to add to, for callers that build many pipelines that differ little. `tally` counts what it does. Raises BadInput when a step cannot be built.
    """

    def __init__(self, steps: tuple[TransformSpec, ...], input_size: int, kept: dict[Any, Any] | None = None):
        self.input_size = input_size
        self.tally = Tally()
        self._steps = []
        self._names: list[tuple[Any, ...]] = []  # what the steps are, in the words of a trail
        seen: dict[str, int] = {}
        for position, spec in enumerate(steps):
            occurrence = seen.get(spec.name, 0)
            seen[spec.name] = occurrence + 1
            if spec.is_on and spec.p > 0:
                key = zlib.crc32(f"{spec.name} {occurrence}".encode())
                name = (spec.name, occurrence, repr(spec.params), repr(spec.of), input_size)
                self._steps.append((position, spec, key, self._step(spec, position, name, kept)))
                self._names.append((position, spec.p, *name))

    def _step(self, spec: TransformSpec, position: int, name: tuple[Any, ...], kept: dict[Any, Any] | None):
        made = kept.get(name) if kept else None
        if made is None:
            made = _build(spec, self.input_size, f"augment.transforms.{position}", 1.0)
            if kept is not None:
                kept[name] = made
        return made

    def __call__(self, image: np.ndarray, seed: int) -> np.ndarray:
        return self._run(image, seed, None)

    def traced(self, image: np.ndarray, seed: int, trail: Trail | None = None) -> tuple[np.ndarray, list[Applied]]:
        """The same picture, and what every step that acted has drawn. With the trail of an earlier run of this picture and seed, through
        whatever pipeline, only what has changed since is done."""
        applied: list[Applied] = []
        return self._run(image, seed, applied, trail), applied

    def left(self, trail: Trail) -> tuple[bool, float]:
        """(whether the picture of that trail stays as it is, seconds until it is made), as far as its last run tells."""
        return trail.left(self._names)

    def take_tally(self) -> Tally:
        """Everything since the last call."""
        found, self.tally = self.tally, Tally()
        return found

    def _run(self, image: np.ndarray, seed: int, applied: list[Applied] | None, trail: Trail | None = None) -> np.ndarray:
        import numpy as np

        self.tally.num_images += 1
        begun = 0
        if trail is not None:
            done = trail.resume(image, seed, self._names)
            begun = len(done)
            if applied is not None:
                applied += [mark.applied for mark in done if mark.applied]
        if begun:
            image = done[-1].image.copy()  # some steps write into what they are given
        else:
            image = shrink_to_working_size(image, self.input_size)
            if self._steps:
                image = grow_to_least_size(image)
            if not image.flags.writeable:
                image = image.copy()
        for number in range(begun, len(self._steps)):
            start = time.thread_time() if trail is not None else 0.0
            made, what = self._act(self._steps[number], image, seed, is_traced=applied is not None)
            if applied is not None and what is not None:
                applied.append(what)
            if trail is not None:
                spent = time.thread_time() - start
                is_same = what is None and trail.marks  # a failed step may have written into the picture
                trail.marks.append(Mark(self._names[number], trail.marks[-1].image if is_same else made.copy(), what, spent))
            image = made
        if image.shape[:2] != (self.input_size, self.input_size):
            image = centre_view(image, self.input_size)
        return np.ascontiguousarray(image)

    def _act(self, step: tuple, image: np.ndarray, seed: int, *, is_traced: bool) -> tuple[np.ndarray, Applied | None]:
        """The picture behind one step, itself where the step does not act or fails; what it did, where that is asked for."""
        position, spec, key, transform = step
        draws = random.Random(seed << 32 | key)
        if spec.p < 1 and draws.random() >= spec.p:
            return image, None
        start = time.perf_counter()
        transform.set_random_state(_LateGenerator(seed, key), draws)
        try:
            made = transform(image=image, force_apply=True)["image"]
            _check(made)
        except Exception as exc:  # whatever a step does not like about a picture: the picture goes on without it
            reason, failures = _reason(exc, image), self.tally.failures
            failures[spec.name, reason] = failures.get((spec.name, reason), 0) + 1
            return image, Applied(position, spec.name, {}, reason) if is_traced else None
        seconds = self.tally.seconds
        seconds[spec.name] = seconds.get(spec.name, 0.0) + time.perf_counter() - start
        return made, Applied(position, spec.name, _drawn(transform)) if is_traced else None


class _LateGenerator:
    """`numpy.random.default_rng((seed, key))`, made when a step first draws from it: most do not, and making it costs a tenth of a crop."""

    def __init__(self, seed: int, key: int):
        self._seed, self._made = (seed, key), None

    def __getattr__(self, name: str) -> Any:
        if self._made is None:
            import numpy as np

            self._made = np.random.default_rng(self._seed)
        return getattr(self._made, name)


def _build(spec: TransformSpec, input_size: int, field: str, p: float):
    """The object that does it. `p` is the weight inside a composition. Raises BadInput with a sentence."""
    alb, name = _library(), spec.name
    if problems := step_problems(spec, field, is_inside=".of." in field):
        raise BadInput(*problems)
    try:
        if name in POLICIES:
            return build_policy(name, spec.params)
        if name in COMPOSITIONS:
            children = [_build(child, input_size, f"{field}.of.{i}", child.p) for i, child in enumerate(spec.of) if child.is_on]
            return getattr(alb, name)(children, **spec.params, p=p)
        given = completed(name, spec.params, input_size) | ({} if name in _NOT_STRICT else {"strict": True})
        if name not in _WARNING:
            return _cls(name)(**given, p=p)
        with warnings.catch_warnings(action="ignore"):
            return _cls(name)(**given, p=p)
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        raise BadInput(error(field, f"{name} cannot be made: {first_words(exc)}.")) from None


@functools.cache
def _library():
    import inspect

    albumentations = load_albumentations()
    from albumentations.core import validation

    # It looks up how a class is made whenever it makes an object: half of the time that takes, and a slider makes one with every move.
    validation.signature = functools.cache(inspect.signature)
    return albumentations


@functools.cache
def _cls(name: str) -> type:
    alb = _library()
    if name == "RandomResizedCrop":
        return resized_crop(alb.RandomResizedCrop)
    if name != "Erasing":
        return getattr(alb, name)

    class Erasing(alb.Erasing):  # 2.0.8 forgets the seed where the rectangle that was drawn does not fit, and fails
        def get_params_dependent_on_data(self, params, data):
            return {"seed": 0} | super().get_params_dependent_on_data(params, data)

    return Erasing


def first_words(exc: BaseException) -> str:
    """The part of a library's message that a person can use, without its full stop."""
    text = str(exc).strip() or type(exc).__name__
    if found := re.search(r"^(.*validation error.*?)\n(?:(\w\S*)\n)?\s*(.*?) \[type=", text, re.S):  # pydantic's
        field, words = found[2], found[3].removeprefix("Value error, ")
        words = f"{field}: {words}" if field else words
    else:
        words = text.splitlines()[0]
    return words[:200].rstrip(".!")


def _check(made: Any) -> None:
    import numpy as np

    if not isinstance(made, np.ndarray) or made.dtype != np.uint8 or made.ndim != 3 or made.shape[2] != 3 or not made.size:
        kind = f"{made.dtype}{list(made.shape)}" if isinstance(made, np.ndarray) else type(made).__name__
        raise ValueError(f"gives {kind} instead of an 8-bit colour picture")


def _reason(exc: Exception, image: np.ndarray) -> str:
    height, width = image.shape[:2]
    words = first_words(exc)
    if type(exc).__name__ == "error" or isinstance(exc, (IndexError, TypeError, ZeroDivisionError)):  # cv2's own words help nobody
        words = f"cannot be done to a picture of {width} × {height} pixels"
    return words


def _drawn(transform) -> dict[str, Any]:
    """What a step has drawn; of a composition, what its children have."""
    if hasattr(transform, "transforms"):
        return {type(child).__name__: _drawn(child) for child in transform.transforms if getattr(child, "params", None)}
    return dict(getattr(transform, "params", {}))
