"""The figures of the Model page are torch's: what trains, what thaws later, what is frozen, and which buffers follow the data."""

from __future__ import annotations

import pytest

from studio.core.experiment import Experiment
from studio.engine.describe import shapes_of
from studio.engine.freezing import make_plan, still_tensors
from studio.engine.network import frozen_as_asked
from studio.engine.tree import model_tree, share_left_out
from studio.gui.pages.model.layers import LayerPlan, tree_from

PLANS = {
    "one stage": {"model.train_stages": 1},
    "all": {"model.train_stages": -1},
    "head only, one stage adapts": {"model.train_stages": 0, "model.batch_norm": {"stage 1": "adapt"}},
    "one stage thaws, another keeps its statistics": {"model.train_stages": 0, "model.thaw": {"stage 4": 2, "stage 3": 0}, "model.batch_norm": {"stage 3": "keep"}},
    "batch norms train in a frozen stage and adapt in one that trains": {
        "model.train_stages": 1, "model.batch_norm": {"stage 2": "train", "stage 4": "adapt"}, "model.layers": {"backbone.layer2.1.bn2": "frozen"},
    },
    "single layers": {"model.train_stages": 1, "model.layers": {"backbone.layer4.1": "frozen", "backbone.layer1.0.conv1": "train", "backbone.layer1.0.bn1": "train"}},
}  # fmt: skip


def counted(experiment: Experiment) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(what the page says, what torch says) of weights that train at once, later and never, of all buffers, of those that ever move, and of
    dropouts and drop-paths that are never on."""
    model = experiment.model
    shapes = shapes_of(model, 5)
    plan = LayerPlan(tree_from({"stages": model_tree(shapes.built, shapes.stages)}), model)
    page, off = plan.counts(), sum(map(plan.num_drops_off, plan.tree.stages))
    network = frozen_as_asked(shapes.built.module, shapes.built.stages, experiment)
    module, last = network.module, make_plan(network.module, network.stages, [e is None for e in network.thaw_epochs], model)
    sizes = {name: parameter.numel() for name, parameter in module.named_parameters()}
    trains = sum(p.numel() for p in module.parameters() if p.requires_grad)
    ever = sum(sizes[name] for name in last.trainable)
    still = still_tensors(module, last)
    buffers = {name: buffer.numel() for name, buffer in module.named_buffers()}
    moving = sum(size for name, size in buffers.items() if name not in still)
    silent = sum(share_left_out(part) > 0 and name not in last.active for name, part in module.named_modules())
    return (
        (page.trains, page.later, page.frozen, page.buffers, page.moving, off),
        (trains, ever - trains, sum(sizes.values()) - ever, sum(buffers.values()), moving, silent),
    )


@pytest.mark.parametrize("plan", PLANS)
def test_counts_equal_those_of_torch_whatever_the_plan(plan):
    page, torch_says = counted(Experiment().changed({"model.source": "torchvision", "model.backbone": "resnet18"} | PLANS[plan]))
    assert page == torch_says


@pytest.mark.parametrize(
    ("source", "name"), [("bundled", "tf_efficientnet_lite0"), ("torchvision", "swin_t"), ("torchvision", "googlenet")]
)
def test_counts_equal_those_of_torch_for_other_networks(source, name):
    page, torch_says = counted(Experiment().changed({"model.source": source, "model.backbone": name, "model.train_stages": 2}))
    assert page == torch_says and (page[-1] > 0) == (name == "swin_t"), "which has drop-path in its frozen stages"
