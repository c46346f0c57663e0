"""MixUp and CutMix of a batch: images and labels blended in pairs, on the device.

MixUp: Zhang et al., arXiv 1710.09412. CutMix: Yun et al., arXiv 1905.04899. What is drawn is a function of the seed, the step and the batch
within it, so a resumed run blends the same pairs. Both are linear, so it does not matter that normalised images are blended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from studio.core.experiment import Augment
from studio.core.rng import mix_draws

if TYPE_CHECKING:  # the preview draws what training blends, without torch
    import torch


@dataclass(frozen=True)
class Mix:
    """Image i keeps `share` of itself and takes the rest from image `partners_N[i]`: everywhere, or in `box` (top, left, bottom, right)."""

    share: float
    partners_N: np.ndarray  # int64, a permutation
    box: tuple[int, int, int, int] | None = None

    @property
    def kind(self) -> str:
        return "MixUp" if self.box is None else "CutMix"

    def images(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """The blended images, on the same device and in the same layout."""
        others = self.others(images_NCHW)
        if self.box is None:
            return images_NCHW.mul(self.share).add_(others, alpha=1 - self.share)
        top, left, bottom, right = self.box
        made = images_NCHW.clone()
        made[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
        return made

    def pictures(self, images_NHWC: np.ndarray, count: int) -> np.ndarray:
        """The first `count` blended pictures for people: uint8[count, H, W, 3]."""
        return self.of_pair(images_NHWC[:count], images_NHWC[self.partners_N[:count]])

    def of_pair(self, own: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Pictures blended with those of their partners, for people: uint8[..., H, W, 3]."""
        if self.box is None:
            return np.rint(own * np.float32(self.share) + other * np.float32(1 - self.share)).astype(np.uint8)
        top, left, bottom, right = self.box
        made = own.copy()
        made[..., top:bottom, left:right, :] = other[..., top:bottom, left:right, :]
        return made

    def loss(self, logits_NC: torch.Tensor, labels_N: torch.Tensor, rows: slice = slice(None), **options) -> torch.Tensor:
        """Cross entropy with the blended labels; `options` are those of torch's. Logits are those of `rows`, labels those of the whole batch."""
        from torch.nn.functional import cross_entropy

        others_N, labels_N = self.others(labels_N)[rows], labels_N[rows]
        return self.share * cross_entropy(logits_NC, labels_N, **options) + (1 - self.share) * cross_entropy(logits_NC, others_N, **options)

    def others(self, values_N: torch.Tensor) -> torch.Tensor:
        """Images, or labels, of the partners."""
        from studio.engine.device import to_device

        return values_N[to_device(self.partners_N, values_N.device)]

    def main_labels(self, labels_N: torch.Tensor) -> torch.Tensor:
        """The label with the larger share of each image."""
        return labels_N if self.share >= 0.5 else self.others(labels_N)


def draw_mix(augment: Augment, num_images: int, input_size: int, seed: int, step: int, batch: int) -> Mix | None:
    """What happens to batch `batch` of optimiser step `step`; None where it stays as it is."""
    if not augment.mixes or num_images < 2:
        return None
    draws = mix_draws(seed, step, batch)
    total = max(1.0, augment.mixup_p + augment.cutmix_p)
    choice = draws.random() * total
    if choice >= augment.mixup_p + augment.cutmix_p:
        return None
    is_mixup = choice < augment.mixup_p
    alpha = augment.mixup_alpha if is_mixup else augment.cutmix_alpha
    share = float(draws.beta(alpha, alpha))
    partners_N = draws.permutation(num_images)
    if is_mixup:
        return Mix(share, partners_N)
    side = int(input_size * np.sqrt(1 - share))
    row, column = draws.integers(0, input_size, 2).tolist()
    top, bottom = max(0, row - side // 2), min(input_size, row + side // 2)
    left, right = max(0, column - side // 2), min(input_size, column + side // 2)
    return Mix(1 - (bottom - top) * (right - left) / input_size**2, partners_N, (top, left, bottom, right))


def training_loss(
    mix: Mix | None,
    logits_NC: torch.Tensor,
    labels_N: torch.Tensor,
    rows: slice = slice(None),
    *,
    smoothing: float,
    weights_C: torch.Tensor | None = None,
) -> torch.Tensor:
    """What training lowers: the mean over the images of `rows`, each counted as much as its class does. Not divided by the sum of their weights, as
    torch's own mean is: so batches, parts of one and processes add up to the same gradient."""
    if weights_C is None:
        return mixed_loss(mix, logits_NC, labels_N, rows, label_smoothing=smoothing)
    summed = mixed_loss(mix, logits_NC, labels_N, rows, label_smoothing=smoothing, weight=weights_C, reduction="sum")
    return summed / len(logits_NC)


def mixed_loss(mix: Mix | None, logits_NC: torch.Tensor, labels_N: torch.Tensor, rows: slice = slice(None), **options) -> torch.Tensor:
    from torch.nn.functional import cross_entropy

    return mix.loss(logits_NC, labels_N, rows, **options) if mix else cross_entropy(logits_NC, labels_N[rows], **options)
