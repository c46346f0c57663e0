"""Keeps torch's compiler out of a process that compiles nothing.

torchvision's import and every optimiser's first step load `torch._dynamo`, and with it sympy, inductor and torch.distributed: 1.2 s of the
4 s from a cold start to the first step, and 120 MB. All they want of it in eager mode is that it does nothing. Operations on the meta device
(the estimate of a step's memory) load `torch.fx.experimental.symbolic_shapes`, and with it sympy, to join and test plain booleans. So
placeholders stand in their places, which step aside for the real ones at the first question that they cannot answer (`torch.compile` asks
such questions).
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

_DYNAMO = "torch._dynamo"
_SHAPES = "torch.fx.experimental.symbolic_shapes"


def keep_compiler_out() -> None:
    """Put the placeholders where the real ones are not loaded yet. Call after torch is imported, before anything that builds on it."""
    if _DYNAMO not in sys.modules:
        _place_dynamo()
    if _SHAPES not in sys.modules:
        _place_shapes()


def _place_dynamo() -> None:
    import torch

    compiler, utils = ModuleType(_DYNAMO), ModuleType(f"{_DYNAMO}.utils")
    compiler.__path__ = [str(Path(torch.__file__).parent / "_dynamo")]
    compiler.utils, utils.is_compile_supported = utils, lambda _device: False
    compiler.disable, compiler.graph_break = _undecorated, lambda *_, **__: None
    compiler.__getattr__ = lambda name: getattr(_real(compiler, name), name)
    utils.__getattr__ = lambda name: getattr(_real(compiler, name).utils, name)
    sys.modules[_DYNAMO], sys.modules[f"{_DYNAMO}.utils"] = compiler, utils


def _place_shapes() -> None:
    shapes = ModuleType(_SHAPES)

    def for_plain(name: str, function: Any) -> Any:
        """The function where it is asked about plain numbers; otherwise the real one of that name."""

        def asked(*values: Any) -> Any:
            plain = all(isinstance(v, int) for v in values)
            return function(*values) if plain else getattr(_real(shapes, name), name)(*values)

        return asked

    for name in ("expect_true", "guard_or_false", "guard_or_true"):
        setattr(shapes, name, for_plain(name, bool))
    shapes.is_nested_int = for_plain("is_nested_int", lambda _value: False)
    shapes.sym_and = for_plain("sym_and", lambda *values: all(values))
    shapes.sym_or = for_plain("sym_or", lambda *values: any(values))
    shapes.__getattr__ = lambda name: getattr(_real(shapes, name), name)
    sys.modules[_SHAPES] = shapes


def _undecorated(function: Any = None, *_args: Any, **_options: Any) -> Any:
    """As `torch._dynamo.disable`, both as a decorator and as one with arguments."""
    return function if function is not None else _undecorated


def _real(placeholder: ModuleType, name: str) -> ModuleType:
    """The real module in the placeholder's stead. Names like `__file__` are asked of every module by `inspect`: those are not wishes."""
    if name.startswith("__"):
        raise AttributeError(name)
    path = placeholder.__name__
    if sys.modules.get(path) is placeholder:
        for module in [key for key in sys.modules if key == path or key.startswith(f"{path}.")]:
            del sys.modules[module]
    real = importlib.import_module(path)
    package, _, own = path.rpartition(".")
    setattr(sys.modules[package], own, real)
    return real
