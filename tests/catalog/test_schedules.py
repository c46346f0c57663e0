"""The curve that is drawn is torch's own scheduler, and it is finite and never negative, for every shape."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import CosineAnnealingLR, CosineAnnealingWarmRestarts, LinearLR, OneCycleLR, SequentialLR, StepLR

from studio.catalog.schedules import SHAPES, group_learning_rates, learning_rates, momenta, stage_factors
from studio.catalog.schedules.warm_restarts import restart_steps
from studio.core.experiment import Optimiser, Schedule

fractions = st.floats(0.05, 0.6)
factors = st.floats(1e-4, 1.0)


def applied(make_scheduler, num_steps, *, lr, momentum=0.9, key="lr"):
    """What torch's scheduler sets at each step."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=momentum)
    scheduler = make_scheduler(optimiser)
    values = []
    for i in range(num_steps):
        values.append(optimiser.param_groups[0][key])
        optimiser.step()
        if i < num_steps - 1:
            scheduler.step()
    return np.array(values)


@settings(max_examples=40, deadline=None)
@given(peak=st.floats(1e-5, 1.0), up=fractions, start=factors, final=factors, num_steps=st.integers(5, 300))
def test_one_cycle_equals_torch_in_rate_and_momentum(peak, up, start, final, num_steps):
    schedule = Schedule(shape="one_cycle", peak_lr=peak, warmup_fraction=up, start_factor=start, final_factor=final)

    def torch_scheduler(optimiser):
        return OneCycleLR(
            optimiser, max_lr=peak, total_steps=num_steps, pct_start=up, div_factor=1 / start, final_div_factor=start / final, base_momentum=0.8,
            max_momentum=0.9,
        )  # fmt: skip

    if up * num_steps - 1 <= 0:
        return  # torch divides by zero there
    expected = applied(torch_scheduler, num_steps, lr=peak)
    np.testing.assert_allclose(learning_rates(schedule, num_steps, 10), expected, rtol=1e-12, atol=0)
    expected = applied(torch_scheduler, num_steps, lr=peak, key="momentum")
    np.testing.assert_allclose(momenta(schedule, Optimiser(kind="sgd", momentum=0.9), num_steps), expected, rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(peak=st.floats(1e-5, 1.0), final=factors, num_steps=st.integers(2, 300))
def test_cosine_equals_torch(peak, final, num_steps):
    schedule = Schedule(shape="cosine", peak_lr=peak, warmup_fraction=0, final_factor=final)
    # torch's recursive form drifts by rounding; its closed form is the definition
    scheduler = CosineAnnealingLR(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak), T_max=num_steps, eta_min=final * peak)
    expected = []
    for i in range(num_steps):
        scheduler.last_epoch = i
        expected.append(scheduler._get_closed_form_lr()[0])
    np.testing.assert_allclose(learning_rates(schedule, num_steps, 10), expected, rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(peak=st.floats(1e-5, 1.0), final=factors, first=st.integers(1, 5), growth=st.integers(1, 3), num_steps=st.integers(1, 300))
def test_warm_restarts_equal_torch(peak, final, first, growth, num_steps):
    schedule = Schedule(shape="warm_restarts", peak_lr=peak, warmup_fraction=0, final_factor=final, cycle_epochs=first, cycle_growth=growth)
    expected = applied(lambda o: CosineAnnealingWarmRestarts(o, T_0=first * 7, T_mult=growth, eta_min=final * peak), num_steps, lr=peak)
    np.testing.assert_allclose(learning_rates(schedule, num_steps, 7), expected, rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(peak=st.floats(1e-5, 1.0), every=st.integers(1, 5), factor=st.floats(0.05, 1.0), num_steps=st.integers(1, 200))
def test_step_equals_torch_counted_in_epochs(peak, every, factor, num_steps):
    schedule = Schedule(shape="step", peak_lr=peak, warmup_fraction=0, step_epochs=every, step_factor=factor)
    expected = applied(lambda o: StepLR(o, step_size=every * 7, gamma=factor), num_steps, lr=peak)
    np.testing.assert_allclose(learning_rates(schedule, num_steps, 7), expected, rtol=1e-12)


def test_a_warm_up_before_a_constant_rate_equals_torch():
    schedule = Schedule(shape="constant", peak_lr=0.1, warmup_fraction=0.25, start_factor=0.2)

    def torch_scheduler(optimiser):
        climb = LinearLR(optimiser, start_factor=0.2, total_iters=10)
        return SequentialLR(optimiser, [climb, StepLR(optimiser, 10**6)], milestones=[10])

    np.testing.assert_allclose(learning_rates(schedule, 40, 10), applied(torch_scheduler, 40, lr=0.1), rtol=1e-12)


@pytest.mark.parametrize("shape", [s.key for s in SHAPES])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_shape_is_finite_and_never_negative(shape, data):
    schedule = Schedule(
        shape=shape,
        warmup_fraction=data.draw(st.floats(0, 0.9)),
        start_factor=data.draw(st.floats(0, 1)),
        final_factor=data.draw(st.floats(0, 1)),
        cycle_epochs=data.draw(st.integers(1, 10_000)),
        cycle_growth=data.draw(st.integers(1, 10)),
        step_epochs=data.draw(st.integers(1, 10_000)),
        step_factor=data.draw(st.floats(1e-3, 1)),
    )
    num_steps = data.draw(st.integers(1, 5_000))
    rates = learning_rates(schedule, num_steps, data.draw(st.integers(1, 500)))
    assert rates.shape == (num_steps,) and np.isfinite(rates).all()
    assert (rates >= 0).all() and rates.max() <= schedule.peak_lr * (1 + 1e-12)


@pytest.mark.parametrize("shape", [s.key for s in SHAPES])
def test_ten_million_steps_can_be_drawn(shape):
    rates = learning_rates(Schedule(shape=shape), 10_000_000, 1000)
    assert np.isfinite(rates[::10_000]).all() and len(rates) == 10_000_000


def test_the_drawn_restarts_are_where_the_rate_jumps():
    schedule = Schedule(shape="warm_restarts", warmup_fraction=0.1, cycle_epochs=2, cycle_growth=2, epochs=14)
    rates = learning_rates(schedule, 140, 10)
    jumps = [i for i in range(15, 140) if rates[i] > rates[i - 1]]
    assert jumps == restart_steps(schedule, 140, 10)


def test_groups_follow_the_curve_by_their_factor():
    schedule = Schedule()
    rates = group_learning_rates(schedule, stage_factors(3, 0.5), 50, 10)
    np.testing.assert_array_equal(rates[:, 2], learning_rates(schedule, 50, 10))
    np.testing.assert_array_equal(rates[:, 0], 0.25 * rates[:, 2])
