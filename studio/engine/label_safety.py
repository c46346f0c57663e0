"""Whether a step of augmentation leaves a picture recognisable: how far it moves the picture's embedding, against the distance to other classes.

For every picture the distance to the nearest picture of another class is known; a step is judged by the median, over pictures and draws, of
(distance that the step moved the embedding) / (distance to the nearest other class). At 1 a varied picture is as far from itself as from a
picture with another label. Distances are those of cosine similarity between the features in front of the head. With the network of a run
the share of right answers before and after is counted too.

This is a measurement with a general network, not a proof: what ImageNet never had to tell apart, it may not see.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from studio.catalog.augments import Pipeline, evaluation_view
from studio.catalog.augments.default import SIZE_PARAMS
from studio.core.experiment import TransformSpec
from studio.core.problem import BadInput
from studio.core.rng import sample_seed

FLAGGED_FROM, LOOK_FROM = 0.8, 0.5  # of the distance to the nearest other class
NUM_DRAWS = 1  # random variants of every picture and step; more pictures say more than more draws
BATCH = 16


@dataclass(frozen=True)
class Shift:
    """`ratio` as above; `accuracy` is the share of right answers on varied pictures, None without a trained network."""

    ratio: float
    accuracy: float | None = None

    @property
    def verdict(self) -> str:
        """ "fine", "look" or "flagged"."""
        return "flagged" if self.ratio >= FLAGGED_FROM else "look" if self.ratio >= LOOK_FROM else "fine"


class LabelSafety:
    """Embeddings of some labelled pictures, against which steps are measured. Raises BadInput when there are not two classes.

    `head` is the part of `module` whose input is the embedding. `to_input` turns uint8[N, S, S, 3] into the network's input;
    `pictures` are uint8[H, W, 3]. `class_index` gives each label the index of the network's answer, where the network knows the classes.
    """

    def __init__(
        self,
        module: nn.Module,
        head: nn.Module,
        to_input: Callable[[np.ndarray], torch.Tensor],
        pictures: Sequence[np.ndarray],
        labels: Sequence[str],
        input_size: int,
        seed: int = 0,
        class_index: dict[str, int] | None = None,
        check: Callable[[], None] = lambda: None,
    ):
        if len(set(labels)) < 2:
            raise BadInput("Label safety compares classes: pictures of at least two are needed.")
        self._module, self._head, self._to_input, self._check = module.eval(), head, to_input, check
        self._pictures, self._size, self._seed = pictures, input_size, seed
        self._targets = np.array([class_index[label] for label in labels]) if class_index else None
        self._usual = np.stack([evaluation_view(picture, input_size) for picture in pictures])
        self._own, answers = self._embed(self._usual)
        names = np.array(labels)
        distances = 1 - self._own @ self._own.T
        distances[names[:, None] == names[None, :]] = np.inf
        self._to_others = np.maximum(distances.min(1), 1e-6)
        self.accuracy = float((answers == self._targets).mean()) if class_index else None

    def measure(self, step: TransformSpec, occurrence_of: tuple[TransformSpec, ...] = ()) -> Shift:
        """The step applied to every picture, alone. Raises BadInput when it cannot be built.

        What makes the size is given the whole picture, all else what the network sees: a blur of 7 pixels is another one on a small picture.
        """
        pictures = self._pictures if step.name in SIZE_PARAMS else self._usual
        pipeline = Pipeline((*occurrence_of, step.model_copy(update={"p": 1.0, "is_on": True})), self._size)
        ratios, right = [], []
        for draw in range(NUM_DRAWS):
            varied = []
            for i, picture in enumerate(pictures):
                self._check()
                varied.append(pipeline(picture, sample_seed(self._seed, draw, i)))
            moved, answers = self._embed(np.stack(varied))
            ratios.append((1 - (moved * self._own).sum(1)) / self._to_others)
            if self._targets is not None:
                right.append(answers == self._targets)
        accuracy = float(np.mean(right)) if right else None
        return Shift(float(np.median(np.concatenate(ratios))), accuracy)

    def _embed(self, images_NHWC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(unit vectors in front of the head, index of the most likely class) of every picture."""
        found, answers = [], []
        caught: list[torch.Tensor] = []
        hook = self._head.register_forward_pre_hook(lambda _module, inputs: caught.append(inputs[0]))
        try:
            with torch.inference_mode():
                for start in range(0, len(images_NHWC), BATCH):
                    self._check()
                    caught.clear()
                    logits = self._module(self._to_input(images_NHWC[start : start + BATCH]))
                    features = caught[0].float()
                    features = features.mean((2, 3)) if features.ndim == 4 else features.flatten(1)
                    found.append(nn.functional.normalize(features, dim=1).cpu().numpy())
                    answers.append(logits.argmax(1).cpu().numpy())
        finally:
            hook.remove()
        return np.concatenate(found), np.concatenate(answers)
