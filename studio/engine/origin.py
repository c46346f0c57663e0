"""What the bits of a run depend on besides its experiment, kept with every checkpoint, so that a resume can say what is different now."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
from importlib import metadata
from typing import Any

from studio import __version__
from studio.core.reading import DECODING
from studio.dataset.dataset import Dataset

_PACKAGES = ("torch", "torchvision", "timm", "albumentations", "opencv-python-headless", "numpy", "Pillow", "safetensors")

_MAY_BE_DEEP = (".png", ".tif", ".tiff")


@functools.cache
def package_versions() -> dict[str, str]:
    found = {"Studio": __version__, "Python": platform.python_version()}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def origin_of(device_name: str, num_threads: int) -> dict[str, Any]:
    """`num_threads` as torch counts them: sums over threads end at other bits when there are more of them."""
    return {
        "versions": package_versions(),
        "machine": platform.machine(),
        "device": device_name,
        "threads": num_threads,
        "decoding": DECODING,
    }


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What is different, in words: "torch 2.9.0 is now 2.10.0". Nothing where an older Studio kept no origin."""
    if not before:
        return []
    found = [
        f"{name} {old} is now {now['versions'].get(name, 'not there')}"
        for name, old in before.get("versions", {}).items()
        if now["versions"].get(name) != old
    ]
    for key, words in (
        ("device", "the device {} is now {}"),
        ("threads", "{} threads are now {}"),
        ("machine", "the processor {} is now {}"),
    ):
        if before.get(key) not in (None, now[key]):
            found.append(words.format(before[key], now[key]))
    return found


def other_decoding(dataset: Dataset, before: dict[str, Any]) -> str:
    """In words, when files of the data set may become other pixels than before. Rules 1 kept no number; 1, 2 and 3 differ in files of 16 bits
    for each colour or ink, of which the list of images does not tell."""
    samples = (*dataset.samples, *dataset.synthetic)
    if before.get("decoding", 1) == DECODING or not any(sample.id.lower().endswith(_MAY_BE_DEEP) for sample in samples):
        return ""
    return "PNG and TIFF files of 16 bits per colour, where there are such, are decoded to other pixels now"


def changed_files(dataset: Dataset) -> list[str]:
    """Ids of images whose size or time is no longer as listed. A missing one is not changed: it is reported when it is missed."""
    found = []
    for sample in dataset.samples:
        try:
            info = os.stat(dataset.path_of(sample))
        except (OSError, ValueError):
            continue
        if (info.st_size, info.st_mtime_ns) != (sample.num_bytes, sample.mtime_ns):
            found.append(sample.id)
    return found


def other_images(dataset: Dataset, fingerprint: str | None) -> str:
    """In words, when the list of images is not the one that the checkpoint was trained on."""
    if fingerprint in (None, dataset.fingerprint()):
        return ""
    return "the list of images is another one"
