"""The libraries that backbones come from. A new source is one module with these functions and one line in `SOURCES`.

KEY, TITLE                        what experiments and people call it
version() -> str                  of the library, without importing it
infos() -> tuple[BackboneInfo]    every entry, from metadata; builds nothing; `is_installed` is left False
info(name) -> BackboneInfo        one entry; BadInput for an unknown name
weights_path(info) -> Path|None   where its weights are on this computer
build(name, input_size, weights=None) -> Body   without classifier; random weights, or those of the file, all of them
"""

from __future__ import annotations

from types import ModuleType

from studio.catalog.backbones import bundled, timm_, torchvision_
from studio.core.problem import BadInput, error

SOURCES: tuple[ModuleType, ...] = (bundled, torchvision_, timm_)


def source_of(key: str) -> ModuleType:
    for source in SOURCES:
        if key == source.KEY:
            return source
    known = ", ".join(source.KEY for source in SOURCES)
    raise BadInput(error("model.source", f"There is no source “{key}”; the sources are {known}."))
