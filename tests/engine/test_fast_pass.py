"""Passes in which nothing trains give the same answers in less work."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from studio.catalog.backbones import build_backbone
from studio.engine import fast_pass
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
    assert short.module is module and num_norms(long.module) == 0
    with torch.inference_mode():
        torch.testing.assert_close(long(images).softmax(1), module(images).softmax(1), rtol=0.05, atol=0.05)
    monkeypatch.setattr(fast_pass, "WINS_FROM", 1e9)  # whatever is fastest wins
    monkeypatch.setattr(fast_pass, "MOST_APART", -1.0)
    assert FastPass(module, cpu, 64, is_long=True).precision.name == "fp32"
    monkeypatch.setattr(fast_pass, "WINS_FROM", 0.0)  # nothing is fast enough
    monkeypatch.setattr(fast_pass, "MOST_APART", 1.0)
    assert FastPass(module, cpu, 64, is_long=True).precision in (Precision("fp32", True), Precision("fp32", False))
