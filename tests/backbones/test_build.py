"""A built backbone answers as its weights should, is the same every time, and never reaches for the network."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest
import sklearn
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.data import ImageNetInfo
from torchvision import models

from studio.catalog.backbones import accepted_input_sizes, backbone_info, build_backbone, bundled, installed, takes_input_size
from studio.core.path_text import path_to_text
from studio.core.problem import BadInput

BUNDLED = ("bundled", "tf_efficientnet_lite0")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a network connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(autouse=True)
def no_other_caches(monkeypatch, tmp_path):
    for name in ("TORCH_HOME", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)


def view(path: Path, info) -> torch.Tensor:
    """One photograph as the backbone's own evaluation sees it: images_NCHW."""
    image = Image.open(path).convert("RGB")
    scale = round(info.input_size / info.crop_fraction) / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    left, top = (image.width - info.input_size) // 2, (image.height - info.input_size) // 2
    pixels = np.asarray(image.crop((left, top, left + info.input_size, top + info.input_size)), dtype=np.float32) / 255
    normalised = (pixels - np.float32(info.mean)) / np.float32(info.std)
    return torch.from_numpy(normalised).permute(2, 0, 1)[None]


@pytest.mark.parametrize(("picture", "label"), [("china.jpg", "palace"), ("flower.jpg", "daisy")])
def test_the_bundled_weights_recognise_a_known_photograph(picture, label):
    info = backbone_info(*BUNDLED)
    weights = path_to_text(bundled.weights_path(info))
    built = build_backbone(*BUNDLED, num_classes=1000, pretrained=True, weights_file=weights)
    assert len(built.report.matched) == 296
    assert not (built.report.missing or built.report.unexpected or built.report.wrong_shape or built.report.skipped_classifier)
    images_NCHW = view(Path(sklearn.__file__).parent / "datasets" / "images" / picture, info)
    with torch.no_grad():
        best = int(built.module.eval()(images_NCHW).argmax())
    assert ImageNetInfo().index_to_description(best) == label


def test_the_bundled_backbone_is_the_same_network_with_a_new_head():
    weights = path_to_text(bundled.weights_path(backbone_info(*BUNDLED)))
    built = build_backbone(*BUNDLED, num_classes=4, pretrained=True, dropout=0.3)
    known = build_backbone(*BUNDLED, num_classes=1000, pretrained=True, weights_file=weights)
    images_NCHW = torch.rand(2, 3, 224, 224)
    with torch.no_grad():
        assert torch.equal(built.module.eval().backbone(images_NCHW), known.module.eval().backbone(images_NCHW))
        assert built.module(images_NCHW).shape == (2, 4)
    assert built.num_features == 1280
    assert built.module.head.dropout.p == 0.3
    assert len(built.report.matched) == 294


def test_damaged_bundled_weights_are_refused(monkeypatch, tmp_path):
    damaged = bytearray(bundled.weights_path(backbone_info(*BUNDLED)).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "weights.pth").write_bytes(damaged)
    monkeypatch.setattr(bundled, "weights_path", lambda info: tmp_path / "weights.pth")
    with pytest.raises(BadInput, match="checksum"):
        build_backbone(*BUNDLED, num_classes=4, pretrained=True)


def test_a_file_in_another_order_is_not_taken_for_the_bundled_one():
    body = bundled.build(bundled.NAME, 224)
    tensors = torch.load(bundled.weights_path(None), weights_only=True)
    names = list(tensors)
    names[0], names[6] = names[6], names[0]
    shuffled = {name: tensors[name] for name in names}
    assert bundled.in_timm_names(body, shuffled) is shuffled
    assert "conv_stem.weight" in bundled.in_timm_names(body, tensors)


