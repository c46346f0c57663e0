"""How to compute again what a layer gave out, from what the backward pass keeps anyway. See engine.lean.

A recipe hangs on the tensor that it describes. Everything is computed by the kernels that made it the first time, so the bits are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import nn

MOST_SUMS = 2  # one on another: the backward pass needs all of them at once, so in stages of many blocks every third is kept
PIECE_BYTES = 2 << 20  # what is looked at once is computed in pieces that lie in the processor's cache
_aten = torch.ops.aten
_EVERYTHING = slice(None)


class Kind(NamedTuple):
    """An activation."""

    run: Callable[[torch.Tensor, bool], torch.Tensor]  # of values, in place or not
    back: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # of the gradient and values
    wants_input: bool  # values of `back` are what the activation is given, or what it gives out


KINDS = {
    nn.ReLU: Kind(nn.functional.relu, lambda gradient, out: _aten.threshold_backward(gradient, out, 0), False),
    nn.ReLU6: Kind(nn.functional.relu6, lambda gradient, out: _aten.hardtanh_backward(gradient, out, 0.0, 6.0), False),
    nn.SiLU: Kind(nn.functional.silu, _aten.silu_backward, True),
    nn.Hardswish: Kind(nn.functional.hardswish, _aten.hardswish_backward, True),
}


class Recipe:
    """`rows` are those of the batch, all unless told."""

    num_sums = 0
    given: torch.Tensor  # of the same shape and layout
    needs: tuple[Recipe, ...] = ()  # whose tensors it is made of
    _version = -1  # of the tensor it hangs on: what was changed since is something else
    _made: torch.Tensor | None = None
    is_wanted = False  # somebody asks for all of it in the backward pass

    def make(self, rows: slice = _EVERYTHING) -> torch.Tensor:
        """In memory of its own."""
        raise NotImplementedError

    def made(self) -> torch.Tensor:
        """Kept until `forget`, or until nobody has this recipe any more."""
        if self._made is None:
            self._made = self.make()
        return self._made

    def look(self, rows: slice = _EVERYTHING) -> torch.Tensor:
        """Not to be changed; kept where somebody will ask for it again."""
        return self.made()[rows] if self.is_kept else self.make(rows)

    @property
    def is_kept(self) -> bool:
        """Whether all of it is there in the backward pass, once it is asked for."""
        return self.is_wanted or self._made is not None

    def forget(self) -> None:
        self._made = None

    def hang_on(self, tensor: torch.Tensor) -> torch.Tensor:
        tensor.recipe, self._version = self, tensor._version
        return tensor


class Normed(Recipe):
    """What a batch norm in training gave out."""

    def __init__(self, given: torch.Tensor, mean: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor):
        self.given, self._mean, self._scale, self._bias = given, mean, scale, bias

    def make(self, rows: slice = _EVERYTHING) -> torch.Tensor:
        """The kernel of evaluation mode, with a variance of one: its arithmetic is then that of training, to the bit."""
        ones = torch.ones_like(self._mean)
        return torch.native_batch_norm(self.given[rows], self._scale, self._bias, self._mean, ones, False, 0.0, 0.0)[0]


class Summed(Recipe):
    """The sum of two tensors, of which one can be computed again; the other too, or the backward pass keeps it for another layer."""

    def __init__(self, *parts: Recipe | torch.Tensor):
        self._parts, self.needs = parts, tuple(part for part in parts if isinstance(part, Recipe))
        self.given, self.num_sums = self.needs[0].given, 1 + max(part.num_sums for part in self.needs)

    def make(self, rows: slice = _EVERYTHING) -> torch.Tensor:
        mine, other = sorted(self._parts, key=lambda part: 2 if isinstance(part, torch.Tensor) else part.is_wanted)
        return mine.make(rows).add_(other[rows] if isinstance(other, torch.Tensor) else other.look(rows))


class Activated(Recipe):
    """What an activation made of something that can be computed again."""

    def __init__(self, before: Recipe, kind: Kind):
        self.before, self.kind, self.needs = before, kind, (before,)
        self.given, self.num_sums = before.given, before.num_sums

    def make(self, rows: slice = _EVERYTHING) -> torch.Tensor:
        return self.kind.run(self.before.make(rows), True)


def recipe_of(tensor: object) -> Recipe | None:
    """Of a tensor that still is what a layer gave out."""
    recipe = getattr(tensor, "recipe", None)
    return recipe if recipe is not None and recipe._version == tensor._version else None


def note_kept(tensor: torch.Tensor) -> None:
    """The backward pass keeps this tensor for some layer, so whoever changed it in place would spoil that too."""
    tensor.kept = tensor._version


def summed(left: torch.Tensor, right: torch.Tensor) -> Summed | None:
    """How to compute their sum again where that spares memory. To be asked before they are added, which may be done in place."""
    parts = [recipe_of(t) or (t.detach() if getattr(t, "kept", None) == t._version else None) for t in (left, right)]
    if any(part is None for part in parts) or not any(isinstance(part, Recipe) for part in parts):
        return None
    is_alike = left.shape == right.shape and left.dtype == right.dtype == torch.float32 and left.stride() == right.stride()
    found = Summed(*parts)
    return found if is_alike and found.num_sums <= MOST_SUMS else None


def in_parts(like: torch.Tensor, compute: Callable[[slice], torch.Tensor]) -> torch.Tensor:
    """What `compute` gives for all rows of a batch, of the shape and layout of `like`, piece by piece."""
    pieces = list(_pieces(like))
    if len(pieces) == 1:
        return compute(_EVERYTHING)
    whole = torch.empty_like(like)
    for rows in pieces:
        whole[rows] = compute(rows)
    return whole


def _pieces(tensor: torch.Tensor) -> Iterator[slice]:
    """At least one image for each thread: some kernels share out images alone."""
    count = max(torch.get_num_threads(), PIECE_BYTES * len(tensor) // max(1, tensor.nbytes))
    return (slice(start, start + count) for start in range(0, len(tensor), count))
