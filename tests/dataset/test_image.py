"""Every awkward image file gets its verdict, quickly and without a warning or a surprise exception."""

from __future__ import annotations

import io
import os
import sys
import time
import tracemalloc

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from studio.core.reading import Reading
from studio.dataset.bands import BandsUndecided
from studio.dataset.header import parse_header, read_header
from studio.dataset.image import ImageRefused, decode, decode_noted, open_image, read_bytes, read_image

from .conftest import measured
from .corpus import (
    ADOBE_RGB,
    BANDS,
    CASES,
    P3,
    Asked,
    Case,
    Good,
    colours16,
    encoded,
    interlaced,
    jpeg,
    one_bit_png,
    photo,
    png16,
    profile,
    rgba,
    with_exif,
    with_icc,
)

WITHIN_A_SECOND = (33, 57, 58)  # rows that say so
OTHER_FORMATS = {
    "eps": "EPS",
    "eps with a header for DOS": "EPS",
    "psd": "PSD",
    "dds": "DDS",
    "tga": "TGA",
    "fits": "FITS",
    "icns": "ICNS",
    "wmf": "WMF",
    "jpeg 2000": "JPEG2000",
    "jpeg 2000 without a container": "JPEG2000",
}


# Pillow warns about damaged metadata; what counts is the verdict.
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.timeout(60)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_file_of_the_corpus_gets_its_verdict(case: Case):
    data = case.data()
    started = time.process_time()
    _judge(case, data)
    assert case.row not in WITHIN_A_SECOND or time.process_time() - started < 1


def _judge(case: Case, data: bytes) -> None:
    if isinstance(case.verdict, str):
        with pytest.raises(ImageRefused) as refused:
            decode(data)
        assert refused.value.reason.startswith(case.verdict)
        return
    if isinstance(case.verdict, Asked):
        with pytest.raises(BandsUndecided) as asked:
            decode(data)
        assert asked.value.reason.startswith(case.verdict.reason)
        assert decode(data, Reading(bands=BANDS)).shape == (48, 64, 3)
        return
    found = decode_noted(data)
    assert found.pixels.dtype == np.uint8 and found.pixels.flags.c_contiguous
    assert found.pixels.shape == (case.verdict.size[1], case.verdict.size[0], 3)
    if case.verdict.mean is not None:
        assert found.pixels.mean() == pytest.approx(case.verdict.mean, abs=1.5)
    if case.verdict.note:
        assert any(case.verdict.note in note for note in found.notes)
    else:
        assert found.notes == ()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("case", [c for c in CASES if isinstance(c.verdict, Good)], ids=lambda case: case.name)
def test_the_header_agrees_with_the_pixels(case: Case):
    header = parse_header(case.data())
    assert {header.width, header.height} == set(case.verdict.size)


@pytest.mark.parametrize("name", OTHER_FORMATS)
def test_formats_that_pillow_reads_and_studio_does_not_are_not_even_tried(name):
    (data,) = [case.data() for case in CASES if case.name == name]
    assert Image.open(io.BytesIO(data)).format == OTHER_FORMATS[name], "a real one"
    with pytest.raises(ImageRefused):
        open_image(io.BytesIO(data))


@pytest.mark.parametrize("colourants", [P3, ADOBE_RGB])
def test_a_colour_profile_changes_no_pixel(colourants):
    stored = Image.open(io.BytesIO(jpeg()))
    managed = ImageCms.profileToProfile(stored, io.BytesIO(profile(colourants)), ImageCms.createProfile("sRGB"))
    assert np.abs(np.asarray(managed, int) - np.asarray(stored)).mean() > 1, "one that would"
    assert np.array_equal(decode(with_icc(profile(colourants))), decode(jpeg()))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_far_more_metadata_than_pixels_takes_no_memory(tmp_path):
    files = [case for case in CASES if case.row == 42 or "profile in" in case.name]
    for number, case in enumerate(files):
        (tmp_path / f"{number}.png").write_bytes(case.data())
    (tmp_path / "sound.png").write_bytes(encoded(photo(), "PNG"))
    code = "for path in sys.argv[2:]:\n    assert (read_image(path) == read_image(sys.argv[1])).all()"
    paths = [tmp_path / f"{number}.png" for number in range(len(files))]
    _, mb = measured("from studio.dataset.image import read_image; read_image(sys.argv[1])", code, tmp_path / "sound.png", *paths)
    assert len(files) == 4 and mb < 64


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_stored_turned_is_shown_upright(orientation):
    upright = np.zeros((48, 64, 3), np.uint8)
    upright[:16, :16] = 255  # a white corner at the top left
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = Image.fromarray(upright)
    if orientation in undo:
        stored = stored.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decode_noted(encoded(stored, "PNG", exif=exif.tobytes()))
    assert np.array_equal(found.pixels, upright)
    assert found.is_turned == (orientation > 1)


