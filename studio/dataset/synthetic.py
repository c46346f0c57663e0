"""Folders of made images: one sub-folder per class, found and checked like all others, and kept apart from them. They are only trained on."""

from __future__ import annotations

import os
from collections.abc import Callable

from studio.core.experiment import Data
from studio.core.path_text import path_to_text, shown, text_to_path
from studio.core.problem import Problem, error, note, warning
from studio.core.words import counted
from studio.dataset.dataset import Sample, SetAside
from studio.dataset.header import ImageRefused, read_header
from studio.dataset.layout import may_be_image
from studio.dataset.walk import Listing, list_files
from studio.dataset.words import listed


def without_synthetic(listing: Listing, folders: tuple[str, ...], source: str) -> None:
    """Take the synthetic folders that lie inside the source out of its listing."""
    inside = [prefix for folder in folders if (prefix := _inside(folder, source))]
    if inside:
        listing.files[:] = [(id_, path) for id_, path in listing.files if not _below(id_, inside)]
        listing.folders[:] = [id_ for id_ in listing.folders if not _below(id_, inside)]


def synthetic_samples(
    data: Data, source: str, classes: tuple[str, ...], is_cancelled: Callable[[], bool] | None = None
) -> tuple[tuple[Sample, ...], list[SetAside], list[Problem]]:
    """The usable made images of known classes, ids being absolute paths in text form; what is not used, and why."""
    samples: list[Sample] = []
    set_aside: list[SetAside] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    for folder in data.synthetic:
        path = os.path.join(source, text_to_path(folder))
        name = shown(folder)
        if os.path.realpath(path) == os.path.realpath(source):
            problems.append(
                error("data.synthetic", "The folder of the images itself is marked synthetic. Mark a folder inside it, or another one.")
            )
            continue
        try:
            listing = list_files(os.path.abspath(path), is_cancelled=is_cancelled)
        except OSError as exc:
            reason = "is not there" if isinstance(exc, (FileNotFoundError, NotADirectoryError)) else f"cannot be read ({exc.strerror})"
            problems.append(error("data.synthetic", f"The synthetic folder “{name}” {reason}. Choose it again, or take it off the list."))
            continue
        unknown: dict[str, int] = {}
        num_before = len(samples)
        for id_, file in listing.files:
            label, _, rest = id_.partition("/")
            own = path_to_text(file)
            if not rest or not may_be_image(id_) or own in seen:
                continue
            if label not in classes:
                unknown[label] = unknown.get(label, 0) + 1
                continue
            try:
                header = read_header(file, max_megapixels=data.max_megapixels)
            except ImageRefused as exc:
                set_aside.append(SetAside(own, exc.reason))
                continue
            seen.add(own)
            samples.append(Sample(own, label, "train", header.width, header.height, header.num_bytes, header.mtime_ns, header.num_bands))
        if unknown:
            what = f"{counted(sum(unknown.values()), 'image')} of classes that the real images do not have: {listed(sorted(unknown), 3)}"
            problems.append(note("data.synthetic", f"In the synthetic folder “{name}” are {what}. They are not used."))
        if len(samples) == num_before:
            problems.append(
                warning("data.synthetic", f"The synthetic folder “{name}” holds no image of a known class in one sub-folder per class.")
            )
    return tuple(samples), set_aside, problems


def _inside(folder: str, source: str) -> str:
    """The id of a synthetic folder relative to the source; empty where it lies elsewhere."""
    path = os.path.normpath(os.path.join(source, text_to_path(folder)))
    relative = os.path.relpath(path, source)
    return "" if relative.startswith("..") or relative == "." or os.path.isabs(relative) else path_to_text(relative).replace(os.sep, "/")


def _below(id_: str, folders: list[str]) -> bool:
    return any(id_ == folder or id_.startswith(f"{folder}/") for folder in folders)
