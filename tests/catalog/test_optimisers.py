"""Every optimiser that can be chosen is the library's own, with the settings that are shown for it."""

from __future__ import annotations

import inspect

import pytest
import torch

from studio.catalog.optimisers import KINDS, build_optimiser, kind_of, set_group
from studio.core.experiment import Optimiser, choices


def _parameter() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4))


def _trained(settings: Optimiser, *, lr: float = 0.01, momenta=(None,) * 12, make=None) -> torch.Tensor:
    weight = _parameter()
    made = make([weight]) if make else build_optimiser(settings, [{"params": [weight], "weight_decay": settings.weight_decay}])
    for i, momentum in enumerate(momenta):
        if not make:
            base = settings.momentum if "momentum" in kind_of(settings.kind).fields else settings.beta1
            set_group(
                made, made.param_groups[0], settings, lr=lr, momentum=base if momentum is None else momentum,
                weight_decay=settings.weight_decay,
            )  # fmt: skip
        weight.grad = torch.sin(weight.detach() * 3 + 2 * i) + 0.1 * i
        made.step()
    return weight.detach()


def test_every_kind_of_an_experiment_can_be_chosen_and_explains_itself():
    assert {k.key for k in KINDS} == set(choices("optimiser.kind"))
    for kind in KINDS:
        assert kind.title and kind.help.endswith(".") and kind.paper and set(kind.fields) <= set(Optimiser.model_fields)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.key)
def test_each_shown_setting_changes_the_update_and_no_other_does(kind):
    plain = Optimiser(kind=kind.key, epsilon=1e-3)
    reference = _trained(plain)
    others = {"beta1": 0.5, "beta2": 0.9, "epsilon": 0.1, "momentum": 0.5, "nesterov": False}
    for name, value in others.items():
        changed = not torch.equal(_trained(plain.model_copy(update={name: value})), reference)
        assert changed == (name in kind.fields), name
    assert not torch.equal(_trained(plain.model_copy(update={"weight_decay": 0.5})), reference)


def test_updates_are_those_of_the_libraries():
    import timm.optim

    common = {"lr": 0.01, "weight_decay": 0.1}
    b = {"betas": (0.8, 0.95)}
    libraries = {
        "sgd": lambda p: torch.optim.SGD(p, momentum=0.7, nesterov=True, **common),
        "rmsprop": lambda p: torch.optim.RMSprop(p, alpha=0.95, momentum=0.7, eps=1e-4, **common),
        "adam": lambda p: torch.optim.Adam(p, eps=1e-4, **b, **common),
        "adamw": lambda p: torch.optim.AdamW(p, eps=1e-4, **b, **common),
        "lamb": lambda p: timm.optim.Lamb(p, eps=1e-4, max_grad_norm=None, **b, **common),
        "lion": lambda p: timm.optim.Lion(p, **b, **common),
    }
    for key, make in libraries.items():
        ours = _trained(Optimiser(kind=key, beta1=0.8, beta2=0.95, momentum=0.7, epsilon=1e-4, weight_decay=0.1))
        torch.testing.assert_close(ours, _trained(Optimiser(), make=make), msg=key)


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw", "rmsprop"])
def test_an_optimiser_of_torch_is_fused_where_torch_can(kind):
    made = build_optimiser(Optimiser(kind=kind), [{"params": [_parameter()], "weight_decay": 0.0}])
    can = "fused" in inspect.signature(type(made)).parameters
    assert can == (kind != "rmsprop") and made.defaults.get("fused", False) is can


@pytest.mark.parametrize("kind", ["sgd", "rmsprop"])
def test_momentum_may_rise_from_nothing_later(kind):
    settings = Optimiser(kind=kind, momentum=0.0)
    rising = _trained(settings, momenta=(0.0, 0.0, 0.9, 0.9, 0.9))
    assert torch.isfinite(rising).all() and not torch.equal(rising, _trained(settings, momenta=(0.0,) * 5))
