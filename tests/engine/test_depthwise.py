"""The other backward pass of depthwise convolutions gives torch's gradients."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from studio.engine.depthwise import depthwise_layers, fast_backward, use_fast_backward
from studio.engine.precision import Precision, judge


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_its_gradients_are_those_of_torch(kernel, stride, dtype, rounding):
    torch.manual_seed(0)
    stock = nn.Conv2d(6, 6, kernel, stride, kernel // 2, groups=6, bias=kernel == 3).to(memory_format=torch.channels_last)
    fast = copy.deepcopy(stock)
    assert use_fast_backward(fast) == 1
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


def test_gradients_hold_against_differences_in_double_precision():
    layer = nn.Conv2d(3, 3, 3, 1, 1, groups=3).double()
    use_fast_backward(layer)
    assert torch.autograd.gradcheck(layer, torch.randn(2, 3, 5, 5, dtype=torch.double, requires_grad=True), atol=1e-4, rtol=1e-3, eps=1e-4)


def test_only_depthwise_layers_change_and_a_trial_leaves_nothing():
    module = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 8, 3, groups=4), nn.Conv2d(4, 4, 3, groups=4, dilation=2))
    assert depthwise_layers(module) == [module[0]]
    keys = list(module.state_dict())
    with fast_backward(module):
        assert "_conv_forward" in module[0].__dict__ and "_conv_forward" in copy.deepcopy(module)[0].__dict__
    assert "_conv_forward" not in module[0].__dict__ and list(module.state_dict()) == keys


def test_what_is_chosen_is_never_slower_than_the_plain_loop():
    last, first, half, fast = (Precision("fp32", True), Precision("fp32", False), Precision("bf16", True), Precision("bf16", True, True))
    options = [last, first, half, fast]
    assert judge(options, {last: 1.0, first: 1.05, half: 0.95, fast: 0.94}) == last  # within the noise the simpler form
    assert judge(options, {last: 1.05, first: 1.0, half: 12.0, fast: 9.0}) == first
    assert judge(options, {last: 1.0, first: 1.5, half: 0.8, fast: 0.4}) == fast
