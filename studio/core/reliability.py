"""How far the probabilities of a network can be believed: does it come true as often as it says?

Calibration error, reliability diagram and temperature are those of Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv 1706.04599.
Everything is measured from what a run stores of each image: its label, the logarithms of all probabilities, and the cross entropy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from studio.core.threshold import Answered, answered
from studio.core.words import counted

NUM_BINS = 15  # as in the paper
ACCURACIES = (0.95, 0.99)  # which of the answered shall be right at least, where only the sure ones are given
MOST_TEMPERATURE = 20.0  # and its inverse the least: beyond, no temperature mends anything
SIGMAS = 2.0  # from which on confidence and accuracy differ by more than chance
_FITTED_VALUES = 1 << 22  # probabilities from which a temperature is told: more make it no surer than 1 %
_BLOCK_VALUES = 1 << 20  # probabilities in memory at a time


@dataclass(frozen=True)
class Bins:
    """Answers by confidence, in equal parts of (0, 1]. Empty bins have 0 in all three."""

    confidence_B: np.ndarray  # mean of the bin's answers
    accuracy_B: np.ndarray  # share of them that is right
    count_B: np.ndarray  # int64

    @property
    def error(self) -> float:
        """Expected calibration error in [0, 1]: the mean over the answers of |accuracy - confidence| of their bin. Equation 3 of the paper."""
        total = self.count_B.sum()
        return float((self.count_B * np.abs(self.accuracy_B - self.confidence_B)).sum() / total) if total else 0.0


@dataclass(frozen=True)
class Reliability:
    """One part of the data. Fractions in [0, 1]; `brier` in [0, 2]. What ends in `_after` is with the temperature, and None without one."""

    num_images: int
    accuracy: float
    confidence: float  # mean over the answers
    sigmas: float  # (confidence - accuracy) in standard deviations of what chance makes of honest probabilities
    bins: Bins
    brier: float  # mean over the images of the squared distance between probabilities and truth, summed over the classes
    loss: float  # cross entropy, the negative log-likelihood
    temperature: float | None
    bins_after: Bins | None
    loss_after: float | None
    answered: Answered

    @property
    def error(self) -> float:
        return self.bins.error

    @property
    def error_after(self) -> float | None:
        return self.bins_after.error if self.bins_after else None


def measure(labels_N: np.ndarray, log_p_NC: np.ndarray, losses_N: np.ndarray, temperature: float | None = None) -> Reliability | None:
    """How far the probabilities of these images can be believed; None without images.

    log_p_NC: logarithms of the probabilities, float16 at least. losses_N: the cross entropy of each image. `temperature`: that of another part, such
    as of validation for the test part; None fits one to these images. Images whose figures are not finite are left out.
    """
    is_sound = np.isfinite(losses_N) & np.isfinite(log_p_NC).all(1)
    if not is_sound.all():
        labels_N, log_p_NC, losses_N = labels_N[is_sound], log_p_NC[is_sound], losses_N[is_sound]
    n, c = log_p_NC.shape
    if n == 0 or c == 0:
        return None
    is_right = np.empty(n, bool)
    confidence, brier = np.empty(n), np.empty(n)
    for rows, log_p in _blocks(labels_N, log_p_NC, losses_N):
        p, labels = np.exp(log_p), labels_N[rows]
        each = np.arange(len(p))
        best = log_p.argmax(1)
        is_right[rows], confidence[rows] = best == labels, _confidence(log_p, best)
        brier[rows] = np.einsum("nc,nc->n", p, p) - 2 * p[each, labels] + 1
    if temperature is None:
        fitted = np.sort(np.random.default_rng(0).permutation(n)[: max(1, _FITTED_VALUES // c)])
        log_p = np.concatenate([part for _, part in _blocks(labels_N[fitted], log_p_NC[fitted], losses_N[fitted])])
        temperature = fit_temperature(log_p, labels_N[fitted])
    after, loss_after = None, None
    if temperature is not None:
        tempered, losses = np.empty(n), np.empty(n)
        for rows, log_p in _blocks(labels_N, log_p_NC, losses_N):
            scaled = log_p / np.float32(temperature)
            highest = scaled.max(1)
            total = np.log(np.exp(scaled - highest[:, None]).sum(1, dtype=np.float64))  # of which each logarithm is short, less the highest
            tempered[rows] = np.exp(-total)
            losses[rows] = highest + total - scaled[np.arange(len(scaled)), labels_N[rows]]
        after, loss_after = bin_answers(tempered, is_right), float(losses.mean())
    accuracy, mean = float(is_right.mean()), float(confidence.mean())
    chance = float((confidence * (1 - confidence)).sum()) ** 0.5 / n  # of an accuracy where each answer is right as often as it says
    return Reliability(
        num_images=n,
        accuracy=accuracy,
        confidence=mean,
        sigmas=(mean - accuracy) / max(chance, 1e-9),
        bins=bin_answers(confidence, is_right),
        brier=float(brier.mean()),
        loss=float(losses_N.mean(dtype=np.float64)),
        temperature=temperature,
        bins_after=after,
        loss_after=loss_after,
        answered=answered(confidence, is_right),
    )


def answers_of(labels_N: np.ndarray, log_p_NC: np.ndarray, losses_N: np.ndarray) -> Answered | None:
    """`measure(...).answered` alone, without the work for the rest; None without images."""
    is_sound = np.isfinite(losses_N) & np.isfinite(log_p_NC).all(1)
    labels_N, log_p_NC, losses_N = labels_N[is_sound], log_p_NC[is_sound], losses_N[is_sound]
    if not log_p_NC.size:
        return None
    is_right, confidence = np.empty(len(labels_N), bool), np.empty(len(labels_N))
    for rows, log_p in _blocks(labels_N, log_p_NC, losses_N):
        best = log_p.argmax(1)
        is_right[rows], confidence[rows] = best == labels_N[rows], _confidence(log_p, best)
    return answered(confidence, is_right)


def _confidence(log_p_NC: np.ndarray, best_N: np.ndarray) -> np.ndarray:
    """float64[N], the probability of the best class."""
    return np.exp(log_p_NC[np.arange(len(log_p_NC)), best_N].astype(np.float64))


def bin_answers(confidence_N: np.ndarray, is_right_N: np.ndarray, num_bins: int = NUM_BINS) -> Bins:
    """Bin m of M holds the answers with a confidence in ((m - 1) / M, m / M]."""
    index = np.clip(np.ceil(confidence_N * num_bins).astype(np.int64) - 1, 0, num_bins - 1)
    count = np.bincount(index, minlength=num_bins)
    some = np.maximum(count, 1)
    return Bins(np.bincount(index, confidence_N, num_bins) / some, np.bincount(index, is_right_N, num_bins) / some, count)


def fit_temperature(log_p_NC: np.ndarray, labels_N: np.ndarray) -> float | None:
    """The T with which softmax(log p / T) has the least cross entropy; above 1 for a network that is too sure. Section 4.2 of the paper.

    log_p may be logits as well. The cross entropy is convex in b = 1/T: its slope is the mean of E_q[log p] - log p[label], its curvature that of
    Var_q[log p], with q = softmax(b log p). Newton's steps, halving where one leaves the known bracket. None where no temperature up to
    MOST_TEMPERATURE is the best: every answer is right, or they are no better than guessed.
    """
    own_N = log_p_NC[np.arange(len(labels_N)), labels_N]

    def slope(b: float) -> tuple[float, float]:
        q = np.float32(b) * log_p_NC
        q -= q.max(1, keepdims=True)
        np.exp(q, out=q)
        q /= q.sum(1, keepdims=True)
        mean = np.einsum("nc,nc->n", q, log_p_NC)
        spread = np.einsum("nc,nc,nc->n", q, log_p_NC, log_p_NC) - mean * mean
        return float((mean - own_N).mean(dtype=np.float64)), float(spread.mean(dtype=np.float64))

    low, high = 1 / MOST_TEMPERATURE, MOST_TEMPERATURE
    if slope(low)[0] >= 0 or slope(high)[0] <= 0:
        return None
    b = 1.0
    for _ in range(60):
        first, second = slope(b)
        low, high = (low, b) if first > 0 else (b, high)
        step = b - first / second if second > 0 else 0.0
        following = step if low < step < high else (low * high) ** 0.5
        if abs(following - b) < 1e-4 * b:
            return 1 / following
        b = following
    return 1 / b


def _blocks(labels_N: np.ndarray, log_p_NC: np.ndarray, losses_N: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """(rows, log probabilities float32[n, C]) of all images, some at a time; those of the labels with all the digits of the cross entropy."""
    n, c = log_p_NC.shape
    size = max(1, _BLOCK_VALUES // c)
    for start in range(0, n, size):
        rows = slice(start, min(n, start + size))
        log_p = log_p_NC[rows].astype(np.float32)
        log_p[np.arange(len(log_p)), labels_N[rows]] = -losses_N[rows]
        yield rows, log_p


def in_words(r: Reliability, percent: Callable[[float], str]) -> str:
    """What the figures come to, for people: "When it says 90 % sure it is right 83 % of the time: over-confident. ..."."""
    if r.accuracy == 1:
        return (
            f"Every image was called right, {percent(r.confidence)} sure on average: without mistakes nothing tells how sure it should be."
        )
    if abs(r.sigmas) < SIGMAS:
        return (
            f"It is {percent(r.confidence)} sure on average and right {percent(r.accuracy)} of the time: "
            f"as sure as it should be, as far as {counted(r.num_images, 'image')} can tell."
        )
    gaps = (r.bins.confidence_B - r.bins.accuracy_B) * r.bins.count_B
    worst = int(np.argmax(gaps if r.sigmas > 0 else -gaps))
    kind = "over-confident" if r.sigmas > 0 else "under-confident"
    says, does = r.bins.confidence_B[worst], r.bins.accuracy_B[worst]
    words = f"When it says {percent(says)} sure it is right {percent(does)} of the time: {kind}."
    if r.temperature is None:
        return f"{words} No temperature mends that."
    if r.error_after < r.error:
        words += f" Temperature {r.temperature:.2f} would bring the calibration error from {percent(r.error)} to {percent(r.error_after)}."
    return words


def as_json(r: Reliability | None) -> dict[str, Any] | None:
    """As `validation.json`, `studio evaluate` and an export's report hold it."""
    if r is None:
        return None
    rows = zip(r.bins.confidence_B.tolist(), r.bins.accuracy_B.tolist(), r.bins.count_B.tolist(), strict=True)
    sure = []
    for accuracy in ACCURACIES:
        confidence = r.answered.confidence_for(accuracy)
        sure.append({"accuracy": accuracy, "confidence": confidence, "share": 0.0 if confidence is None else r.answered.at(confidence)[1]})
    return {
        "ece": r.error,
        "brier": r.brier,
        "nll": r.loss,
        "temperature": r.temperature,
        "ece_after": r.error_after,
        "nll_after": r.loss_after,
        "bins": [{"confidence": a, "accuracy": b, "count": n} for a, b, n in rows],
        "answer_only_when_sure": sure,
    }
