"""The curve that is drawn is torch's own scheduler, and it is finite and never negative, for every shape."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator
from timm.scheduler import CosineLRScheduler, PolyLRScheduler
from torch.optim import lr_scheduler as torch_schedulers

from studio.catalog.schedules import SHAPES, Edit, head_lr, jumps, lr, momentum, stage_factors, thaw_epochs, weight_decay
from studio.core.experiment import Experiment, Model, Optimiser, Schedule, Segment

fractions = st.floats(0.05, 0.6)
factors = st.floats(1e-4, 1.0)
peaks = st.floats(1e-5, 1.0)
epochs_ = st.integers(1, 40)
some = settings(max_examples=40, deadline=None)
PER_EPOCH = 7


def curve(schedule, steps_per_epoch=PER_EPOCH, losses=()):
    return head_lr(schedule, np.arange(schedule.epochs * steps_per_epoch), steps_per_epoch, losses)


def optimiser_at(lr, momentum=0.9):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=momentum)


def applied(make_scheduler, num_steps, *, lr, key="lr"):
    """What torch's scheduler sets at each step."""
    optimiser = optimiser_at(lr)
    scheduler = make_scheduler(optimiser)
    values = []
    for i in range(num_steps):
        values.append(optimiser.param_groups[0][key])
        optimiser.step()
        if i < num_steps - 1:
            scheduler.step()
    return np.array(values)


def closed_form(scheduler, num_steps):
    """torch's own definition, without the rounding that its recursive form gathers."""
    values = []
    for i in range(num_steps):
        scheduler.last_epoch = i
        values.append(scheduler._get_closed_form_lr()[0])
    return np.array(values)


def timm_curve(scheduler, num_steps):
    return np.array([scheduler._get_lr(step)[0] for step in range(num_steps)])


# Equal to torch


@some
@given(peak=peaks, up=fractions, start=factors, final=factors, num_steps=st.integers(5, 300))
def test_one_cycle_equals_torch_in_rate_and_momentum(peak, up, start, final, num_steps):
    assume(up * num_steps - 1 > 0)  # torch divides by zero there
    schedule = Schedule(shape="one_cycle", epochs=1, peak_lr=peak, warmup_fraction=up, start_factor=start, final_factor=final)

    def torch_scheduler(optimiser):
        return torch_schedulers.OneCycleLR(
            optimiser, max_lr=peak, total_steps=num_steps, pct_start=up, div_factor=1 / start, final_div_factor=start / final, base_momentum=0.8,
            max_momentum=0.9,
        )  # fmt: skip

    # far below the peak a cosine is a difference of near numbers, in torch as here: its rounding is that of the peak
    np.testing.assert_allclose(curve(schedule, num_steps), applied(torch_scheduler, num_steps, lr=peak), rtol=1e-12, atol=1e-15 * peak)
    experiment = Experiment(schedule=schedule, optimiser=Optimiser(kind="sgd", momentum=0.9))
    momenta = momentum(experiment, np.arange(num_steps), steps_per_epoch=num_steps)
    np.testing.assert_allclose(momenta, applied(torch_scheduler, num_steps, lr=peak, key="momentum"), rtol=1e-12)


@some
@given(peak=peaks, final=factors, num_steps=st.integers(2, 300))
def test_cosine_equals_torch(peak, final, num_steps):
    schedule = Schedule(shape="cosine", epochs=1, peak_lr=peak, warmup_fraction=0, final_factor=final)
    torch_scheduler = torch_schedulers.CosineAnnealingLR(optimiser_at(peak), T_max=num_steps, eta_min=final * peak)
    np.testing.assert_allclose(curve(schedule, num_steps), closed_form(torch_scheduler, num_steps), rtol=1e-12, atol=1e-15 * peak)


