"""Multi-spectral TIFF: three chosen bands as a picture, the same one everywhere, and a question where nobody has chosen."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest
import tifffile
from PIL import Image

from studio.core.experiment import Data, Experiment
from studio.core.problem import BadInput, Severity
from studio.core.reading import Reading
from studio.dataset.bands import BandsUndecided
from studio.dataset.check import find_issues
from studio.dataset.dataset import Dataset
from studio.dataset.header import ImageRefused, parse_header, read_header
from studio.dataset.image import decode, decode_noted, read_image
from studio.dataset.scan import scan
from studio.dataset.statistics import pixel_statistics
from studio.dataset.thumbnail import thumbnail
from studio.dataset.verify import verify

from .conftest import make_images
from .corpus import encoded, packed_bands_tiff, photo
from .test_scan import sentences

CHOSEN = Reading(bands=(4, 3, 2))


def values(num_bands: int = 6, dtype=np.uint16, height: int = 40, width: int = 56) -> np.ndarray:
    """Every band another ramp over the whole range of the type: [H, W, B]."""
    rng = np.random.default_rng(num_bands)
    top = np.iinfo(dtype).max
    base = np.linspace(0, top, height * width).reshape(height, width, 1)
    return ((base + rng.integers(0, top, num_bands)) % top).astype(dtype)


def tiff(values_HWB: np.ndarray, **options) -> bytes:
    out = io.BytesIO()
    options = {"photometric": "minisblack", "planarconfig": "contig"} | options
    if options["planarconfig"] == "separate":
        values_HWB = np.moveaxis(values_HWB, -1, 0)
    tifffile.imwrite(out, values_HWB, **options)
    return out.getvalue()


LAYOUTS = {
    "strips": {},
    "short strips": {"rowsperstrip": 7},
    "tiles": {"tile": (16, 32)},
    "planes": {"planarconfig": "separate"},
    "planes in tiles": {"planarconfig": "separate", "tile": (16, 16)},
    "big-endian": {"byteorder": ">"},
    "BigTIFF": {"bigtiff": True},
    "Deflate": {"compression": "zlib", "rowsperstrip": 9},
    "Deflate with differences": {"compression": "zlib", "predictor": 2, "tile": (16, 16)},
    "LZMA": {"compression": "lzma"},
    "described as RGB and more": {"photometric": "rgb", "extrasamples": ["unspecified"] * 3},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_three_chosen_bands_are_red_green_and_blue_however_the_file_is_laid_out(layout, dtype):
    stored = values(dtype=dtype)
    data = tiff(stored, **LAYOUTS[layout])
    header = parse_header(data)
    assert (header.format, header.width, header.height, header.num_bands) == ("TIFF", 56, 40, 6)
    wanted = stored[..., [3, 2, 1]]
    assert np.array_equal(decode(data, CHOSEN), wanted if dtype == np.uint8 else np.rint(wanted / 257).astype(np.uint8))


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "zstd", "lzma"])
def test_usual_compressions_are_read_without_a_library_for_them(compression):
    stored = values(5, np.uint8, 48, 64)
    assert np.array_equal(decode(packed_bands_tiff(stored, compression), CHOSEN), stored[..., [3, 2, 1]])


def test_one_band_may_be_shown_in_all_three_colours():
    stored = values(5, np.uint8)
    pixels = decode(tiff(stored), Reading(bands=(5, 5, 5)))
    assert all(np.array_equal(pixels[..., c], stored[..., 4]) for c in range(3))


def test_the_value_of_white_scales_16_bits_and_what_is_brighter_is_said():
    stored = (values(4) // 16).astype(np.uint16)  # 12 bits
    dark, bright = decode_noted(tiff(stored), CHOSEN), decode_noted(tiff(stored), Reading(bands=(4, 3, 2), white=4095))
    assert "uses 6 % of the 16-bit range" in dark.notes and bright.notes == ()
    assert np.array_equal(bright.pixels, np.rint(stored[..., [3, 2, 1]] / 4095 * 255).astype(np.uint8))
    assert decode_noted(tiff(stored), Reading(bands=(4, 3, 2), white=2000)).notes == ("brighter than the value of white",)
    grey = encoded(Image.fromarray(stored[..., 0]), "PNG")
    assert decode(grey, Reading(white=4095)).max() > 240 > decode(grey).max()


def test_other_numbers_are_read_by_the_range_that_the_file_declares():
    stored = np.linspace(-1, 3, 20 * 30 * 5).reshape(20, 30, 5).astype(np.float32)
    declared = [(340, "f", 5, (-1.0,) * 5, True), (341, "f", 5, (3.0,) * 5, True)]
    pixels = decode(tiff(stored, extratags=declared), CHOSEN)
    assert np.array_equal(pixels, np.rint((stored[..., [3, 2, 1]] + 1) / 4 * 255).astype(np.uint8))
    with pytest.raises(ImageRefused, match="without a declared range"):
        decode(tiff(stored), CHOSEN)
    stored[0, 0] = np.nan
    with pytest.raises(ImageRefused, match="NaN pixels"):
        decode(tiff(stored, extratags=declared), CHOSEN)


def test_a_picture_of_16_bit_bands_takes_little_more_memory_than_its_values():
    stored = values(5, np.uint16, 1000, 1000)
    data = tiff(stored)
    tracemalloc.start()
    try:
        decode(data, CHOSEN)
        assert tracemalloc.get_traced_memory()[1] < 25 * 1000 * 1000, "three bands of 2 bytes, all five of one piece, and the picture"
    finally:
        tracemalloc.stop()


def test_pictures_with_transparency_and_three_bands_ask_nothing():
    four = values(4, np.uint8)
    assert parse_header(tiff(four, photometric="rgb", extrasamples=["unassalpha"])).num_bands == 0
    three = tiff(four[..., :3])  # not said to be RGB, as many programs write three bands
    for reading in (Reading(), CHOSEN, Reading(bands=(3, 2, 1))):  # a choice is for files with more than three
        assert np.array_equal(decode(three, reading), four[..., :3])


def test_without_a_choice_and_with_too_few_bands_the_file_is_sound_and_asked_about():
    data = tiff(values(5))
    with pytest.raises(BandsUndecided, match="5 bands per pixel; say which three"):
        decode(data)
    with pytest.raises(BandsUndecided, match="it has 5 bands, and band 8 is asked for"):
        decode(data, Reading(bands=(8, 3, 2)))


def test_damage_and_what_is_not_read_are_refused_in_words():
    whole = tiff(values(5), compression="zlib", rowsperstrip=8)
    with pytest.raises(ImageRefused, match="truncated"):
        decode(whole[:-200], CHOSEN)
    with pytest.raises(ImageRefused, match=r"its compression \(50002\) is not read; save it uncompressed"):
        decode(retagged(whole, 259, 50002), CHOSEN)
    with pytest.raises(ImageRefused, match="too large"):
        decode(whole, Reading(max_megapixels=0.001, bands=(1, 2, 3)))
    rng = np.random.default_rng(3)
    for _ in range(200):
        data = bytearray(whole)
        for at in rng.integers(0, 400 if rng.random() < 0.7 else len(data), 3):
            data[at] = rng.integers(256)
        try:
            assert decode(bytes(data), Reading(max_megapixels=1, bands=(4, 3, 2))).dtype == np.uint8
        except ImageRefused:
            continue


def retagged(data: bytes, tag: int, value: int) -> bytes:
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        at = file.pages[0].tags[tag].valueoffset
    return data[:at] + value.to_bytes(2, "little") + data[at + 2 :]


# --- a whole data set ---------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """Two classes of six-band files beside usual pictures."""
    make_images(tmp_path / "data", {"crop": 8, "water": 8})
    for number in range(8):
        for name, shift in (("crop", 0), ("water", 3)):
            (tmp_path / "data" / name / f"{number}.tif").write_bytes(tiff(np.roll(values(), number + shift, axis=2)))
    return tmp_path / "data"


def test_a_run_waits_until_the_bands_are_chosen_and_no_file_is_set_aside(folder):
    found = verify(scan(Data(source=str(folder))))
    assert "16 images have 6 bands. Choose which three are red, green and blue" in sentences(found, Severity.ERROR)
    assert "--set data.bands=" in sentences(found, Severity.ERROR)
    assert len(found.samples) == 32 and not found.set_aside and len(found.banded) == 16
    assert "unreadable" not in {issue.kind for issue in find_issues(found)}
    assert not sentences(verify(scan(Data(source=str(folder), bands=(4, 3, 2)))), Severity.ERROR)
    assert "band 7 is chosen. Choose three of 6" in sentences(scan(Data(source=str(folder), bands=(7, 3, 2))), Severity.ERROR)


def test_what_is_kept_of_a_file_is_kept_for_its_bands(folder):
    path = str(folder / "crop" / "0.tif")
    for bands in ((4, 3, 2), (1, 2, 3)):
        reading = Reading(bands=bands)
        for _ in range(2):  # made, then from the cache
            assert np.abs(thumbnail(path, 40, reading).mean((0, 1)) - read_image(path, reading).mean((0, 1))).max() < 3


def test_checks_and_statistics_look_at_the_chosen_bands(folder):
    memory, means = {}, []
    for bands in ((4, 3, 2), (1, 1, 1)):
        found = scan(Data(source=str(folder), bands=bands))
        find_issues(found, memory=memory)
        means.append(pixel_statistics(found).mean)
    assert len(memory) == 64 and means[0] != means[1]


def test_a_list_of_images_remembers_bands_and_white(folder):
    found = scan(Data(source=str(folder), bands=(4, 3, 2), white=10_000))
    again = Dataset.from_json(found.to_json())
    assert again.reading == Reading(bands=(4, 3, 2), white=10_000) and again.samples == found.samples


def test_bands_are_three_numbers_from_one_on():
    assert Experiment().changed({"data.bands": [4, 3, 2]}).data.reading.bands == (4, 3, 2)
    for wrong in ([4, 3], [0, 1, 2], [1, 2, 3, 4], "4,3,2"):
        with pytest.raises(BadInput):
            Experiment().changed({"data.bands": wrong})


def test_the_header_is_read_from_the_file_like_from_memory(folder):
    assert read_header(str(folder / "crop" / "0.tif")).num_bands == 6


def test_usual_tiffs_stay_usual():
    assert parse_header(encoded(photo(), "TIFF")).num_bands == 0
