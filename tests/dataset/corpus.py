"""Makes the corpus of awkward image files, each with the verdict it must get. Nothing binary is kept in the repository.

A verdict is a `Good` (the pixels' size, their mean, the notes) or the beginning of the reason it is refused with. What no test can make, of this
and of the other sections of docs/bad-inputs.md, is `NOT_MADE`, with the reason.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageCms


@dataclass(frozen=True)
class Good:
    size: tuple[int, int] = (64, 48)  # width, height, upright
    mean: float | None = None  # of all values, within 1.5
    note: str = ""  # one of the notes must contain it; "" means that there are no notes


@dataclass(frozen=True)
class Asked:
    """Sound, and read once `BANDS` are chosen."""

    reason: str


BANDS = (3, 2, 1)

# What a row of docs/bad-inputs.md names and no test makes as it is, and why; what stands for it is in brackets.
NOT_MADE = {
    15: "pixels of a HEIC: what encodes them is GPL (the file is its header, the plug-in a stand-in)",
    46: "FlashPix, MIC and WMF with a picture in them: no library here writes them (their headers; no more is read)",
    52: "a picture in arithmetic, lossless or 12-bit JPEG: libjpeg-turbo in Pillow writes none (the header that says so; no more is read)",
    54: "JPEG XL with a picture in it: no library here writes it (its header; no more is read)",
    63: "lone surrogates as Windows keeps them (the same letters as bytes)",
    64: "a path above 260 characters on Windows (255 bytes in a name, 4,096 in a path)",
    67: "a disk on which CON and NUL.jpg are devices: Windows (the names, where they are names)",
    78: "a network drive: mounting takes rights and a server (a reader that stands still, loader processes that are stopped, a folder that is gone)",
    79: "a drive that is pulled out: as 78",
    80: "a folder that OneDrive or iCloud keeps: Windows and macOS (their attributes and flags)",
    81: "a million files: 20 s and as many inodes (the 200 levels are made)",
    82: "exFAT, or a volume that does not tell case: mounting takes rights and drivers (classes that differ in case only)",
    110: "a million rows: measured by hand, as its row says (50,000 rows, within their share of the memory)",
    111: "no counterpart: whole images are classified",
    115: "a share that an experiment names, on Windows: opening it would say a name and a password's hash (in a table: refused unopened)",
    116: "an index of 4 GB: it is made anew all the same where it cannot be read",
    120: "archives to unpack: nothing is unpacked (.pth files, which are archives)",
}


@dataclass(frozen=True)
class Case:
    row: int  # in docs/bad-inputs.md; 0 for a sound file
    name: str
    data: Callable[[], bytes]
    verdict: Good | Asked | str


def photo(width: int = 64, height: int = 48, seed: int = 0) -> np.ndarray:
    """Smooth colours with some noise: uint8 HWC."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([x * 255 / max(width - 1, 1), y * 255 / max(height - 1, 1), (x + y + 20 * seed) * 2 % 256], axis=-1)
    return np.clip(base * 0.8 + 20 + rng.normal(0, 6, base.shape), 0, 255).astype(np.uint8)


def encoded(image: Image.Image | np.ndarray, format_: str = "JPEG", **options) -> bytes:
    out = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(out, format_, **options)
    return out.getvalue()


def png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, body in chunks:
        parts.append(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)))
    return b"".join(parts)


def png_header(width: int, height: int, depth: int = 8, colour: int = 2) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)


def jpeg(width: int = 64, height: int = 48, **options) -> bytes:
    return encoded(photo(width, height), "JPEG", quality=90, **options)


def zeros_from(data: bytes, fraction: float) -> bytes:
    keep = int(len(data) * fraction)
    return data[:keep] + bytes(len(data) - keep)


