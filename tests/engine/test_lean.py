"""Batch norms that keep less for the backward pass: the same bits, less memory, nothing left behind."""

from __future__ import annotations

import copy
import gc

import pytest
import torch
from engine_runs import STEPS_PER_EPOCH, metrics, small_run, train_here
from torch import nn

from studio.catalog.backbones import build_backbone
from studio.core.experiment import Experiment, Training
from studio.engine import lean as leaning
from studio.engine import loop
from studio.engine.describe import describe_model
from studio.engine.footprint import known_trace
from studio.engine.lean import _is_norm, is_lean_norm, keep_less, may_be_lean
from studio.engine.memory import step_memory
from studio.engine.network import build_network
from studio.engine.recipe import MOST_SUMS, Recipe, Summed, in_parts, note_kept, recipe_of
from studio.engine.recompute import recompute

GROWN_BYTES = 4_000_000  # between the activations of a step of the small network whose last stage trains, and of all of it
NETWORKS = [("timm", "test_resnet"), ("timm", "test_efficientnet"), ("torchvision", "mobilenet_v3_small"), ("torchvision", "resnet18")]


def network(source: str, name: str) -> nn.Module:
    torch.manual_seed(0)
    return build_backbone(source, name, num_classes=3, pretrained=False, input_size=64).module.train()


