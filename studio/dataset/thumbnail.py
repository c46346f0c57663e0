"""Small pictures, kept on disk between sessions. The cache may vanish, be damaged or be on a full disk: then they are made again.

Decoded pictures that training has kept are read for them, and none is left for it: a JPEG is decoded at a fraction of its size here, several times
faster than whole, while somebody waits for what is in view.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
from pathlib import Path

import numpy as np
from PIL import Image

from studio.core.place import cache_dir
from studio.core.reading import Reading
from studio.core.trim import drop_oldest, files_two_below
from studio.dataset.decoded import content_of, find_decoded
from studio.dataset.header import ImageRefused, open_regular
from studio.dataset.image import AS_IT_IS, decode, decode_noted, read_bytes

_VERSION = b"1"  # of what is kept; a change makes all old files useless
_MAX_CACHE_BYTES = 512 << 20


def thumbnail(path: str, size_px: int, reading: Reading = AS_IT_IS, *, is_square: bool = False, decoded_view: str = "") -> np.ndarray:
    """uint8 HWC RGB, upright. The longer side has at most `size_px`; small images are not enlarged.

    A picture that training has kept as `decoded_view` need not be decoded again, where that is no smaller than the thumbnail. With `is_square` the centre is cut out and is size_px x size_px, enlarged if need be. Thread-safe. Raises ImageRefused.
    """
    kept = _kept_path(path, size_px, is_square, reading)
    try:
        return decode(kept.read_bytes())
    except (OSError, ImageRefused):
        pass
    data = read_bytes(path)
    pixels = find_decoded(content_of(data), decoded_view) if decoded_view else None
    if pixels is None or min(pixels.shape[:2]) < size_px:
        pixels = decode_noted(data, reading, least_px=size_px).pixels
    small = _shrink(pixels, size_px, is_square)
    _keep(kept, small)
    return np.asarray(small)


def _shrink(pixels: np.ndarray, size_px: int, is_square: bool) -> Image.Image:
    height, width = pixels.shape[:2]
    im = Image.fromarray(pixels)
    if is_square:
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return im.resize((size_px, size_px), Image.Resampling.BICUBIC, (left, top, left + side, top + side), reducing_gap=2.0)
    scale = min(1.0, size_px / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return im.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


def _kept_path(path: str, size_px: int, is_square: bool, reading: Reading) -> Path:
    """Named after the file's place, size and time of change, so that a changed file gets a new thumbnail, and after its reading. Raises ImageRefused."""
    fd, info = open_regular(path)
    os.close(fd)
    stamp = f"{info.st_dev} {info.st_ino} {info.st_size} {info.st_mtime_ns} {size_px} {is_square}{reading.choice_key}".encode()
    name = hashlib.sha256(b"\0".join([_VERSION, os.fsencode(os.path.abspath(path)), stamp])).hexdigest()
    return _folder() / name[:2] / f"{name[2:40]}.jpg"


def _folder() -> Path:
    return cache_dir() / "thumbnails"


def _keep(kept: Path, small: Image.Image) -> None:
    temporary = kept.with_name(f".{secrets.token_hex(8)}.tmp")
    out = io.BytesIO()
    small.save(out, "JPEG", quality=92, subsampling=0)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(out.getvalue())
        os.replace(temporary, kept)
        if kept.name.startswith("00"):  # once in some 256 new thumbnails
            drop_oldest(files_two_below(_folder()), _MAX_CACHE_BYTES)
    except OSError:  # a full or read-only disk: go on without the cache
        try:
            temporary.unlink(missing_ok=True)
        except OSError:
            return
