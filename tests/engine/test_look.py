"""What is said about a network before it trains: its layers, its memory, its signal, its distance to the images, and advice."""

from __future__ import annotations

import pytest
import torch
from engine_runs import SMALL

from studio.catalog.advice import Situation, advice, followed
from studio.core.experiment import Experiment, Model, Optimiser, Training
from studio.engine.describe import describe_model, shapes_of
from studio.engine.network import build_network
from studio.engine.shift import measure_shift
from studio.engine.signal import trace_signal
from studio.engine.tree import model_tree


def leaves(node):
    return [node] if node["is_parameter"] else [leaf for child in node["children"] for leaf in leaves(child)]


def find(node, label):
    if node["label"] == label:
        return node
    return next((found for child in node["children"] if (found := find(child, label))), None)


@pytest.mark.parametrize(("source", "name"), [("torchvision", "googlenet"), ("torchvision", "vit_b_16"), ("timm", "convnext_atto")])
def test_the_tree_holds_every_parameter_once_and_counts_as_torch_does(source, name):
    shapes = shapes_of(Model(source=source, backbone=name), 5)
    built, stages = shapes.built, model_tree(shapes.built, shapes.stages)
    found = [leaf["name"] for stage in stages for leaf in leaves(stage)]
    assert sorted(found) == sorted(n for n, _ in built.module.named_parameters())
    assert sum(stage["num_parameters"] for stage in stages) == sum(p.numel() for p in built.module.parameters())
    assert sum(stage["num_buffers"] for stage in stages) == sum(b.numel() for b in built.module.buffers())


def test_the_tree_knows_branches_and_ways_around():
    by_name = {}
    for name in ("googlenet", "resnet18", "vit_b_16", "densenet121", "vgg11"):
        shapes = shapes_of(Model(source="torchvision", backbone=name), 5)
        by_name[name] = model_tree(shapes.built, shapes.stages)
    assert find(by_name["googlenet"][1], "inception3a")["layout"] == "branches"
    assert find(by_name["googlenet"][1], "branch1")["kind"] == "BasicConv2d 1×1"
    assert find(by_name["resnet18"][2], "0")["layout"] == "residual" and find(by_name["resnet18"][2], "0")["kind"] == "BasicBlock"
    assert find(by_name["vit_b_16"][1], "encoder.layers.encoder_layer_0")["layout"] == "residual"
    assert find(by_name["densenet121"][1], "denselayer2")["layout"] == "residual"
    assert all(node["layout"] == "series" for node in by_name["vgg11"])
    conv = find(by_name["resnet18"][2], "conv1")
    assert (conv["kind"], conv["output_shape"]) == ("Conv2d 3×3 /2", [128, 28, 28])


def test_figures_of_a_model_follow_its_plan():
    def asked(**values):
        return describe_model(Model(source="torchvision", backbone="resnet18", **values), Training(), Optimiser(), 4)

    plain, named = asked(train_stages=1), asked(train_stages=1, layers={"backbone.layer4.1": "frozen"})
    block = sum(p.numel() for n, p in shapes_of(Model(source="torchvision", backbone="resnet18"), 4).built.module.named_parameters() if n.startswith("backbone.layer4.1."))  # fmt: skip
    assert plain["num_trainable"] - named["num_trainable"] == block
    assert sum(stage["num_trainable"] for stage in named["stages"]) == named["num_trainable"]
    assert plain["num_moving_buffers"] > named["num_moving_buffers"] > 0
    memory = [sum(stop["memory"].values()) for stop in plain["stops"]]
    assert memory == sorted(memory, reverse=True) and len(memory) == len(plain["stages"])
    assert sum(plain["memory"].values()) == memory[4]


