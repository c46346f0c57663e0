"""TIFF files with more bands than a picture has colours, as satellites and multi-spectral cameras write them, or with 16 bits for each colour, each
ink, or grey and transparency: how many bands there are, and three of them or what they stand for as a picture.

Pillow refuses these, or drops bands or the low byte of every value without a word. tifffile takes a file apart, piece by piece, so that no more than
three bands and their transparency, or four inks, are held; what is compressed Pillow's libtiff unpacks, into as many bytes as the piece may have and
no more.
"""

from __future__ import annotations

import io
import logging
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image, TiffImagePlugin

from studio.core.reading import WHITE_16_BIT, Reading
from studio.dataset.refused import ImageRefused

if TYPE_CHECKING:
    from tifffile import TiffPage

_ROWS = 64
_NUM_USUAL = 4  # bands of a colour picture, for which the limit of pixels is enough where each has 16 bits at the most
_MOST_BYTES = 1 << 30  # of all bands together where there is more, unpacked
_UNPACKED, _PACKED = 1, (5, 8, 32773, 32946, 34925, 50000)  # LZW, Deflate, PackBits, Deflate, LZMA, Zstandard
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _CMYK = 0, 1, 2, 5  # photometric interpretations; palettes and the like say what their channels are
_GREY = _WHITE_IS_ZERO, _BLACK_IS_ZERO
# Pictures that are read here where they have 16 bits: their kind, how many channels they have, and how many of these are not transparency.
_PICTURES = {(_RGB, 3, 3), (_RGB, 4, 3), (_CMYK, 4, 4), (_WHITE_IS_ZERO, 2, 1), (_BLACK_IS_ZERO, 2, 1)}
_ALPHA = (1, 2, 999)  # kinds of extra samples that are transparency; 999 is Corel Draw's
_PREMULTIPLIED = 1  # the one of them whose colours are stored darker, as seen on black
_RANGE_TAGS = ((340, 341), (280, 281))  # SMinSampleValue and SMaxSampleValue, MinSampleValue and MaxSampleValue


class BandsUndecided(ImageRefused):
    """The file is sound; which of its bands are red, green and blue has not been said, or there are fewer."""


def count_bands(file: BinaryIO) -> tuple[int, int, int]:
    """(bands, width, height) of the first page of a TIFF; 0 bands for a usual picture, with transparency or without, which Pillow reads; 3 for one
    of 16 bits for each colour or ink, or for grey and transparency, which it reads half or not.

    Damage raises what it raises in Pillow's reading of the tags. TIFF 6.0, sections 8 and 18.
    """
    head = file.read(8)
    tags = TiffImagePlugin.ImageFileDirectory_v2(head + file.read(8) if head[2] == 43 else head)  # 43: BigTIFF
    file.seek(tags.next)
    tags.load(file)
    number, kind, extra = int(tags.get(277, 1)), tags.get(262, 1), tags.get(338, ())
    extra = extra if isinstance(extra, tuple) else (extra,)
    colours = number - _has_alpha(number, kind, extra)
    if (kind, number, colours) in _PICTURES:
        number = 3 if _is_16_bit(tags) else 0
    elif kind != _RGB and kind not in _GREY or colours < 3:
        number = 0
    return number, int(tags[256]), int(tags[257])


def _has_alpha(number: int, kind: int, extra: tuple[int, ...]) -> bool:
    return any(each in _ALPHA for each in extra) or kind == _RGB and number == 4 and not extra


def _is_16_bit(tags: TiffImagePlugin.ImageFileDirectory_v2) -> bool:
    """Whether its values are whole numbers from 0 to 65,535."""
    bits, kinds = (np.atleast_1d(tags.get(tag, 1)) for tag in (258, 339))
    return bool((bits == 16).any() and (kinds == 1).all())


