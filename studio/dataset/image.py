"""From file bytes to pixels: the one decoder for training, validation, prediction, previews and checks.

The result is always uint8 RGB. The conversions, all fixed:

- EXIF orientation 1 to 8 is applied; other values are ignored.
- 16 bits per channel are scaled to 8 (÷ 257, rounded), never clipped unless `Reading.white` says which value is white.
- Transparency is laid over white.
- Palette, grey, 1-bit and CMYK images become RGB as Pillow converts them; embedded colour profiles are ignored.
- Of several frames or pages the first is used, of more than three bands the three that `Reading.bands` names.
- Floating-point and 32-bit pixels are used only if the file declares their range (TIFF tags 280/281 or 340/341).
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import AvifImagePlugin, BmpImagePlugin, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from studio.core.reading import Reading
from studio.dataset.bands import chosen_bands, read_bands, scale_16_bits
from studio.dataset.damage import has_archive_behind, has_lost_bytes, has_lost_restarts, lacks_rows, without_long_metadata
from studio.dataset.deep_png import is_deep, read_deep

try:
    import simplejpeg
except ImportError:  # no wheel for this platform
    simplejpeg = None

from studio.dataset.header import FORMATS, HEIF, ImageRefused, check_size, open_regular, os_reason, parse_header
from studio.dataset.heic import can_read_heic

__all__ = ["AS_IT_IS", "BACKGROUND", "BANDS", "Decoded", "ImageRefused", "decode", "decode_noted", "open_image", "read_bytes", "read_image"]

BACKGROUND = (255, 255, 255)  # what shows through transparent pixels; the exporters say the same
AS_IT_IS = Reading()  # nothing was decided
BANDS = "bands"  # the mode of a picture made of three bands of a file
_LONGEST_FILE = 1 << 30  # bytes; no photograph is larger, and the file is read whole
_MISSING_ROWS_ALLOWED = 0.01
_ZERO_TAIL = 1024
_MOST_PAGES = 100  # that are counted

# Imported so that no thread has to look for them in the middle of a scan.
_PLUGINS = (AvifImagePlugin, BmpImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin)

# The size is checked before decoding, per call and with the user's own limit; Pillow's global one would interfere.
Image.MAX_IMAGE_PIXELS = None

_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class Decoded:
    """Pixels and what was done to get them."""

    pixels: np.ndarray  # uint8 HWC RGB, contiguous
    mode: str  # Pillow's name of the stored kind: "RGB", "L", "I;16", "CMYK", ..., or BANDS
    is_turned: bool  # stored in another orientation than shown
    notes: tuple[str, ...]  # in words, for instance "missing end marker"


def read_bytes(path: str, *, longest: int = _LONGEST_FILE) -> bytes:
    """The whole file. Raises ImageRefused; regular files only, of at most so many bytes."""
    fd, info = open_regular(path)
    with os.fdopen(fd, "rb") as file:
        if info.st_size > longest:
            raise ImageRefused(f"too large: {info.st_size / 1e9:.1f} GB")
        try:
            return file.read()
        except OSError as exc:
            raise ImageRefused(os_reason(exc), exc.errno) from None


def read_image(path: str, reading: Reading = AS_IT_IS) -> np.ndarray:
    """uint8 HWC RGB of the file at `path`, upright. Raises ImageRefused."""
    return decode(read_bytes(path), reading)


def decode(data: bytes, reading: Reading = AS_IT_IS) -> np.ndarray:
    """uint8 HWC RGB, contiguous, upright. Raises ImageRefused; memory stays below about 10 bytes per allowed pixel, 25 of 16 bits per channel."""
    return decode_noted(data, reading).pixels


def decode_noted(data: bytes, reading: Reading = AS_IT_IS, *, least_px: int | None = None) -> Decoded:
    """Like `decode`, and says what was unusual.

    With `least_px` a JPEG may come smaller, by a factor of 2, 4 or 8, with both sides at least that long: several times
    faster, good enough for thumbnails and comparisons, never for training.
    """
    header = parse_header(data)
    check_size(header.width, header.height, reading.max_megapixels)
    notes: list[str] = []
    if header.num_bands:
        return _decode_bands(data, reading, header.num_bands, notes)
    if header.format == "PNG":
        _check_png(data)
        data = without_long_metadata(data)
    if header.format == "JPEG":
        _check_jpeg(data)
        notes += _jpeg_notes(data)
    with open_image(io.BytesIO(data)) as im:
        check_size(*im.size, reading.max_megapixels)
        if frames := _frames(im):
            notes.append(f"{'page' if im.format == 'TIFF' else 'frame'} 1 of {frames}")
        mode = im.mode
        if least_px and header.format == "JPEG":
            im.draft(mode, (least_px, least_px))
        if not least_px and header.format == "JPEG" and (pixels := _fast_jpeg(data, im)) is not None:
            turn = _turn(im)
            if turn is not None:
                pixels = np.ascontiguousarray(np.asarray(Image.fromarray(pixels).transpose(turn)))
            return Decoded(pixels, mode, turn is not None, tuple(notes))
        try:
            deep = header.format == "PNG" and is_deep(im)
            im.load()
            whole = read_deep(data, im, reading.white, notes) if deep else im
        except Exception as exc:  # any damage can surface as any error in a decoder
            if header.format != "JPEG":
                raise ImageRefused(_reason(exc)) from None
            rgb = _without_end(data)
            notes.append("missing end marker")
        else:
            if header.format == "PNG" and _ends_empty(im) and lacks_rows(data):
                raise ImageRefused("truncated: rows of the picture are missing")
            rgb = _to_rgb(whole, reading.white, notes)
        turn = _turn(im)
        if turn is not None:
            rgb = rgb.transpose(turn)
        return Decoded(np.ascontiguousarray(np.asarray(rgb, np.uint8)), mode, turn is not None, tuple(notes))


def _decode_bands(data: bytes, reading: Reading, num_bands: int, notes: list[str]) -> Decoded:
    chosen_bands(num_bands, reading)
    try:
        picture, orientation = read_bands(data, reading, notes)
        rgb = _to_rgb(picture, reading.white, notes)
    except ImageRefused:
        raise
    except Exception as exc:  # as above
        raise ImageRefused(_reason(exc)) from None
    turn = _TURN.get(orientation)
    return Decoded(np.ascontiguousarray(rgb.transpose(turn) if turn is not None else rgb), BANDS, turn is not None, tuple(notes))


def _fast_jpeg(data: bytes, im: Image.Image) -> np.ndarray | None:
    """Pixels of a grey or colour JPEG by the same libjpeg-turbo as Pillow's, with less around it: the same bits in half the time.

    None for kinds that Pillow converts, and for a file with anything unusual, which Pillow judges.
    """
    if simplejpeg is None or im.mode not in ("L", "RGB") or im.format != "JPEG":
        return None
    try:
        return simplejpeg.decode_jpeg(data, colorspace="RGB", fastdct=False, fastupsample=False, strict=True)
    except (ValueError, MemoryError):
        return None


def _frames(im: Image.Image) -> str:
    """How many frames or pages there are, in words; "" for one."""
    try:
        if im.format in ("JPEG", "MPO") or not getattr(im, "is_animated", False):
            return ""
        if im.format == "TIFF":
            return _pages(im)
        return "several" if im.format == "GIF" else str(im.n_frames)  # counting those of a GIF means reading them all
    except Exception:  # a damaged list of frames; the first one may be whole
        return ""


def _pages(im: Image.Image) -> str:
    """Of a TIFF, whose pages are found one after the other: 20,000 of them took nine seconds."""
    try:
        for page in range(1, _MOST_PAGES + 1):
            im.seek(page)
    except EOFError:
        return str(page)
    finally:
        im.seek(0)
    return f"more than {_MOST_PAGES}"


def open_image(file: BinaryIO) -> Image.Image:
    """Pillow's lazy image from an open file, allowed formats only. Raises ImageRefused."""
    try:
        return Image.open(file, formats=(*FORMATS, HEIF) if can_read_heic() else FORMATS)
    except Exception as exc:
        raise ImageRefused(_reason(exc)) from None