def lost_sector(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(4096) + data[middle + 4096 :]


def with_exif(orientation: int | bytes, format_: str = "JPEG") -> bytes:
    if isinstance(orientation, bytes):
        return encoded(photo(), format_, exif=orientation)
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(photo(), format_, exif=exif.tobytes())


def rgba(alpha: int) -> Image.Image:
    im = Image.fromarray(np.full((48, 64, 3), 40, np.uint8)).convert("RGBA")
    im.putalpha(alpha)
    return im


def grey16(top: int) -> bytes:
    values = np.linspace(0, top, 64 * 48).reshape(48, 64).astype(np.uint16)
    return encoded(Image.fromarray(values), "PNG")


def float_tiff(values: np.ndarray, low: float | None = None, high: float | None = None) -> bytes:
    options = {}
    if low is not None:
        from PIL.TiffImagePlugin import ImageFileDirectory_v2

        tags = ImageFileDirectory_v2()
        tags.tagtype[340] = tags.tagtype[341] = 11
        tags[340], tags[341] = low, high
        options["tiffinfo"] = tags
    return encoded(Image.fromarray(values.astype(np.float32)), "TIFF", **options)


def ramp() -> np.ndarray:
    return np.linspace(0, 1, 64 * 48).reshape(48, 64)


def animation(format_: str) -> bytes:
    frames = [Image.fromarray(photo(seed=i)) for i in range(3)]
    return encoded(frames[0], format_, save_all=True, append_images=frames[1:])


def palette(transparency: bytes | None = None) -> bytes:
    im = Image.fromarray(photo()).quantize(16)
    return encoded(im, "PNG", **({"transparency": transparency} if transparency else {}))


def bad_crc() -> bytes:
    data = bytearray(encoded(photo(), "PNG"))
    data[data.index(b"IDAT") + 20] ^= 0xFF
    return bytes(data)


@cache
def one_bit_png(side: int) -> bytes:
    row = bytes(1 + (side + 7) // 8)
    body = zlib.compressobj(9)
    content = b"".join(body.compress(row) for _ in range(side)) + body.flush()
    return png([png_header(side, side, 1, 0), (b"IDAT", content), (b"IEND", b"")])


@cache
def packed(num_megabytes: int) -> bytes:
    """Zeros, a thousandth of their size."""
    body = zlib.compressobj(9)
    return b"".join(body.compress(bytes(1_000_000)) for _ in range(num_megabytes)) + body.flush()


def png_with(*chunks: tuple[bytes, bytes], behind: bool = False) -> bytes:
    """A PNG with more chunks, before or behind its pixels."""
    whole, more = encoded(photo(), "PNG"), png([*chunks])[8:]
    at = len(whole) - 12 if behind else 33
    return whole[:at] + more + whole[at:]


def text_bomb(behind: bool = False) -> bytes:
    return png_with((b"zTXt", b"Comment\0\0" + packed(200)), behind=behind)


@cache
def many_texts() -> bytes:
    """Each as long as Pillow takes one, and four bytes a letter in memory for the sake of one of them: 250 MB."""
    body = zlib.compress("🦊".encode() + b" " * 1_000_000, 9)
    return png_with(*((b"iTXt", b"Comment %d\0\1\0\0\0" % i + body) for i in range(60)))


def profile_bomb() -> bytes:
    return png_with((b"iCCP", b"P3\0\0" + packed(200)))


def with_icc(profile: bytes) -> bytes:
    return encoded(photo(), "JPEG", quality=90, icc_profile=profile)


# Colourants as profiles hold them, seen under D50: red, green, blue.
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))


