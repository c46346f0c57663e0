"""Data sets that come with the program and need no network: scikit-learn's handwritten digits, written out as class folders."""

from __future__ import annotations

import gzip
import importlib.util
import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from studio.core.place import cache_dir
from studio.core.problem import BadInput

if TYPE_CHECKING:
    import numpy as np

_SIDE_PX = 32  # the digits are 8 x 8; enlarged so that they can be seen, and below no check's limit


@dataclass(frozen=True)
class SampleSet:
    key: str
    title: str
    detail: str
    num_images: int
    num_classes: int


SAMPLE_SETS = (
    SampleSet("digits", "Handwritten digits", "1,797 small grey images of the digits 0 to 9. Trains in a few minutes.", 1797, 10),
    SampleSet(
        "digits-small",
        "Handwritten digits, small",
        "20 images of each digit in train and val folders, to see quickly how everything works.",
        200,
        10,
    ),
)
_PER_CLASS = 20, 15  # of the small set: all, and how many of them train; enough to validate without a warning


def prepare_sample_set(key: str, progress: Callable[[int, int | None, str], None] | None = None) -> Path:
    """The folder of this sample set in the cache, written if it is not there whole. Raises BadInput; leaves nothing half done."""
    wanted = next((s for s in SAMPLE_SETS if s.key == key), None)
    if wanted is None:
        raise BadInput(f"There is no sample set “{key}”. There are: {', '.join(s.key for s in SAMPLE_SETS)}.")
    folder = cache_dir() / "samples" / key
    if _is_whole(folder, wanted):
        return folder
    temporary = folder.with_name(f".{key}-{secrets.token_hex(4)}.tmp")
    try:
        _write(temporary, wanted, progress)
        if folder.exists():  # somebody removed files from it, and may have added some
            _add_missing(temporary, folder)
        else:
            os.rename(temporary, folder)
    except OSError as exc:
        if _is_whole(folder, wanted):  # another process was faster
            return folder
        raise BadInput(
            f"The sample images cannot be written to “{folder}” ({exc.strerror}). Make room there, or choose a folder of yours."
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _is_whole(folder: Path, wanted: SampleSet) -> bool:
    return sum(1 for _ in folder.rglob("[0-9][0-9][0-9][0-9].png")) >= wanted.num_images


def _add_missing(whole: Path, folder: Path) -> None:
    for file in whole.rglob("*.png"):
        target = folder / file.relative_to(whole)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            os.rename(file, target)


def _write(folder: Path, wanted: SampleSet, progress) -> None:
    from PIL import Image

    per_class, num_train = _PER_CLASS
    is_small = wanted.key == "digits-small"
    written = [0] * 10
    done = 0
    for index, (image, label) in enumerate(zip(*_digits(), strict=True)):
        if is_small and written[label] == per_class:
            continue
        part = ("train" if written[label] < num_train else "val") if is_small else "."
        target = folder / part / str(label)
        target.mkdir(parents=True, exist_ok=True)
        large = Image.fromarray(image).resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BICUBIC)
        large.save(target / f"{index:04}.png", compress_level=1)
        written[label] += 1
        done += 1
        if progress and (done % 100 == 0 or done == wanted.num_images):
            progress(done, wanted.num_images, "Writing sample images")


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """uint8[1797, 8, 8] and int[1797], from the file in the installed package, which is not imported (it takes a second)."""
    import numpy as np

    spec = importlib.util.find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise BadInput("The sample images come with scikit-learn, which is not installed. Run `pip install scikit-learn`.")
    path = Path(next(iter(spec.submodule_search_locations))) / "datasets" / "data" / "digits.csv.gz"
    try:
        with gzip.open(path, "rt") as f:
            table = np.loadtxt(f, delimiter=",")
    except OSError as exc:
        raise BadInput(f"The sample images of scikit-learn cannot be read from “{path}” ({exc}). Install scikit-learn again.") from None
    images = np.rint(table[:, :-1] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    return images, table[:, -1].astype(int)