def _reason(exc: Exception) -> str:
    if isinstance(exc, MemoryError):
        return "too large for the memory of this computer"
    if isinstance(exc, EOFError) or "truncated" in str(exc).lower():
        return "truncated: the file ends early"
    if isinstance(exc, Image.UnidentifiedImageError):
        return "damaged, or a kind of image that is not read"
    return "damaged: its content cannot be decoded"


def _turn(im: Image.Image) -> Image.Transpose | None:
    try:
        return _TURN.get(im.getexif().get(0x0112))
    except Exception:  # broken metadata says nothing about the pixels
        return None


# --- to 8-bit RGB --------------------------------------------------------------------------------


def _to_rgb(im: Image.Image, white: int, notes: list[str]) -> Image.Image:
    mode = im.mode
    if mode == "RGB" and "transparency" not in im.info:
        return im
    if mode.startswith("I;16"):
        return Image.fromarray(scale_16_bits(np.asarray(im), white, notes)).convert("RGB")
    if mode in ("I", "F"):
        return _from_declared_range(im)
    if mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in im.info:
        rgba = im.convert("RGBA")
        alpha = rgba.getchannel("A")
        if alpha.getextrema()[1] == 0:
            notes.append("fully transparent")
        ground = Image.new("RGB", im.size, BACKGROUND)
        ground.paste(rgba, mask=alpha)
        return ground
    return im.convert("RGB")


