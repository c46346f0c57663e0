"""What this computer has to compute with: processor cores, and graphics processors as the driver itself names them, in milliseconds and without torch."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from studio.core.problem import Problem, error

_DRIVER = {"win32": "nvcuda.dll"}.get(sys.platform, "libcuda.so.1")


@dataclass(frozen=True)
class Gpu:
    name: str
    memory_bytes: int


@dataclass(frozen=True)
class CudaState:
    """What the NVIDIA driver says. `driver_version` is the newest CUDA it runs ("12.8"), "" without a driver."""

    driver_version: str
    gpus: tuple[Gpu, ...]


def cuda_state() -> CudaState:
    """Driver and GPUs this process may use (CUDA_VISIBLE_DEVICES applies). Never raises; no memory of the GPU is taken."""
    try:
        driver = ctypes.CDLL(_DRIVER)
        number = ctypes.c_int(0)
        driver.cuDriverGetVersion(ctypes.byref(number))
        version = f"{number.value // 1000}.{number.value % 1000 // 10}"
        if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(number)) != 0:
            return CudaState(version, ())
        return CudaState(version, tuple(_gpu(driver, i) for i in range(number.value)))
    except (OSError, AttributeError):
        return CudaState("", ())


def _gpu(driver: ctypes.CDLL, index: int) -> Gpu:
    device, memory, name = ctypes.c_int(0), ctypes.c_size_t(0), ctypes.create_string_buffer(256)
    driver.cuDeviceGet(ctypes.byref(device), index)
    driver.cuDeviceGetName(name, len(name), device)
    driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    return Gpu(name.value.decode(errors="replace"), memory.value)


def has_mps() -> bool:
    return sys.platform == "darwin" and platform.machine() == "arm64"


def usable_gpus() -> tuple[Gpu, ...]:
    """The GPUs that "auto" can choose: none where the installed torch is made for the CPU."""
    return () if torch_is_cpu_only() else cuda_state().gpus


def torch_is_cpu_only() -> bool:
    """Read from torch's own page about its build: the wheels of Windows and macOS do not say "+cpu" in their metadata."""
    try:
        spec = find_spec("torch")
        text = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    except (AttributeError, TypeError, ValueError, OSError):
        return False
    return all(_build_value(text, name) in ("", "None") for name in ("cuda", "hip"))


def _build_value(text: str, name: str) -> str:
    found = re.search(rf"^{name}\b[^=\n]*=\s*(.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else ""


def device_problem(device: str) -> Problem | None:
    """Why a run cannot have the device it asks for; None when it can. "auto" and "cpu" always can."""
    if device == "mps" and not has_mps():
        return _missing("There is no Apple GPU on this computer.")
    if not device.startswith("cuda"):
        return None
    state = cuda_state()
    if state.gpus and torch_is_cpu_only():
        return _missing("There is a GPU, but the installed torch is a CPU-only build; `studio doctor` says how to change that.")
    if not state.gpus:
        why = "there is a driver, but it offers none" if state.driver_version else "there is no NVIDIA driver"
        return _missing(f"A GPU was asked for and none was found ({why}).")
    index = int(device.partition(":")[2] or 0)
    if index >= len(state.gpus):
        last = len(state.gpus) - 1
        return error("training.device", f"“{device}” does not exist; the last GPU here is cuda:{last}. Set the device to cuda:{last}.")
    return None


def _missing(why: str) -> Problem:
    return error("training.device", f"{why} Set the device to cpu, or to auto for the best that is here.")


def num_cores() -> int:
    """Logical ones that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
