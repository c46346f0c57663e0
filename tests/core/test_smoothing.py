"""The smoothed train curve: the textbook average, fast and steady."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import pytest

from studio.core.curve import smoothed


@pytest.mark.parametrize("weight", [0.001, 0.04, 0.05, 0.5, 0.9, 0.99, 0.999])
@pytest.mark.parametrize("n", [1, 2, 127, 128, 129, 1000])
def test_smoothing_equals_the_bias_corrected_average_step_by_step(weight, n):
    y = np.random.default_rng(n).gamma(2.0, 1.0, n)
    mean = np.array(list(accumulate(y, lambda m, v: weight * m + (1 - weight) * v, initial=0.0))[1:])
    expected = mean / (1 - weight ** np.arange(1, n + 1))
    np.testing.assert_allclose(smoothed(y, weight), expected, rtol=1e-12)


def test_a_value_that_is_not_finite_counts_as_the_one_before_it():
    y = np.array([1.0, 2.0, np.nan, np.inf, 3.0])
    np.testing.assert_allclose(smoothed(y, 0.5), smoothed(np.array([1.0, 2.0, 2.0, 2.0, 3.0]), 0.5))


def test_weight_zero_changes_nothing():
    y = np.array([3.0, 1.0, 2.0])
    assert smoothed(y, 0.0) is y