def test_the_saved_tensors_of_a_small_network_are_those_that_torch_saves():
    from torch import nn

    from studio.engine.footprint import estimate_memory, trace_memory

    with torch.device("meta"):
        module = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 2))
    trace = trace_memory(module, 4)
    assert [layer.saved for layer in trace.layers[:4]] == [
        0,
        4 * 8 * 16,
        0,
        0,
    ]  # what ReLU gave out, which Linear shares; the images count as the batch
    training = Training(batch_size=10, precision="fp32")
    everything = estimate_memory(trace, {n for n, _ in module.named_parameters()}, training, Optimiser(kind="sgd"))
    head = estimate_memory(trace, {"3.weight", "3.bias"}, training, Optimiser(kind="sgd"))
    assert everything["weights"] == head["weights"] == 4 * (216 + 258)
    assert everything["optimiser"] == 4 * (216 + 258) and head["optimiser"] == 4 * 258
    assert everything["activations"] > head["activations"] > 0


def test_what_is_frozen_in_front_is_gone_before_the_rest_is_saved():
    from torch import nn

    from studio.engine.footprint import estimate_memory, trace_memory

    with torch.device("meta"):
        front = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.GELU(), nn.AvgPool2d(8))
        module = nn.Sequential(front, nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 2)))
    trace = trace_memory(module, 8)
    wide = 4 * 64 * 8 * 8  # bytes of one image behind the convolution
    assert [layer.alive for layer in trace.layers[:3]] == [wide, 2 * wide, 2 * wide], "what goes in is there until what comes out is"
    head = {name for name, _ in module.named_parameters() if name.startswith("1.")}
    told = estimate_memory(trace, head, Training(batch_size=10_000, precision="fp32"), Optimiser(kind="sgd"))
    assert told["activations"] == 10_000 * 2 * wide, "the front at its widest, without what the linear layers save after it"


@pytest.mark.parametrize("name", ["test_convnext", "test_convnext3"])
def test_what_is_traced_as_saved_is_what_torch_saves_on_the_processor(name):
    """Layer norms behind permuted axes, layer scale and GELU among it: each storage once, and nothing that torch does not keep."""
    from studio.engine.footprint import trace_memory

    built = shapes_of(Model(source="timm", backbone=name, input_size=96), 3).built.module
    network = build_network(Experiment().changed(SMALL | {"model.source": "timm", "model.backbone": name, "model.input_size": 96}), 3)
    module = network.module.train().requires_grad_(True)
    images, sizes = torch.rand(2, 3, 96, 96), {}
    known = {t.untyped_storage()._cdata for t in (*module.parameters(), *module.buffers(), images)}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            sizes[storage._cdata] = storage, storage.nbytes()  # held, so that no other takes its place
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        module(images)
    traced = sum(layer.saved for layer in trace_memory(built, 96).layers)
    assert traced == pytest.approx(sum(size for _, size in sizes.values()) / 2, rel=0.01)


def network_of(**values):
    return build_network(Experiment().changed(SMALL | {f"model.{key}": value for key, value in values.items()}), 3)


def test_zeros_stick_and_he_keeps_the_signal():
    images, labels = torch.rand(8, 3, 64, 64), torch.arange(8) % 3
    hidden = [{"kind": "hidden", "width": 64}, {"kind": "hidden", "width": 64}]
    stuck = trace_signal(network_of(head=hidden, head_init="zeros"), images.clone(), labels, whole=False)
    assert "No gradient reaches" in stuck["sentence"]
    network = network_of(head=hidden, head_init="he")
    before = {k: v.clone() for k, v in network.module.state_dict().items()}
    good = trace_signal(network, images.clone(), labels, whole=True)
    assert "keep the signal" in good["sentence"]
    assert all(torch.equal(before[k], v) for k, v in network.module.state_dict().items()), "the network is as it was"
    assert not any(layer["is_new"] for layer in good["layers"][:3]) and good["layers"][-1]["name"] == "head.linear"
    by_name = {layer["name"]: layer["gradient_variance"] for layer in good["layers"]}
    assert all(value > 0 for name, value in by_name.items() if name.startswith(("head.", "backbone.conv1")))
    assert by_name["backbone.layer1.0.conv2"] == 0.0, (
        "timm starts the last norm of a block at zero, so its convolutions get nothing at first"
    )