@some
@given(peak=peaks, final=factors, first=st.integers(1, 5), growth=st.integers(1, 3), epochs=epochs_)
def test_warm_restarts_equal_torch(peak, final, first, growth, epochs):
    schedule = Schedule(
        shape="warm_restarts", epochs=epochs, peak_lr=peak, warmup_fraction=0, final_factor=final, cycle_epochs=first, cycle_growth=growth
    )
    expected = applied(
        lambda o: torch_schedulers.CosineAnnealingWarmRestarts(o, T_0=first * PER_EPOCH, T_mult=growth, eta_min=final * peak),
        epochs * PER_EPOCH,
        lr=peak,
    )
    np.testing.assert_allclose(curve(schedule), expected, rtol=1e-12, atol=1e-15 * peak)


@some
@given(peak=peaks, every=st.integers(1, 5), factor=st.floats(0.05, 1.0), epochs=epochs_)
def test_step_equals_torch_counted_in_epochs(peak, every, factor, epochs):
    schedule = Schedule(shape="step", epochs=epochs, peak_lr=peak, warmup_fraction=0, step_epochs=every, step_factor=factor)
    expected = closed_form(torch_schedulers.StepLR(optimiser_at(peak), step_size=every * PER_EPOCH, gamma=factor), epochs * PER_EPOCH)
    np.testing.assert_allclose(curve(schedule), expected, rtol=1e-12)


@some
@given(peak=peaks, milestones=st.lists(st.integers(1, 40), max_size=6), factor=st.floats(0.05, 1.0), epochs=epochs_)
def test_milestones_equal_torch_in_any_order_and_twice(peak, milestones, factor, epochs):
    schedule = Schedule(
        shape="multi_step", epochs=epochs, peak_lr=peak, warmup_fraction=0, milestones=tuple(milestones), step_factor=factor
    )
    steps = [epoch * PER_EPOCH for epoch in milestones]
    expected = closed_form(torch_schedulers.MultiStepLR(optimiser_at(peak), steps, gamma=factor), epochs * PER_EPOCH)
    np.testing.assert_allclose(curve(schedule), expected, rtol=1e-12)


@some
@given(peak=peaks, final=st.floats(0, 1), num_steps=st.integers(1, 300))
def test_linear_equals_torch(peak, final, num_steps):
    schedule = Schedule(shape="linear", epochs=1, peak_lr=peak, warmup_fraction=0, final_factor=final)
    torch_scheduler = torch_schedulers.LinearLR(optimiser_at(peak), start_factor=1.0, end_factor=final, total_iters=num_steps)
    np.testing.assert_allclose(curve(schedule, num_steps), closed_form(torch_scheduler, num_steps), rtol=1e-12)


@some
@given(peak=peaks, final=factors, num_steps=st.integers(1, 300))
def test_exponential_equals_torch(peak, final, num_steps):
    schedule = Schedule(shape="exponential", epochs=1, peak_lr=peak, warmup_fraction=0, final_factor=final)
    torch_scheduler = torch_schedulers.ExponentialLR(optimiser_at(peak), gamma=final ** (1 / num_steps))
    np.testing.assert_allclose(curve(schedule, num_steps), closed_form(torch_scheduler, num_steps), rtol=1e-12)


@some
@given(peak=peaks, power=st.floats(0.1, 5), num_steps=st.integers(1, 300))
def test_polynomial_to_zero_equals_torch(peak, power, num_steps):
    schedule = Schedule(shape="polynomial", epochs=1, peak_lr=peak, warmup_fraction=0, final_factor=0, power=power)
    torch_scheduler = torch_schedulers.PolynomialLR(optimiser_at(peak), total_iters=num_steps, power=power)
    np.testing.assert_allclose(curve(schedule, num_steps), closed_form(torch_scheduler, num_steps), rtol=1e-12)


@some
@given(peak=peaks, num_steps=st.integers(1, 100))
def test_constant_equals_torch(peak, num_steps):
    schedule = Schedule(shape="constant", epochs=1, peak_lr=peak, warmup_fraction=0)
    expected = applied(lambda o: torch_schedulers.ConstantLR(o, factor=1.0), num_steps, lr=peak)
    np.testing.assert_allclose(curve(schedule, num_steps), expected, rtol=1e-12)


