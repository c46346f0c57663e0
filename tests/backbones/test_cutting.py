"""A network that is cut is the library's own up to there, name for name and bit for bit."""

from __future__ import annotations

import pytest
import torch

from studio.catalog.backbones import build_backbone, cut_points, describe
from studio.core.head import Convolution, Hidden, Pooling
from studio.core.problem import BadInput


def points(source, name, size):
    return {point.stage: point for point in cut_points(source, name, size)}


@pytest.mark.parametrize(
    ("source", "name", "cut", "layout", "shape"),
    [
        ("torchvision", "resnet18", "stage 2", "map", (128, 28, 28)),
        ("torchvision", "swin_t", "stage 2", "map, channels last", (28, 28, 192)),
        ("torchvision", "vit_b_16", "block 3", "tokens", (197, 768)),
        ("torchvision", "googlenet", "inception 4a", "map", (512, 14, 14)),
        ("torchvision", "vgg11", "stage 5", "map", (512, 7, 7)),
        ("torchvision", "vgg11", "dense 1", "vector", (4096,)),
        ("timm", "convnext_atto", "stage 4", "map", (320, 7, 7)),
        ("timm", "mobilenetv3_small_100", "stage 4", "map", (576, 7, 7)),
        ("timm", "xcit_nano_12_p16_224", "block 3", "tokens", (196, 128)),
    ],
)  # fmt: skip
def test_a_network_is_cut_where_its_stage_ends_and_gives_what_was_said(source, name, cut, layout, shape):
    point = points(source, name, 224)[cut]
    assert (point.outlet.layout, point.outlet.shape) == (layout, shape)
    whole = build_backbone(source, name, num_classes=3, pretrained=False, device="meta")
    built = build_backbone(source, name, num_classes=3, pretrained=False, cut=cut, head=(Hidden(width=8),), device="meta")
    images = torch.empty(2, 3, 224, 224, device="meta")
    with torch.no_grad():
        assert tuple(built.module.eval().backbone(images).shape) == (2, *shape)
        assert tuple(built.module.train()(images).shape) == (2, 3)
    names = {n for n, _ in built.module.backbone.named_parameters()}
    assert names < {n for n, _ in whole.module.backbone.named_parameters()}
    kept = [stage.name for stage in built.stages]
    assert kept == [*[s.name for s in whole.stages][: kept.index(cut) + 1], "head"]
    assert {n for s in built.stages for n in s.parameter_names} == {n for n, _ in built.module.named_parameters()}
    assert [row.name for row in describe(built)] == kept


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "googlenet", "densenet121", "efficientnet_b0", "vit_b_16"])
def test_what_a_stage_is_said_to_give_is_what_a_cut_behind_it_gives(name):
    built = build_backbone("torchvision", name, num_classes=3, pretrained=False, device="meta")
    said = {row.name: row.output_shape for row in describe(built)}
    found = {stage: point.outlet.shape for stage, point in points("torchvision", name, 224).items() if point.outlet}
    assert found == {stage: shape for stage, shape in said.items() if stage in found} and len(found) > 4
    assert said["head"] == (3,)


@pytest.mark.parametrize(("source", "name"), [("torchvision", "resnet18"), ("torchvision", "densenet121"), ("timm", "test_efficientnet")])
def test_the_average_of_the_last_map_is_what_the_networks_own_pooling_gives(source, name):
    whole = build_backbone(source, name, num_classes=3, pretrained=False, input_size=64).module.eval()
    pooled = build_backbone(source, name, num_classes=3, pretrained=False, input_size=64, head=(Pooling(),)).module.eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(pooled(images), whole(images), atol=1e-6)


def test_gradients_flow_through_a_cut_network_in_training():
    built = build_backbone("timm", "test_vit", num_classes=3, pretrained=False, input_size=160, cut="block 3", head=(Convolution(),))
    logits = built.module.train()(torch.rand(2, 3, 160, 160))
    logits.sum().backward()
    assert all(p.grad is not None for n, p in built.module.named_parameters() if n.startswith(("backbone.blocks", "head")))


def test_alexnet_and_vgg_are_cut_inside_their_classifier():
    titles = {p.title: p.stage for p in cut_points("torchvision", "alexnet", 224)}
    assert [titles[f"before FC{n}"] for n in (6, 7, 8)] == ["stage 3", "dense 1", "dense 2"]
    flat = build_backbone(
        "torchvision", "alexnet", num_classes=5, pretrained=False, cut="stage 3", head=(Pooling(method="flatten"),), device="meta"
    )
    assert tuple(flat.module.head.linear.weight.shape) == (5, 9216)
    assert not any("classifier" in name for name, _ in flat.module.named_parameters())


@pytest.mark.parametrize(
    ("name", "cut", "head", "words"),
    [
        ("resnet18", "stage 9", (), "There is no stage “stage 9” to cut after. There are: stem, stage 1"),
        ("vgg11", "dense 1", (Convolution(),), "vector of 4,096 values here, so there is no map"),
        ("vgg11", "", (Pooling(),), "nothing to pool"),
    ],
)
def test_a_cut_or_a_head_that_does_not_fit_is_refused_with_the_reason(name, cut, head, words):
    with pytest.raises(BadInput, match=words):
        build_backbone("torchvision", name, num_classes=3, pretrained=False, cut=cut, head=head, device="meta")


def test_a_stage_of_several_maps_says_why_it_cannot_be_cut():
    point = points("timm", "hrnet_w18_small", 224)["stage 2"]
    assert point.outlet is None and point.reason == "it gives several feature maps at once"
    with pytest.raises(BadInput, match="several feature maps"):
        build_backbone("timm", "hrnet_w18_small", num_classes=3, pretrained=False, cut="stage 2", device="meta")
