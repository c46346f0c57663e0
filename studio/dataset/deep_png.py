"""PNG files with 16 bits for each channel and more channels than one.

Pillow has no kind of picture for them: it keeps the high byte of every value and drops the low one. The same decoder gives the low bytes when it is
told that the high one comes last, so each file is read twice by it, and filters, interlacing and damage stay its business.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from studio.dataset.bands import picture_of_16_bits

_ROWS = 64
_RGB, _GREY_AND_ALPHA, _RGBA = "RGB;16B", "LA;16B", "RGBA;16B"  # Pillow's names of how values are stored
# As what they are unpacked instead: the second byte of every value; of two channels all four bytes, high before low.
_UNPACKED_AS = {_RGB: "RGB;16L", _GREY_AND_ALPHA: "RGBA", _RGBA: "RGBA;16L"}


def is_deep(im: Image.Image) -> bool:
    """Whether a PNG that is not loaded yet is of this kind."""
    return len(im.tile) == 1 and im.tile[0].args in _UNPACKED_AS


def read_deep(data: bytes, high: Image.Image, white: int, notes: list[str]) -> Image.Image:
    """The PNG as an RGB or RGBA picture, scaled by `white`. `high` is what Pillow has loaded of it, the high bytes.

    What damage raises is the caller's to put into words.
    """
    with Image.open(io.BytesIO(data), formats=("PNG",)) as low:
        stored = low.tile[0].args
        low.tile = [low.tile[0]._replace(args=_UNPACKED_AS[stored])]
        low.load()
    key = high.info.get("transparency") if stored == _RGB else None  # the one colour that is transparent
    num_channels = 2 if stored == _GREY_AND_ALPHA else 3 if stored == _RGB and key is None else 4
    values_HWC = np.empty((high.height, high.width, num_channels), np.uint16)
    for top in range(0, high.height, _ROWS):  # a copy of the whole would take as much memory again
        box = (0, top, high.width, min(high.height, top + _ROWS))
        some = np.asarray(low.crop(box)).astype(np.uint16)
        if stored == _GREY_AND_ALPHA:
            some = some[..., ::2] << 8 | some[..., 1::2]
        else:
            some |= np.asarray(high.crop(box)).astype(np.uint16) << 8
        if key is not None:
            some = np.dstack([some, np.where((some == key).all(-1), 0, 65_535)])
        values_HWC[top : top + _ROWS] = some
    del low
    return picture_of_16_bits(values_HWC, white, notes)