@some
@given(start=factors, warm=st.integers(1, 19), cool=st.integers(1, 19), final=st.floats(0, 1))
def test_warm_up_and_cool_down_around_a_shape_equal_torch_one_after_the_other(start, warm, cool, final):
    schedule = Schedule(
        shape="constant",
        epochs=1,
        peak_lr=0.1,
        warmup_fraction=warm / 40,
        start_factor=start,
        cooldown_fraction=cool / 40,
        final_factor=final,
    )
    first = 1 + (final - 1) / cool  # torch's line begins with its first factor, ours goes on from the step before
    assume(first > 0)

    def torch_scheduler(optimiser):
        parts = [
            torch_schedulers.LinearLR(optimiser, start_factor=start, total_iters=warm),
            torch_schedulers.ConstantLR(optimiser, factor=1.0),
            torch_schedulers.LinearLR(optimiser, start_factor=first, end_factor=final, total_iters=max(1, cool - 1)),
        ]
        return torch_schedulers.SequentialLR(optimiser, parts, milestones=[warm, 40 - cool])

    np.testing.assert_allclose(curve(schedule, 40), applied(torch_scheduler, 40, lr=0.1), rtol=1e-12, atol=1e-16)


@some
@given(
    losses=st.lists(st.one_of(st.floats(0, 3), st.sampled_from([1.0, 0.99995, 0.9, float("nan"), float("inf")])), max_size=40),
    peak=st.floats(1e-7, 1.0), factor=st.floats(0.05, 1.0), patience=st.integers(0, 5), final=st.floats(0, 0.5),
)  # fmt: skip
def test_plateau_equals_torch_epoch_by_epoch(losses, peak, factor, patience, final):
    schedule = Schedule(
        shape="plateau", epochs=len(losses) + 1, peak_lr=peak, warmup_fraction=0, step_factor=factor, patience_epochs=patience, final_factor=final
    )  # fmt: skip
    assume(factor < 1)  # torch refuses 1
    optimiser = optimiser_at(peak)
    scheduler = torch_schedulers.ReduceLROnPlateau(optimiser, factor=factor, patience=patience, min_lr=final * peak)
    expected = [peak]
    for loss in losses:
        scheduler.step(loss)
        expected.append(optimiser.param_groups[0]["lr"])
    rates = curve(schedule, PER_EPOCH, losses)
    np.testing.assert_allclose(rates.reshape(-1, PER_EPOCH), np.repeat(np.array(expected)[:, None], PER_EPOCH, 1), rtol=1e-12)


def test_the_plateau_that_is_drawn_before_the_run_holds_its_peak():
    schedule = Schedule(shape="plateau", warmup_fraction=0.25, start_factor=0.1, epochs=8)
    np.testing.assert_array_equal(curve(schedule)[2 * PER_EPOCH :], schedule.peak_lr)


# Equal to timm, scipy and the papers' formulas where torch has none


@some
@given(peak=peaks, final=factors, power=st.floats(0.2, 4), num_steps=st.integers(2, 200))
def test_polynomial_to_a_final_rate_equals_timm(peak, final, power, num_steps):
    schedule = Schedule(shape="polynomial", epochs=1, peak_lr=peak, warmup_fraction=0, final_factor=final, power=power)
    scheduler = PolyLRScheduler(optimiser_at(peak), t_initial=num_steps, power=power, lr_min=final * peak)
    np.testing.assert_allclose(curve(schedule, num_steps), timm_curve(scheduler, num_steps), rtol=1e-12)


