"""A step that does not fit into memory goes in smaller parts; what it needs is known before the first one."""

from __future__ import annotations

import contextlib

import pytest
import torch
from engine_runs import metrics, of_kind, small_run, train_here
from safetensors.torch import load_file

from studio.core import event as ev
from studio.core.experiment import Experiment
from studio.engine.checkpoint import find_checkpoint
from studio.engine.memory import StepMemory, is_out_of_memory, measure_step
from studio.engine.network import build_network
from studio.engine.setup import Setup

STILL = {"model__backbone": "test_convnext", "augment__preset": "none", "model__dropout": 0.0, "optimiser__kind": "sgd"}


@pytest.fixture
def room_for(monkeypatch):
    """Let the network fail with more images at once than told, as the processor and as the GPU say it, in the forward pass or behind it."""

    def limit(num_images: int, error: type[Exception], words: str) -> None:
        before = Setup.logits

        def logits(self, module, batch, inputs):
            made = before(self, module, batch, inputs)
            if len(inputs) > num_images and module.training:
                if error is MemoryError:
                    raise error(words)
                made.register_hook(lambda _gradient: _raise(error(words)))  # in the backward pass
            return made

        monkeypatch.setattr(Setup, "logits", logits)

    return limit


def _raise(exc):
    raise exc


@pytest.mark.parametrize(
    ("error", "words"),
    [(MemoryError, ""), (RuntimeError, "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), (torch.OutOfMemoryError, "CUDA out of memory")],
)  # fmt: skip
def test_out_of_memory_halves_what_runs_at_once_and_keeps_the_step(tmp_path, room_for, error, words):
    whole, parts = small_run(tmp_path / "a", **STILL), small_run(tmp_path / "b", **STILL)
    assert train_here(whole) == 0
    room_for(3, error, words)
    assert train_here(parts) == 0
    told = [e.sentence for e in of_kind(parts, ev.WarningRaised) if e.code == "out-of-memory"]
    assert len(told) == 2 and "from here on 2" in told[1] and "still sees 8" in told[1]
    ours, theirs = (load_file(find_checkpoint(folder, "last").path / "model.safetensors") for folder in (parts, whole))
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-4, atol=1e-6)
    assert metrics(parts)["step"] == metrics(whole)["step"]
    assert find_checkpoint(parts).state["micro_batch"] == 2


def test_a_single_image_that_does_not_fit_ends_the_run_with_a_sentence(tmp_path, room_for):
    folder = small_run(tmp_path, **STILL)
    room_for(0, MemoryError, "")
    assert train_here(folder) == 1
    (failed,) = of_kind(folder, ev.RunFailed)
    assert "memory" in failed.sentence
    assert not is_out_of_memory(RuntimeError("shapes differ")) and not is_out_of_memory(KeyError("out of memory"))


def test_what_a_step_keeps_is_counted_and_nothing_changes_by_it():
    experiment = Experiment().changed({"model.source": "timm", "model.backbone": "test_resnet", "model.pretrained": False, "model.input_size": 64, "model.train_stages": -1})  # fmt: skip
    network = build_network(experiment, 3)
    network.train_mode()
    before = {name: tensor.clone() for name, tensor in network.module.state_dict().items()}
    found, double = (
        measure_step(network.module, torch.randn(n, 3, size, size), contextlib.nullcontext, experiment) for n, size in ((2, 64), (4, 128))
    )
    assert 3.5 < double.per_image / found.per_image < 4.5  # four times the pixels; per image, whatever the batch
    num_weights = sum(p.numel() for p in network.module.parameters())
    assert found.fixed == 4 * num_weights * 3  # gradients, and the two values of AdamW
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.module.state_dict().items())
    network.set_epoch(0, experiment.changed({"model.train_stages": 0}).model)
    network.train_mode()
    frozen = measure_step(network.module, torch.randn(2, 3, 64, 64), contextlib.nullcontext, experiment)
    assert frozen.per_image < found.per_image / 4


def test_the_largest_even_part_that_fits_is_found():
    memory = StepMemory(fixed=100, per_image=9, passing=1)
    assert memory.peak(32) == 420
    assert [memory.fitting(32, room) for room in (420, 419, 180, 5)] == [32, 16, 8, 1]
