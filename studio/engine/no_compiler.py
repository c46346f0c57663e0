"""torch as a process needs it that trains and compiles nothing: without its compiler, and without the kernels for tensors that have no values.

torchvision's import and every optimiser's first step load `torch._dynamo`, and with it sympy, inductor and torch.distributed: 1.2 s of the
4 s from a cold start to the first step, and 120 MB. All they want of it in eager mode is that it does nothing. So a placeholder stands in
its place, which steps aside for the real package at the first question that it cannot answer (`torch.compile` asks such questions).

torch's own import ends with `torch._meta_registrations`, which brings decompositions and references: 0.25 of 1.4 s. They are wanted where a
compiler looks at a function, and on the device "meta"; who makes tensors there imports that module. Only for versions of torch with which
this was tried; another may want more of it at once.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

_NAME = "torch._dynamo"
_SHAPES = "torch._meta_registrations"
_WITH_SHAPES = ("torch._decomp", "torch._refs")  # that it brings
_TRIED = "2.14."


def load_torch() -> ModuleType:
    """torch. What builds on it comes after; where it is loaded already, only what is not there yet is kept out."""
    if "torch" not in sys.modules and _was_tried():
        _load_without_shapes()
    import torch

    _keep_compiler_out()
    return torch


def _was_tried() -> bool:
    with contextlib.suppress(PackageNotFoundError):
        return version("torch").startswith(_TRIED)
    return False


def _load_without_shapes() -> None:
    sys.modules[_SHAPES] = ModuleType(_SHAPES)
    try:
        import torch
    finally:
        del sys.modules[_SHAPES]
    del torch._meta_registrations  # the placeholder
    importlib.import_module("torch._prims")  # completes random generators; it would have come along
    asked = torch.__getattr__

    def look_up(name: str) -> Any:
        path = f"torch.{name}"
        if path not in _WITH_SHAPES or path in sys.modules:  # being loaded
            return asked(name)
        return importlib.import_module(path)

    torch.__getattr__ = look_up
    sys.meta_path.insert(0, _InOrder())


class _InOrder:
    """Modules that import one another in a circle can be entered at one place only, which is the one where torch enters them."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in _WITH_SHAPES or _SHAPES in sys.modules:
            return None
        importlib.import_module(_SHAPES)
        module = sys.modules[name]
        self._own = module.__spec__
        module.__spec__ = ModuleSpec(name, self)  # says that it is there already; with its own it would be loaded a second time
        return module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own


def _keep_compiler_out() -> None:
    """Put the placeholder where the compiler is not loaded yet."""
    if _NAME in sys.modules:
        return
    import torch

    compiler, utils, rules = ModuleType(_NAME), ModuleType(f"{_NAME}.utils"), ModuleType(f"{_NAME}.trace_rules")
    compiler.__path__ = [str(Path(torch.__file__).parent / "_dynamo")]
    compiler.utils, utils.is_compile_supported = utils, lambda _device: False
    compiler.trace_rules, rules.clear_lru_cache = rules, lambda: None  # where processes meet: 4 s of each
    compiler.disable, compiler.graph_break = _undecorated, lambda *_, **__: None
    compiler.__getattr__ = lambda name: getattr(_real(name), name)
    utils.__getattr__ = lambda name: getattr(_real(name).utils, name)
    rules.__getattr__ = lambda name: getattr(_real(name).trace_rules, name)
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
    importlib.import_module(_SHAPES)  # a compiler computes with shapes
    real = importlib.import_module(_NAME)
    sys.modules["torch"]._dynamo = real
    return real
