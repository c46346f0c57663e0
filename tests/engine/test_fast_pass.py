"""Passes in which nothing trains give the same answers in less work."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from studio.catalog.backbones import build_backbone
from studio.engine import fast_pass, fusing
from studio.engine.fast_pass import FastPass
from studio.engine.folding import Folding
from studio.engine.precision import Precision


def lively(module: nn.Module) -> nn.Module:
    """Statistics as after training, where folding has something to do."""
    torch.manual_seed(3)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, 0, 0.1)
    return module.eval()


def num_norms(module: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in module.modules())


@pytest.mark.parametrize(("source", "name"), [("timm", "test_resnet"), ("timm", "test_efficientnet"), ("torchvision", "vgg11_bn")])
def test_batch_norms_fold_away_and_the_answers_stay(source, name):
    built = build_backbone(source, name, num_classes=3, pretrained=False, input_size=64)
    module = lively(built.module)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    folding, images = Folding(module), torch.randn(2, 3, 64, 64)
    folded = folding.fold(module, images)
    assert num_norms(module) > 0 == num_norms(folded)
    more = torch.randn(5, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(folded(more), module(more), rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


class Tapped(nn.Module):
    """The convolution's output goes to the batch norm and elsewhere too."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.scale = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), 1.0

    def forward(self, x):
        y = self.conv(x)
        return (self.norm(y) + self.scale * y).mean((2, 3))


def test_nothing_is_folded_where_the_answers_would_change_or_nothing_is_there():
    module = lively(Tapped())
    assert Folding(module).fold(module, torch.randn(2, 3, 8, 8)) is None
    module.scale = 0.0
    assert Folding(module).fold(module, torch.randn(2, 3, 8, 8)) is not None
    plain = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    assert Folding(plain).fold(plain, torch.randn(2, 3, 8, 8)) is None


def test_a_format_that_wins_is_taken_only_where_its_answers_agree(monkeypatch):
    module = lively(build_backbone("timm", "test_resnet", num_classes=3, pretrained=False, input_size=64).module)
    images, cpu = torch.randn(5, 3, 64, 64), torch.device("cpu")
    short, long = (FastPass(module, cpu, 64, is_long=is_long) for is_long in (False, True))
    assert short.module is module
    with torch.inference_mode():
        torch.testing.assert_close(long(images).softmax(1), module(images).softmax(1), rtol=0.05, atol=0.05)
    monkeypatch.setattr(fast_pass, "WINS_FROM", 1e9)  # whatever is fastest wins
    monkeypatch.setattr(fast_pass, "MOST_APART", -1.0)
    assert FastPass(module, cpu, 64, is_long=True).precision.name == "fp32"
    monkeypatch.setattr(fast_pass, "WINS_FROM", 0.0)  # nothing is fast enough
    monkeypatch.setattr(fast_pass, "MOST_APART", 1.0)
    assert FastPass(module, cpu, 64, is_long=True).precision in (Precision("fp32", True), Precision("fp32", False))


@pytest.mark.parametrize(
    ("source", "name"), [("timm", "test_resnet"), ("timm", "test_efficientnet"), ("torchvision", "mobilenet_v3_small"), ("timm", "tf_mobilenetv3_small_minimal_100")]
)  # fmt: skip
def test_convolutions_apply_their_activations_and_the_answers_stay(source, name):
    """In ResNets one activation runs behind a convolution and behind a sum; TensorFlow's convolutions pad one side more than the other."""
    module = lively(build_backbone(source, name, num_classes=3, pretrained=False, input_size=64).module)
    folding, images = Folding(module, fuses=True), torch.randn(4, 3, 64, 64)
    fused = folding.fold(module, images)
    assert sum(isinstance(part, fusing._Fused) for part in fused.modules()) > 5
    assert num_norms(fused) == 0
    with torch.inference_mode():
        for size in (64, 96):  # another size goes the ordinary way
            for count in (4, 3):
                more = torch.randn(count, 3, size, size)
                answers = module(more)
                assert (fused(more) - answers).abs().max() <= 1e-4 * answers.abs().max()


def test_nothing_is_fused_where_the_answers_would_change():
    class Shared(nn.Module):
        """What the activation is given, something else is given too."""

        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.act = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()

        def forward(self, x):
            y = self.norm(self.conv(x))
            return torch.cat([self.act(y).mean((2, 3)), y.amin((2, 3))], 1)

    module = lively(Shared())
    folded = Folding(module, fuses=True).fold(module, torch.randn(4, 3, 16, 16))
    assert folded is not None and not any(isinstance(part, fusing._Fused) for part in folded.modules())


def test_whether_to_fuse_is_asked_once_and_then_kept():
    module, asked = lively(build_backbone("timm", "test_resnet", num_classes=3, pretrained=False, input_size=64).module), []
    folding = Folding(module, fuses=None, choose=lambda trial: asked.append(trial()) or True)
    for _ in range(2):
        assert any(isinstance(part, fusing._Fused) for part in folding.fold(module, torch.randn(4, 3, 64, 64)).modules())
    assert len(asked) == 1 and isinstance(asked[0], bool) and folding.fuses is True
