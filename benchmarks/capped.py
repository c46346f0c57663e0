"""`--avx2`: the same benchmark as a processor without AVX-512 and matrix units would run it."""

from __future__ import annotations

import os
import sys

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