def a_step(module: nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    nn.functional.cross_entropy(module(images), torch.arange(len(images)) % 3).backward()
    found = {f"{name} gradient": p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
    module.zero_grad()
    return found | {name: buffer.clone() for name, buffer in module.named_buffers()}


@pytest.fixture(autouse=True)
def nothing_left():
    """Of the graphs of other tests, which the garbage collector has not come to yet."""
    gc.collect()


def recipes() -> list[Recipe]:
    return [held for held in gc.get_objects() if isinstance(held, Recipe)]


@pytest.mark.parametrize(("source", "name"), NETWORKS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_step_gives_the_same_bits(source, name, layout):
    """ResNets add in place to what a batch norm gave out, and pool; MobileNetV3 squeezes it besides. Pieces of a batch are computed by themselves."""
    module, images = network(source, name).to(memory_format=layout), torch.randn(4, 3, 64, 64).contiguous(memory_format=layout)
    lean = copy.deepcopy(module)
    assert keep_less(lean) > 5
    for _ in range(2):
        theirs, ours = a_step(module, images), a_step(lean, images)
    assert theirs.keys() == ours.keys()
    assert [key for key, tensor in theirs.items() if not torch.equal(tensor, ours[key])] == []


class _Twice(nn.Module):
    """What a batch norm gave out goes on with and without its activation, as in NASNet's cells."""

    def __init__(self):
        super().__init__()
        self.before, self.norm, self.act = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()
        self.left, self.right = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 4, 1)

    def forward(self, images):
        out = self.norm(self.before(images))
        return (self.left(self.act(out)) + self.right(out)).mean((2, 3))


def test_an_activation_that_is_not_in_place_leaves_what_others_use():
    torch.manual_seed(0)
    module, images = _Twice().train(), torch.randn(4, 3, 16, 16)
    lean = copy.deepcopy(module)
    assert keep_less(lean) == 1 and torch.equal(module(images), lean(images))
    theirs, ours = a_step(module, images), a_step(lean, images)
    assert [key for key, tensor in theirs.items() if not torch.equal(tensor, ours[key])] == []


def test_of_a_resnet_the_convolutions_alone_are_kept():
    """And what the first block is given, each third sum, and what belongs to the head."""
    module, kept = network("torchvision", "resnet34"), {}

    def pack(tensor):
        if not isinstance(tensor, nn.Parameter) and recipe_of(tensor) is None:
            note_kept(tensor)
            kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage(), tuple(tensor.shape[1:])
        return tensor.detach()

    convolved = []
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            part.register_forward_hook(lambda _part, _inputs, out: convolved.append(out.untyped_storage()))
    keep_less(module, hooks=False)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        module(torch.randn(2, 3, 64, 64))
    known = {storage._cdata for storage in convolved}
    others = [shape for key, (_, shape) in kept.items() if key not in known and len(shape) == 3]
    blocks = [(64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2)]
    sums = [shape for shape, count in zip(blocks, (3, 4, 6, 3), strict=True) for _ in range(count // (MOST_SUMS + 1))]
    assert sorted(others) == sorted([(3, 64, 64), (64, 16, 16), *sums])


class _Shortcut(nn.Module):
    def __init__(self, is_kept: bool, is_changed: bool):
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)
        self.is_kept, self.is_changed = is_kept, is_changed

    def forward(self, images):
        shortcut = images * 1
        out = self.norm(self.conv(shortcut if self.is_kept else images))
        if self.is_changed:
            shortcut.mul_(2)
        out = out + shortcut
        self.found = recipe_of(out)
        return out


@pytest.mark.parametrize(("is_kept", "is_changed"), [(True, False), (False, False), (True, True)])
def test_a_sum_is_computed_again_only_where_both_parts_are_there_in_the_backward_pass(is_kept, is_changed):
    module = _Shortcut(is_kept, is_changed)
    keep_less(module)
    module(torch.randn(4, 3, 8, 8, requires_grad=True))
    assert isinstance(module.found, Summed) == (is_kept and not is_changed)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_pieces_of_a_batch_are_put_together_in_the_layout_of_the_whole(layout):
    images = torch.randn(7, 64, 112, 112).contiguous(memory_format=layout)
    sizes = []
    found = in_parts(images, lambda rows: (sizes.append(len(images[rows])), images[rows] * 2)[1])
    assert torch.equal(found, images * 2) and found.stride() == images.stride() and len(sizes) > 1 and sum(sizes) == 7


def test_a_single_value_of_a_channel_has_no_variance_which_is_said():
    lean = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)).train()
    keep_less(lean)
    with pytest.raises(ValueError, match="more than 1 value"):
        lean(torch.randn(1, 3, 3, 3))


def test_norms_that_stand_still_and_layers_that_are_frozen_are_as_before():
    module, images = network("timm", "test_resnet"), torch.randn(4, 3, 64, 64)
    lean = copy.deepcopy(module)
    keep_less(lean)
    for one in (module, lean):
        norms = [part for part in one.modules() if _is_norm(part)]
        for norm in norms[:4]:
            norm.eval().requires_grad_(False)
        for norm in norms[4:6]:
            norm.eval()
    theirs, ours = a_step(module, images), a_step(lean, images)
    assert theirs.keys() == ours.keys() and all(torch.equal(tensor, ours[key]) for key, tensor in theirs.items())
    with torch.no_grad():
        assert torch.equal(module.eval()(images), lean.eval()(images))


def test_all_that_is_kept_goes_with_the_backward_pass_while_the_loss_is_held():
    module = network("timm", "test_efficientnet")
    keep_less(module)

    loss = module(torch.randn(2, 3, 64, 64)).square().sum()
    assert len(recipes()) > 5
    loss.backward()
    assert recipes() == [] and loss.grad_fn is not None


def test_blocks_that_are_computed_again_keep_nothing_of_batch_norms_besides():
    built, images = build_backbone("torchvision", "resnet18", num_classes=3, pretrained=False, input_size=64), torch.randn(4, 3, 64, 64)
    plain, recomputing = built.module.train(), copy.deepcopy(built.module).train()
    keep_less(recomputing)
    assert recompute(recomputing, built.stages) == 8
    theirs, ours = a_step(plain, images), a_step(recomputing, images)
    assert theirs.keys() == ours.keys() and all(torch.equal(tensor, ours[key]) for key, tensor in theirs.items())
    loss = recomputing(images).sum()
    assert {tuple(recipe.given.shape) for recipe in recipes()} == {(4, 64, 32, 32)} and loss.requires_grad, (
        "that of the first layer alone, which is in no block"
    )


@pytest.mark.parametrize(("source", "name"), NETWORKS)
def test_what_is_traced_is_what_is_kept(source, name):
    module, images, sizes = network(source, name), torch.randn(2, 3, 64, 64), {}
    known = {t.untyped_storage()._cdata for t in (*module.parameters(), *module.buffers(), images)}

    def pack(tensor):
        if recipe_of(tensor) is None and not isinstance(tensor, nn.Parameter):
            note_kept(tensor)
            if tensor.untyped_storage()._cdata not in known:
                sizes[tensor.untyped_storage()._cdata] = tensor.untyped_storage(), tensor.untyped_storage().nbytes()
        return tensor

    lean, plain = (sum(layer.saved for layer in known_trace(module, 64, is_lean=is_so).layers) for is_so in (True, False))
    keep_less(module, hooks=False)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        module(images)
    assert lean == pytest.approx(sum(size for _, size in sizes.values()) / 2, rel=0.02)
    assert lean < 0.85 * plain


def test_a_run_keeps_less_on_a_processor_where_steps_are_large_unless_asked_not_to_with_the_same_bits(tmp_path, monkeypatch):
    assert [may_be_lean(Training(device="cpu", checkpointing=asked)) for asked in ("auto", "on", "off")] == [True, True, False]
    sums, changed = [], []
    monkeypatch.setattr(loop, "keep_less", lambda module: changed.append(keep_less(module)))
    for name, asked, large_bytes in (("large", "auto", 0), ("small", "auto", leaning.LARGE_STEP_BYTES), ("off", "off", 0)):
        monkeypatch.setattr(leaning, "LARGE_STEP_BYTES", large_bytes)
        folder = small_run(tmp_path / name, training__checkpointing=asked, schedule__epochs=1)
        assert train_here(folder) == 0
        sums.append(metrics(folder)["state_sha256"])
        assert len(changed) == 1 and changed[0] > 5, name
    assert sums[0] == sums[1] == sums[2]


def test_a_run_whose_steps_grow_as_layers_thaw_keeps_less_from_then_on_with_the_same_bits(tmp_path, monkeypatch):
    """Where blocks are computed again, what lies outside of them."""
    seen, real = [], loop.train_step

    def look(s, batches):
        seen.append({is_lean_norm(part) for part in s.network.module.modules() if _is_norm(part)})
        return real(s, batches)

    monkeypatch.setattr(loop, "train_step", look)
    thaw, sums = {"stem": 1, "stage 1": 1, "stage 2": 1, "stage 3": 1}, []
    for asked, large_bytes in (("auto", GROWN_BYTES), ("on", GROWN_BYTES), ("off", 0)):
        monkeypatch.setattr(leaning, "LARGE_STEP_BYTES", large_bytes)
        values = {"model__input_size": 64, "model__train_stages": 1, "model__thaw": thaw, "training__checkpointing": asked}
        values |= {"training__feature_cache": "off"}
        folder = small_run(tmp_path / asked, **values)
        assert train_here(folder) == 0
        sums.append(metrics(folder)["state_sha256"])
    epochs = [seen[i : i + STEPS_PER_EPOCH] for i in range(0, len(seen), STEPS_PER_EPOCH)]
    told = [{False}, {True}, {False}, {True, False}, {False}, {False}]
    assert epochs == [[each] * STEPS_PER_EPOCH for each in told]
    assert sums[0] == sums[1] == sums[2]


def test_the_window_and_the_run_agree_on_what_is_large(monkeypatch):
    """At a batch of 16 a whole EfficientNet-Lite0 keeps everything, at 32 it keeps less, and so does a run."""
    monkeypatch.setattr(leaning, "LARGE_STEP_SHARE", 1.0)  # also on a small computer
    for batch_size, lean in ((16, False), (32, True)):
        experiment = Experiment().changed({"model.train_stages": -1, "training.batch_size": batch_size, "training.device": "cpu"})
        told = describe_model(experiment.model, experiment.training, experiment.optimiser, 3)["memory"]
        need = step_memory(build_network(experiment, 3), "fp32", experiment)
        assert need.is_lean == need.is_large == lean
        assert sum(told.values()) - told["weights"] == need.peak(batch_size)
