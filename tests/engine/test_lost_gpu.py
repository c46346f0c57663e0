"""A run whose GPU is gone, or no longer fits its driver, says so with a way out, loses nothing and goes on elsewhere when it is told to."""

from __future__ import annotations

from hashlib import sha256

import pytest
import torch
from engine_runs import STEPS_PER_EPOCH, metrics, of_kind, small_run, train_here

from studio import cli
from studio.core import device as core_device
from studio.core import event as ev
from studio.core.device import CudaState, Gpu
from studio.core.experiment_file import experiment_to_toml
from studio.core.outcome import Status
from studio.engine import device
from studio.engine.checkpoint import find_checkpoint, is_whole

pytestmark = pytest.mark.usefixtures("measured")


@pytest.fixture
def driver(monkeypatch):
    """What the driver offers from now on; torch can use none of it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    def offers(state: CudaState) -> None:
        for module in (device, core_device):
            monkeypatch.setattr(module, "cuda_state", lambda: state)

    offers(CudaState("", ()))
    return offers


@pytest.fixture
def begun_on_a_gpu(tmp_path):
    """A run of two epochs, stopped after the first, as its folder is when a GPU has done that."""
    folder = small_run(tmp_path)
    assert train_here(folder, before=lambda control: setattr(control, "stops_after_epoch", True)) == 3
    text = folder.experiment_path.read_text()
    assert 'device = "cpu"' in text
    folder.experiment_path.write_text(text.replace('device = "cpu"', 'device = "cuda"'))
    return folder


def test_a_run_whose_gpu_is_gone_loses_nothing_and_goes_on_on_the_processor_when_it_is_told_to(begun_on_a_gpu, driver, undisturbed, capsys):
    folder, home = begun_on_a_gpu, ["--runs", str(begun_on_a_gpu.path.parent)]
    assert train_here(folder, resume=True) == 1
    state = folder.read_state()
    assert "No GPU was found" in state.failed.sentence and f"safe at step {STEPS_PER_EPOCH}" in state.failed.sentence
    way_out = f"studio train --resume {folder.nickname} --set training.device=cpu"
    assert way_out in state.failed.fix and not state.failed.trace
    outcome = folder.outcome(state)
    assert outcome.can_resume and outcome.can_move, "the window offers both: when the GPU is back, and on the processor"
    assert find_checkpoint(folder).step == STEPS_PER_EPOCH and is_whole(find_checkpoint(folder).path)

    assert cli.main(["train", "--resume", folder.nickname, *home]) == cli.BAD_INPUT
    assert way_out in capsys.readouterr().err
    assert cli.main([*way_out.split()[1:], *home]) == cli.DONE
    state = folder.read_state()
    assert state.status is Status.FINISHED and of_kind(folder, ev.RunStarted)[-1].resumed_step == STEPS_PER_EPOCH
    assert metrics(folder)["state_sha256"] == metrics(undisturbed)["state_sha256"]


def test_a_driver_that_does_not_fit_is_told_from_a_gpu_that_is_not_there(begun_on_a_gpu, driver, monkeypatch):
    driver(CudaState("11.4", (Gpu("NVIDIA T4", 16 << 30),)))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert train_here(begun_on_a_gpu, resume=True) == 1
    failed = begun_on_a_gpu.read_state().failed
    assert "do not fit together (for CUDA 11.4 and 13.0)" in failed.sentence and "studio doctor" in failed.sentence and failed.can_resume


def test_a_number_format_of_a_gpu_is_not_kept_on_the_processor(begun_on_a_gpu, driver):
    """Half precision is fast on a GPU and may be slow, or not there at all, on the processor that goes on."""
    folder, path = begun_on_a_gpu, find_checkpoint(begun_on_a_gpu).path / "state.json"
    asked = folder.experiment().changed({"training.device": "cpu", "training.precision": "fp16"})
    folder.experiment_path.write_text(experiment_to_toml(asked))
    before, text = path.read_bytes(), path.read_text()
    path.write_text(text.replace('"CPU, 1 thread"', '"NVIDIA T4"').replace('"name": "fp32"', '"name": "fp16"'))
    manifest = path.with_name("manifest.json")
    manifest.write_text(manifest.read_text().replace(*(sha256(content).hexdigest() for content in (before, path.read_bytes()))))
    assert train_here(folder, resume=True) == 0
    assert of_kind(folder, ev.RunDescribed)[-1].precision in ("fp32", "bf16")
    (warning,) = [w for w in of_kind(folder, ev.WarningRaised) if w.code == "resume-inexact"]
    assert "the device NVIDIA T4 is now CPU" in warning.sentence
