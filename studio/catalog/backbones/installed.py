"""Which weights are on this computer: Studio's own folder, and what other programs of the user have already downloaded."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from studio.catalog.backbones.backbone import BackboneInfo
from studio.core.place import weights_dir

_HUB = "https://huggingface.co/"


def destination(info: BackboneInfo) -> Path:
    """Where Studio puts the weights of `info`: a file name that says which weights these are."""
    return weights_dir() / info.source / _own_name(info)


def find(info: BackboneInfo) -> Path | None:
    """The weights of `info` on this computer, or None."""
    if info.weights_url is None:
        return None
    hub_id, name = _hub_id(info), _name_in_url(info)
    elsewhere = _in_hub_cache(hub_id, name) if hub_id else [_torch_home() / "hub" / "checkpoints" / name]
    candidates = [destination(info), *elsewhere]
    return next((path for path in candidates if os.path.isfile(path)), None)  # Path.is_file raises where a folder may not be read


def mark_installed(infos: tuple[BackboneInfo, ...]) -> tuple[BackboneInfo, ...]:
    """`infos` with `is_installed` as it is now, and the size of what is there. Looks at each folder once, as there are thousands of entries."""
    own = {name: set(_names_in(weights_dir() / name)) for name in _names_in(weights_dir())}
    torch_files, hub_folders = set(_names_in(_torch_home() / "hub" / "checkpoints")), set(_names_in(_hub_cache()))

    def marked(info: BackboneInfo) -> BackboneInfo:
        if info.weights_url is None:
            return info
        hub_id = _hub_id(info)
        elsewhere = _hub_folder(hub_id) in hub_folders if hub_id else _name_in_url(info) in torch_files
        path = find(info) if elsewhere or _own_name(info) in own.get(info.source, ()) else None
        if path is None:
            return replace(info, is_installed=False) if info.is_installed else info
        return replace(info, is_installed=True, weights_bytes=info.weights_bytes or _size(path))

    return tuple(map(marked, infos))


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _names_in(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _own_name(info: BackboneInfo) -> str:
    name = _name_in_url(info)
    return f"{info.name}.{name.rpartition('.')[2]}" if _hub_id(info) else name  # every file there is named "model.safetensors"


def _name_in_url(info: BackboneInfo) -> str:
    return (info.weights_url or "").partition("?")[0].rpartition("/")[2]


def _hub_id(info: BackboneInfo) -> str | None:
    """ "timm/resnet18.a1_in1k" for weights on the Hugging Face hub, else None."""
    url = info.weights_url or ""
    return "/".join(url.removeprefix(_HUB).split("/")[:2]) if url.startswith(_HUB) else None


def _in_hub_cache(hub_id: str, file_name: str) -> list[Path]:
    snapshots = _hub_cache() / _hub_folder(hub_id) / "snapshots"
    return [snapshots / revision / file_name for revision in sorted(_names_in(snapshots))]


def _hub_folder(hub_id: str) -> str:
    return f"models--{hub_id.replace('/', '--')}"


def _hub_cache() -> Path:
    return Path(os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME") or _cache_home() / "huggingface") / "hub")


def _torch_home() -> Path:
    return Path(os.environ.get("TORCH_HOME") or _cache_home() / "torch")


def _cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