def profile(colourants: tuple[tuple[float, float, float], ...] = ()) -> bytes:
    """That of sRGB, or of a wider space with the same curves. ICC.1:2010, sections 7.3 and 10.31."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for i in range(struct.unpack_from(">I", data, 128)[0]):
        name, start, _ = struct.unpack_from(">4sII", data, 132 + 12 * i)
        if colourants and name in (b"rXYZ", b"gXYZ", b"bXYZ"):
            xyz = colourants[b"rgb".index(name[:1])]
            struct.pack_into(">3i", data, start + 8, *(round(65536 * value) for value in xyz))
    return bytes(data)


def multi_page_tiff() -> bytes:
    pages = [Image.fromarray(photo(seed=i)) for i in range(5)]
    return encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])


def many_pages() -> bytes:
    """The same page 20,000 times."""
    data = bytearray(encoded(photo(), "TIFF"))
    start = struct.unpack("<I", data[4:8])[0]
    end = start + 2 + 12 * struct.unpack("<H", data[start : start + 2])[0]
    page, size = bytes(data[start:end]), end - start + 4
    places = [len(data) + size * i for i in range(20_000)]
    data[end : end + 4] = struct.pack("<I", places[0])
    return bytes(data) + b"".join(page + struct.pack("<I", place) for place in (*places[1:], 0))


def looping_tiff() -> bytes:
    """Its list of pages leads back to the first."""
    data = bytearray(encoded(photo(), "TIFF"))
    start = struct.unpack("<I", data[4:8])[0]
    num_tags = struct.unpack("<H", data[start : start + 2])[0]
    at = start + 2 + 12 * num_tags
    data[at : at + 4] = struct.pack("<I", start)
    return bytes(data)


def far_strip_tiff() -> bytes:
    data = bytearray(encoded(photo(), "TIFF"))
    start = struct.unpack("<I", data[4:8])[0]
    num_tags = struct.unpack("<H", data[start : start + 2])[0]
    for i in range(num_tags):
        at = start + 2 + 12 * i
        if struct.unpack("<H", data[at : at + 2])[0] == 273:
            data[at + 4 : at + 12] = struct.pack("<II", 1, 2_000_000_000)
    return bytes(data)


def five_band_tiff() -> bytes:
    """48 x 64 with 5 samples of 8 bits per pixel, not described as anything."""
    body = bytes(range(256)) * (64 * 48 * 5 // 256)
    tags = [(256, 3, 1, 64), (257, 3, 1, 48), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 200), (277, 3, 1, 5)]
    tags += [(278, 3, 1, 48), (279, 4, 1, len(body))]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    return (b"II*\0" + struct.pack("<I", 8) + directory).ljust(200, b"\0") + body


def packed_bands_tiff(values_HWB: np.ndarray, compression: str, kind: int = 1) -> bytes:
    """uint8 bands in one strip, packed by Pillow as a grey picture of as many columns as there are values in a row."""
    height, width, bands = values_HWB.shape
    grey = encoded(Image.fromarray(values_HWB.reshape(height, -1)), "TIFF", compression=compression, strip_size=values_HWB.size)
    with Image.open(io.BytesIO(grey)) as im:
        (start,), (length,), packing = im.tag_v2[273], im.tag_v2[279], im.tag_v2[259]
    tags = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 1, 8), (259, 3, 1, packing), (262, 3, 1, kind), (273, 4, 1, 200)]
    return tiff([*tags, (277, 3, 1, bands), (278, 3, 1, height), (279, 4, 1, length)], grey[start : start + length])


def top_down_bmp() -> bytes:
    data = bytearray(encoded(photo(), "BMP"))
    data[22:26] = struct.pack("<i", -48)
    return bytes(data)


def jpeg_of_kind(marker: int, bits: int = 8) -> bytes:
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0")
    data[at + 1] = marker
    data[at + 4] = bits
    return bytes(data)


def cmyk(mean: int = 128) -> bytes:
    return encoded(Image.new("CMYK", (64, 48), (255 - mean, 255 - mean, 255 - mean, 0)), "JPEG", quality=95)


def with_archive() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as z:
        z.writestr("a.txt", "x" * 900)
    return jpeg() + archive.getvalue()


def inks() -> bytes:
    return encoded(Image.new("CMYK", (64, 48), (0, 128, 255, 64)), "JPEG", quality=95)


def plain_cmyk() -> bytes:
    """Without Adobe's mark: inks are taken as inverted all the same, as Pillow has always done."""
    data = inks()
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4]) :]


def ycck() -> bytes:
    """Adobe's mark says that the first three inks are stored as luminance and colour."""
    data = bytearray(inks())
    data[data.index(b"Adobe") + 11] = 2
    return bytes(data)


def signed_tiff() -> bytes:
    body = np.linspace(-30_000, 30_000, 64 * 48).astype("<i2").tobytes()
    tags = [(256, 3, 1, 64), (257, 3, 1, 48), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 200), (277, 3, 1, 1)]
    return tiff([*tags, (278, 3, 1, 48), (279, 4, 1, len(body)), (339, 3, 1, 2)], body)


def tiff(tags: list[tuple[int, int, int, int]], body: bytes) -> bytes:
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    return (b"II*\0" + struct.pack("<I", 8) + directory).ljust(200, b"\0") + body


def looping_exif() -> bytes:
    directory = struct.pack("<H", 1) + struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<I", 8)
    return with_exif(b"Exif\0\0II*\0\x08\0\0\0" + directory)


def restarts(*, is_grey: bool = False) -> bytes:
    picture = Image.fromarray(photo(200, 200)).convert("L" if is_grey else "RGB")
    return encoded(picture, "JPEG", quality=90, restart_marker_rows=1)


def lost_restart() -> bytes:
    data = restarts()
    at = [m.start() for m in re.finditer(rb"\xff[\xd0-\xd7]", data)]
    return data[: at[3]] + data[at[5] :]


