"""The other backward pass of convolutions gives torch's gradients."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from studio.engine import precision
from studio.engine.conv_gradients import LEAST_CHANNELS, depthwise_layers, own_gradients, use_own_gradients, wide_layers
from studio.engine.precision import PLAIN, Precision, judge, measure


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_its_gradients_are_those_of_torch(kernel, stride, dtype, rounding):
    torch.manual_seed(0)
    stock = nn.Conv2d(6, 6, kernel, stride, kernel // 2, groups=6, bias=kernel == 3).to(memory_format=torch.channels_last)
    fast = copy.deepcopy(stock)
    use_own_gradients(fast)
    images = torch.randn(3, 6, 13, 12).contiguous(memory_format=torch.channels_last)
    found = []
    for layer in (stock, fast):
        given = images.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            output = layer(given)
        assert output.dtype == dtype
        output.float().square().sum().backward()
        found.append((output, given.grad, *(p.grad for p in layer.parameters())))
    for ours, theirs in zip(*found[::-1], strict=True):
        apart = (ours.float() - theirs.float()).norm() / theirs.float().norm()
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype and apart < rounding


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [((3, 3), (1, 1), (1, 1)), ((3, 3), (2, 2), (1, 1)), ((5, 2), (2, 3), (0, 1)), ((1, 7), (1, 1), (0, 3))],
)
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_weights_of_wide_layers_get_the_gradients_of_torch(kernel, stride, padding, layout):
    torch.manual_seed(0)
    stock = nn.Conv2d(LEAST_CHANNELS, 7, kernel, stride, padding, bias=kernel == (3, 3)).to(memory_format=layout)
    own = copy.deepcopy(stock)
    use_own_gradients(own)
    images = torch.randn(3, LEAST_CHANNELS, 9, 8).contiguous(memory_format=layout)
    found = []
    for layer in (stock, own):
        given = images.clone().requires_grad_()
        layer(given).square().sum().backward()
        found.append((given.grad, *(p.grad for p in layer.parameters())))
    assert type(own(images).grad_fn).__name__ == "_WideBackward"
    for ours, theirs in zip(*found[::-1], strict=True):
        assert ours.shape == theirs.shape and torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))


def test_wide_layers_that_are_frozen_pass_the_gradient_on():
    layer = nn.Conv2d(LEAST_CHANNELS, 4, 3)
    layer.requires_grad_(False)
    use_own_gradients(layer)
    given = torch.randn(1, LEAST_CHANNELS, 5, 5, requires_grad=True)
    layer(given).sum().backward()
    assert layer.weight.grad is None and torch.allclose(given.grad.sum(), layer.weight.sum() * 9, rtol=1e-3)


def test_gradients_hold_against_differences_in_double_precision():
    layer = nn.Conv2d(3, 3, 3, 1, 1, groups=3).double()
    use_own_gradients(layer)
    assert torch.autograd.gradcheck(layer, torch.randn(2, 3, 5, 5, dtype=torch.double, requires_grad=True), atol=1e-4, rtol=1e-3, eps=1e-4)


def test_only_depthwise_and_wide_layers_change_and_a_trial_leaves_nothing():
    wide, small = nn.Conv2d(LEAST_CHANNELS, 4, 3), nn.Conv2d(4, 4, 3)
    module = nn.Sequential(
        nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 8, 3, groups=4), nn.Conv2d(4, 4, 3, groups=4, dilation=2), wide, small
    )
    assert depthwise_layers(module) == [module[0]] and wide_layers(module) == [wide]
    keys = list(module.state_dict())
    with own_gradients(module):
        assert "_conv_forward" in module[0].__dict__ and "_conv_forward" in copy.deepcopy(module)[0].__dict__
        assert "_conv_forward" in wide.__dict__ and "_conv_forward" not in small.__dict__
    with own_gradients(module, wide=False):
        assert "_conv_forward" in module[0].__dict__ and "_conv_forward" not in wide.__dict__
    assert not any("_conv_forward" in layer.__dict__ for layer in module) and list(module.state_dict()) == keys


LAST, FIRST, HALF, FAST = (Precision("fp32", True), PLAIN, Precision("bf16", True), Precision("bf16", True, True))


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ((1.0, 1.05, 0.95, 0.94), LAST),  # within the noise the simpler form
        ((1.05, 1.0, 12.0, 9.0), FIRST),
        ((1.03, 1.0, 0.93, 0.92), FIRST),
        ((1.01, 1.0, 0.99, 0.98), LAST),  # a hundredth is a tie
        ((1.0, 1.5, 0.8, 0.4), FAST),
    ],
)
def test_what_is_chosen_is_never_slower_than_the_plain_loop(seconds, chosen):
    options = [LAST, FIRST, HALF, FAST]
    assert judge(options, {option: [s] * 3 for option, s in zip(options, seconds, strict=True)}) == chosen


def test_own_gradients_are_taken_where_the_same_form_gains_by_them():
    own, options = Precision("fp32", True, True), [LAST, FIRST, Precision("fp32", True, True)]
    assert judge(options, {LAST: [0.93] * 3, FIRST: [1.0] * 3, own: [0.86] * 3}) == own
    assert judge(options, {LAST: [0.93] * 3, FIRST: [1.0] * 3, own: [0.92] * 3}) == LAST
    assert judge(options, {LAST: [0.93], FIRST: [1.0], own: [0.86]}) == LAST  # of first passes only


def test_a_busy_moment_does_not_choose():
    """Each form runs beside the others in every round, so what hits a round counts for nothing, and what hits one of them is one of three."""
    busy = [1, 4, 1.5]
    assert judge([LAST, FIRST], {LAST: [0.95 * b for b in busy], FIRST: busy}) == LAST
    assert judge([LAST, FIRST], {LAST: [1.03 * b for b in busy], FIRST: [1, 9, 1.5]}) == FIRST
    assert judge([LAST, FIRST, HALF], {LAST: [1, 1, 1], FIRST: [1.01, 1.01, 1.01], HALF: [0.2, 2.0, 2.1]}) == LAST


def test_first_passes_alone_decide_only_what_is_very_clear():
    assert judge([LAST, FIRST, HALF], {LAST: [1.4], FIRST: [1.0], HALF: [0.8]}) == FIRST
    assert judge([LAST, FIRST, HALF], {LAST: [1.4], FIRST: [1.0], HALF: [0.3]}) == HALF


def test_forms_that_are_hopeless_are_left_out_and_the_plain_one_runs_in_every_round(monkeypatch):
    seconds, calls = {LAST: 1.0, FIRST: 5.0, HALF: 9.0, FAST: 0.9}, []
    monkeypatch.setattr(precision, "_pass_seconds", lambda _module, _images, option, _device: calls.append(option) or seconds[option])
    network = SimpleNetwork(nn.Sequential(nn.Conv2d(3, 3, 1)))
    options = [LAST, FIRST, HALF, FAST]
    found = measure(network, options, 8, torch.device("cpu"))
    assert HALF not in found and FAST not in found, "a layer showed that half precision is slow"
    assert found == {LAST: [1.0] * 3, FIRST: [5.0] * 3}
    seconds[HALF] = 1.2
    found = measure(network, options, 8, torch.device("cpu"))
    assert {option: len(some) for option, some in found.items()} == {LAST: 3, FIRST: 3, HALF: 3, FAST: 3}


@pytest.mark.parametrize(("last", "num_rounds"), [([1.0], 3), ([1.2], 3), ([1.0, 1.1], precision.MOST_ROUNDS)])
def test_as_long_as_rounds_do_not_agree_more_are_taken(monkeypatch, last, num_rounds):
    seconds = {LAST: itertools.cycle(last), FIRST: itertools.repeat(1.0)}
    monkeypatch.setattr(precision, "_pass_seconds", lambda _module, _images, option, _device: next(seconds[option]))
    found = measure(SimpleNetwork(nn.Sequential(nn.Conv2d(3, 3, 1))), [LAST, FIRST], 8, torch.device("cpu"))
    assert [len(rounds) for rounds in found.values()] == [num_rounds, num_rounds]


@dataclass
class SimpleNetwork:
    module: nn.Module

    def train_mode(self) -> None:
        self.module.train()