def chosen_bands(num_bands: int, reading: Reading) -> tuple[int, ...]:
    """Which bands are red, green and blue, counted from 1; a choice is for files with more than three. Raises BandsUndecided."""
    if num_bands == 3:
        return (1, 2, 3)
    if reading.bands:
        if max(reading.bands) > num_bands:
            raise BandsUndecided(f"it has {num_bands} bands, and band {max(reading.bands)} is asked for")
        return reading.bands
    raise BandsUndecided(f"{num_bands} bands per pixel; say which three are red, green and blue")


def read_bands(data: bytes, reading: Reading, notes: list[str]) -> tuple[Image.Image, int]:
    """Three bands of a TIFF as an RGB picture, or RGBA, RGBa or CMYK where it is one of that kind, and its orientation as EXIF counts: 8 bits as
    they are, 16 bits scaled by `reading.white`, others by the range that the file declares.

    Raises ImageRefused; what damage raises elsewhere is the caller's to put into words.
    """
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong is said by what is raised
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        if page.dtype is None or page.imagedepth != 1:
            raise ImageRefused("a kind of TIFF that is not read; save it with 8 or 16 bits per channel")
        kind, number, extra = page.photometric, page.samplesperpixel, tuple(map(int, page.extrasamples))
        is_picture = page.dtype == np.uint16 and (kind, number, number - _has_alpha(number, kind, extra)) in _PICTURES
        bands = range(1, number + 1) if is_picture else chosen_bands(number, reading)
        num_bytes = page.imagewidth * page.imagelength * number * page.dtype.itemsize
        if (number > _NUM_USUAL or page.dtype.itemsize > 2) and num_bytes > _MOST_BYTES:
            raise ImageRefused(f"too large: {number} bands of {page.imagewidth} × {page.imagelength}")
        values_HWC = _read_pieces(page, data, [band - 1 for band in bands])
        ranges = None if is_picture else _declared_ranges(page, bands)
        orientation = page.tags.valueof(274, 1)
        if file.pages.is_multipage:
            notes.append("page 1 of several")
    if not is_picture:
        return Image.fromarray(_to_8_bits(values_HWC, reading.white, ranges, notes)), orientation
    if kind == _CMYK:  # `white` is of light, and says nothing of inks
        return Image.frombytes("CMYK", values_HWC.shape[1::-1], _scaled(values_HWC, WHITE_16_BIT).tobytes()), orientation
    if kind == _WHITE_IS_ZERO:
        values_HWC[..., 0] = WHITE_16_BIT - values_HWC[..., 0]
    return picture_of_16_bits(values_HWC, reading.white, notes, is_premultiplied=_PREMULTIPLIED in extra), orientation


def _read_pieces(page: TiffPage, data: bytes, wanted: list[int]) -> np.ndarray:
    """The bands `wanted`, counted from 0: [H, W, bands] in the file's own type. Pieces that a sparse file leaves out are 0."""
    packing, page.compression = page.compression, _UNPACKED  # from here on tifffile is given unpacked pieces
    if packing != _UNPACKED and packing not in _PACKED:
        raise ImageRefused(f"its compression ({packing}) is not read; save it uncompressed, or with LZW or Deflate")
    if page.predictor not in (1, 2):
        raise ImageRefused("its compression (with a predictor for floating-point numbers) is not read; save it without")
    values_HWC = np.zeros((page.imagelength, page.imagewidth, len(wanted)), page.dtype)
    is_planar = page.planarconfig == 2
    for number, (offset, num_bytes) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
        if not num_bytes:
            continue
        piece = data[offset : offset + num_bytes]
        if len(piece) < num_bytes:
            raise ImageRefused("truncated: the file ends early")
        _, (band, _, top, left, _), (_, height, width, samples) = page.decode(None, number)
        if is_planar and band not in wanted:
            continue
        if packing != _UNPACKED:
            piece = _unpack(piece, packing, width * samples * page.dtype.itemsize, height)
        part_HWC = page.decode(piece, number)[0][0, : page.imagelength - top, : page.imagewidth - left]
        place = values_HWC[top : top + height, left : left + width]
        if is_planar:
            for channel in (c for c, each in enumerate(wanted) if each == band):
                place[..., channel] = part_HWC[..., 0]
        else:
            place[:] = part_HWC[..., wanted]
    return values_HWC


