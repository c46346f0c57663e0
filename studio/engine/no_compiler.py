"""Keeps torch's compiler out of a process that compiles nothing.

torchvision's import and every optimiser's first step load `torch._dynamo`, and with it sympy, inductor and torch.distributed: 1.2 s of the
4 s from a cold start to the first step, and 120 MB. All they want of it in eager mode is that it does nothing. So a placeholder stands in
its place, which steps aside for the real package at the first question that it cannot answer (`torch.compile` asks such questions).
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

_NAME = "torch._dynamo"


def keep_compiler_out() -> None:
    """Put the placeholder where the compiler is not loaded yet. Call after torch is imported, before anything that builds on it."""
    if _NAME in sys.modules:
        return
    import torch

    compiler, utils = ModuleType(_NAME), ModuleType(f"{_NAME}.utils")
    compiler.__path__ = [str(Path(torch.__file__).parent / "_dynamo")]
    compiler.utils, utils.is_compile_supported = utils, lambda _device: False
    compiler.disable, compiler.graph_break = _undecorated, lambda *_, **__: None
    compiler.__getattr__ = lambda name: getattr(_real(name), name)
    utils.__getattr__ = lambda name: getattr(_real(name).utils, name)
    sys.modules[_NAME], sys.modules[f"{_NAME}.utils"] = compiler, utils


def _undecorated(function: Any = None, *_args: Any, **_options: Any) -> Any:
    """As `torch._dynamo.disable`, both as a decorator and as one with arguments."""
    return function if function is not None else _undecorated


def _real(name: str) -> ModuleType:
    """The real package in the placeholder's stead. Names like `__file__` are asked of every module by `inspect`: those are not wishes."""
    if name.startswith("__"):
        raise AttributeError(name)
    for module in [key for key in sys.modules if key == _NAME or key.startswith(f"{_NAME}.")]:
        del sys.modules[module]
    real = importlib.import_module(_NAME)
    sys.modules["torch"]._dynamo = real
    return real