@some
@given(peak=peaks, final=st.floats(1e-4, 0.2), decay=st.floats(0.3, 1.0), first=st.integers(1, 5), growth=st.integers(1, 3), epochs=epochs_)
def test_restarts_with_falling_peaks_equal_timm(peak, final, decay, first, growth, epochs):
    schedule = Schedule(
        shape="warm_restarts", epochs=epochs, peak_lr=peak, warmup_fraction=0, final_factor=final, cycle_epochs=first, cycle_growth=growth,
        cycle_decay=decay,
    )  # fmt: skip
    t, num_steps = first * PER_EPOCH, epochs * PER_EPOCH
    scheduler = CosineLRScheduler(
        optimiser_at(peak), t_initial=t, lr_min=final * peak, cycle_mul=growth, cycle_decay=decay, cycle_limit=10**9
    )
    expected = timm_curve(scheduler, num_steps)
    if growth > 1:  # timm takes the cycle from a logarithm, which rounds to either side at the restart itself
        starts = {t * sum(growth**k for k in range(n)) for n in range(1, 12)}
        kept = np.array([step for step in range(num_steps) if step not in starts])
    else:
        kept = np.arange(num_steps)
    np.testing.assert_allclose(curve(schedule)[kept], expected[kept], rtol=1e-12, atol=1e-15 * peak)


@some
@given(warm=st.integers(1, 30), peak=peaks)
def test_inverse_root_is_the_formula_of_the_transformer(warm, peak):
    schedule = Schedule(shape="inverse_sqrt", epochs=1, peak_lr=peak, warmup_fraction=warm / 100, start_factor=0)
    steps = np.arange(100)
    with np.errstate(divide="ignore"):
        expected = peak * np.sqrt(warm) * np.minimum(1 / np.sqrt(steps), steps * warm**-1.5)  # arXiv 1706.03762, eq. 3
    np.testing.assert_allclose(curve(schedule, 100), expected, rtol=1e-12)


@some
@given(data=st.data())
def test_a_free_curve_equals_scipys_pchip(data):
    times = sorted(data.draw(st.sets(st.integers(0, 100), min_size=2, max_size=8)))
    values = data.draw(st.lists(st.one_of(st.just(0.0), st.floats(1e-12, 1)), min_size=len(times), max_size=len(times)))
    schedule = Schedule(shape="points", epochs=1, peak_lr=1.0, points=tuple(zip([t / 100 for t in times], values, strict=True)))
    time = np.clip(np.arange(500) / 499, times[0] / 100, times[-1] / 100)
    expected = PchipInterpolator(np.array(times) / 100, values)(time)
    np.testing.assert_allclose(curve(schedule, 500), expected, rtol=1e-11, atol=1e-14)


def test_a_free_curve_takes_points_in_any_order_and_the_last_of_two_at_one_time():
    in_order = Schedule(shape="points", points=((0, 0.1), (0.5, 1.0), (1, 0)))
    shuffled = Schedule(shape="points", points=((1, 0), (0.5, 0.3), (0, 0.1), (0.5, 1.0)))
    np.testing.assert_array_equal(curve(in_order), curve(shuffled))


def test_segments_go_from_end_to_end():
    chain = (
        Segment(kind="linear", until=0.2, to=1.0),
        Segment(kind="hold", until=0.5),
        Segment(kind="linear", until=0.5, to=0.5),  # no length: a jump
        Segment(kind="exponential", until=0.8, to=0.05),
        Segment(kind="cosine", until=1.0, to=0.01),
    )
    schedule = Schedule(shape="segments", epochs=1, peak_lr=1.0, start_factor=0.1, segments=chain)
    rates = curve(schedule, 101)
    np.testing.assert_allclose(rates[:21], np.linspace(0.1, 1.0, 21), rtol=1e-12)
    np.testing.assert_array_equal(rates[20:51], 1.0)
    np.testing.assert_allclose(rates[51:81], 0.5 * 0.1 ** (np.arange(1, 31) / 30), rtol=1e-12)
    np.testing.assert_allclose(rates[80:], 0.01 + 0.02 * (1 + np.cos(np.pi * np.arange(21) / 20)), rtol=1e-12)
    assert jumps(schedule, 101).tolist() == [51]


# For any settings