def test_a_shift_of_the_images_shows_in_sigmas_and_comes_with_remedies():
    network = network_of()
    images = torch.randn(32, 3, 64, 64)
    network.module.train()
    with torch.no_grad():
        for _ in range(60):  # statistics of these images
            network.module(images)
    same = measure_shift(network, [images], Model(), lambda n: None)
    other = measure_shift(network, [images * 0.3 + 3.0], Model(batch_norm={"stem": "keep"}), lambda n: None)
    assert all(row["bn_distance"] < 0.1 and not row["remedies"] for row in same["stages"])
    assert same["sentence"] == "These images look to the network like those it was trained on."
    stem = other["stages"][0]
    assert stem["bn_distance"] > 1 and "sigma from what it knows: adapt its statistics or train it." in stem["sentence"]
    assert same["stages"][0]["input_words"].startswith("−"), "the sign of numbers that are read"
    assert stem["remedies"][0]["values"] == {"model.batch_norm": {"stem": "adapt"}}
    assert "stages see values far from what they know" in other["sentence"]


@pytest.mark.parametrize(
    ("backbone", "size_px", "layer", "row", "num_units"),
    [("test_resnet", 64, "bn1", 0, 64), ("test_convnext3", 512, "stages.0.blocks.0.mlp.fc1", 1, 128)],  # 32 and 128 channels, and rows
)
def test_dead_units_are_counted_by_channel_also_where_there_are_as_many_rows(backbone, size_px, layer, row, num_units):
    network = network_of(backbone=backbone)
    killed = network.module.get_submodule(f"backbone.{layer}")
    with torch.no_grad():
        killed.weight[:16] = 0
        killed.bias[:16] = 0
    found = measure_shift(network, [torch.randn(1, 3, size_px, size_px)], Model(), lambda n: None)
    assert found["stages"][row]["dead_fraction"] == 16 / num_units


def test_an_activation_that_stands_behind_layers_of_several_widths_is_counted_at_each():
    network = network_of(source="torchvision", backbone="resnet50", pretrained=False)
    found = measure_shift(network, [torch.randn(2, 3, 64, 64)], Model(), lambda n: None)
    assert [row["dead_fraction"] is not None for row in found["stages"]] == [True] * len(network.stages[:-1])


def test_advice_names_its_figures_rule_and_source_and_is_silent_where_nothing_would_change():
    few = {a.key: a for a in advice(Situation(Experiment(), (8, 9, 200)))}
    assert few["freeze"].values["model.train_stages"] == 0 and "9 training images" in few["freeze"].reason
    assert "prior" in few and all(a.rule and "arXiv" in a.source for a in few.values())
    many = advice(Situation(Experiment(), (900, 900), has_gpu=True))
    assert [a.values["model.train_stages"] for a in many] == [-1]
    done = Experiment().changed(many[0].values)
    assert advice(Situation(done, (900, 900), has_gpu=True)) == ()
    assert [a.key for a in followed(Situation(done, (900, 900), has_gpu=True))] == ["freeze", "head"], (
        "what is done already has its reason too"
    )
    far = {a.key: a for a in advice(Situation(Experiment(), (50, 50), {"stem": 0.2, "stage 3": 2.5}))}
    assert far["statistics"].values == {"model.batch_norm": {"stage 3": "adapt"}} and "2.5 sigma" in far["statistics"].reason


def test_fused_attention_keeps_no_matrix_of_weights_in_any_library():
    from studio.engine.footprint import trace_memory

    def block_of(source, name, width):
        layers = trace_memory(shapes_of(Model(source=source, backbone=name), 4).built.module, 224).layers
        return sum(layer.saved for layer in layers) / 12 / (4 * 197 * width)  # in values per token and feature

    tiny, theirs, ours = (
        block_of("timm", "vit_tiny_patch16_224", 192),
        block_of("timm", "vit_base_patch16_224", 768),
        block_of("torchvision", "vit_b_16", 768),
    )
    assert 12 < tiny < 24, "weights of three heads alone would be 2 × 3 × 197 / 192 more"
    assert 0 <= ours - theirs < 1.1, "nn.MultiheadAttention, which torchvision uses, keeps one copy more"
