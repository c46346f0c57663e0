"""Cutting a network into stages: the layers that are frozen or trained together.

The cut follows what the literature calls a stage: it begins where the feature map gets smaller. Networks whose blocks all keep
the size (ViT) get one stage per block, and so do the Inception modules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from studio.catalog.backbones.backbone import Stage

if TYPE_CHECKING:
    from torch import nn

HEAD = "head"
_OWN_STAGE = ("EncoderBlock", "Inception", "InceptionA", "InceptionB", "InceptionC", "InceptionD", "InceptionE")
_EXPANDED = ("Sequential", "ModuleList", "Encoder")
_POOLS = ("MaxPool2d", "AvgPool2d")
_SMALLER_BY_NAME = ("PatchMerging", "PatchMergingV2")


def group_by_size(backbone: nn.Module) -> list[tuple[str, list[str]]]:
    """Stage names and, for each, the prefixes of the parameters in it, from the modules in the order they are declared in."""
    units = list(_units(backbone, ""))
    has_own = any(_is_own(module) for _, module in units)
    has_blocks = any(_is_block(module) for _, module in units)
    count = 0 if has_blocks else 1
    num_dense = 0
    groups: list[tuple[str, list[str]]] = [("stem" if has_blocks else "stage 1", [])]
    is_closed = False  # a pooling layer ended the stage
    for prefix, module in units:
        members = groups[-1][1]
        if not _has_parameters(module):
            is_closed |= bool(members) and _makes_smaller(module)
            continue
        is_stem, is_dense = len(groups) == 1 and has_blocks, type(module).__name__ == "Linear"
        if has_own and is_stem:
            begins = _is_own(module)  # all before the first block of its own is the stem
        else:
            begins = is_closed or is_dense or _is_own(module) or _makes_smaller(module) or (is_stem and _is_block(module))
        if members and begins:
            num_dense += is_dense
            count += not is_dense
            groups.append((f"dense {num_dense}" if is_dense else _title(prefix, module, count), []))
        groups[-1][1].append(prefix)
        is_closed = False
    return groups


def merge_same_size(backbone: nn.Module, groups: list[list[str]]) -> list[list[str]]:
    """Joins groups of parameter names that keep the size of the feature map to the one before; the first two stay apart."""
    groups = _with_last_norm(backbone, groups)
    modules = dict(backbone.named_modules())
    smaller = [any(_makes_smaller(modules[n.rpartition(".")[0]], deep=False) for n in group) for group in groups]
    if len(groups) <= 6 or sum(smaller[1:]) < 2:
        return groups
    merged = groups[:2]
    for group, begins in zip(groups[2:], smaller[2:], strict=True):
        if begins:
            merged.append(list(group))
        else:
            merged[-1] = merged[-1] + list(group)
    return merged


def _with_last_norm(backbone: nn.Module, groups: list[list[str]]) -> list[list[str]]:
    """A last group that is only a normalisation layer or two (ConvNeXt's) belongs to the stage it normalises."""
    if len(groups) > 2 and len(groups[-1]) <= 4 and all(backbone.get_parameter(n).ndim == 1 for n in groups[-1]):
        return [*groups[:-2], groups[-2] + groups[-1]]
    return groups


def make_stages(backbone: nn.Module, head: nn.Module, groups: list[tuple[str, list[str]]]) -> tuple[Stage, ...]:
    """The stages of `nn.Sequential(backbone=…, head=…)`. `groups` hold prefixes of parameter names of the backbone.

    Parameters under no prefix (class tokens, position embeddings) belong to the first stage.
    """
    owner: dict[str, int] = {}
    prefixes = {prefix: index for index, (_, members) in enumerate(groups) for prefix in members}
    for name, _ in backbone.named_parameters():
        owner[name] = _index_of(name, prefixes)
    modules: list[list[str]] = [[] for _ in groups]
    _place_modules(backbone, "", owner, modules, 0)
    stages = [
        Stage(title, tuple(f"backbone.{n}" for n in owner if owner[n] == index), tuple(f"backbone.{n}" for n in modules[index]))
        for index, (title, _) in enumerate(groups)
    ]
    stages = [stage for stage in stages if stage.parameter_names]
    stages.append(Stage(HEAD, tuple(f"head.{n}" for n, _ in head.named_parameters()), ("head",)))
    return tuple(stages)


def _index_of(name: str, prefixes: Mapping[str, int]) -> int:
    while name:
        if name in prefixes:
            return prefixes[name]
        name = name.rpartition(".")[0]
    return 0


def _place_modules(module: nn.Module, prefix: str, owner: Mapping[str, int], placed: list[list[str]], previous: int) -> int:
    """Gives each largest module that lies in one stage to that stage; modules without parameters go with the one before."""
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        found = {owner[f"{path}.{n}"] for n, _ in child.named_parameters() if f"{path}.{n}" in owner}
        if len(found) > 1:
            previous = _place_modules(child, f"{path}.", owner, placed, previous)
        else:
            previous = found.pop() if found else previous
            placed[previous].append(path)
    return previous


def _units(module: nn.Module, prefix: str) -> Iterable[tuple[str, nn.Module]]:
    """Layers and blocks in order, with plain containers opened. A nested run of plain layers stays one unit."""
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        is_container = type(child).__name__ in _EXPANDED and name != "stem"
        is_nested = "." in path and type(module).__name__ != "Encoder"
        if is_container and (not is_nested or any(_has_parameters(g) for c in child.children() for g in c.children())):
            yield from _units(child, f"{path}.")
        else:
            yield path, child


def _has_parameters(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None


def _makes_smaller(module: nn.Module, deep: bool = True) -> bool:
    """Whether a layer in it has a stride above 1."""
    for layer in module.modules() if deep else (module,):
        kind = type(layer).__name__
        if kind in _SMALLER_BY_NAME:
            return True
        is_layer = "Conv2d" in kind or kind in _POOLS
        stride = getattr(layer, "stride", 1) if is_layer else 1
        if (max(stride) if isinstance(stride, tuple) else stride) not in (1, None, ""):
            return True
    return False


def _is_own(module: nn.Module) -> bool:
    return type(module).__name__ in _OWN_STAGE


def _is_block(module: nn.Module) -> bool:
    return any(_has_parameters(child) for child in module.children())


def _title(prefix: str, module: nn.Module, count: int) -> str:
    """ "inception4a" -> "inception 4a", "Mixed_6b" -> "mixed 6b", "encoder_layer_3" -> "block 4", others "stage 2"."""
    kind = type(module).__name__
    if kind == "EncoderBlock":
        return f"block {count}"
    if _is_own(module):
        return re.sub(r"[ _]+", " ", re.sub(r"(?<=[a-z])(?=\d)", " ", prefix.rpartition(".")[2])).lower()
    return f"stage {count}"
