"""States of the page for the screenshots: each function brings it there as a person would."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from studio.core.experiment import Data
from studio.core.path_text import path_to_text
from studio.core.place import cache_dir
from studio.core.problem import BadInput

if TYPE_CHECKING:
    from studio.gui.pages.data.page import DataPage

_FIELDS = {
    "annual crop": (0.6, 0.0),
    "forest": (1.0, 0.0),
    "residential": (0.2, 0.0),
    "river": (0.4, 0.9),
}  # how much grows, how much is water
_LIGHT = (1200, 900, 900, 800, 1200, 2200, 2600, 2700, 2900, 900, 20, 1800, 1000)  # reflectance in the 13 bands of Sentinel-2, roughly
_PER_CLASS, _SIDE_PX = 14, 64


def states() -> dict[str, Callable[[DataPage], object]]:
    return {
        "loading": _loading,
        "error": _error,
        "filtered": lambda page: page.show_argument(page.store.dataset.classes[1]),
        "large": lambda page: page.show_large(2),
        "table": lambda page: _show_table(page, "path,label"),
        "columns": lambda page: _show_table(page, "image,kind"),
        "bands": lambda page: _show_fields(page, Data(white=4095)),
        "bands-chosen": lambda page: _show_fields(page, Data(bands=(8, 4, 3), white=4095)),
    }


def _loading(page: DataPage) -> None:
    page.set_subtitle("")
    page.loading.show_progress(1204, 3783, "Reading images")
    page.stack.setCurrentWidget(page.loading)


def _error(page: DataPage) -> None:
    page.set_subtitle("")
    page._show_trouble(BadInput("No images in this folder. It holds 12 folders without images."))


def _show_table(page: DataPage, header: str) -> None:
    """The same images from a CSV file, with its rows."""
    images = page.store.dataset
    path = cache_dir() / "samples" / "labels.csv"
    rows = (f"{os.path.relpath(images.path_of(sample), path.parent)},{sample.label}" for sample in images.samples)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]), "utf-8")
    _show_scanned(page, {"data.source": path_to_text(path), "data.layout": "auto"})
    page.table._on_rows_clicked()


def _show_fields(page: DataPage, data: Data) -> None:
    """Small multi-spectral images."""
    folder = cache_dir() / "samples" / "fields"
    if not folder.exists():
        _write_fields(folder)
    _show_scanned(page, {"data.source": path_to_text(folder), "data.bands": data.bands, "data.white": data.white})


def _show_scanned(page: DataPage, values: dict[str, object]) -> None:
    """Read as the scan of the window would read it."""
    from studio.dataset.check import find_issues
    from studio.dataset.scan import scan
    from studio.dataset.statistics import pixel_statistics
    from studio.dataset.verify import verify
    from studio.gui.scan import ScanState

    page.store.reset_to(page.store.experiment.changed(values))
    try:
        dataset = verify(scan(page.store.experiment.data))
    except BadInput as exc:
        page.store.set_dataset(None, exc.problems)
        page.context.scan.hold(ScanState(error=exc))
        return
    page.context.scan.hold(
        ScanState(issues=tuple(find_issues(dataset)), statistics=pixel_statistics(dataset), seconds=0.4, is_complete=True)
    )
    page.store.set_dataset(dataset, tuple(dataset.problems))


def _write_fields(folder: Path) -> None:
    import tifffile
    from PIL import Image

    rng = np.random.default_rng(2)

    def patches(number: int) -> np.ndarray:
        coarse = Image.fromarray((rng.random((number, number)) * 255).astype(np.uint8))
        return np.asarray(coarse.resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BICUBIC), float) / 255

    for name, (grows, water) in _FIELDS.items():
        (folder / name).mkdir(parents=True)
        for number in range(_PER_CLASS):
            leaves, river, grain = grows * (0.4 + patches(6)), water * (patches(4) > 0.5), patches(24)
            values = np.stack([np.full((_SIDE_PX, _SIDE_PX), float(light)) for light in _LIGHT], -1) * (0.7 + 0.6 * grain[..., None])
            values[..., 5:9] *= 0.5 + leaves[..., None]  # leaves reflect the near infrared, and little red and blue
            values[..., (1, 3)] *= 1.5 - 0.9 * leaves[..., None]
            values *= 1 - 0.7 * river[..., None]
            tifffile.imwrite(folder / name / f"{number}.tif", values.astype(np.uint16), photometric="minisblack", planarconfig="contig")
