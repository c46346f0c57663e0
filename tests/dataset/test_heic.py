"""HEIC is read by a plug-in that is not ours, and only by one without known holes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .corpus import HEIC

PLUG_IN = """
# Stands in for pillow-heif: a Pillow plug-in that takes every HEIC for four red pixels.
from PIL import Image, ImageFile


class Heif(ImageFile.ImageFile):
    format, format_description = "HEIF", "stand-in"

    def _open(self):
        self._size, self._mode = (2, 2), "RGB"

    def load(self):
        self.im = Image.new("RGB", (2, 2), "red").im
        return self.im.pixel_access(True)


def libheif_version():
    return VERSION


def register_heif_opener():
    Image.register_open("HEIF", Heif, lambda head: head[4:8] == b"ftyp")
"""
READ = """
import sys
from studio.dataset.image import ImageRefused, read_image
try:
    print(read_image(sys.argv[1]).tolist())
except ImageRefused as exc:
    print(exc.reason)
"""


@pytest.mark.parametrize(("version", "is_read"), [("1.23.4", True), ("1.24.0", True), ("1.23.3", False), ("odd", False)])
def test_heic_is_used_where_a_plug_in_of_a_safe_version_is_installed(tmp_path, version, is_read):
    (tmp_path / "pillow_heif.py").write_text(f"VERSION = {version!r}\n{PLUG_IN}")
    (tmp_path / "photo.jpg").write_bytes(HEIC)
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    done = subprocess.run(
        [sys.executable, "-c", READ, tmp_path / "photo.jpg"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout.strip() == str([[[255, 0, 0]] * 2] * 2)) is is_read, done.stdout
    assert is_read or "pip install -U pillow-heif" in done.stdout
