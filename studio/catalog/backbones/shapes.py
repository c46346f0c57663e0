"""Networks of shapes without values, on torch's meta device.

There torch works out a batch norm or a draw of weights operation by operation, in Python, though neither changes a shape: two thirds of
the time of ResNet-50. Here they are left out. Imports torch inside functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def _calls_through(handle: Callable[..., Any]) -> Iterator[None]:
    """Inside, this thread's calls of torch's functions go to `handle(func, args, kwargs)`; inside of that they are as they were."""
    from torch.overrides import TorchFunctionMode

    class Mode(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            return handle(func, args, kwargs or {})

    with Mode():
        yield


@contextmanager
def parameters_on_meta() -> Iterator[None]:
    """Inside, new parameters have shapes and no values: any network builds in milliseconds.

    `torch.device("meta")` would also move the small tensors that constructors compute with (RegNet's widths) and break them.
    """
    import torch
    from torch.nn import init

    allocations = {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full}
    draws = {torch.Tensor.normal_, torch.Tensor.uniform_, init.normal_, init.uniform_, init.kaiming_uniform_}

    def handle(func, args, kwargs):
        if func in allocations:
            return func(*args, **(kwargs | {"device": "meta"}))
        if func in draws and (tensor := args[0] if args else kwargs["tensor"]).is_meta:
            return tensor
        return func(*args, **kwargs)

    with _calls_through(handle):
        yield


@contextmanager
def shapes_alone() -> Iterator[None]:
    """Inside, a pass of images without values finds shapes and nothing else: for what is counted by operation or kept for gradients it is of no use."""
    from torch.nn import functional

    def handle(func, args, kwargs):
        if func is functional.batch_norm and args[0].is_meta:
            return args[0].detach()  # another tensor, as who follows them by identity expects
        return func(*args, **kwargs)

    with _calls_through(handle):
        yield
