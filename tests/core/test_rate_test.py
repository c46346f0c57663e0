"""A range test's curve says what rate to take, says when it says nothing, and comes back from the disk as it was."""

from __future__ import annotations

import json

import numpy as np
import pytest

from studio.core.experiment import Experiment
from studio.core.problem import BadInput
from studio.core.rate_test import DIVERGED_AT, RULES, RateTest, digests, has_diverged, planned_rates, steepest, suggest, valley


def course(steepest_at: float = 1e-3, least_at: float = 1e-2, num: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Rates, and a loss that falls in an S around `steepest_at`, is least at `least_at` and climbs after it."""
    rates = planned_rates(num)
    x = np.log10(rates)
    fall = 2.3 - 1.5 / (1 + np.exp(-4 * (x - np.log10(steepest_at))))
    return rates, fall + np.where(x > np.log10(least_at), 3 * (x - np.log10(least_at)) ** 2, 0)


def built(losses, **more) -> RateTest:
    rates = planned_rates(max(2, len(losses)))[: len(losses)]
    made_with = digests(Experiment())
    return RateTest(tuple(rates.tolist()), tuple(map(float, losses)), 100, more.pop("has_diverged", False), made_with, **more)


def test_rates_rise_in_equal_steps_of_their_logarithm():
    rates = planned_rates(100)
    assert rates[0] == pytest.approx(1e-7) and rates[-1] == pytest.approx(10)
    assert np.diff(np.log10(rates)) == pytest.approx(8 / 99)


def test_each_rule_finds_its_place_on_a_curve_that_is_known():
    found = suggest(*course(1e-3, 1e-2))
    assert 0.8e-3 < found["steepest"] < 2.5e-3, "the running mean lags by half a decade at most"
    assert 0.8e-3 < found["minimum"] < 2.5e-3
    assert 1e-5 < found["valley"] < 1e-2
    assert list(found) == [rule.key for rule in RULES]


@pytest.mark.parametrize("seed", range(5))
def test_noise_in_the_flat_part_is_not_taken_for_the_steepest_fall(seed):
    rates, losses = course(1e-3)
    noise = np.random.default_rng(seed).normal(0, 0.12, len(rates))
    test = RateTest(tuple(rates), tuple(losses + noise), 100, False, {})
    assert 1e-4 < test.suggestions["steepest"] < 1e-2


def test_the_slope_is_that_of_a_line_through_the_neighbours():
    x = np.linspace(0, 1, 40)
    bent = np.where(x < 0.5, -x, -0.5 - 3 * (x - 0.5))
    assert steepest(10 * x, bent, 39) >= 20, "three times as steep from the middle on"
    assert steepest(10 * x, bent, 15) <= 15, "never behind the least loss"


def fastai_valley(losses: list[float]) -> int:
    """As fastai 2.7 has it, fastai/callback/schedule.py."""
    n = len(losses)
    max_start = max_end = 0
    lds = [1] * n
    for i in range(1, n):
        for j in range(0, i):
            if losses[i] < losses[j] and lds[i] < lds[j] + 1:
                lds[i] = lds[j] + 1
            if lds[max_end] < lds[i]:
                max_end = i
                max_start = max_end - lds[max_end]
    sections = (max_end - max_start) / 3
    return max_start + int(sections) + int(sections / 2)


@pytest.mark.parametrize("seed", range(40))
def test_the_valley_is_where_fastai_finds_it(seed):
    rng = np.random.default_rng(seed)
    losses = np.cumsum(rng.normal(rng.uniform(-0.3, 0.1), 1, 80))
    assert valley(losses) == max(0, fastai_valley(losses.tolist()))


def test_a_loss_that_never_fell_suggests_nothing():
    assert built(np.linspace(2.3, 9, 60)).suggestions == {}
    assert built(np.linspace(2.3, 9, 60)).band is None and built(np.linspace(2.3, 9, 60)).best is None


@pytest.mark.parametrize("seed", range(5))
def test_noise_alone_suggests_nothing(seed):
    flat = 2.3 + np.random.default_rng(seed).normal(0, 0.1, 100)
    assert built(flat).suggestions == {}


@pytest.mark.parametrize("num", [0, 1, 2, 5])
def test_a_curve_of_a_few_points_suggests_nothing(num):
    assert built([2.3] * num).suggestions == {}


def test_a_loss_far_above_its_least_or_no_number_has_diverged():
    falling = list(np.linspace(2, 1, 50))
    rates = planned_rates(111)

    def is_over(losses) -> bool:
        return has_diverged(rates[: len(losses)], losses)

    assert not is_over(falling)
    assert is_over([*falling, float("nan")]) and is_over([*falling, float("inf")])
    assert not is_over([*falling, 1.5])
    assert is_over([*falling, *[DIVERGED_AT * 1.2] * 60])


def test_the_band_holds_every_suggestion():
    test = built(course()[1])
    low, high = test.band
    assert all(low <= value <= high for value in test.suggestions.values())
    assert test.best == sorted(test.suggestions.values())[1], "the middle one"


def test_a_test_comes_back_as_it_was():
    test = built(course()[1], has_diverged=True, batch_size=32, passes=1.5, device="cpu", seconds=12.5)
    again = RateTest.from_json(test.to_json())
    assert again == test and again.suggestions == test.suggestions


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw | {"version": 2},
        lambda raw: raw | {"losses": raw["losses"][:-1]},
        lambda raw: raw | {"losses": [None] * len(raw["losses"])},
        lambda raw: raw | {"rates": [0.0] * len(raw["rates"])},
        lambda raw: raw | {"more": 1},
        lambda raw: [],
    ],
)
def test_a_file_that_is_no_test_is_refused_with_a_way_out(change):
    raw = json.loads(built(course()[1]).to_json())
    with pytest.raises(BadInput, match="Run it again"):
        RateTest.from_json(json.dumps(change(raw)).encode())


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"\xff\xfe", b"3"])
def test_bytes_that_are_no_json_are_refused(content):
    with pytest.raises(BadInput):
        RateTest.from_json(content)


@pytest.mark.parametrize(
    "values",
    [
        {"training.batch_size": 64},
        {"training.accumulation": 2},
        {"training.label_smoothing": 0.0},
        {"optimiser.kind": "sgd"},
        {"optimiser.clip_norm": 0.0},
        {"optimiser.stage_lr_factors": {"head": 0.5}},
        {"augment.preset": "strong"},
        {"model.train_stages": 1},
        {"model.thaw": {"stem": 0}},
        {"data.left_out": ["a.png"]},
    ],
)
def test_a_changed_setting_that_the_curve_depends_on_is_named(values):
    assert built(course()[1]).changed_since(Experiment().changed(values)) == tuple(values)


@pytest.mark.parametrize(
    "values",
    [
        {"schedule.peak_lr": 1e-4, "schedule.shape": "cosine", "schedule.epochs": 3},
        {"name": "another", "training.seed": 3, "training.device": "cpu", "training.checkpoint_seconds": 5.0},
        {"optimiser.ema_decay": 0.99, "optimiser.weight_decay_final": 2.0},
    ],
)
def test_the_schedule_and_what_has_no_part_in_the_test_may_change(values):
    assert built(course()[1]).changed_since(Experiment().changed(values)) == ()


def test_a_test_of_a_version_that_did_not_know_a_setting_was_made_with_its_default():
    older = built(course()[1])
    del older.made_with["training.class_weights"]
    assert older.changed_since(Experiment()) == ()
    assert older.changed_since(Experiment().changed({"training.class_weights": "balanced"})) == ("training.class_weights",)
