"""Calibration, temperature and thresholds: figures told by hand, and networks whose honesty is known because they are made so."""

from __future__ import annotations

import numpy as np
import pytest

from studio.core.reliability import as_json, bin_answers, fit_temperature, in_words, measure
from studio.core.threshold import answered, class_thresholds


def honest(n: int = 20_000, c: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(logits_NC, labels_N): each label is drawn from softmax of its logits, so that every probability comes true."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, c))
    return logits, np.argmax(logits + rng.gumbel(size=(n, c)), 1)


def stored(logits: np.ndarray, labels: np.ndarray, dtype=np.float16) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a run keeps of them."""
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return labels, log_p.astype(dtype), -log_p[np.arange(len(labels)), labels].astype(np.float32)


def percent(x: float) -> str:
    return f"{x:.0%}"


# Calibration


def test_the_calibration_error_is_that_told_by_hand():
    confidence = np.array([0.9, 0.92, 0.52, 0.58, 0.6])  # of ten bins: (0.8, 0.9], (0.9, 1], and three in (0.5, 0.6]
    bins = bin_answers(confidence, np.array([True, False, True, False, False]), num_bins=10)
    assert bins.count_B.tolist() == [0, 0, 0, 0, 0, 3, 0, 0, 1, 1]
    assert bins.confidence_B[5] == pytest.approx(1.7 / 3) and bins.accuracy_B[5] == pytest.approx(1 / 3)
    assert bins.error == pytest.approx((0.7 + 0.1 + 0.92) / 5)


def test_brier_score_and_loss_are_those_told_by_hand():
    log_p = np.log([[0.75, 0.25], [0.5, 0.5]])
    r = measure(np.array([0, 1]), log_p, -np.log([0.75, 0.5]).astype(np.float32))
    assert r.brier == pytest.approx((2 * 0.25**2 + 2 * 0.5**2) / 2)
    assert r.loss == pytest.approx(-np.log([0.75, 0.5]).mean())


def test_probabilities_that_come_true_have_no_error_and_need_no_temperature():
    r = measure(*stored(*honest()))
    assert r.error < 0.01 and r.temperature == pytest.approx(1, abs=0.03)
    assert "as sure as it should be, as far as 20,000 images can tell" in in_words(r, percent)


@pytest.mark.parametrize("factor", [0.5, 1.6, 3.0])
def test_the_temperature_of_a_network_that_is_too_sure_by_a_factor_is_that_factor(factor):
    logits, labels = honest()
    r = measure(*stored(factor * logits, labels))
    assert r.temperature == pytest.approx(factor, rel=0.03)
    assert r.error_after < 0.01 < 0.05 < r.error and r.loss_after < r.loss
    assert ("over-confident" if factor > 1 else "under-confident") in in_words(r, percent)


def test_the_temperature_is_the_one_with_the_least_loss():
    logits, labels = honest(400)

    def loss(t):
        return stored(logits * 2 / t, labels)[2].mean(dtype=np.float64)

    t = fit_temperature((2 * logits).astype(np.float32), labels)
    assert loss(t) < min(loss(1.01 * t), loss(t / 1.01))


def test_half_precision_keeps_apart_answers_that_are_all_but_certain():
    logits, labels = honest(4000, 3)
    kept = measure(*stored(6 * logits, labels))
    whole = measure(*stored(6 * logits, labels, np.float64))
    assert (stored(6 * logits, labels, np.float64)[1] > np.log(0.9998)).any(1).mean() > 0.4  # so many would be rounded to 100 %
    assert kept.temperature == pytest.approx(whole.temperature, rel=0.01)
    for accuracy in (0.8, 0.9):
        a, b = (r.answered.at(r.answered.confidence_for(accuracy))[1] for r in (kept, whole))
        assert a == pytest.approx(b, abs=0.01)


def test_the_temperature_of_validation_is_applied_to_the_test_part_as_it_is():
    logits, labels = honest()
    r = measure(*stored(2 * logits, labels), temperature=2.0)
    assert r.temperature == 2.0 and r.error_after < 0.01


@pytest.mark.parametrize("labels", [[0, 0, 0], [2, 2, 2]], ids=["all right", "all wrong"])
def test_without_any_mistake_or_hit_there_is_no_temperature_and_no_warning(labels):
    logits = np.array([[4.0, 0, 0], [3, 1, 0], [2, 1, 0]])
    r = measure(*stored(logits, np.array(labels)))
    assert r.temperature is None and r.error_after is None and as_json(r)["ece_after"] is None
    assert "emperature 1" not in in_words(r, percent)


def test_images_whose_figures_are_not_finite_are_left_out_and_none_at_all_is_no_measure():
    labels, log_p, losses = stored(*honest(50))
    losses[3], log_p[7] = np.inf, np.nan
    assert measure(labels, log_p, losses).num_images == 48
    assert measure(labels[:0], log_p[:0], losses[:0]) is None


# Answer only when sure


def test_answering_only_when_sure_is_counted_as_told_by_hand():
    curve = answered(np.array([0.6, 0.99, 0.9, 0.9, 0.7]), np.array([False, True, True, False, True]))
    assert curve.at(0.95) == (1.0, 0.2) and curve.at(0.9) == (pytest.approx(2 / 3), 0.6)
    assert curve.at(0.7) == (0.75, 0.8) and curve.at(0) == (0.6, 1.0) and curve.at(0.999) == (None, 0.0)
    assert curve.confidence_for(0.75) == 0.7 and curve.confidence_for(0.99) == 0.99


def test_no_confidence_is_enough_where_the_surest_answer_is_wrong():
    assert answered(np.array([0.9, 0.8]), np.array([False, True])).confidence_for(0.95) is None


# Thresholds per class


def test_the_threshold_of_a_class_is_the_best_along_its_precision_recall_curve():
    labels = np.array([0, 0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.5, 0.5], [0.1, 0.9]], np.float32)
    thresholds, f1 = class_thresholds(labels, np.log(probabilities))
    assert thresholds.tolist() == pytest.approx([0.15, 0.45]) and f1.tolist() == pytest.approx([6 / 7, 4 / 5])


def test_thresholds_of_many_classes_are_those_of_trying_every_probability():
    logits, labels = honest(300, 4, seed=2)
    labels[labels == 3] = 0  # a class without images
    _, log_p, _ = stored(logits, labels, np.float32)
    thresholds, f1 = class_thresholds(labels, log_p)
    probabilities = np.exp(log_p)
    assert np.isnan(thresholds[3]) and np.isnan(f1[3])
    for c in range(3):
        tried = [f1_at(t, probabilities[:, c], labels == c) for t in probabilities[:, c]]
        assert f1[c] == pytest.approx(max(tried)) == pytest.approx(f1_at(thresholds[c], probabilities[:, c], labels == c))


def f1_at(threshold: float, probability: np.ndarray, is_class: np.ndarray) -> float:
    claimed = probability >= threshold
    return 2 * (claimed & is_class).sum() / (claimed.sum() + is_class.sum())
