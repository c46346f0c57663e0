"""Which weights are on this computer: Studio's own folder, and what other programs of the user have already downloaded."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from studio.catalog.backbones.backbone import BackboneInfo
from studio.core.place import weights_dir


def destination(info: BackboneInfo) -> Path:
    """Where Studio puts the weights of `info`: a file name that says which weights these are."""
    name = Path(urlsplit(info.weights_url or "").path).name
    if _hub_id(info):
        name = f"{info.name}{Path(name).suffix}"
    return weights_dir() / info.source / name


def find(info: BackboneInfo) -> Path | None:
    """The weights of `info` on this computer, or None."""
    if info.weights_url is None:
        return None
    own = destination(info)
    candidates = [own, _torch_home() / "hub" / "checkpoints" / Path(urlsplit(info.weights_url).path).name]
    hub_id = _hub_id(info)
    if hub_id:
        candidates = [own, *_in_hub_cache(hub_id, Path(urlsplit(info.weights_url).path).name)]
    return next((path for path in candidates if path.is_file()), None)


def _hub_id(info: BackboneInfo) -> str | None:
    """"timm/resnet18.a1_in1k" for weights on the Hugging Face hub, else None."""
    address = urlsplit(info.weights_url or "")
    if address.hostname != "huggingface.co":
        return None
    return "/".join(address.path.strip("/").split("/")[:2])


def _in_hub_cache(hub_id: str, file_name: str) -> list[Path]:
    home = Path(os.environ.get("HF_HOME") or _cache_home() / "huggingface")
    root = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    return sorted((root / f"models--{hub_id.replace('/', '--')}" / "snapshots").glob(f"*/{file_name}"))


def _torch_home() -> Path:
    return Path(os.environ.get("TORCH_HOME") or _cache_home() / "torch")


def _cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