def jpeg_said_to_be(width: int, height: int) -> bytes:
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def flat_bmp() -> bytes:
    data = bytearray(encoded(photo(), "BMP"))
    data[22:26] = bytes(4)
    return bytes(data)


def psd() -> bytes:
    """Three channels of 64 x 48, unpacked, and none of the sections between."""
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 48, 64, 8, 3)
    return head + bytes(12) + b"\0\0" + np.ascontiguousarray(photo().transpose(2, 0, 1)).tobytes()


def fits() -> bytes:
    cards = ("SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    2")
    cards += ("NAXIS1  =                   64", "NAXIS2  =                   48", "END")
    return "".join(card.ljust(80) for card in cards).encode().ljust(2880) + bytes(2880 + 2880)


@cache
def icns() -> bytes:
    return encoded(photo(128, 128), "ICNS")


def eps_for_dos() -> bytes:
    body = encoded(photo(), "EPS")
    return b"\xc5\xd0\xd3\xc6" + struct.pack("<II16xH", 30, len(body), 0xFFFF) + body


def wmf() -> bytes:
    head = b"\xd7\xcd\xc6\x9a" + struct.pack("<HhhhhHIH", 0, 0, 0, 640, 480, 96, 0, 0)
    return head + b"\x01\0\t\0\0\x03" + bytes(40)


