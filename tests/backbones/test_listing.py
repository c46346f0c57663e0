"""The list of backbones: complete, from metadata, and readable without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from studio.catalog.backbones import cached_backbones, list_backbones, listing
from studio.core.place import cache_dir


def test_before_anything_was_listed_the_bundled_backbone_is_there():
    (only,) = cached_backbones()
    assert (only.source, only.title, only.is_installed) == ("bundled", "EfficientNet-Lite0", True)


def test_the_list_holds_every_source_and_is_the_same_from_the_cache():
    backbones = list_backbones()
    assert cached_backbones() == backbones
    names = {(b.source, b.name) for b in backbones}
    assert len(names) == len(backbones)
    for name in ("alexnet", "vgg16", "googlenet", "inception_v3", "resnet50", "resnet50.IMAGENET1K_V1", "vit_h_14"):
        assert ("torchvision", name) in names
    assert ("torchvision", "vgg16.IMAGENET1K_FEATURES") not in names
    assert sum(b.source == "torchvision" for b in backbones) >= 110
    assert sum(b.source == "timm" for b in backbones) >= 1500
    for b in backbones:
        assert b.weights_url is None or b.weights_url.startswith("https://")
        assert 16 <= b.input_size <= 1024
        assert 0 < b.crop_fraction <= 1.2
        assert b.top1 is None or 0.3 < b.top1 < (b.top5 or 0.999) < 1


def test_torchvision_entries_carry_the_figures_of_their_weights():
    resnet = next(b for b in list_backbones() if b.name == "resnet50")
    assert (resnet.title, resnet.num_parameters, resnet.top1, resnet.top5) == ("ResNet-50", 25_557_032, 0.80858, 0.95434)
    assert resnet.gflops == pytest.approx(4.089)
    assert resnet.weights_sha256 == "11ad3fa6"
    assert resnet.weights_bytes == pytest.approx(102_540_000, rel=1e-3)
    assert (resnet.year, resnet.paper) == (2015, "arXiv 1512.03385")
    assert not resnet.is_installed


def test_titles_are_written_for_people():
    titles = {b.name: b.title for b in list_backbones() if b.source == "torchvision"}
    expected = {
        "alexnet": "AlexNet",
        "vgg16_bn": "VGG-16 with batch normalisation",
        "efficientnet_v2_s": "EfficientNet V2-S",
        "mobilenet_v3_large.IMAGENET1K_V1": "MobileNet V3 Large (V1)",
        "regnet_y_400mf": "RegNet-Y 400 MF",
        "shufflenet_v2_x1_5": "ShuffleNet V2 ×1.5",
        "vit_l_16.IMAGENET1K_SWAG_LINEAR_V1": "ViT-L/16 (SWAG LINEAR V1)",
        "wide_resnet50_2": "Wide ResNet-50 ×2",
    }
    assert {name: titles[name] for name in expected} == expected


@pytest.mark.parametrize("content", [b"", b"{", b'{"versions": {}, "backbones": []}', b"[]"])
def test_a_broken_or_old_cache_counts_as_none(content):
    cache_dir().mkdir(parents=True)
    (cache_dir() / "backbones.json").write_bytes(content)
    assert len(cached_backbones()) == 1


def test_another_library_version_makes_the_cache_void(monkeypatch):
    list_backbones()
    versions = listing._versions()
    monkeypatch.setattr(listing, "_versions", lambda: versions | {"timm": "0.0"})
    assert len(cached_backbones()) == 1


def test_reading_the_cache_loads_no_heavy_library():
    list_backbones()
    code = (
        "import sys; from studio.catalog.backbones import cached_backbones; assert len(cached_backbones()) > 1000; "
        "print([m for m in ('torch', 'torchvision', 'timm', 'numpy') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_timm_entries_carry_the_measured_figures_and_the_year_of_their_paper():
    by_name = {b.name: b for b in list_backbones() if b.source == "timm"}
    assert "vit_base_patch16_224.augreg_in21k_ft_in1k" in by_name, "timm loads it in its own way, the hub has its tensors"
    plain, recent = by_name["resnet18.a1_in1k"], by_name["convnextv2_atto.fcmae_ft_in1k"]
    assert plain.num_parameters == 11_689_512 and plain.gflops == pytest.approx(1.82, rel=0.01)
    assert (recent.year, recent.paper) == (2023, "arXiv 2301.00808")
    assert sum(info.gflops is not None for info in by_name.values()) > 1000, "measured with shapes only: packaging/measure_timm.py"
    known = {name: info for name, info in by_name.items() if info.top1 is not None}
    assert len(known) > 900 and all(0.5 < info.top1 < info.top5 < 1 for info in known.values())
    known_50 = known["resnet50.a1_in1k"]
    assert (known_50.top1, known_50.top5) == pytest.approx(
        (0.81214, 0.95102)
    )  # timm's own results, as resources/timm_results.json names them
    theirs = next(b for b in list_backbones() if b.title == "VGG-16 with batch normalisation")
    same = known["vgg16_bn.tv_in1k"]
    assert (same.top1, same.top5) == pytest.approx((theirs.top1, theirs.top5), abs=0.001), "the same weights"


SAME = {
    "resnet50": "resnet50.a1_in1k", "vit_b_16": "vit_base_patch16_224.augreg2_in21k_ft_in1k", "swin_t": "swin_tiny_patch4_window7_224.ms_in1k",
    "vgg16_bn": "vgg16_bn.tv_in1k", "densenet121": "densenet121.tv_in1k", "efficientnet_b0": "tf_efficientnet_b0.in1k", "convnext_tiny": "convnext_tiny.fb_in1k",
}  # fmt: skip


def test_what_studio_counted_of_timm_equals_what_torchvision_states_of_the_same_architectures():
    found = {(b.source, b.name): b for b in list_backbones()}
    for theirs, ours in SAME.items():
        stated, counted = found["torchvision", theirs], found["timm", ours]
        assert counted.gflops == pytest.approx(stated.gflops, rel=0.001) and counted.input_size == stated.input_size, ours
        assert counted.num_parameters == pytest.approx(stated.num_parameters, rel=0.001)


def test_the_year_of_a_timm_network_is_that_of_the_paper_of_its_family_and_unknown_where_another_trained_it():
    by_name = {b.name.partition(".")[0]: b.year for b in list_backbones() if b.source == "timm"}
    assert [by_name[n] for n in ("resnet50", "resnetv2_50", "convnextv2_tiny", "coat_tiny", "coatnet_0_rw_224", "cspresnet50")] == [
        2015, 2016, 2023, 2021, 2021, 2019,
    ]  # fmt: skip
    assert by_name["vit_base_patch16_224"] in (2020, 2021) and by_name["vit_base_patch16_clip_384"] != 2020
