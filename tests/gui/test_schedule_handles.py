"""Every handle of every shape goes where it is put, stops at its bounds and neighbours, and leaves an experiment that can be run."""

from __future__ import annotations

import numpy as np
import pytest

from studio.catalog.schedules import SHAPES, head_lr, jumps
from studio.core.experiment import Experiment, Schedule, Segment
from studio.gui.pages.schedule.curve import Length
from studio.gui.pages.schedule.handles import Handle, added_at, handles_of, removed, settings_at

LENGTH = Length(12, 83)
N = LENGTH.num_steps
KEYS = [shape.key for shape in SHAPES]


def experiment(shape: str, **schedule) -> Experiment:
    return Experiment().changed({"schedule.shape": shape, "schedule.epochs": 12, **{f"schedule.{k}": v for k, v in schedule.items()}})


def put(e: Experiment, handle: Handle, step: float, rate: float) -> tuple[Experiment, Handle]:
    """The experiment with a handle put somewhere, and where the handle is then."""
    after = e.changed(settings_at(e.schedule, Length(e.schedule.epochs, 83), handle, step, rate))
    return after, named(after, handle.key)


def named(e: Experiment, key: str) -> Handle:
    return next(h for h in handles_of(e.schedule, Length(e.schedule.epochs, 83)) if h.key == key)


def handles(e: Experiment) -> tuple[Handle, ...]:
    return handles_of(e.schedule, Length(e.schedule.epochs, 83))


ALL = [(shape, h.key) for shape in KEYS for h in handles_of(experiment(shape).schedule, LENGTH)]


def test_every_shape_has_its_handles():
    keys = {shape: [h.key for h in handles(experiment(shape))] for shape in KEYS}
    assert keys["one_cycle"] == ["start", "peak", "final", "end"]
    assert keys["cosine"] == keys["linear"] == keys["exponential"] == ["start", "peak", "final", "cooldown", "end"]
    assert keys["polynomial"] == ["start", "peak", "power", "final", "cooldown", "end"]
    assert keys["constant"] == keys["inverse_sqrt"] == keys["plateau"] == ["start", "peak", "cooldown", "end"]
    assert keys["warm_restarts"] == ["start", "peak", "mark 1", "mark 2", "final", "cooldown", "end"]
    assert keys["step"] == ["start", "mark 1", "peak", "mark 2", "mark 3", "cooldown", "end"]
    assert keys["multi_step"] == ["start", "mark 1", "peak", "mark 2", "cooldown", "end"]
    assert keys["segments"] == ["start", "segment 1", "segment 2", "segment 3", "end"]
    assert keys["points"] == ["point 1", "point 2", "point 3", "point 4", "end"]


@pytest.mark.parametrize("shape", KEYS)
def test_handles_lie_on_the_curve(shape):
    e = experiment(shape, warmup_fraction=0.2, cooldown_fraction=0.1)
    for handle in handles(e):
        if handle.look == "edge" or handle.key == "final" and handle.step == N:
            continue
        at = int(np.ceil(handle.step - 1e-9))
        rates = head_lr(e.schedule, [max(0, at - 1), at, at + 1], 83)
        assert rates.min() * 0.98 <= handle.rate <= rates.max() * 1.02, handle


@pytest.mark.parametrize(("shape", "key"), ALL)
def test_a_handle_goes_where_it_is_put(shape, key):
    e = experiment(shape, warmup_fraction=0.2)
    handle = named(e, key)
    steps = {"end": 15 * 83, "cooldown": N * 0.8, "mark 2": handle.step + 20, "mark 3": handle.step - 9}
    step, rate = steps.get(key, handle.step + 31 if handle.step < N / 2 else handle.step - 31), handle.rate * 0.6
    _, now = put(e, handle, step, rate)
    if handle.axes != "rate":
        assert now.step == pytest.approx(step, abs=max(1.0, N / 2000) * max(1, handle.index + 1) + 0.5)
    if handle.axes != "time":
        assert now.rate == pytest.approx(rate, rel=0.02)


@pytest.mark.parametrize(("shape", "key"), ALL)
def test_the_start_of_an_epoch_is_met_to_the_step(shape, key):
    e = experiment(shape, warmup_fraction=0.2)
    handle = named(e, key)
    if handle.axes == "rate" or handle.index:
        return
    epoch = 4 if shape not in ("segments", "points") else 3
    _, now = put(e, handle, epoch * 83, handle.rate)
    assert now.step == pytest.approx(epoch * 83, abs=0.5)


@pytest.mark.parametrize(("shape", "key"), ALL)
@pytest.mark.parametrize("place", [(-1e12, 0.0), (1e12, 1e12), (0.0, 1e-30), (float(N), 5.0)])
def test_a_handle_put_anywhere_stops_at_its_bounds_and_neighbours(shape, key, place):
    for warmup, cooldown in ((0.2, 0.0), (0.0, 0.3), (0.5, 0.5), (1.0, 0.0)):
        e = experiment(shape, warmup_fraction=warmup, cooldown_fraction=cooldown)
        handle = next((h for h in handles(e) if h.key == key), None)
        if handle is None:
            continue
        after = e.changed(settings_at(e.schedule, LENGTH, handle, *place))  # changed() refuses what is not valid
        rates = head_lr(after.schedule, np.arange(after.schedule.epochs * 83), 83)
        assert np.isfinite(rates).all() and rates.min() >= 0
        if key.startswith(("point", "segment")):
            before, now = [h for h in handles(e) if h.index != handle.index], [h for h in handles(after) if h.index != handle.index]
            assert [h.key for h in handles(after)] == [h.key for h in handles(e)]
            assert [h.step for h in now] == [h.step for h in before]
        if key == "peak":
            assert handles(after)[-1].step == N