@st.composite
def schedules(draw, shape):
    chain = draw(st.lists(st.tuples(st.sampled_from(["hold", "linear", "cosine", "exponential"]), st.floats(1e-3, 1), st.floats(0, 1)), min_size=1, max_size=6))  # fmt: skip
    return Schedule(
        shape=shape,
        epochs=draw(st.integers(1, 200)),
        peak_lr=draw(st.floats(1e-8, 10)),
        warmup_fraction=draw(st.floats(0, 1)),
        cooldown_fraction=draw(st.floats(0, 1)),
        start_factor=draw(st.floats(0, 1)),
        final_factor=draw(st.floats(0, 1)),
        power=draw(st.floats(0.01, 10)),
        cycle_epochs=draw(st.floats(0.01, 10_000)),
        cycle_growth=draw(st.integers(1, 10)),
        cycle_decay=draw(st.floats(0.01, 1)),
        step_epochs=draw(st.floats(0.01, 10_000)),
        step_factor=draw(st.floats(1e-3, 1)),
        milestones=tuple(draw(st.lists(st.floats(0.01, 300), max_size=6))),
        patience_epochs=draw(st.integers(0, 10)),
        segments=tuple(Segment(kind=kind, until=until, to=to) for kind, until, to in chain),
        points=tuple(draw(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=6))),
    )


@pytest.mark.parametrize("shape", [s.key for s in SHAPES])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_shape_is_finite_never_negative_and_never_above_its_peak(shape, data):
    schedule = data.draw(schedules(shape))
    rates = curve(schedule, data.draw(st.integers(1, 30)), data.draw(st.lists(st.floats(0, 5), max_size=schedule.epochs)))
    assert np.isfinite(rates).all() and (rates >= 0).all() and rates.max() <= schedule.peak_lr * (1 + 1e-12)


@pytest.mark.parametrize("least", [5e-324, 1e-200, 1e-99])
def test_the_smallest_numbers_there_are_are_finite_too(least):
    kinds = ("exponential", "linear", "exponential", "cosine", "exponential")
    chain = tuple(Segment(kind=kind, until=(i + 1) / 5, to=(least, 1.0)[i % 2]) for i, kind in enumerate(kinds))
    for schedule in (
        Schedule(shape="segments", epochs=4, start_factor=least, segments=chain),
        Schedule(shape="points", epochs=4, points=((0.0, 0.0), (0.01, least), (0.02, 1.0), (0.9, least), (1.0, 0.5))),
        Schedule(shape="exponential", epochs=4, warmup_fraction=0, final_factor=least),
    ):
        rates = curve(schedule)
        assert np.isfinite(rates).all() and (rates >= 0).all() and rates.max() <= schedule.peak_lr * (1 + 1e-12)


@pytest.mark.parametrize("shape", [s.key for s in SHAPES])
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_step_has_its_rate_whichever_other_steps_are_asked_for(shape, data):
    schedule, per_epoch = data.draw(schedules(shape)), data.draw(st.integers(1, 30))
    picked = data.draw(st.lists(st.integers(0, schedule.epochs * per_epoch - 1), min_size=1, max_size=5))
    np.testing.assert_array_equal(head_lr(schedule, picked, per_epoch), curve(schedule, per_epoch)[picked])


@pytest.mark.parametrize("shape", [s.key for s in SHAPES])
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_jump_is_where_the_rate_takes_another_value_at_once(shape, data):
    schedule, per_epoch = data.draw(schedules(shape)), data.draw(st.integers(1, 30))
    found = jumps(schedule, per_epoch)
    assert (np.diff(found) > 0).all()
    assert len(found) == 0 or (found[0] > 0 and found[-1] < schedule.epochs * per_epoch)


@pytest.mark.parametrize("shape", [s.key for s in SHAPES])
@pytest.mark.parametrize(("epochs", "steps_per_epoch"), [(1, 1), (1, 2), (1, 10_000_000), (10_000, 1000)])
def test_one_to_ten_million_steps(shape, epochs, steps_per_epoch):
    schedule = Schedule(shape=shape, epochs=epochs, cycle_epochs=0.5, cycle_growth=1, step_epochs=0.5)
    num_steps = epochs * steps_per_epoch
    rates = head_lr(schedule, np.unique(np.linspace(0, num_steps - 1, 2000).astype(int)), steps_per_epoch)
    assert np.isfinite(rates).all() and (rates >= 0).all()