@pytest.mark.parametrize("source_name", [BUNDLED, ("torchvision", "googlenet"), ("timm", "resnet18")])
def test_equal_arguments_give_equal_weights_and_leave_the_global_random_state_alone(source_name):
    torch.manual_seed(123)
    before = torch.get_rng_state()
    first = build_backbone(*source_name, num_classes=3, pretrained=False, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(456)
    second = build_backbone(*source_name, num_classes=3, pretrained=False, seed=5)
    third = build_backbone(*source_name, num_classes=3, pretrained=False, seed=6)
    states = [b.module.state_dict() for b in (first, second, third)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not torch.equal(states[0]["head.linear.weight"], states[2]["head.linear.weight"])
    assert any(not torch.equal(states[0][k], states[2][k]) for k in states[0] if k.startswith("backbone.") and k.endswith("weight"))


@pytest.mark.parametrize(("init", "expected"), [("he", (2 / 512) ** 0.5), ("xavier", (2 / (512 + 100)) ** 0.5), ("zeros", 0.0)])
def test_the_head_starts_with_the_spread_its_initialisation_promises(init, expected):
    head = build_backbone("torchvision", "resnet18", num_classes=100, pretrained=False, head_init=init).module.head
    assert float(head.linear.weight.detach().std()) == pytest.approx(expected, rel=0.02)
    assert not head.linear.bias.detach().any()


@pytest.mark.parametrize("name", ["googlenet", "inception_v3", "squeezenet1_1", "mobilenet_v3_small", "alexnet", "mnasnet0_5"])
def test_the_forward_pass_gives_logits_in_train_and_eval_mode(name):
    built = build_backbone("torchvision", name, num_classes=6, pretrained=False)
    images_NCHW = torch.rand(2, 3, built.input_size, built.input_size)
    with torch.no_grad():
        assert built.module.train()(images_NCHW).shape == (2, 6)
        assert built.module.eval()(images_NCHW).shape == (2, 6)


TORCHVISION_WITH_TWISTS = ["resnet18", "densenet121", "googlenet", "inception_v3", "mnasnet0_5", "squeezenet1_1", "mobilenet_v3_small"]


@pytest.mark.parametrize("name", TORCHVISION_WITH_TWISTS)
def test_downloaded_torchvision_weights_give_the_librarys_own_features(name):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        options = {"init_weights": False, "transform_input": True} if name in ("googlenet", "inception_v3") else {}
        library = models.get_model(name, weights=None, **options).eval()
        for key, tensor in library.state_dict().items():
            if key.endswith("running_mean"):
                tensor.normal_(0, 0.02)
    info = backbone_info("torchvision", name)
    path = installed.destination(info)
    path.parent.mkdir(parents=True)
    state = library.state_dict()
    if name == "densenet121":  # the names that the file on the server has
        for key in list(state):
            new = key.replace("norm1.", "norm.1.").replace("conv1.", "conv.1.").replace("norm2.", "norm.2.").replace("conv2.", "conv.2.")
            state[new] = state.pop(key)
    torch.save(state, path)
    assert backbone_info("torchvision", name).is_installed
    built = build_backbone("torchvision", name, num_classes=3, pretrained=True)
    assert built.report.missing == ()

    pixels_NCHW = torch.rand(2, 3, info.input_size, info.input_size)

    def normalised(mean, std):
        return (pixels_NCHW - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)

    classifier = library.fc if hasattr(library, "fc") else library.classifier
    classifier = classifier if isinstance(classifier, torch.nn.Linear) else classifier[-1]
    with torch.no_grad():
        features_NF = built.module.eval().backbone(normalised(info.mean, info.std))
        images_NCHW = normalised((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        if name == "squeezenet1_1":
            expected_NF = library.features(images_NCHW).mean(dim=(2, 3))
        else:
            seen: list[torch.Tensor] = []
            classifier.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
            library(images_NCHW)
            expected_NF = seen[0]
    assert torch.allclose(features_NF, expected_NF, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["resnet18.a1_in1k", "vit_tiny_patch16_224.augreg_in21k_ft_in1k", "convnext_atto.d2_in1k"])
def test_downloaded_timm_weights_give_the_librarys_own_features(name):
    import timm

    library = timm.create_model(name, pretrained=False).eval()
    info = backbone_info("timm", name)
    path = installed.destination(info)
    path.parent.mkdir(parents=True)
    save_file({key: tensor.contiguous() for key, tensor in library.state_dict().items()}, path)
    built = build_backbone("timm", name, num_classes=3, pretrained=True)
    images_NCHW = torch.rand(2, 3, info.input_size, info.input_size)
    with torch.no_grad():
        expected_NF = library.forward_head(library.forward_features(images_NCHW), pre_logits=True)
        assert torch.allclose(built.module.eval().backbone(images_NCHW), expected_NF, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("source", "name"), [("timm", "resnet18.a1_in1k"), ("torchvision", "resnet18")])
@pytest.mark.parametrize("content", ["cut", "another network"])
def test_downloaded_weights_that_do_not_fit_are_a_sentence(source, name, content):
    path = installed.destination(backbone_info(source, name))
    path.parent.mkdir(parents=True)
    network = models.resnet34(weights=None) if content == "cut" else models.squeezenet1_1(weights=None)
    if source == "timm":
        save_file(network.state_dict(), path)
    else:
        torch.save(network.state_dict(), path)
    if content == "cut":
        path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(BadInput, match="damaged|do not fit"):
        build_backbone(source, name, num_classes=3, pretrained=True)


def test_position_embeddings_are_stretched_to_another_input_size():
    info = backbone_info("torchvision", "vit_b_32")
    path = installed.destination(info)
    path.parent.mkdir(parents=True)
    torch.save(models.vit_b_32(weights=None).state_dict(), path)
    built = build_backbone("torchvision", "vit_b_32", num_classes=3, pretrained=True, input_size=128)
    assert built.module.backbone.encoder.pos_embedding.shape == (1, 17, 768)
    with torch.no_grad():
        assert built.module(torch.rand(1, 3, 128, 128)).shape == (1, 3)


def test_weights_that_are_not_here_are_named_with_size_and_command():
    with pytest.raises(BadInput, match=r"ResNet-18 are not on this computer yet \(47 MB\).*studio weights download torchvision/resnet18`"):
        build_backbone("torchvision", "resnet18", num_classes=3, pretrained=True)


def test_weights_in_the_caches_of_torch_and_the_hub_are_found(tmp_path):
    a, b = backbone_info("torchvision", "resnet18"), backbone_info("timm", "resnet18.a1_in1k")
    first = tmp_path / "TORCH_HOME" / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    second = tmp_path / "HF_HOME" / "hub" / "models--timm--resnet18.a1_in1k" / "snapshots" / "abc" / "model.safetensors"
    for path in (first, second):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
    assert installed.find(a) == first
    assert installed.find(b) == second
    assert [i.is_installed for i in installed.mark_installed((a, b))] == [True, True]


@pytest.mark.parametrize(
    ("source", "name", "sentence"),
    [
        ("torchvision", "resnet19", "torchvision has no backbone “resnet19”. Did you mean resnet1"),
        ("timm", "resnet18.a9_in1k", "timm has no backbone “resnet18.a9_in1k”"),
        ("bundled", "resnet18", "Bundled has no backbone"),
        ("huggingface", "x", "There is no source “huggingface”; the sources are bundled, torchvision, timm."),
    ],
)
def test_an_unknown_name_is_refused_with_what_comes_near(source, name, sentence):
    with pytest.raises(BadInput) as caught:
        build_backbone(source, name, num_classes=3, pretrained=False)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("source", "name", "size", "sentence"),
    [
        ("torchvision", "vit_b_16", 200, "ViT-B/16 does not take 200 px images; take 192 px or 224 px."),
        ("torchvision", "inception_v3", 64, "Inception v3 does not take 64 px images; take 75 px or 96 px."),
        ("torchvision", "maxvit_t", 256, "MaxViT-T does not take 256 px images; take 224 px"),
        ("torchvision", "alexnet", 40, "AlexNet does not take 40 px images; take 63 px or 64 px."),
        ("torchvision", "vgg11", 20, "VGG-11 does not take 20 px images; take 32 px"),
    ],
)
def test_an_input_size_that_does_not_fit_is_refused_with_the_nearest_that_do(source, name, size, sentence):
    with pytest.raises(BadInput) as caught:
        build_backbone(source, name, num_classes=3, pretrained=False, input_size=size)
    assert sentence in str(caught.value)
    (problem,) = caught.value.problems
    nearest = problem.repair.values["model.input_size"]
    assert str(nearest) in problem.sentence and takes_input_size(source, name, nearest)


def test_convolutional_networks_take_many_sizes_and_transformers_of_timm_are_built_for_theirs():
    assert accepted_input_sizes("torchvision", "resnet18", (32, 96, 225)) == (32, 96, 225)
    assert takes_input_size("timm", "vit_tiny_patch16_224", 160)
    built = build_backbone("timm", "vit_tiny_patch16_224", num_classes=3, pretrained=False, input_size=160, device="meta")
    assert built.module.backbone.pos_embed.shape == (1, 101, 192)