def test_16_bits_are_scaled_and_not_clipped():
    values = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    pixels = decode(encoded(Image.fromarray(values), "PNG"))
    assert np.array_equal(pixels[..., 0], np.rint(values / 257).astype(np.uint8))
    assert len(np.unique(pixels)) == 256


def colours_as(kind: str, values_HWC: np.ndarray) -> bytes:
    """16-bit RGB in one of the ways in which files hold it; what has transparency is opaque."""
    opaque = np.dstack([values_HWC, np.full(values_HWC.shape[:2], 65_535, np.uint16)])
    if kind == "filtered png":
        return cv2.imencode(".png", values_HWC[..., ::-1])[1].tobytes()
    if kind.endswith("png"):
        return interlaced(pixels_HWC=values_HWC) if kind == "interlaced png" else png16(opaque if kind == "rgba png" else values_HWC)
    out = io.BytesIO()
    options = {
        "tiff": {},
        "packed tiff": {"compression": "zlib", "predictor": 2, "byteorder": ">"},
        "planar tiff": {"planarconfig": "separate"},
        "rgba tiff": {"extrasamples": ["unassalpha"]},
        "tiff with premultiplied colours": {"extrasamples": ["assocalpha"]},
    }[kind]
    stored = opaque if "extrasamples" in options else np.moveaxis(values_HWC, -1, 0) if kind == "planar tiff" else values_HWC
    tifffile.imwrite(out, stored, photometric="rgb", **options)
    return out.getvalue()


@pytest.mark.parametrize(
    "kind",
    [
        "png",
        "filtered png",
        "interlaced png",
        "rgba png",
        "tiff",
        "packed tiff",
        "planar tiff",
        "rgba tiff",
        "tiff with premultiplied colours",
    ],
)
def test_no_bit_is_lost_of_16_bits_per_colour(kind):
    values = colours16(4095)
    data = colours_as(kind, values)
    dark, bright = decode_noted(data), decode_noted(data, Reading(white=4095))
    assert dark.notes == ("uses 6 % of the 16-bit range",) and bright.notes == ()
    assert np.array_equal(bright.pixels, np.rint(values / 4095 * 255).astype(np.uint8))
    assert np.array_equal(decode(colours_as(kind, colours16())), np.rint(colours16() / 257).astype(np.uint8))


@pytest.mark.parametrize(
    "kind",
    ["grey png", "rgba png", "rgba tiff", "tiff with premultiplied colours", "grey tiff", "inverted grey tiff", "grey tiff, premultiplied"],
)
def test_transparent_16_bit_pictures_are_laid_over_white(kind):
    colours = colours16(4095)[..., :1] if "grey" in kind else colours16(4095)
    alpha = np.linspace(9_000, 65_535, 64 * 48).astype(np.uint16).reshape(48, 64, 1)
    held = 65_535 - colours if "inverted" in kind else colours
    stored = np.dstack([(colours * (alpha / 65_535)).astype(np.uint16) if "premultiplied" in kind else held, alpha])
    out = io.BytesIO()
    if kind.endswith("png"):
        out.write(png16(stored))
    else:
        photometric = "miniswhite" if "inverted" in kind else "minisblack" if "grey" in kind else "rgb"
        transparency = "assocalpha" if "premultiplied" in kind else "unassalpha"
        tifffile.imwrite(out, stored, photometric=photometric, planarconfig="contig", extrasamples=[transparency])
    wanted = 255 + (colours / 4095 * 255 - 255) * (alpha / 65_535)
    assert np.abs(decode(out.getvalue(), Reading(white=4095)) - wanted).max() <= (3 if "premultiplied" in kind else 1.5)


def test_the_transparent_colour_of_a_16_bit_png_is_told_from_one_that_differs_in_its_low_byte():
    values = np.zeros((8, 8, 3), np.uint16)
    values[:4], values[4:] = 0x1234, 0x1235
    pixels = decode(png16(values, (b"tRNS", b"\x12\x34" * 3)))
    assert (pixels[:4] == 255).all() and (pixels[4:] == 0x12).all()


def test_transparency_is_laid_over_white():
    pixels = decode(encoded(rgba(51), "PNG"))  # 40 at 20 % over 255
    assert np.abs(pixels.astype(int) - 212).max() <= 1


