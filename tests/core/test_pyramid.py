"""A million points are drawn by few: no extreme is lost at any zoom, and what is fed in parts equals what is fed at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.core.curve import Curve, Smoother, smoothed
from studio.core.pyramid import Pyramid
from studio.core.trace import Trace


def series(seed: int, n: int, share_missing: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y = rng.standard_cauchy(n)  # wild, so that single values stand out
    y[rng.random(n) < share_missing] = np.nan
    return y


def parts(seed: int, y: np.ndarray) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return np.split(y, np.sort(rng.integers(0, len(y) + 1, 7)))


def fed(pieces) -> Pyramid:
    pyramid = Pyramid()
    for piece in pieces:
        pyramid.extend(piece)
    return pyramid


@given(st.integers(0, 10**6), st.integers(1, 3000), st.integers(1, 300), st.data())
def test_no_extreme_is_lost_at_any_zoom(seed, n, max_blocks, data):
    y = series(seed, n, 0.1)
    first = data.draw(st.integers(0, n - 1))
    last = data.draw(st.integers(first + 1, n))
    starts, size, lows, highs = fed(parts(seed, y)).extremes(first, last, max_blocks)
    assert len(starts) <= max_blocks + 2
    assert starts[0] <= first and min(starts[-1] + size, n) >= last
    assert (np.diff(starts) == size).all()
    for start, low, high in zip(starts, lows, highs, strict=True):
        block = y[start : start + size]
        np.testing.assert_array_equal([low, high], [np.fmin.reduce(block), np.fmax.reduce(block)])


@given(st.integers(0, 10**6), st.integers(1, 3000), st.integers(1, 300))
def test_a_pyramid_fed_in_parts_equals_one_fed_at_once(seed, n, max_blocks):
    y = series(seed, n, 0.1)
    for one, other in zip(fed(parts(seed, y)).extremes(0, n, max_blocks), fed([y]).extremes(0, n, max_blocks), strict=True):
        np.testing.assert_array_equal(one, other)


@given(st.integers(0, 10**6), st.integers(1, 3000))
def test_the_extent_is_that_of_all_values(seed, n):
    y = series(seed, n)
    assert fed(parts(seed, y)).extent() == (y.min(), y.max())


@given(st.integers(0, 2000), st.integers(4, 500), st.integers(2, 200))
def test_a_gap_of_two_blocks_stays_a_gap(start, length, max_blocks):
    y = np.ones(2600)
    y[start : start + length] = np.nan
    _, size, lows, _ = fed([y]).extremes(0, len(y), max_blocks)
    if length >= 2 * size:
        assert np.isnan(lows).any()
    y[start : start + length] = np.inf  # not finite is missing too
    np.testing.assert_array_equal(fed([y]).extremes(0, len(y), max_blocks)[2], lows)


@given(st.integers(0, 10**6), st.integers(1, 2000), st.sampled_from([0.0, 0.04, 0.5, 0.9, 0.99, 0.999]))
def test_smoothing_that_goes_on_equals_smoothing_from_scratch(seed, n, weight):
    y = series(seed, n, 0.1)
    smoother = Smoother(weight)
    in_parts = np.concatenate([smoother.extended(piece) for piece in parts(seed, y)])
    np.testing.assert_allclose(in_parts, smoothed(y, weight), rtol=1e-9, atol=1e-9 * np.nanmax(np.abs(y), initial=0))


def test_a_trace_shows_every_point_where_there_is_room_and_keeps_a_single_peak_where_there_is_none():
    trace = Trace(np.log10)
    y = np.full(100_000, 10.0)
    y[54_321] = 1e6
    trace.extend(np.arange(100_000.0), y)
    x, _, highs = trace.seen(0, 100_000, 500)
    assert len(x) <= 502 and highs.max() == pytest.approx(6)
    x, lows, highs = trace.seen(53_999.5, 54_400.5, 500)
    np.testing.assert_array_equal(x, np.arange(53_999, 54_402))
    np.testing.assert_array_equal(lows, highs)
    assert trace.value_at(54_321.5) == pytest.approx((1e6 + 10) / 2)


def test_units_change_the_drawing_and_not_the_points():
    trace = Trace()
    trace.extend(np.arange(3.0), np.array([1.0, 10.0, 100.0]))
    trace.set_units(np.log10)
    assert trace.extent() == (0.0, 2.0)
    np.testing.assert_array_equal(trace.y, [1, 10, 100])


def test_curves_that_only_grew_have_one_origin_and_a_second_continuation_has_another():
    short = Curve().extended([1, 2], [1, 2])
    long = short.extended([3], [3])
    assert long.origin is short.origin
    assert short.extended([3], [4]).origin is not long.origin
    assert long.before(2).origin is not long.origin
    assert long.before(9).origin is long.origin
    grown = short
    for step in range(1000):
        grown = grown.extended([step + 3], [0.0])
    assert long.origin is short.origin
