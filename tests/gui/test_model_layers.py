"""What trains, layer by layer: the shortest way to say it, and that every view of it shows the same."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QRectF

from studio.core.experiment import Experiment
from studio.gui.pages.model.inside import box_titles, columns, place, rows
from studio.gui.pages.model.layers import LayerPlan, LayerTree, Node, State, matching, stages_that_train, tree_from
from studio.gui.pages.model.tree import drop_words


def leaf(name: str, count: int) -> Node:
    return Node(name, name.rpartition(".")[2], num_parameters=count, is_parameter=True)


def layer(name: str, kind: str = "Conv2d", *, buffers: int = 0) -> Node:
    parameters = (leaf(f"{name}.weight", 10), leaf(f"{name}.bias", 2))
    return Node(name, name.rpartition(".")[2], kind, 12, buffers, children=parameters, has_batch_norm=kind == "BatchNorm2d")


def block(name: str) -> Node:
    children = (layer(f"{name}.conv1"), layer(f"{name}.bn1", "BatchNorm2d", buffers=5))
    return Node(name, name.rpartition(".")[2], "Block", 24, 5, layout="residual", children=children, has_batch_norm=True)


def stage(name: str, *blocks: Node) -> Node:
    return Node(name, name, num_parameters=24 * len(blocks), num_buffers=5 * len(blocks), children=blocks, has_batch_norm=True)


TREE = LayerTree(
    (
        stage("stem", block("backbone.stem")),
        stage("stage 1", block("backbone.layer1.0"), block("backbone.layer1.1")),
        stage("stage 2", block("backbone.layer2.0"), block("backbone.layer2.1")),
        Node("head", "head", num_parameters=12, children=(layer("head.linear", "Linear"),)),
    )
)
BY_NAME = {node.name: node for s in TREE.stages for node in s.walk()}


def plan(values: dict | None = None) -> LayerPlan:
    return LayerPlan(TREE, Experiment().changed({"model.train_stages": 1} | (values or {})).model)


def after(start: LayerPlan, names: list[str], should_train: bool) -> LayerPlan:
    values = start.with_nodes([BY_NAME[name] for name in names], should_train)
    return LayerPlan(TREE, Experiment(model=start.model).changed(values).model)


def word(made: LayerPlan, name: str) -> str:
    return made.state(BY_NAME[name]).word


def test_a_single_layer_makes_its_block_and_stage_mixed():
    made = after(plan(), ["backbone.layer1.0.conv1"], True)
    assert made.model.layers == {"backbone.layer1.0.conv1": "train"}
    assert [word(made, n) for n in ("backbone.layer1.0.conv1", "backbone.layer1.0.bn1", "backbone.layer1.0", "stage 1", "stage 2", "stem")] == [
        "trains", "frozen", "mixed", "mixed", "trains", "frozen",
    ]  # fmt: skip


def test_what_becomes_whole_again_is_said_in_one_word_or_not_at_all():
    made = after(plan(), ["backbone.layer1.0.conv1.weight"], True)
    assert made.model.layers == {"backbone.layer1.0.conv1.weight": "train"}
    made = after(made, ["backbone.layer1.0"], True)
    assert made.model.layers == {"backbone.layer1.0": "train"}
    made = after(made, ["backbone.layer1.1.conv1", "backbone.layer1.1.bn1"], True)
    assert made.model.layers == {} and made.model.thaw == {"stage 1": 0} and word(made, "stage 1") == "trains"
    assert after(made, ["backbone.layer1.0.bn1"], False).model.layers == {"backbone.layer1.0.bn1": "frozen"}
    back = after(made, ["stage 1"], False)
    assert back.model.thaw == {} and back.model.layers == {}


def test_a_stage_that_thaws_later_keeps_its_epoch_beside_layers_of_their_own():
    made = after(plan({"model.thaw": {"stage 1": 3}}), ["backbone.layer1.1"], False)
    assert made.model.thaw == {"stage 1": 3} and made.model.layers == {"backbone.layer1.1": "frozen"}
    assert made.state(BY_NAME["backbone.layer1.0"]) == State(3) and word(made, "backbone.layer1.1") == "frozen"
    counts = made.counts()
    assert (counts.trains, counts.later, counts.frozen) == (48 + 12, 24, 24 + 24)


def test_the_head_trains_by_itself_and_can_be_frozen_by_name():
    made = after(plan({"model.train_stages": 0}), ["head"], False)
    assert made.model.layers == {"head": "frozen"} and not made.trains_anything
    assert after(made, ["head"], True).model.layers == {}


def test_an_epoch_for_a_whole_stage_forgets_its_single_layers():
    made = after(plan(), ["backbone.layer1.0.conv1"], True)
    values = made.with_stages({1: 2})
    assert values == {"model.thaw": {"stage 1": 2}, "model.layers": {}}


def test_running_values_follow_the_data_where_batch_norm_adapts_or_trains():
    made = plan()
    assert [made.norm_mode(i) for i in range(3)] == ["keep", "keep", "train"] and made.counts().moving == 10
    made = plan({"model.batch_norm": {"stem": "adapt", "stage 2": "keep"}})
    assert (made.counts().buffers, made.counts().moving) == (25, 5)


def test_dropout_is_said_to_be_off_where_what_is_around_it_is_frozen():
    drop = Node("backbone.layer2.0.drop_path", "drop_path", "DropPath", num_drops=1)
    parts = [replace(block(f"backbone.layer2.{i}"), num_drops=1) for i in range(2)]
    made = replace(stage("stage 2", *(replace(part, children=(*part.children, drop)) for part in parts)), num_drops=2)
    tree = LayerTree((stage("stem", block("backbone.stem")), made, TREE.stages[-1]))

    def words(**values) -> str:
        return drop_words(LayerPlan(tree, Experiment().changed({f"model.{key}": value for key, value in values.items()}).model), made)

    assert words(train_stages=0) == "\nDropout and drop-path in it (2) are off, as it is frozen."
    assert words(train_stages=1) == "\nDropout and drop-path in it (2) are on in training."
    assert words(train_stages=1, layers={"backbone.layer2.0": "frozen"}).endswith("(2) are off where it is frozen: 1.")
    assert drop_words(plan(), BY_NAME["stem"]) == ""


def test_a_layer_on_the_way_around_stands_above_those_it_passes(theme):
    node = Node("b", "b", children=(layer("b.conv1"), layer("b.conv2"), layer("b.downsample")), layout="residual")
    outer = Node("s", "s", children=(node, block("b2")))
    boxes = {box.node.name: box.rect for box in place(outer, QRectF(0, 0, 600, 120), 2)}
    assert boxes["b.downsample"].bottom() < boxes["b.conv1"].top() and boxes["b.conv1"].right() < boxes["b.conv2"].left()
    assert boxes["b"].contains(boxes["b.downsample"]) and (columns(node, 1), rows(node, 1)) == (2, 2)


def test_a_box_that_has_only_a_number_for_a_name_says_what_it_is():
    conv = Node("backbone.inception4a.branch2.0", "0", "BasicConv2d 1×1")
    assert box_titles(conv, lambda words: True) == ("0: BasicConv2d 1×1", "")
    assert box_titles(conv, lambda words: len(words) < 9) == ("0: 1×1", "")
    assert box_titles(conv, lambda words: False) == ("0", "")
    assert box_titles(BY_NAME["backbone.layer1.0.conv1"], lambda words: True) == ("conv1", "Conv2d")


def test_patterns_match_names_and_kinds_and_say_when_they_match_nothing():
    assert [n.name for n in matching(TREE, "layer1.*.bn1")] == ["backbone.layer1.0.bn1", "backbone.layer1.1.bn1"]
    assert len(matching(TREE, "BATCHNORM")) == 5 and len(matching(TREE, "stage 2")) == 4
    assert matching(TREE, "layer9") == matching(TREE, "  ") == []
    made = plan(plan().with_nodes(matching(TREE, "*.bn1"), True))
    assert made.model.layers == {"backbone.stem.bn1": "train", "backbone.layer1.0.bn1": "train", "backbone.layer1.1.bn1": "train"}


def test_a_plan_is_one_number_where_it_can_be():
    assert stages_that_train((None, None, 0, 0)) == 1 and stages_that_train((0, 0, 0)) == -1 and stages_that_train((None, None, 0)) == 0
    assert stages_that_train((0, None, 0)) is None and stages_that_train((None, 2, 0)) is None


def test_the_tree_is_read_as_the_worker_sends_it():
    raw = {"name": "backbone.a", "label": "a", "kind": "Conv2d", "num_parameters": 3, "output_shape": [8, 4, 4], "layout": "branches",
           "children": [{"name": "backbone.a.weight", "shape": [3], "num_parameters": 3, "is_parameter": True}]}  # fmt: skip
    tree = tree_from({"stages": [{"name": "stem", "children": [raw], "num_parameters": 3}]})
    node = tree.stages[0].children[0]
    assert (node.shape_words, node.layout, node.leaves, tree.num_layers, tree.stage_of("backbone.a.weight")) == (
        "8×4×4",
        "branches",
        ("backbone.a.weight",),
        1,
        0,
    )