def test_cmyk_is_converted_to_fixed_values():
    """Golden values: the conversion must never change silently, or old runs see other colours."""
    stored = Image.new("CMYK", (16, 16), (0, 128, 255, 64))
    pixels = decode(encoded(stored, "TIFF"))
    assert tuple(pixels[8, 8]) == (191, 95, 0)


def test_16_bit_inks_are_rounded_and_white_says_nothing_of_them():
    inks, out = np.random.default_rng(0).integers(0, 65_536, (24, 32, 4)).astype(np.uint16), io.BytesIO()
    tifffile.imwrite(out, inks, photometric="separated", planarconfig="contig")
    rounded = Image.frombytes("CMYK", (32, 24), np.rint(inks / 257).astype(np.uint8).tobytes())
    assert np.array_equal(decode(out.getvalue(), Reading(white=4095)), decode(encoded(rounded, "TIFF")))


def test_a_larger_limit_lets_a_large_image_in_and_a_smaller_one_keeps_a_small_one_out():
    with pytest.raises(ImageRefused, match="limit is 0.001 MP"):
        decode(jpeg(), Reading(max_megapixels=0.001))
    assert decode(one_bit_png(9_500), Reading(max_megapixels=100)).shape == (9_500, 9_500, 3)


def test_a_huge_image_is_refused_before_memory_is_used():
    data = one_bit_png(20_000)
    tracemalloc.start()
    try:
        with pytest.raises(ImageRefused):
            decode(data)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


def test_small_decoding_of_a_jpeg_shows_the_same_picture():
    data = jpeg(640, 480)
    small = decode_noted(data, least_px=64).pixels
    assert small.shape == (60, 80, 3) or small.shape[0] >= 64
    reference = np.asarray(Image.fromarray(decode(data)).resize(small.shape[1::-1], Image.Resampling.BOX))
    assert np.abs(small.astype(int) - reference).mean() < 4


@pytest.mark.skipif(os.name == "nt", reason="needs a FIFO")
@pytest.mark.timeout(60)
def test_a_pipe_named_like_an_image_is_refused_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.jpg")
    for reader in (read_image, read_bytes, read_header):
        with pytest.raises(ImageRefused, match="not a regular file"):
            reader(str(tmp_path / "x.jpg"))


@pytest.mark.parametrize(
    ("name", "reason"), [("missing.jpg", "there is no such file"), (".", "not a regular file|a folder"), ("nul\0.jpg", "cannot be opened")]
)
def test_a_path_that_is_no_file_is_refused_with_its_reason(tmp_path, name, reason):
    with pytest.raises(ImageRefused, match=reason):
        read_image(os.path.join(tmp_path, name))


def test_a_file_that_may_not_be_read_says_so(open_folder, as_ordinary_user):
    path = open_folder / "x.jpg"
    path.write_bytes(jpeg())
    path.chmod(0)
    with as_ordinary_user, pytest.raises(ImageRefused, match="no permission"):
        read_image(str(path))


def test_the_header_is_read_from_the_file_like_from_memory(tmp_path):
    for name, data in {"a.jpg": with_exif(6), "b.tif": encoded(photo(), "TIFF"), "c.png": encoded(photo(), "AVIF")}.items():
        (tmp_path / name).write_bytes(data)
        on_disk, in_memory = read_header(str(tmp_path / name)), parse_header(data)
        assert (on_disk.format, on_disk.width, on_disk.height) == (in_memory.format, in_memory.width, in_memory.height)
        assert on_disk.num_bytes == len(data) and on_disk.mtime_ns > 0


def test_every_prefix_of_every_format_is_decoded_or_refused():
    for format_ in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"):
        data = encoded(photo(24, 16), format_)
        for end in range(0, len(data), max(1, len(data) // 60)):
            with pytest.raises(ImageRefused):
                pixels = decode(data[:end])
                # A GIF or WebP can be whole before its last bytes; then the size must be right.
                assert pixels.shape == (16, 24, 3)
                raise ImageRefused("whole")


def test_random_damage_never_raises_anything_but_refusal():
    rng = np.random.default_rng(5)
    for format_ in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"):
        whole = encoded(photo(24, 16), format_)
        for _ in range(60):
            data = bytearray(whole)
            for at in rng.integers(0, len(data), 4):
                data[at] = rng.integers(256)
            try:
                pixels = decode(bytes(data), Reading(max_megapixels=1))
            except ImageRefused:
                continue
            assert pixels.dtype == np.uint8 and pixels.ndim == 3
