"""From which probability on an answer is taken: for all answers by confidence, and for each class by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_BLOCK_VALUES = 1 << 20  # probabilities that are turned into columns at a time


@dataclass(frozen=True)
class Answered:
    """What comes of answering only when sure: accuracy against the share answered (El-Yaniv and Wiener 2010, JMLR 11: risk and coverage).

    `confidences_K` are the different ones, highest first; `counts_K` and `rights_K` say how many answers are at least so sure, and how many of
    them are right. The images are those that were measured: on new ones the accuracy at a confidence differs by chance.
    """

    confidences_K: np.ndarray  # float64
    counts_K: np.ndarray  # int64
    rights_K: np.ndarray  # int64

    @property
    def num_images(self) -> int:
        return int(self.counts_K[-1]) if len(self.counts_K) else 0

    def at(self, confidence: float) -> tuple[float | None, float]:
        """(accuracy on the answered, share answered), both in [0, 1], where answers below `confidence` are held back; no accuracy without answers."""
        k = int(np.searchsorted(-self.confidences_K, -confidence, side="right"))
        if k == 0:
            return None, 0.0
        return float(self.rights_K[k - 1] / self.counts_K[k - 1]), float(self.counts_K[k - 1] / self.num_images)

    def confidence_for(self, accuracy: float) -> float | None:
        """The least confidence from which on at least that share of the answered is right; None where none is."""
        enough = np.flatnonzero(self.rights_K / self.counts_K >= accuracy - 1e-12)
        return float(self.confidences_K[enough[-1]]) if len(enough) else None


def answered(confidence_N: np.ndarray, is_right_N: np.ndarray) -> Answered:
    """confidence_N: the highest probability of each image; is_right_N: bool, whether its class is the true one."""
    order = np.argsort(-confidence_N, kind="stable")
    confidence, rights = np.asarray(confidence_N, np.float64)[order], np.cumsum(is_right_N[order])
    last = np.flatnonzero(np.append(confidence[1:] != confidence[:-1], len(confidence) > 0))  # equal ones are answered together
    return Answered(confidence[last], last + 1, rights[last].astype(np.int64))


def class_thresholds(labels_N: np.ndarray, log_p_NC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(thresholds_C, f1_C): from which probability on an image is best said to show a class, each class against the rest.

    log_p_NC: logarithms of the probabilities. Of all thresholds along the precision-recall curve it is the one with the highest
    F1 = 2 TP / (2 TP + FP + FN), put halfway to the next lower probability. NaN for a class without images. F1 is that of the images at hand,
    among which the threshold was chosen: a little hopeful where they are few.
    """
    n, c = log_p_NC.shape
    thresholds_C, f1_C = np.full(c, np.nan), np.full(c, np.nan)
    width = max(1, _BLOCK_VALUES // max(n, 1))
    for start in range(0, c, width):
        columns = np.ascontiguousarray(log_p_NC[:, start : start + width].T, dtype=np.float32)
        for i, column_N in enumerate(columns, start):
            if (is_class_N := labels_N == i).any():
                thresholds_C[i], f1_C[i] = _best_threshold(column_N, is_class_N)
    return thresholds_C, f1_C


def _best_threshold(log_p_N: np.ndarray, is_class_N: np.ndarray) -> tuple[float, float]:
    """The best is just under the probability of an image of the class. No need to sort the many others: each of them is a false
    positive at all thresholds up to its own probability."""
    own, others = np.sort(log_p_N[is_class_N]), log_p_N[~is_class_N]
    near = others[others >= own[0]]
    true = len(own) - np.searchsorted(own, own, side="left")  # images of the class that are taken at each of its probabilities
    passed = np.bincount(np.searchsorted(own, near, side="right"), minlength=len(own) + 1)
    false = len(near) - np.cumsum(passed)[:-1]
    f1 = 2 * true / (true + false + len(own))
    best = len(f1) - 1 - int(np.argmax(f1[::-1]))  # of equal ones the highest
    lower = np.exp(log_p_N[log_p_N < own[best]].max(initial=-np.inf), dtype=np.float64)
    return float(np.exp(own[best], dtype=np.float64) + lower) / 2, float(f1[best])
