"""Networks of shapes without values, in half the time."""

from __future__ import annotations

from collections.abc import Callable

import pytest


def _left_as_it_is_on_meta(real: Callable) -> Callable:
    return lambda tensor, *args, **more: tensor if tensor.is_meta else real(tensor, *args, **more)


@pytest.fixture(scope="package", autouse=True)
def plain_shapes():
    """A batch norm and a draw of weights keep the shape of a tensor: on the meta device torch works that out operation by operation, in Python."""
    import torch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "batch_norm", _left_as_it_is_on_meta(torch.nn.functional.batch_norm))
        patch.setattr(torch.Tensor, "normal_", _left_as_it_is_on_meta(torch.Tensor.normal_))
        patch.setattr(torch.Tensor, "uniform_", _left_as_it_is_on_meta(torch.Tensor.uniform_))
        yield
