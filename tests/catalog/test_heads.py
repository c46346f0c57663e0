"""A head's shapes and counts are known before it is built, and what is built has them."""

from __future__ import annotations

import pytest
import torch

from studio.catalog.heads import PRESETS, Outlet, build_head, plan_head, preset_of
from studio.core.head import Convolution, Dropout, Hidden, Pooling
from studio.core.problem import BadInput

OUTLETS = {
    "map": (Outlet("map", (8, 4, 4)), (2, 8, 4, 4)),
    "channels last": (Outlet("map, channels last", (4, 4, 8)), (2, 4, 4, 8)),
    "tokens": (Outlet("tokens", (17, 8), 1, True), (2, 17, 8)),
    "vector": (Outlet("vector", (8,)), (2, 8)),
}
HEADS = {
    "linear": (),
    "mlp": (Hidden(width=6, norm="batch"), Dropout(), Hidden(width=5, norm="layer", activation="gelu")),
    "conv": (Convolution(), Pooling()),
    "wider conv": (Convolution(channels=12, depth=3, kernel=5, norm="none"), Convolution(channels=4, residual=False)),
    "gem": (Pooling(method="gem"), Hidden(width=3, activation="none")),
    "flat": (Dropout(), Pooling(method="flatten")),
    "max": (Pooling(method="max"),),
}


@pytest.mark.parametrize("outlet", OUTLETS)
@pytest.mark.parametrize("parts", HEADS)
def test_what_is_built_has_the_planned_shapes_and_counts(outlet, parts):
    place, shape = OUTLETS[outlet]
    if place.layout == "vector" and any(isinstance(p, (Convolution, Pooling)) for p in HEADS[parts]):
        with pytest.raises(BadInput, match="vector of 8 values"):
            plan_head(HEADS[parts], place, 3)
        return
    steps = plan_head(HEADS[parts], place, 3, 0.1)
    head = build_head(HEADS[parts], place, 3, dropout=0.1)
    assert [name for name, _ in head.named_children()] == [step.name for step in steps]
    features = torch.rand(shape)
    for step, module in zip(steps, head, strict=True):
        assert tuple(features.shape[1:]) == step.shape_in
        features = module(features)
        assert tuple(features.shape[1:]) == step.shape_out
        assert sum(p.numel() for p in module.parameters()) == step.num_parameters
    assert features.shape == (2, 3)


def test_places_of_tokens_and_of_maps_with_channels_last_stand_where_they_were():
    maps_NCHW = torch.rand(2, 8, 4, 4)
    expected = maps_NCHW.amax((2, 3))
    for name, features in (
        ("map", maps_NCHW),
        ("channels last", maps_NCHW.permute(0, 2, 3, 1)),
        ("tokens", torch.cat([torch.full((2, 1, 8), 9.0), maps_NCHW.flatten(2).transpose(1, 2)], 1)),
    ):
        head = build_head((Pooling(method="max"),), OUTLETS[name][0], 3)
        assert torch.equal(head[:-2](features), expected)


def test_a_head_without_pooling_reads_the_token_that_the_backbone_reads():
    tokens = torch.rand(2, 17, 8)
    assert torch.equal(build_head((), OUTLETS["tokens"][0], 3)[0](tokens), tokens[:, 0])
    steps = plan_head((Convolution(),), OUTLETS["tokens"][0], 3)
    assert [step.kind for step in steps] == ["map", "convolution", "pooling", "dropout", "linear"]


def test_gem_lies_between_average_and_maximum():
    maps = torch.rand(3, 8, 4, 4)
    pooled = build_head((Pooling(method="gem"),), OUTLETS["map"][0], 2)[0](maps)
    assert (pooled > maps.mean((2, 3))).all() and (pooled < maps.amax((2, 3))).all()


def test_a_way_around_goes_through_a_projection_only_where_channels_change():
    same, other = (plan_head((Convolution(channels=c),), OUTLETS["map"][0], 2)[0].note for c in (0, 16))
    assert same == "" and "1 × 1 projection" in other and "8 channels become 16" in other


@pytest.mark.parametrize(
    ("init", "fan", "expected"),
    [
        ("he", "in", (2 / 300) ** 0.5),
        ("he", "out", (2 / 200) ** 0.5),
        ("xavier", "in", (2 / 500) ** 0.5),
        ("truncated normal", "in", (1 / 300) ** 0.5),
        ("truncated normal", "out", (1 / 200) ** 0.5),
        ("zeros", "in", 0.0),
    ],
)
def test_new_layers_start_with_the_spread_that_their_initialisation_promises(init, fan, expected):
    head = build_head((Hidden(width=200),), Outlet("vector", (300,)), 4, init=init, fan=fan)
    assert float(head.hidden1.linear.weight.detach().std()) == pytest.approx(expected, rel=0.02)
    assert not head.hidden1.linear.bias.any() and not head.linear.bias.any()


def test_orthogonal_rows_keep_lengths():
    weight = build_head((Hidden(width=20),), Outlet("vector", (50,)), 4, init="orthogonal").hidden1.linear.weight
    assert torch.allclose(weight.detach() @ weight.detach().T, torch.eye(20), atol=1e-5)


def test_a_bias_at_the_class_prior_gives_the_shares_as_first_answers():
    head = build_head((), Outlet("vector", (8,)), 3, init="zeros", class_shares=(0.7, 0.2, 0.1)).eval()
    assert torch.allclose(head(torch.rand(1, 8)).softmax(1), torch.tensor([[0.7, 0.2, 0.1]]))


def test_equal_seeds_give_equal_heads():
    first, again, other = (build_head(HEADS["conv"], OUTLETS["map"][0], 3, seed=s).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["linear.weight"], other["linear.weight"])


def test_a_layer_that_no_memory_holds_is_refused_before_it_is_built():
    with pytest.raises(BadInput, match="too large"):
        plan_head((Pooling(method="flatten"), Hidden(width=16_384)), Outlet("map", (2048, 32, 32)), 10)


def test_presets_are_known_by_their_parts():
    assert [preset_of(preset.parts).key for preset in PRESETS] == ["linear", "mlp", "convolution"]
    assert preset_of((Hidden(width=3),)) is None
