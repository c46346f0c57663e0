"""What the modules of every stage give while one image passes through a network, and which of it is what the stage gives to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studio.catalog.backbones.shapes import shapes_alone

if TYPE_CHECKING:
    from torch import nn

    from studio.catalog.backbones.backbone import Stage


@dataclass(frozen=True, slots=True)
class Given:
    """That a module of a stage has ended, and with what: a tensor, or several of them."""

    stage: int
    module: str
    output: Any


def pass_image(network: nn.Module, stages: Sequence[Stage], input_size: int) -> list[Given]:
    """One image without values through `network`, in eval mode: the modules of the stages in the order in which they ended."""
    import torch

    given: list[Given] = []
    handles = []
    for index, stage in enumerate(stages):
        for name in stage.module_names:

            def note(_module, _inputs, output, index=index, name=name) -> None:
                given.append(Given(index, name, output))

            handles.append(network.get_submodule(name).register_forward_hook(note))
    try:
        with torch.no_grad(), shapes_alone():
            network.eval()(torch.empty(1, 3, input_size, input_size, device="meta"))
    finally:
        for handle in handles:
            handle.remove()
    return given


def before_the_next(given: Sequence[Given], stage: int) -> list[tuple[int, Given]]:
    """What a stage gave before a later one began, each with its place in `given`; empty where it runs beside others."""
    end = next((i for i, each in enumerate(given) if each.stage > stage), len(given))
    return [(i, each) for i, each in enumerate(given[:end]) if each.stage == stage]


def last_output(mine: Sequence[tuple[int, Given]]) -> tuple[int, Given] | None:
    """The last vector, tokens or feature map among what a stage gave, without what pooling has made of it; None where it gives several at once."""
    tensors = [each for each in mine if hasattr(each[1].output, "shape") and each[1].output.ndim in (2, 3, 4)]
    if not tensors:
        return None
    deepest = max(each.output.ndim for _, each in tensors)
    tensors = [each for each in tensors if each[1].output.ndim == deepest]
    wide = [each for each in tensors if deepest < 4 or sum(n > 1 for n in each[1].output.shape[1:]) > 1]
    return (wide or tensors)[-1]


def output_shape(given: Sequence[Given], stage: int) -> tuple[int, ...]:
    """Of one image, without the batch axis; empty where a stage gives several tensors at once."""
    found = last_output(before_the_next(given, stage)) or last_output([(i, each) for i, each in enumerate(given) if each.stage == stage])
    return tuple(found[1].output.shape[1:]) if found else ()