def interlaced(num_passes: int = 7, pixels_HWC: np.ndarray | None = None) -> bytes:
    """Adam7, with whole chunks and right checksums however many passes it holds."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    pixels_HWC = photo() if pixels_HWC is None else pixels_HWC.astype(">u2")
    rows = (row for x, y, dx, dy in passes[:num_passes] for row in pixels_HWC[y::dy, x::dx])
    header = b"IHDR", struct.pack(">IIBBBBB", 64, 48, 8 * pixels_HWC.itemsize, 2, 0, 0, 1)
    return png([header, (b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))), (b"IEND", b"")])


def short_png() -> bytes:
    rows = b"".join(b"\0" + row.tobytes() for row in photo()[:20])
    return png([png_header(64, 48), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])


def overflowing_bmp() -> bytes:
    colours = b"".join(bytes([i, i, i, 0]) for i in range(256))
    body = bytes([255, 7]) * 400 + bytes([0, 1])
    start = 14 + 40 + len(colours)
    head = b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start)
    return head + struct.pack("<IiiHHIIiiII", 40, 64, 48, 1, 8, 1, len(body), 0, 0, 256, 0) + colours + body


def many_frames() -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0x80, 0, 0) + bytes([0, 0, 0, 255, 255, 255])
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 4, 4, 0) + b"\x02\x05\x84\x8f\xa9\xcb\x4d\x00"
    return head + frame * 100_000 + b";"


HTML = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body>Not Found</body></html>"
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(400)
CUT = "truncated"

CASES = [
    Case(0, "jpeg", jpeg, Good()),
    Case(1, "jpeg cut at half", lambda: jpeg()[: len(jpeg()) // 2], CUT),
    Case(2, "jpeg minus one byte", lambda: jpeg()[:-1], Good(note="missing end marker")),
    Case(3, "jpeg without end marker", lambda: jpeg()[:-2], Good(note="missing end marker")),
    Case(1, "jpeg with a third of its rows", lambda: jpeg(400, 400)[: len(jpeg(400, 400)) // 3], CUT),
    Case(4, "jpeg with zeros in its second half", lambda: zeros_from(jpeg(200, 200), 0.5), "zero-filled tail"),
    Case(4, "jpeg with a sector of zeros in the middle", lambda: lost_sector(jpeg(400, 400)), "zero-filled in the middle"),
    Case(
        4,
        "even jpeg, stored as zeros",
        lambda: encoded(Image.new("RGB", (2000, 2000), (255, 255, 255)), "JPEG", optimize=True),
        Good((2000, 2000)),
    ),
    Case(4, "jpeg padded with zeros after its end", lambda: jpeg() + bytes(5000), Good()),
    Case(0, "progressive jpeg", lambda: jpeg(progressive=True), Good()),
    Case(5, "progressive jpeg cut", lambda: jpeg(200, 200, progressive=True)[:-900], CUT),
    Case(0, "png", lambda: encoded(photo(), "PNG"), Good()),
    Case(6, "png cut", lambda: encoded(photo(), "PNG")[:-300], CUT),
    Case(7, "png with a wrong checksum", bad_crc, "checksum"),
    Case(6, "png cut in its header", lambda: encoded(photo(), "PNG")[:20], CUT),
    Case(8, "zero bytes", lambda: b"", "empty file"),
    Case(9, "two bytes of header", lambda: b"\xff\xd8", CUT),
    Case(10, "web page", lambda: HTML, "a web page"),
    Case(11, "random bytes", lambda: np.random.default_rng(1).bytes(4000), "not an image"),
    Case(12, "all zeros", lambda: bytes(20_000), "zero-filled"),
    Case(14, "webp", lambda: encoded(photo(), "WEBP", quality=90), Good()),
    Case(14, "lossless webp", lambda: encoded(photo(), "WEBP", lossless=True), Good()),
    Case(27, "webp with alpha", lambda: encoded(rgba(128), "WEBP", lossless=True), Good(mean=147.5)),
    Case(14, "gif", lambda: encoded(photo(), "GIF"), Good()),
    Case(16, "avif", lambda: encoded(photo(), "AVIF"), Good()),
    Case(15, "heic", lambda: HEIC, "HEIC"),
    Case(17, "cmyk jpeg", cmyk, Good(mean=128)),
    Case(19, "grey jpeg", lambda: encoded(Image.new("L", (64, 48), 90), "JPEG"), Good(mean=90)),
    Case(19, "one bit png", lambda: encoded(Image.new("1", (64, 48), 1), "PNG"), Good(mean=255)),
    Case(19, "grey png, half transparent", lambda: encoded(Image.new("LA", (64, 48), (0, 128)), "PNG"), Good(mean=127)),
    Case(27, "grey with alpha png", lambda: encoded(Image.new("LA", (64, 48), (0, 0)), "PNG"), Good(mean=255, note="fully transparent")),
    Case(20, "16-bit png", lambda: grey16(65535), Good(mean=127.5)),
    Case(21, "12-bit data in a 16-bit png", lambda: grey16(4095), Good(mean=7.96, note="uses 6 % of the 16-bit range")),
    Case(20, "16-bit rgb png", lambda: png16(colours16()), Good(mean=127.5)),
    Case(21, "12-bit data in a 16-bit rgb png", lambda: png16(colours16(4095)), Good(mean=7.96, note="uses 6 % of the 16-bit range")),
    Case(55, "interlaced 16-bit rgb png cut in its third pass", lambda: interlaced(2, colours16()), "truncated"),
    Case(22, "float tiff with a declared range", lambda: float_tiff(ramp() * 50 - 10, -10, 40), Good(mean=127.5)),
    Case(22, "float tiff without a range", lambda: float_tiff(ramp()), "floating-point pixels without a declared range"),
    Case(23, "float tiff with infinities", lambda: float_tiff(np.where(ramp() > 0.9, np.inf, ramp()), 0, 1), "NaN pixels"),
    Case(23, "float tiff with NaN", lambda: float_tiff(np.where(ramp() > 0.9, np.nan, ramp()), 0, 1), "NaN pixels"),
    Case(
        24,
        "32-bit tiff",
        lambda: encoded(Image.fromarray((ramp() * 1e6).astype(np.int32)), "TIFF"),
        "signed or 32-bit pixels without a declared range",
    ),
    Case(25, "palette png", palette, Good()),
    Case(26, "palette png with transparency", lambda: palette(bytes(range(0, 256, 16))), Good()),
    Case(27, "rgba png", lambda: encoded(rgba(255), "PNG"), Good(mean=40)),
    Case(27, "fully transparent png", lambda: encoded(rgba(0), "PNG"), Good(mean=255, note="fully transparent")),
    Case(28, "five-band tiff", five_band_tiff, Asked("5 bands per pixel")),
    Case(
        28,
        "six-band tiff said to be RGB, in LZW",
        lambda: packed_bands_tiff(np.tile(photo(), 2), "tiff_lzw", 2),
        Asked("6 bands per pixel"),
    ),
    Case(29, "multi-page tiff", multi_page_tiff, Good(note="page 1 of 5")),
    Case(30, "animated gif", lambda: animation("GIF"), Good(note="frame 1 of several")),
    Case(30, "animated webp", lambda: animation("WEBP"), Good(note="frame 1 of 3")),
    Case(30, "animated png", lambda: animation("PNG"), Good(note="frame 1 of 3")),
    *(Case(31, f"exif orientation {n}", lambda n=n: with_exif(n), Good((64, 48) if n < 5 else (48, 64))) for n in range(1, 9)),
    Case(32, "exif orientation 42", lambda: with_exif(42), Good()),
    Case(34, "exif in png", lambda: with_exif(6, "PNG"), Good((48, 64))),
    Case(34, "exif in webp", lambda: with_exif(6, "WEBP"), Good((48, 64))),
    Case(33, "exif garbage", lambda: with_exif(b"Exif\0\0" + b"\xff" * 300), Good()),
    Case(33, "64 KB of exif", lambda: with_exif(b"Exif\0\0II*\0\x08\0\0\0" + b"\xff" * 65_000), Good()),
    Case(35, "colour profile", lambda: with_icc(profile()), Good()),
    Case(35, "colour profile of a P3 screen", lambda: with_icc(profile(P3)), Good()),
    Case(35, "Adobe RGB", lambda: with_icc(profile(ADOBE_RGB)), Good()),
    Case(35, "broken colour profile", lambda: with_icc(b"nonsense" * 20), Good()),
    Case(43, "png with a broken colour profile", lambda: encoded(photo(), "PNG", icc_profile=b"nonsense"), Good()),
    Case(43, "png with a colour profile that is not packed", lambda: png_with((b"iCCP", b"P3\0\0nonsense")), Good()),
    Case(43, "200 MB of colour profile in 200 KB", profile_bomb, Good()),
    Case(36, "100 megapixels in 12 KB", lambda: one_bit_png(10_000), "too large: 10000 × 10000 is 100 MP, the limit is 80 MP"),
    Case(37, "400 megapixels", lambda: one_bit_png(20_000), "too large"),
    Case(38, "65,000 x 65,000 without data", lambda: png([png_header(65_000, 65_000), (b"IEND", b"")]), "too large"),
    Case(39, "width 0", lambda: png([png_header(0, 5), (b"IEND", b"")]), "width or height is 0"),
    Case(39, "height 0", lambda: png([png_header(5, 0), (b"IEND", b"")]), "width or height is 0"),
    Case(39, "jpeg of height 0", lambda: jpeg_said_to_be(64, 0), "width or height is 0"),
    Case(39, "bmp of height 0", flat_bmp, "width or height is 0"),
    Case(39, "gif of no size", lambda: b"GIF89a" + bytes(4) + encoded(photo(), "GIF")[10:], "width or height is 0"),
    Case(38, "webp of 268 megapixels without data", lambda: b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\x3f\0\xff\x3f\0", "too large"),
    Case(40, "one pixel", lambda: encoded(photo(1, 1), "PNG"), Good((1, 1))),
    Case(41, "one row", lambda: encoded(photo(20_000, 1), "PNG"), Good((20_000, 1))),
    Case(41, "one column", lambda: encoded(photo(1, 2000), "JPEG"), Good((1, 2000))),
    Case(42, "200 MB of text in 200 KB", text_bomb, Good()),
    Case(42, "200 MB of text behind the pixels", lambda: text_bomb(behind=True), Good()),
    Case(42, "sixty texts of a megabyte", many_texts, Good()),
    Case(44, "svg", lambda: SVG, "SVG"),
    Case(45, "eps", lambda: encoded(photo(), "EPS"), "EPS"),
    Case(45, "eps with a header for DOS", eps_for_dos, "EPS"),
    Case(46, "psd", psd, "a Photoshop file"),
    Case(47, "pdf", lambda: encoded(photo(), "PDF"), "a PDF document"),
    Case(46, "dds", lambda: encoded(photo(), "DDS"), "a DDS texture"),
    Case(46, "tga", lambda: encoded(photo(), "TGA"), "not an image of a known format"),
    Case(54, "jpeg 2000", lambda: encoded(photo(), "JPEG2000"), "JPEG 2000"),
    Case(54, "jpeg 2000 without a container", lambda: encoded(photo(), "JPEG2000", no_jp2=True), "JPEG 2000"),
    Case(119, "git lfs pointer", lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "a Git LFS pointer"),
    Case(49, "jpeg with a zip behind it", with_archive, Good(note="an archive lies behind the picture")),
    Case(50, "junk before a jpeg", lambda: b"junk" + jpeg(), "not an image"),
    Case(52, "lossless jpeg", lambda: jpeg_of_kind(0xC3), "unsupported JPEG kind"),
    Case(52, "arithmetic-coded jpeg", lambda: jpeg_of_kind(0xC9), "unsupported JPEG kind"),
    Case(52, "12-bit jpeg", lambda: jpeg_of_kind(0xC1, 12), "unsupported JPEG kind (12-bit)"),
    Case(56, "bmp", lambda: encoded(photo(), "BMP"), Good()),
    Case(56, "bmp from top to bottom", top_down_bmp, Good()),
    Case(56, "bmp cut", lambda: encoded(photo(), "BMP")[:2000], CUT),
    Case(57, "gif without frames", lambda: b"GIF89a\x40\0\x30\0\0\0\0;", "damaged"),
    Case(58, "tiff with a loop of pages", looping_tiff, Good()),
    Case(58, "tiff of 20,001 pages", many_pages, Good(note="page 1 of more than 100")),
    Case(58, "tiff whose pixels lie at 2 GB", far_strip_tiff, CUT),
    Case(33, "jpeg with large metadata before its size", lambda: with_exif(b"Exif\0\0" + bytes(60_000)), Good()),
    Case(13, "png named .jpg", lambda: encoded(photo(), "PNG"), Good()),
    Case(18, "cmyk jpeg without Adobe's mark", plain_cmyk, Good(mean=95.3)),
    Case(18, "ycck jpeg", ycck, Good(mean=45)),
    Case(24, "signed 16-bit tiff", signed_tiff, "signed or 32-bit pixels without a declared range"),
    Case(33, "exif that leads back to itself", looping_exif, Good()),
    Case(41, "20,000 rows of one pixel", lambda: encoded(photo(1, 20_000), "PNG"), Good((1, 20_000))),
    Case(46, "fits", fits, "a FITS file"),
    Case(46, "flashpix or mic", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "an Office or FlashPix file"),
    Case(46, "icns", icns, "an icon file"),
    Case(46, "wmf", wmf, "a Windows metafile"),
    Case(51, "jpeg that lost a restart", lost_restart, Good((200, 200), note="damaged in the middle")),
    Case(51, "jpeg with whole restarts", lambda: restarts(), Good((200, 200))),
    Case(51, "grey jpeg with whole restarts", lambda: restarts(is_grey=True), Good((200, 200))),
    Case(53, "jpeg of 65,500 pixels a side", lambda: jpeg_said_to_be(65_500, 65_500), "too large"),
    Case(53, "jpeg of 65,500 x 8", lambda: jpeg(65_500, 8), Good((65_500, 8))),
    Case(54, "jpeg xl", lambda: b"\xff\x0a" + bytes(80), "JPEG XL"),
    Case(54, "jpeg xl in a container", lambda: b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(80), "JPEG XL"),
    Case(55, "interlaced png", interlaced, Good()),
    Case(55, "interlaced png cut in its third pass", lambda: interlaced(num_passes=2), "truncated"),
    Case(55, "png with too few rows", lambda: short_png(), "truncated"),
    Case(56, "bmp whose runs leave the picture", overflowing_bmp, "damaged"),
    Case(57, "gif with 100,000 frames", many_frames, Good((4, 4), note="frame 1 of several")),
    Case(58, "big tiff", lambda: encoded(photo(), "TIFF", big_tiff=True), Good()),
    Case(58, "big tiff that leads nowhere", lambda: b"II+\0\x08\0\0\0" + struct.pack("<Q", 1 << 60) + bytes(200), "damaged"),
    Case(59, "black image", lambda: encoded(Image.new("L", (64, 48), 0), "PNG"), Good(mean=0)),
    Case(59, "white image", lambda: encoded(Image.new("RGB", (64, 48), (255, 255, 255)), "JPEG", optimize=True), Good(mean=255)),
]


def png16(values_HWC: np.ndarray, *chunks: tuple[bytes, bytes]) -> bytes:
    """16 bits for each of two to four channels, and what else stands before the pixels."""
    height, width, num_channels = values_HWC.shape
    rows = b"".join(b"\0" + row.tobytes() for row in values_HWC.astype(">u2"))
    header = png_header(width, height, 16, {2: 4, 3: 2, 4: 6}[num_channels])
    return png([header, *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])


def colours16(top: int = 65_535) -> np.ndarray:
    return np.linspace(0, top, 64 * 48 * 3).astype(np.uint16).reshape(48, 64, 3)
