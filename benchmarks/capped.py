"""Which processor a benchmark runs on, and `--avx2`: the same benchmark as a processor without AVX-512 and matrix units would run it."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import sys
from pathlib import Path

CAPPED = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}


def obey_cap() -> str:
    """Start this program again with the instruction set capped where `--avx2` is asked for; words for the title. Call before torch is loaded."""
    if "--avx2" not in sys.argv:
        return ""
    sys.argv.remove("--avx2")
    if any(os.environ.get(name) != value for name, value in CAPPED.items()):
        module = sys.modules["__main__"].__spec__.name
        os.execve(sys.executable, [sys.executable, "-m", module, *sys.argv[1:], "--avx2"], os.environ | CAPPED)
    return ", instruction set capped to AVX2"


def has_fast_bf16() -> bool:
    """Whether the processor has units for bf16 and may use them: the limits of speed are others then."""
    if any(os.environ.get(name) == value for name, value in CAPPED.items()):
        return False
    with contextlib.suppress(OSError):
        return bool(re.search(r"\b(amx_bf16|avx512_bf16|bf16)\b", Path("/proc/cpuinfo").read_text()))
    return False


def limit(with_bf16: float, with_avx2: float) -> str:
    """The limit that counts for this processor, and the other one."""
    here, there, other = (with_bf16, with_avx2, "with AVX2") if has_fast_bf16() else (with_avx2, with_bf16, "with fast bf16")
    return f"{here:g} ({other} {there:g})"


def processor() -> str:
    """Its name and the instructions that torch uses, for people."""
    import torch

    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        if found := re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M):
            name = found[1].strip()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}, {'fast bf16' if has_fast_bf16() else 'no units for bf16'}"
