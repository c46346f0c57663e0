"""A pipeline as Python code that runs without Studio and gives the very same pictures."""

from __future__ import annotations

import inspect

from studio.catalog.augments import policy, view
from studio.catalog.augments.catalog import COMPOSITIONS, catalog
from studio.catalog.augments.default import completed
from studio.core.experiment import TransformSpec

_HEAD = '''"""Image augmentation, exported from Studio. Needs albumentations 2.0.8, opencv and numpy{more}.

augment(image, seed) takes and gives uint8[height, width, 3], RGB; the same seed gives the same picture.
"""

from __future__ import annotations

import os
import random
import threading
import zlib
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import numpy as np

INPUT_SIZE = {input_size}
'''

_RUN = """
# name with the number of earlier steps of that name, probability, transform
STEPS = [
{steps}]


def augment(image: np.ndarray, seed: int) -> np.ndarray:
    image = shrink_to_working_size(image, INPUT_SIZE)
    if STEPS:
        image = grow_to_least_size(image)
    image = np.array(image)
    for name, p, transform in STEPS:
        key = zlib.crc32(name.encode())
        draws = random.Random(seed << 32 | key)
        if p < 1 and draws.random() >= p:
            continue
        transform.set_random_state(np.random.default_rng((seed, key)), draws)
        try:
            image = transform(image=image, force_apply=True)["image"]
        except Exception:  # a step that cannot be done to a picture is left out for it, as in training
            continue
    if image.shape[:2] != (INPUT_SIZE, INPUT_SIZE):
        image = centre_view(image, INPUT_SIZE)
    return np.ascontiguousarray(image)
"""


def pipeline_code(steps: tuple[TransformSpec, ...], input_size: int) -> str:
    """The whole module as text."""
    active = [step for step in steps if step.is_on and step.p > 0]
    has_policy = any(catalog()[step.name].group == "policies" for step in active)
    lines, seen = [], {}
    for step in steps:
        number = seen.get(step.name, 0)
        seen[step.name] = number + 1
        if step in active and step.is_on and step.p > 0:
            lines.append(f'    ("{step.name} {number}", {step.p!r}, {_call(step, input_size, 1.0)}),\n')
    constants = [
        f"{name} = {getattr(view, name)!r}" for name in ("SPARED_FACTOR", "WORKING_FACTOR", "COVERED", "LEAST_SIDE", "LONGEST_SIDE")
    ]
    functions = [
        view.shrink_to_working_size, view.working_size, view.grow_to_least_size, view.centre_view, view.resize, view.resized_crop,
    ]  # fmt: skip
    parts = [_HEAD.format(input_size=input_size, more=", and torchvision" if has_policy else ""), "\n".join(constants) + "\n"]
    parts += ["\n" + inspect.getsource(function) for function in functions]
    if has_policy:
        parts += [
            "\n_drawing = threading.Lock()\n",
            "\n" + inspect.getsource(policy.TorchPolicy),
            "\n" + inspect.getsource(policy.build_policy),
        ]
    parts.append(_RUN.format(steps="".join(lines)))
    return "\n".join(parts)


def _call(step: TransformSpec, input_size: int, p: float) -> str:
    if catalog()[step.name].group == "policies":
        return f"build_policy({step.name!r}, {step.params!r})"
    if step.name in COMPOSITIONS:
        children = ", ".join(_call(child, input_size, child.p) for child in step.of if child.is_on)
        more = "".join(f", {name}={value!r}" for name, value in step.params.items())
        return f"A.{step.name}([{children}]{more}, p={p!r})"
    given = completed(step.name, step.params, input_size)
    made = "resized_crop(A.RandomResizedCrop)" if step.name == "RandomResizedCrop" else f"A.{step.name}"
    return f"{made}({''.join(f'{name}={value!r}, ' for name, value in given.items())}p={p!r})"
