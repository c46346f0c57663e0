"""Where a run stands: all that a resume needs besides weights and optimiser memory. Plain data, saved with every checkpoint."""

from __future__ import annotations

import copy
import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Progress:
    step: int = 0  # optimiser steps done
    epoch: int = 0  # 0-based, the one that runs
    step_in_epoch: int = 0  # equal to the steps of an epoch when only its validation is missing
    # of this epoch's training so far; summed in step order, so that a resume ends at the same bits
    loss_sum: float = 0.0
    num_correct: int = 0
    num_seen: int = 0
    epoch_seconds: float = 0.0
    # over all epochs
    images_trained: int = 0
    training_seconds: float = 0.0  # validation not included
    best: dict[str, Any] | None = None  # {"epoch", "step", "top1", "top5", "loss", "macro_f1"}; scores are None where nothing is measured
    least_loss: float | None = None  # of validation, for early stopping
    epochs_without_progress: int = 0
    validation_losses: list[float] = field(default_factory=list)  # of the epochs that have ended: the plateau shape follows them
    num_averaged: int = 0  # steps in the running mean of the weights

    def count_step(self, loss: float, num_correct: int, num_images: int) -> None:
        """Book the result of one step; `loss` is the mean over its images."""
        self.loss_sum += loss * num_images
        self.num_correct += num_correct
        self.num_seen += num_images
        self.images_trained += num_images

    def count_epoch(self, scores: dict[str, float] | None) -> bool:
        """Book the validation of this epoch and go to the next; True when it is the best so far (top-1, then the smaller loss). Without scores,
        where no images are held back, the last epoch counts as the best."""
        is_best = scores is None or self.best is None or _rank(scores) > _rank(self.best)
        if is_best:
            self.best = {"epoch": self.epoch, "step": self.step, **(scores or dict.fromkeys(("top1", "top5", "loss", "macro_f1")))}
        if scores is not None:
            if _as_number(scores["loss"]) < _as_number(self.least_loss):
                self.least_loss, self.epochs_without_progress = scores["loss"], 0
            else:
                self.epochs_without_progress += 1
            self.validation_losses.append(scores["loss"])
        self.epoch += 1
        self.step_in_epoch = self.num_correct = self.num_seen = 0
        self.loss_sum = self.epoch_seconds = 0.0
        return is_best

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Progress:
        return cls(**copy.deepcopy(raw))  # `raw` may be held, to be gone back to again


def _rank(scores: dict[str, float]) -> tuple[float, float]:
    return scores["top1"], -_as_number(scores["loss"])


def _as_number(loss: float | None) -> float:
    """Larger than any other where there is none, or it is not a number: nothing compares with that."""
    return math.inf if loss is None or math.isnan(loss) else loss
