"""Stages cover every parameter exactly once, in execution order, for every network of torchvision and 69 of timm."""

from __future__ import annotations

import pytest
import torch
from torchvision import models

from studio.catalog.backbones import build_backbone, describe
from studio.catalog.backbones.shapes import shapes_alone

TORCHVISION = models.list_models(module=models)
TIMM = (
    "coatnet_0_rw_224 convmixer_768_32 convnext_tiny "
    "davit_tiny deit_tiny_distilled_patch16_224 densenet121 dla34 edgenext_small efficientformer_l1 efficientnet_b0 "
    "eva02_tiny_patch14_224 fastvit_t8 ghostnet_100 hrnet_w18_small levit_128 "
    "mixer_s16_224 mobilenetv3_small_100 mobilevit_s nfnet_f0 pit_ti_224 poolformer_s12 pvt_v2_b0 rdnet_tiny "
    "regnety_002 repvgg_a0 resnet18 rexnet_100 swin_tiny_patch4_window7_224 "
    "tf_efficientnet_lite0 twins_pcpvt_small vgg11 vit_tiny_patch16_224 "
    "vit_small_patch16_rope_mixed_224 volo_d1_224 xception41 xcit_nano_12_p16_224 "
    "resnet50d resnext50_32x4d seresnet50 regnetx_002 regnetz_b16 efficientnet_b3 tf_efficientnetv2_s mobilenetv2_100 "
    "mobilenetv3_large_100 mobilenetv4_conv_small mobilenetv4_hybrid_medium convnext_atto convnextv2_atto densenet169 inception_v3 "
    "inception_v4 inception_resnet_v2 vgg16 vgg19_bn vit_base_patch16_224 deit_tiny_patch16_224 deit3_small_patch16_224 "
    "swinv2_tiny_window8_256 swinv2_cr_tiny_ns_224 maxvit_tiny_tf_224 maxvit_rmlp_pico_rw_256 mixer_b16_224 gmlp_s16_224 "
    "resmlp_12_224 eva02_small_patch14_224 vit_small_patch14_dinov2 vit_small_patch14_reg4_dinov2 vit_small_patch16_dinov3"
).split()


def stages_of(source: str, name: str) -> tuple[list[str], list[str]]:
    built = build_backbone(source, name, num_classes=7, pretrained=False, device="meta")
    network, stages = built.module, built.stages
    owned = [n for stage in stages for n in stage.parameter_names]
    assert len(owned) == len(set(owned)), "a parameter belongs to two stages"
    assert set(owned) == {n for n, _ in network.named_parameters()}, "a parameter belongs to no stage"
    by_module = {n: stage.name for stage in stages for n in stage.module_names}
    for name_, module in network.named_modules():
        if any(True for _ in module.buffers(recurse=False)):
            owners = [stage for prefix, stage in by_module.items() if f"{name_}.".startswith(f"{prefix}.")]
            assert len(owners) == 1, f"the buffers of {name_} belong to {owners}"
    for stage in stages:
        inside = {n for n, _ in network.named_parameters() if any(n.startswith(f"{m}.") for m in stage.module_names)}
        assert inside <= set(stage.parameter_names), f"a module of {stage.name} holds a parameter of another stage"
    assert stages[-1].name == "head"
    assert stages[-1].parameter_names == ("head.linear.weight", "head.linear.bias")
    assert len({stage.name for stage in stages}) == len(stages)
    size = built.input_size
    first_use: dict[str, int] = {}

    def note_first_use(stage_name: str):
        def hook(_module, _inputs) -> None:
            first_use.setdefault(stage_name, len(first_use))

        return hook

    for prefix, stage_name in by_module.items():
        network.get_submodule(prefix).register_forward_pre_hook(note_first_use(stage_name))
    with torch.no_grad(), shapes_alone():
        logits_NC = network.train()(torch.empty(2, 3, size, size, device="meta"))
    assert tuple(logits_NC.shape) == (2, 7)
    return [stage.name for stage in stages if stage.name in first_use], sorted(first_use, key=first_use.__getitem__)


@pytest.mark.parametrize("name", TORCHVISION)
def test_every_torchvision_network_is_cut_into_stages_in_execution_order(name):
    declared, executed = stages_of("torchvision", name)
    assert declared == executed
    assert len(declared) >= 3


@pytest.mark.parametrize("name", TIMM)
def test_networks_of_many_timm_families_are_cut_into_stages(name):
    declared, executed = stages_of("timm", name)
    assert set(declared) == set(executed)
    if name != "hrnet_w18_small":  # branches that run side by side
        assert declared == executed


def test_resnet_has_a_stem_and_the_four_stages_of_its_paper():
    built = build_backbone("torchvision", "resnet18", num_classes=3, pretrained=False, device="meta")
    assert [stage.name for stage in built.stages] == ["stem", "stage 1", "stage 2", "stage 3", "stage 4", "head"]
    assert built.stages[0].module_names == ("backbone.conv1", "backbone.bn1", "backbone.relu", "backbone.maxpool")
    assert built.stages[2].module_names == ("backbone.layer2",)


def test_googlenet_has_a_stage_for_each_inception_module():
    built = build_backbone("torchvision", "googlenet", num_classes=3, pretrained=False, device="meta")
    assert [s.name for s in built.stages][:3] == ["stem", "inception 3a", "inception 3b"]
    assert len(built.stages) == 11
    assert not any("aux" in name for name, _ in built.module.named_parameters())


def test_vgg_keeps_its_two_dense_layers_as_stages():
    built = build_backbone("torchvision", "vgg16", num_classes=3, pretrained=False, device="meta")
    described = {d.name: d for d in describe(built)}
    assert described["dense 1"].num_parameters == 25088 * 4096 + 4096
    assert described["dense 2"].output_shape == (4096,)
    assert described["stage 5"].output_shape == (512, 7, 7)


def test_description_gives_parameters_buffers_blocks_and_feature_map_of_each_stage():
    built = build_backbone("torchvision", "resnet50", num_classes=5, pretrained=False, device="meta")
    rows = [(d.name, d.num_parameters, d.output_shape, d.num_blocks) for d in describe(built)]
    assert rows == [
        ("stem", 9536, (64, 56, 56), 1),
        ("stage 1", 215_808, (256, 56, 56), 3),
        ("stage 2", 1_219_584, (512, 28, 28), 4),
        ("stage 3", 7_098_368, (1024, 14, 14), 6),
        ("stage 4", 14_964_736, (2048, 7, 7), 3),
        ("head", 10_245, (5,), 1),
    ]
    assert describe(built)[0].num_buffers == 64 + 64 + 1
    assert describe(built, 320)[4].output_shape == (2048, 10, 10)


def test_describing_leaves_the_network_as_it_is():
    built = build_backbone("torchvision", "resnet18", num_classes=5, pretrained=False)
    before = {key: value.clone() for key, value in built.module.state_dict().items()}
    built.module.train()
    describe(built)
    assert built.module.training
    assert not any(m._forward_hooks for m in built.module.modules())
    assert all(torch.equal(before[key], value) for key, value in built.module.state_dict().items())
