"""Learned and random policies of torchvision v2, behind the small part of albumentations' interface that a pipeline uses."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

    import numpy as np

_drawing = threading.Lock()  # torch's generator belongs to the process


class TorchPolicy:
    """A torchvision transform of uint8 pictures whose draws come from the generator that it is given.

    torchvision draws from torch's generator of the process: it is seeded for the call and put back afterwards, so that nothing else
    notices. One per thread.
    """

    def __init__(self, transform):
        self._transform = transform
        self.params: dict[str, Any] = {}

    def set_random_state(self, random_generator: np.random.Generator, py_random: random.Random) -> None:
        self._seed = py_random.getrandbits(63)

    def __call__(self, *, image: np.ndarray, force_apply: bool = False) -> dict[str, Any]:
        import numpy as np
        import torch

        self.params = {"seed": self._seed}
        picture = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
        with _drawing:
            before = torch.get_rng_state()
            try:
                torch.default_generator.manual_seed(self._seed)
                made = self._transform(picture)
            finally:
                torch.set_rng_state(before)
        return {"image": np.ascontiguousarray(made.permute(1, 2, 0).numpy())}


def build_policy(name: str, params: dict[str, Any]) -> TorchPolicy:
    from torchvision.transforms import InterpolationMode, v2

    smooth = {"interpolation": InterpolationMode.BILINEAR}
    match name:
        case "TrivialAugment":
            made = v2.TrivialAugmentWide(**params, **smooth)
        case "RandAugment":
            made = v2.RandAugment(**params, **smooth)
        case "AugMix":
            made = v2.AugMix(**params, **smooth)
        case "AutoAugment":
            made = v2.AutoAugment(**params, **smooth)
        case _:
            raise KeyError(name)
    return TorchPolicy(made)


POLICIES = ("TrivialAugment", "RandAugment", "AugMix", "AutoAugment")
