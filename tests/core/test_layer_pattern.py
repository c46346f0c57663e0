"""A pattern means layers of the network, and says so when it means none."""

import pytest

from studio.core.layer_pattern import matching, with_patterns
from studio.core.problem import BadInput

NAMES = [
    "backbone",
    "backbone.layer1",
    "backbone.layer1.0",
    "backbone.layer1.0.conv",
    "backbone.layer1.0.conv.weight",
    "backbone.layer2",
    "head",
]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("layer1.*", ["backbone.layer1.0"]),
        ("backbone.layer?", ["backbone.layer1", "backbone.layer2"]),
        ("*.conv", ["backbone.layer1.0.conv"]),
        ("head", ["head"]),
    ],
)
def test_the_outermost_layers_that_fit_are_meant(pattern, found):
    assert matching(pattern, NAMES) == found


def test_patterns_stand_over_earlier_wishes_and_every_one_that_means_nothing_is_named():
    wishes = with_patterns({"head": "frozen", "backbone.layer2": "train"}, ["layer1"], ["head"], NAMES)
    assert wishes == {"head": "train", "backbone.layer2": "train", "backbone.layer1": "frozen"}
    with pytest.raises(BadInput) as caught:
        with_patterns({}, ["layr1.*"], ["layer9"], NAMES)
    assert [p.field for p in caught.value.problems] == ["model.layers"] * 2
    assert "“layr1.*” matches no layer of this network" in str(caught.value)