def _from_declared_range(im: Image.Image) -> Image.Image:
    values = np.asarray(im, np.float64)
    if not np.isfinite(values).all():
        raise ImageRefused("NaN pixels: some values are not finite numbers")
    tags = getattr(im, "tag_v2", {})
    for low_tag, high_tag in ((340, 341), (280, 281)):
        try:
            low, high = (float(np.ravel(tags[tag])[0]) for tag in (low_tag, high_tag))
        except (KeyError, ValueError, IndexError, TypeError):
            continue
        if np.isfinite([low, high]).all() and high > low:
            grey = np.rint(np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)
            return Image.fromarray(grey).convert("RGB")
    kind = "floating-point" if im.mode == "F" else "signed or 32-bit"
    raise ImageRefused(f"{kind} pixels without a declared range; save it with 8 or 16 bits per channel")


# --- damage that Pillow does not report -----------------------------------------------------------


def _check_png(data: bytes) -> None:
    """Length and CRC of each critical chunk up to IEND. PNG specification, section 5.3."""
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        end = at + 12 + length
        if end > len(data):
            raise ImageRefused("truncated: the file ends early")
        if not kind[0] & 0x20 and zlib.crc32(memoryview(data)[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            raise ImageRefused("checksum: the content was changed or damaged")
        if kind == b"IEND":
            return
        at = end
    raise ImageRefused("truncated: the file ends early")


def _check_jpeg(data: bytes) -> None:
    """Decoders fill a scan of zeros with plausible grey; files get such a tail when power fails while they are written."""
    if data[-_ZERO_TAIL:].count(0) == _ZERO_TAIL and not data.rstrip(b"\0").endswith(b"\xff\xd9"):
        zeros = len(data) - len(data.rstrip(b"\0"))
        raise ImageRefused(f"zero-filled tail: the last {100 * zeros / len(data):.0f} % of the file are lost")
    with contextlib.suppress(struct.error, IndexError):  # a broken table of markers says nothing about the picture; the decoder judges that
        if has_lost_bytes(data):
            raise ImageRefused("zero-filled in the middle: a part of the file is lost")


def _ends_empty(im: Image.Image) -> bool:
    """Whether what a PNG stores last, its last row or when interlaced the last odd one, holds only zeros: they may be missing."""
    last = [y for y in (im.height - 1, im.height - 2) if y >= 0]
    return any(not np.asarray(im.crop((0, y, im.width, y + 1))).any() for y in last)


def _jpeg_notes(data: bytes) -> list[str]:
    notes = []
    try:
        if has_lost_restarts(data):
            notes.append("damaged in the middle")
    except (struct.error, IndexError, ValueError):
        pass  # a broken table of markers says nothing about the picture; the decoder judges that
    if has_archive_behind(data):
        notes.append("an archive lies behind the picture")
    return notes


def _without_end(data: bytes) -> Image.Image:
    """A JPEG whose end marker is missing, if at most 1 % of its rows are. Raises ImageRefused otherwise.

    The decoder fills missing blocks with mid grey, so the rows that are missing are the grey ones at the bottom. In a
    progressive JPEG a cut costs detail everywhere instead, and cannot be measured this way.
    """
    whole = data + (b"\xd9" if data.endswith(b"\xff") else b"\xff\xd9")
    try:
        with Image.open(io.BytesIO(whole), formats=FORMATS) as im:
            if im.info.get("progressive"):
                raise ImageRefused("truncated: the file ends early")
            rgb = im.convert("RGB")
    except ImageRefused:
        raise
    except Exception as exc:
        raise ImageRefused(_reason(exc)) from None
    is_grey = (np.abs(np.asarray(rgb, np.int16) - 128) <= 1).all(axis=(1, 2))
    missing = int(np.argmin(is_grey[::-1])) if not is_grey.all() else len(is_grey)
    if missing > _MISSING_ROWS_ALLOWED * len(is_grey):
        raise ImageRefused(f"truncated: {100 * missing / len(is_grey):.0f} % of the rows are missing")
    return rgb
