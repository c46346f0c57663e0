"""Devices without torch: what the driver offers, and whether the installed torch can use it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from studio.core import device

GPU = device.Gpu("Test GPU", 8 << 30)


def install(monkeypatch, tmp_path, text: str) -> None:
    (tmp_path / "version.py").write_text(text)
    monkeypatch.setattr(device, "find_spec", lambda name: SimpleNamespace(origin=str(tmp_path / "__init__.py")))
    monkeypatch.setattr(device, "cuda_state", lambda: device.CudaState("13.2", (GPU,)))


@pytest.mark.parametrize(
    "text",
    [
        "__version__ = '2.10.0+cpu'\ncuda: Optional[str] = None\nhip: Optional[str] = None\n",
        "__version__ = '2.10.0'\ncuda = None\nhip = None\n",
    ],
)
def test_a_torch_made_for_the_cpu_has_no_gpu_to_choose(monkeypatch, tmp_path, text):
    install(monkeypatch, tmp_path, text)
    assert device.torch_is_cpu_only()
    assert device.usable_gpus() == ()
    assert "CPU-only build" in device.device_problem("cuda:0").sentence


@pytest.mark.parametrize("text", ["cuda: Optional[str] = '13.2'\nhip: Optional[str] = None\n", "cuda = None\nhip = '6.4'\n"])
def test_a_torch_made_for_gpus_has_those_of_the_driver(monkeypatch, tmp_path, text):
    install(monkeypatch, tmp_path, text)
    assert device.usable_gpus() == (GPU,)
    assert device.device_problem("cuda:0") is None