@pytest.mark.parametrize(("shape", "key"), ALL)
def test_a_handle_that_is_put_back_changes_nothing(shape, key):
    e = experiment(shape, peak_lr=0.001234567)
    handle = named(e, key)
    assert put(e, handle, handle.step, handle.rate)[0] == e


def test_what_is_not_moved_keeps_its_setting():
    e = experiment("cosine", peak_lr=0.001234567)
    peak = named(e, "peak")
    assert settings_at(e.schedule, LENGTH, peak, peak.step + 40, peak.rate).keys() == {"schedule.warmup_fraction"}
    assert settings_at(e.schedule, LENGTH, peak, peak.step, 5e-4) == {"schedule.peak_lr": 5e-4}


@pytest.mark.parametrize(("shape", "key"), [("points", "point 3"), ("segments", "segment 1"), ("segments", "segment 3")])
def test_a_level_above_the_peak_becomes_the_peak_and_the_others_keep_their_rates(shape, key):
    e = experiment(shape)
    before = {h.key: h.rate for h in handles(e) if h.axes != "time" and h.key != key}
    after, now = put(e, named(e, key), named(e, key).step, 0.01)
    assert after.schedule.peak_lr == 0.01 and now.rate == pytest.approx(0.01)
    for other, rate in before.items():
        assert named(after, other).rate == pytest.approx(rate, rel=1e-5)


def test_the_highest_point_pulled_down_leaves_no_peak_that_is_never_reached():
    after, _ = put(experiment("points"), named(experiment("points"), "point 2"), 300, 1e-4)
    assert max(level for _, level in after.schedule.points) == 1.0
    assert after.schedule.peak_lr == pytest.approx(0.7 * 2e-3)


def test_each_restart_moves_the_first_cycle_as_it_stands():
    e = experiment("warm_restarts", warmup_fraction=0.0, cycle_epochs=1.0, cycle_growth=2)
    assert [h.step for h in handles(e) if h.look == "mark"] == [83, 83 * 3, 83 * 7]
    after, _ = put(e, named(e, "mark 3"), 7 * 83 * 1.5, named(e, "mark 3").rate)
    assert after.schedule.cycle_epochs == pytest.approx(1.5, abs=0.01)
    assert after.schedule.cycle_decay == 1.0


def test_thousands_of_restarts_have_one_handle_and_are_found_at_once():
    schedule = Schedule(shape="warm_restarts", epochs=10_000, cycle_epochs=1.0, cycle_growth=1)
    marks = [h for h in handles_of(schedule, Length(10_000, 1000)) if h.look == "mark"]
    assert [h.key for h in marks] == ["mark 1"]


def test_a_milestone_does_not_overtake_its_neighbours():
    e = experiment("multi_step", milestones=(2.0, 5.0, 9.0))
    after, _ = put(e, named(e, "mark 2"), 11 * 83, named(e, "mark 2").rate)
    assert 5.0 < after.schedule.milestones[1] < 9.0
    after, _ = put(e, named(e, "mark 2"), 0, named(e, "mark 2").rate)
    assert 2.0 < after.schedule.milestones[1] < 5.0


def test_points_milestones_and_pieces_are_added_where_they_are_wanted():
    for shape, count in (("points", "points"), ("multi_step", "milestones"), ("segments", "segments")):
        e = experiment(shape)
        after = e.changed(added_at(e.schedule, LENGTH, 4.5 * 83, 1e-3))
        assert len(getattr(after.schedule, count)) == len(getattr(e.schedule, count)) + 1
        assert any(abs(h.step - 4.5 * 83) < 1.5 for h in handles(after))
    assert added_at(experiment("cosine").schedule, LENGTH, 100, 1e-3) is None


def test_at_least_two_points_one_piece_stay_and_a_milestone_may_be_the_last():
    e = experiment("points")
    for _ in range(2):
        e = e.changed(removed(e.schedule, handles(e)[1]))
    assert len(e.schedule.points) == 2 and removed(e.schedule, handles(e)[1]) is None
    e = experiment("segments", segments=(Segment(),))
    assert removed(e.schedule, named(e, "segment 1")) is None
    e = experiment("multi_step", milestones=(3.0,))
    assert e.changed(removed(e.schedule, named(e, "mark 1"))).schedule.milestones == ()
    assert removed(e.schedule, named(e, "peak")) is None


@pytest.mark.parametrize("shape", KEYS)
def test_a_run_of_one_step_and_one_of_ten_million_have_handles(shape):
    for epochs, per_epoch in ((1, 1), (1, 2), (10_000, 1000)):
        length = Length(epochs, per_epoch)
        e = experiment(shape, epochs=epochs)
        for handle in handles_of(e.schedule, length):
            assert np.isfinite([handle.step, handle.rate]).all() and 0 <= handle.step <= length.num_steps
            for place in ((0, 0), (handle.step, handle.rate), (1e9, 1.0)):
                e.changed(settings_at(e.schedule, length, handle, *place))
            assert handle.words(length)


def test_restarts_that_fall_between_steps_have_their_handles_where_the_rate_jumps():
    e = Experiment().changed({"schedule.shape": "warm_restarts", "schedule.epochs": 20, "schedule.warmup_fraction": 0.0})
    schedule = e.changed({"schedule.cycle_epochs": 1.27, "schedule.cycle_growth": 2}).schedule
    found = [h.step for h in handles_of(schedule, Length(20 * 83, 83)) if h.look == "mark"]
    assert found == jumps(schedule, 83).tolist() == [106, 318, 742, 1590]
