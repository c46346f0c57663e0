"""A backbone as its source hands it over, and the refusal of names that no source knows."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from studio.core.path_text import shown
from studio.core.problem import BadInput, error

if TYPE_CHECKING:
    from torch import nn

Tensors = dict[str, Any]  # names to torch tensors


def _as_they_are(tensors: Tensors) -> Tensors:
    return tensors


@dataclass(frozen=True, slots=True)
class Body:
    """`module(images_NCHW)` gives features_NF with F = `num_features`; there is no classifier.

    `groups` are stage names with prefixes of parameter names, in execution order. `classifier` are the prefixes under which the
    library's weights hold the classifier that is replaced. `translate` turns the library's names and shapes into this module's.
    """

    module: nn.Module
    num_features: int
    groups: list[tuple[str, list[str]]]
    classifier: tuple[str, ...]
    translate: Callable[[Tensors], Tensors] = field(default=_as_they_are)


def unknown_name(library: str, name: str, known: Iterable[str]) -> BadInput:
    near = difflib.get_close_matches(name, list(known), n=3)
    hint = f" Did you mean {', '.join(near)}?" if near else " `studio weights list` shows them."
    return BadInput(error("model.backbone", f"{library} has no backbone “{shown(name)}”.{hint}"))
