"""Names of layers by pattern: `*` and `?` as in file names, and no dot needs to be written out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from studio.core.path_text import shown
from studio.core.problem import BadInput, error


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that a pattern means, without those inside of others: "backbone.layer1.*" gives the blocks, not their weights too.

    A pattern may leave out "backbone.". Raises BadInput when it means nothing: a mistyped pattern must not pass for a plan.
    """
    everything = list(names)
    found = [name for name in everything if any(fnmatchcase(name, wish) for wish in (pattern, f"backbone.{pattern}"))]
    if not found:
        some = ", ".join(everything[:4])
        raise BadInput(error("model.layers", f"“{shown(pattern)}” matches no layer of this network. Layers are, for example, {some}."))
    chosen = set(found)
    return [name for name in found if not any(around in chosen for around in _around(name))]


def with_patterns(layers: dict[str, str], freeze: Sequence[str], train: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """The wishes of `model.layers` with those of patterns on top; later patterns win. Raises BadInput with every pattern that means nothing."""
    wishes, problems = dict(layers), []
    for patterns, state in ((freeze, "frozen"), (train, "train")):
        for pattern in patterns:
            try:
                wishes |= dict.fromkeys(matching(pattern, names), state)
            except BadInput as exc:
                problems += exc.problems
    if problems:
        raise BadInput(*problems)
    return wishes


def _around(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]