def _unpack(piece: bytes, packing: int, row_bytes: int, num_rows: int) -> bytes:
    """A compressed strip or tile, by way of a grey TIFF around it. Whatever it holds, it becomes `row_bytes * num_rows` bytes or an OSError."""
    tags = {256: row_bytes, 257: num_rows, 258: 8, 259: packing, 262: 1, 273: 0, 277: 1, 278: num_rows, 279: len(piece)}
    start = 8 + 2 + 12 * len(tags) + 4
    tags[273] = start
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    with Image.open(io.BytesIO(struct.pack("<4sIH", b"II*\0", 8, len(tags)) + entries + bytes(4) + piece), formats=("TIFF",)) as im:
        return im.tobytes()


def _declared_ranges(page: TiffPage, bands: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray] | None:
    """Least and greatest value of each of three bands, float64[3] each; None where the file does not say."""
    for low_tag, high_tag in _RANGE_TAGS:
        low, high = (np.atleast_1d(np.asarray(page.tags.valueof(tag, ()), np.float64)).ravel() for tag in (low_tag, high_tag))
        if len(low) and len(low) == len(high) and np.isfinite([low, high]).all() and (high > low).all():
            each = [band - 1 if len(low) >= max(bands) else 0 for band in bands]
            return low[each], high[each]
    return None


def _to_8_bits(values_HWC: np.ndarray, white: int, ranges: tuple[np.ndarray, np.ndarray] | None, notes: list[str]) -> np.ndarray:
    if values_HWC.dtype == np.uint8:
        return values_HWC
    if values_HWC.dtype == np.uint16:
        return scale_16_bits(values_HWC, white, notes)
    if values_HWC.dtype.kind == "f" and not np.isfinite(values_HWC).all():
        raise ImageRefused("NaN pixels: some values are not finite numbers")
    if ranges is None:
        kind = "floating-point" if values_HWC.dtype.kind == "f" else "signed or 32-bit"
        raise ImageRefused(f"{kind} pixels without a declared range; save it with 8 or 16 bits per channel")
    low, high = ranges
    return _by_rows(values_HWC, lambda some: np.rint(np.clip((some - low) / (high - low), 0, 1) * 255))


def picture_of_16_bits(values_HWC: np.ndarray, white: int, notes: list[str], *, is_premultiplied: bool = False) -> Image.Image:
    """uint16 grey or RGB values, with transparency as last channel or without (one to four channels), as an RGB, RGBA or RGBa picture."""
    num_colours = 3 if values_HWC.shape[2] > 2 else 1
    scaled = scale_16_bits(values_HWC[..., :num_colours], white, notes)
    picture = Image.fromarray(scaled) if num_colours == 3 else Image.fromarray(scaled[..., 0]).convert("RGB")
    if values_HWC.shape[2] == num_colours:
        return picture
    picture.putalpha(Image.fromarray(_scaled(values_HWC[..., num_colours], WHITE_16_BIT)))
    return Image.frombytes("RGBa", picture.size, picture.tobytes()) if is_premultiplied else picture


def scale_16_bits(values: np.ndarray, white: int, notes: list[str]) -> np.ndarray:
    """uint16 of any shape -> uint8: 0 stays 0, `white` and above become 255. Nothing is clipped where `white` is 65535."""
    top = int(values.max())
    if 255 < top < 4096 * 2 and white == WHITE_16_BIT:
        notes.append(f"uses {100 * top / WHITE_16_BIT:.0f} % of the 16-bit range")
    elif top > white:
        notes.append("brighter than the value of white")
    return _scaled(values, white)


def _scaled(values: np.ndarray, white: int) -> np.ndarray:
    return _by_rows(values, lambda some: (np.minimum(some, white).astype(np.uint32) * 255 + white // 2) // white)


def _by_rows(values: np.ndarray, convert: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """uint8 of the same shape; some rows at a time, since what is computed between takes eight bytes for each value."""
    converted = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), _ROWS):
        converted[top : top + _ROWS] = convert(values[top : top + _ROWS])
    return converted
