"""Makes the corpus of awkward image files, each with the verdict it must get. Nothing binary is kept in the repository.

A verdict is a `Good` (the pixels' size, their mean, the notes) or the beginning of the reason it is refused with.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms


@dataclass(frozen=True)
class Good:
    size: tuple[int, int] = (64, 48)  # width, height, upright
    mean: float | None = None  # of all values, within 1.5
    note: str = ""  # one of the notes must contain it; "" means that there are no notes


@dataclass(frozen=True)
class Case:
    name: str
    data: Callable[[], bytes]
    verdict: Good | str


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


def one_bit_png(side: int) -> bytes:
    row = bytes(1 + (side + 7) // 8)
    body = zlib.compressobj(9)
    content = b"".join(body.compress(row) for _ in range(side)) + body.flush()
    return png([png_header(side, side, 1, 0), (b"IDAT", content), (b"IEND", b"")])


def text_bomb() -> bytes:
    whole = encoded(photo(), "PNG")
    head, rest = whole[:33], whole[33:]
    text = b"Comment\0\0" + zlib.compress(bytes(80_000_000), 9)
    return head + struct.pack(">I", len(text)) + b"zTXt" + text + struct.pack(">I", zlib.crc32(b"zTXt" + text)) + rest


def with_icc(profile: bytes) -> bytes:
    return encoded(photo(), "JPEG", quality=90, icc_profile=profile)


def multi_page_tiff() -> bytes:
    pages = [Image.fromarray(photo(seed=i)) for i in range(5)]
    return encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])


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


HTML = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body>Not Found</body></html>"
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(400)
CUT = "truncated"

CASES = [
    Case("jpeg", jpeg, Good()),
    Case("jpeg cut at half", lambda: jpeg()[: len(jpeg()) // 2], CUT),
    Case("jpeg minus one byte", lambda: jpeg()[:-1], Good(note="missing end marker")),
    Case("jpeg without end marker", lambda: jpeg()[:-2], Good(note="missing end marker")),
    Case("jpeg with a third of its rows", lambda: jpeg(400, 400)[: len(jpeg(400, 400)) // 3], CUT),
    Case("jpeg with zeros in its second half", lambda: zeros_from(jpeg(200, 200), 0.5), "zero-filled tail"),
    Case("jpeg padded with zeros after its end", lambda: jpeg() + bytes(5000), Good()),
    Case("progressive jpeg", lambda: jpeg(progressive=True), Good()),
    Case("progressive jpeg cut", lambda: jpeg(200, 200, progressive=True)[:-900], CUT),
    Case("png", lambda: encoded(photo(), "PNG"), Good()),
    Case("png cut", lambda: encoded(photo(), "PNG")[:-300], CUT),
    Case("png with a wrong checksum", bad_crc, "checksum"),
    Case("png cut in its header", lambda: encoded(photo(), "PNG")[:20], CUT),
    Case("zero bytes", lambda: b"", "empty file"),
    Case("two bytes of header", lambda: b"\xff\xd8", CUT),
    Case("web page", lambda: HTML, "a web page"),
    Case("random bytes", lambda: np.random.default_rng(1).bytes(4000), "not an image"),
    Case("all zeros", lambda: bytes(20_000), "zero-filled"),
    Case("webp", lambda: encoded(photo(), "WEBP", quality=90), Good()),
    Case("lossless webp", lambda: encoded(photo(), "WEBP", lossless=True), Good()),
    Case("webp with alpha", lambda: encoded(rgba(128), "WEBP", lossless=True), Good(mean=147.5)),
    Case("gif", lambda: encoded(photo(), "GIF"), Good()),
    Case("avif", lambda: encoded(photo(), "AVIF"), Good()),
    Case("heic", lambda: HEIC, "HEIC"),
    Case("cmyk jpeg", cmyk, Good(mean=128)),
    Case("grey jpeg", lambda: encoded(Image.new("L", (64, 48), 90), "JPEG"), Good(mean=90)),
    Case("one bit png", lambda: encoded(Image.new("1", (64, 48), 1), "PNG"), Good(mean=255)),
    Case("grey with alpha png", lambda: encoded(Image.new("LA", (64, 48), (0, 0)), "PNG"), Good(mean=255, note="fully transparent")),
    Case("16-bit png", lambda: grey16(65535), Good(mean=127.5)),
    Case("12-bit data in a 16-bit png", lambda: grey16(4095), Good(mean=7.96, note="uses 6 % of the 16-bit range")),
    Case("16-bit rgb png", lambda: rgb16_png(), Good(mean=127.5)),
    Case("float tiff with a declared range", lambda: float_tiff(ramp() * 50 - 10, -10, 40), Good(mean=127.5)),
    Case("float tiff without a range", lambda: float_tiff(ramp()), "floating-point pixels without a declared range"),
    Case("float tiff with NaN", lambda: float_tiff(np.where(ramp() > 0.9, np.nan, ramp()), 0, 1), "NaN pixels"),
    Case(
        "32-bit tiff", lambda: encoded(Image.fromarray((ramp() * 1e6).astype(np.int32)), "TIFF"), "32-bit pixels without a declared range"
    ),
    Case("palette png", palette, Good()),
    Case("palette png with transparency", lambda: palette(bytes(range(0, 256, 16))), Good()),
    Case("rgba png", lambda: encoded(rgba(255), "PNG"), Good(mean=40)),
    Case("fully transparent png", lambda: encoded(rgba(0), "PNG"), Good(mean=255, note="fully transparent")),
    Case("five-band tiff", five_band_tiff, "damaged, or a kind of image that is not read"),
    Case("multi-page tiff", multi_page_tiff, Good(note="page 1 of 5")),
    Case("animated gif", lambda: animation("GIF"), Good(note="frame 1 of several")),
    Case("animated webp", lambda: animation("WEBP"), Good(note="frame 1 of 3")),
    Case("animated png", lambda: animation("PNG"), Good(note="frame 1 of 3")),
    *(Case(f"exif orientation {n}", lambda n=n: with_exif(n), Good((64, 48) if n < 5 else (48, 64))) for n in range(1, 9)),
    Case("exif orientation 42", lambda: with_exif(42), Good()),
    Case("exif in png", lambda: with_exif(6, "PNG"), Good((48, 64))),
    Case("exif in webp", lambda: with_exif(6, "WEBP"), Good((48, 64))),
    Case("exif garbage", lambda: with_exif(b"Exif\0\0" + b"\xff" * 300), Good()),
    Case("64 KB of exif", lambda: with_exif(b"Exif\0\0II*\0\x08\0\0\0" + b"\xff" * 65_000), Good()),
    Case("colour profile", lambda: with_icc(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()), Good()),
    Case("broken colour profile", lambda: with_icc(b"nonsense" * 20), Good()),
    Case("png with a broken colour profile", lambda: encoded(photo(), "PNG", icc_profile=b"nonsense"), Good()),
    Case("100 megapixels in 12 KB", lambda: one_bit_png(10_000), "too large: 10000 × 10000 is 100 MP, the limit is 80 MP"),
    Case("400 megapixels", lambda: one_bit_png(20_000), "too large"),
    Case("65,000 x 65,000 without data", lambda: png([png_header(65_000, 65_000), (b"IEND", b"")]), "too large"),
    Case("width 0", lambda: png([png_header(0, 5), (b"IEND", b"")]), "width or height is 0"),
    Case("webp of 268 megapixels without data", lambda: b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\x3f\0\xff\x3f\0", "too large"),
    Case("one pixel", lambda: encoded(photo(1, 1), "PNG"), Good((1, 1))),
    Case("one row", lambda: encoded(photo(2000, 1), "PNG"), Good((2000, 1))),
    Case("one column", lambda: encoded(photo(1, 2000), "JPEG"), Good((1, 2000))),
    Case("80 MB of text in 80 KB", text_bomb, "damaged"),
    Case("svg", lambda: SVG, "SVG"),
    Case("eps", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "EPS"),
    Case("psd", lambda: b"8BPS\0\x01" + bytes(60), "a Photoshop file"),
    Case("pdf", lambda: b"%PDF-1.7\n" + bytes(60), "a PDF document"),
    Case("dds", lambda: b"DDS |\0\0\0" + bytes(120), "a DDS texture"),
    Case("tga", lambda: encoded(photo(), "TGA"), "not an image of a known format"),
    Case("jpeg 2000", lambda: b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(80), "JPEG 2000"),
    Case("git lfs pointer", lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "a Git LFS pointer"),
    Case("jpeg with a zip behind it", lambda: jpeg() + b"PK\x03\x04" + bytes(900), Good()),
    Case("junk before a jpeg", lambda: b"junk" + jpeg(), "not an image"),
    Case("lossless jpeg", lambda: jpeg_of_kind(0xC3), "unsupported JPEG kind"),
    Case("arithmetic-coded jpeg", lambda: jpeg_of_kind(0xC9), "unsupported JPEG kind"),
    Case("12-bit jpeg", lambda: jpeg_of_kind(0xC1, 12), "unsupported JPEG kind (12-bit)"),
    Case("bmp", lambda: encoded(photo(), "BMP"), Good()),
    Case("bmp from top to bottom", top_down_bmp, Good()),
    Case("bmp cut", lambda: encoded(photo(), "BMP")[:2000], CUT),
    Case("gif without frames", lambda: b"GIF89a\x40\0\x30\0\0\0\0;", "damaged"),
    Case("tiff with a loop of pages", looping_tiff, Good()),
    Case("tiff whose pixels lie at 2 GB", far_strip_tiff, CUT),
    Case("jpeg with large metadata before its size", lambda: with_exif(b"Exif\0\0" + bytes(60_000)), Good()),
]


def rgb16_png() -> bytes:
    values = np.linspace(0, 65535, 64 * 48 * 3).astype(">u2").reshape(48, -1)
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    return png([png_header(64, 48, 16, 2), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])
