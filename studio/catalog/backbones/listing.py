"""The list of all backbones, kept as JSON so that the window can show it without loading any library."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from pathlib import Path

from studio.catalog.backbones import installed
from studio.catalog.backbones.backbone import BackboneInfo
from studio.catalog.backbones.sources import SOURCES, source_of
from studio.core.file import write_atomically
from studio.core.json_text import parse_json
from studio.core.place import cache_dir

_FORMAT = 9  # raised when BackboneInfo or the way it is filled changes


def list_backbones() -> tuple[BackboneInfo, ...]:
    """Every backbone of every source. Imports torch the first time (seconds); later answers come from the cache."""
    found = _read_cache()
    if found is None:
        infos = tuple(info for source in SOURCES for info in source.infos())
        content = {"versions": _versions(), "backbones": [asdict(info) for info in infos]}
        write_atomically(_cache_file(), json.dumps(content, ensure_ascii=False).encode())
        found = _with_installed(infos)
    return found


def cached_backbones() -> tuple[BackboneInfo, ...]:
    """The list as it was found before with these library versions; the bundled backbone alone where there is none.

    Imports no library; takes milliseconds.
    """
    return _read_cache() or _with_installed(SOURCES[0].infos())


def _read_cache() -> tuple[BackboneInfo, ...] | None:
    try:
        content = parse_json(_cache_file().read_bytes())
        if content["versions"] != _versions():
            return None
        return _with_installed(tuple(_from_json(raw) for raw in content["backbones"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def backbone_info(source: str, name: str) -> BackboneInfo:
    """One entry. Raises BadInput for an unknown source or name. May import torch."""
    return source_of(source).info(name)


def _with_installed(infos: tuple[BackboneInfo, ...]) -> tuple[BackboneInfo, ...]:
    local = tuple(replace(i, is_installed=source_of(i.source).weights_path(i) is not None) for i in infos if i.weights_url is None)
    return local + installed.mark_installed(tuple(info for info in infos if info.weights_url is not None))


def _from_json(raw: dict) -> BackboneInfo:
    if set(raw) != {f.name for f in fields(BackboneInfo)}:
        raise ValueError("another format")
    return BackboneInfo(**{**raw, "mean": tuple(raw["mean"]), "std": tuple(raw["std"])})


def _versions() -> dict[str, str]:
    return {"format": str(_FORMAT)} | {source.KEY: source.version() for source in SOURCES}


def _cache_file() -> Path:
    return cache_dir() / "backbones.json"