def test_the_drawn_restarts_are_where_the_rate_jumps_up():
    schedule = Schedule(shape="warm_restarts", warmup_fraction=0.1, cycle_epochs=2, cycle_growth=2, epochs=14)
    rates = curve(schedule, 10)
    assert [i for i in range(15, 140) if rates[i] > rates[i - 1]] == jumps(schedule, 10).tolist()


@pytest.mark.parametrize("shape", ["step", "multi_step"])
def test_the_drawn_drops_are_where_the_rate_falls(shape):
    schedule = Schedule(shape=shape, warmup_fraction=0.1, step_epochs=3, milestones=(5, 9, 50), epochs=14)
    rates = curve(schedule, 10)
    assert [i for i in range(15, 140) if rates[i] < rates[i - 1]] == jumps(schedule, 10).tolist()


# Stages, thaw, edits


def test_stages_follow_the_curve_by_their_factor():
    experiment = Experiment(model=Model(train_stages=-1), optimiser=Optimiser(stage_lr_factor=0.5, stage_lr_factors={"b": 0.1}))
    rates = lr(experiment, range(50), stages=("a", "b", "head"), steps_per_epoch=10)
    np.testing.assert_array_equal(rates[:, 2], head_lr(experiment.schedule, range(50), 10))
    np.testing.assert_array_equal(rates[:, 0], 0.25 * rates[:, 2])
    np.testing.assert_array_equal(rates[:, 1], 0.1 * rates[:, 2])
    assert stage_factors(experiment.optimiser, ("a", "b", "head")) == (0.25, 0.1, 1.0)


def test_a_stage_has_no_rate_before_its_epoch_and_its_full_rate_from_then_on():
    model = Model(train_stages=1, thaw={"a": 3, "c": -1})
    stages = ("a", "b", "c", "head")
    assert thaw_epochs(model, stages) == (3, None, None, 0)
    experiment = Experiment(model=model, optimiser=Optimiser(stage_lr_factor=1.0))
    rates = lr(experiment, range(80), stages=stages, steps_per_epoch=10)
    assert not rates[:30, 0].any() and not rates[:, 1:3].any()
    np.testing.assert_array_equal(rates[30:, 0], rates[30:, 3])


def test_an_edit_counts_from_its_step_and_a_thaw_in_it_from_the_next_epoch():
    before = Experiment(model=Model(train_stages=0))
    after = before.changed({"schedule.peak_lr": 1e-4, "model.thaw": {"a": 0}, "optimiser.stage_lr_factor": 1.0})
    rates = lr(before, range(80), stages=("a", "head"), steps_per_epoch=10, edits=(Edit(25, after),))
    np.testing.assert_array_equal(rates[:25, 1], head_lr(before.schedule, range(25), 10))
    np.testing.assert_array_equal(rates[25:, 1], head_lr(after.schedule, range(25, 80), 10))
    assert not rates[:30, 0].any()
    np.testing.assert_array_equal(rates[30:, 0], rates[30:, 1])


def test_the_weight_decay_takes_its_course():
    def at(course, final=0.1, **more):
        optimiser = Optimiser(weight_decay=0.5, weight_decay_course=course, weight_decay_final=final)
        return weight_decay(Experiment(optimiser=optimiser, schedule=Schedule(epochs=1, **more)), range(100), steps_per_epoch=100)

    np.testing.assert_array_equal(at("constant"), 0.5)
    np.testing.assert_allclose(at("linear"), 0.5 - 0.45 * np.arange(100) / 100, rtol=1e-12)
    np.testing.assert_allclose(at("cosine"), 0.05 + 0.225 * (1 + np.cos(np.pi * np.arange(100) / 100)), rtol=1e-12)
    np.testing.assert_allclose(at("with the rate", shape="cosine", peak_lr=1.0), 0.5 * curve(Schedule(shape="cosine", epochs=1, peak_lr=1.0), 100), rtol=1e-12)  # fmt: skip
