"""The device a run computes on: what was asked for, or a sentence why not. Never something else in silence."""

from __future__ import annotations

import os
import platform

import numpy as np
import torch

from studio.core.device import cuda_state
from studio.core.problem import BadInput, error
from studio.core.words import counted


def choose_device(asked: str) -> torch.device:
    """The device for "auto", "cpu", "cuda", "cuda:1" or "mps". Raises BadInput when it is not there."""
    has_mps = torch.backends.mps.is_available()
    if asked == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "mps" if has_mps else "cpu")
    if asked == "mps" and not has_mps:
        raise BadInput(error("training.device", "There is no Apple GPU here. Set the device to auto or cpu."))
    if asked.startswith("cuda"):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        index = int(asked.partition(":")[2] or 0)
        if count == 0:
            raise BadInput(error("training.device", _why_no_gpu(asked)))
        if index >= count:
            names = ", ".join(f"cuda:{i}" for i in range(count))
            raise BadInput(error("training.device", f"There is no GPU “{asked}” here. Choose one of {names}."))
        return torch.device("cuda", index)
    return torch.device(asked)


def _why_no_gpu(asked: str) -> str:
    """Why torch has none, in a sentence with a way out."""
    found = cuda_state()
    if found.gpus and torch.version.cuda is None:
        why = f"There is a GPU, but the installed torch is made for the CPU, and “{asked}” was asked for."
    elif found.gpus:
        versions = f"(for CUDA {found.driver_version} and {torch.version.cuda})"
        why = f"The GPU's driver and the installed torch do not fit together {versions}, and “{asked}” was asked for."
    else:
        return f"No GPU was found, and “{asked}” was asked for. Set the device to auto or cpu, or check the driver."
    return f"{why} Set the device to auto or cpu; `studio doctor` says what fits."


def device_name(device: torch.device) -> str:
    """For people: "NVIDIA H200", "CPU, 2 threads"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU"
    threads = torch.get_num_threads()
    return f"CPU, {counted(threads, 'thread')}"


def device_key(device: torch.device) -> str:
    """What a measurement on this device depends on: processor, its instruction set, threads, versions."""
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return f"{torch.cuda.get_device_name(device)} {major}.{minor}, torch {torch.__version__}"
    isa = torch.backends.cpu.get_cpu_capability()
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "")
    return (
        f"{device.type}, {platform.machine()}, {_cpu_model()}, {isa}{limit}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as f:
            return next((line.partition(":")[2].strip() for line in f if line.startswith("model name")), platform.processor())
    except OSError:
        return platform.processor()


def to_device(values: np.ndarray | torch.Tensor, device: torch.device) -> torch.Tensor:
    """On the device, without waiting for it: a GPU fetches it from a pinned copy while the program goes on."""
    tensor = torch.as_tensor(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def seed_draws(seed: int, device: torch.device) -> None:
    """Seed what is random in a step on the processor and on the device. `torch.manual_seed` would also book the seed for every other kind of
    device, with a trace of who asked, at 1.3 ms and some memory that is never freed."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
