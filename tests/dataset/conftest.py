"""Folders of small images, and a way to be somebody who may not read everything."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .corpus import jpeg

_JPEG = jpeg(40, 32)


def make_images(root: Path, names: str | dict[str, int], data: bytes | None = None) -> Path:
    """“cat/a.jpg dog/b.jpg”, or {"cat": 3} for cat/0000.jpg to cat/0002.jpg. All hold the same picture."""
    if isinstance(names, dict):
        files = [f"{folder}/{i:04}.jpg" for folder, number in names.items() for i in range(number)]
    else:
        files = names.split()
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_JPEG if data is None else data)
    return root


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A temporary folder that every user may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path, _, _ in os.walk(folder):
        os.chmod(path, 0o755)
    shutil.rmtree(folder)


@pytest.fixture
def as_ordinary_user():
    """A context in which root is nobody, since root may read everything."""

    @contextlib.contextmanager
    def change():
        if os.name == "nt":
            pytest.skip("needs file permissions")
        before = os.geteuid()
        if before == 0:
            os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(before)

    return change()
