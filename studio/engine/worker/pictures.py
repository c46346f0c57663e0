"""Decoded pictures that a worker keeps: a file that has changed is read again."""

from __future__ import annotations

import os
from functools import lru_cache

import numpy as np

from studio.catalog.augments import shrink_to_working_size
from studio.catalog.augments.view import decoded_view
from studio.core.problem import BadInput
from studio.core.reading import Reading
from studio.dataset.decoded import DecodedCache, budget, content_of, decoded_folder
from studio.dataset.image import ImageRefused, decode, read_bytes
from studio.engine.worker.place import openable, shown_name


def working_picture(path: str, reading: Reading, input_size: int) -> np.ndarray:
    """The picture as training keeps it, uint8[H, W, 3], shrunk to working size: a pipeline makes the same of it as of the whole. Not to be
    written into. Raises BadInput with a sentence."""
    return _working(path, reading, input_size, _stamp(path))


@lru_cache(maxsize=96)  # some 50 MB at the usual input size
def _working(path: str, reading: Reading, input_size: int, stamp: tuple[int, int]) -> np.ndarray:
    kept, view = _decoded(str(decoded_folder()), budget()), decoded_view(input_size, reading, None)
    try:
        data = read_bytes(openable(path))
        image = kept.get(content := content_of(data), view)
        if image is None:
            image = shrink_to_working_size(decode(data, reading), input_size)
            kept.put(content, view, image)
    except ImageRefused as exc:
        raise BadInput(f"{shown_name(path)} cannot be shown: {exc.reason}.") from None
    return image


@lru_cache(maxsize=1)
def _decoded(folder: str, budget_bytes: int) -> DecodedCache:
    """The pictures that training keeps too; what one of them has decoded the other finds."""
    return DecodedCache(folder, budget_bytes)


def _stamp(path: str) -> tuple[int, int]:
    """Size and time of a file: another picture under the same name is read again."""
    try:
        info = os.stat(openable(path))
    except OSError as exc:
        raise BadInput(f"{shown_name(path)} cannot be read: {exc.strerror}.") from None
    return info.st_size, info.st_mtime_ns
