"""Inputs for tests: small folders of real images and run folders in any state."""

from __future__ import annotations

import functools
import io
import tempfile
from pathlib import Path

import numpy as np

from studio.core.outcome import Status
from studio.core.path_text import path_to_text
from studio.core.run_folder import RunFolder
from studio.dataset.dataset import Dataset, Sample

CLASSES = ("boot", "dress", "hat", "shirt", "shoe", "shorts")
_recorded: dict[tuple[str, bytes], tuple[str, dict[Path, bytes | None]]] = {}  # the files of runs, by what they were recorded from


@functools.cache
def _pictures(num_classes: int, num_of_each: int, size_px: int) -> list[list[bytes]]:
    """PNG files, class by class: most tests want the same ones, and drawing them takes longer than writing them."""
    from PIL import Image

    rng = np.random.default_rng(0)
    found = []
    for _ in range(num_classes):
        base = rng.integers(40, 215, 3)
        found.append([])
        for _ in range(num_of_each):
            pixels = np.clip(base + rng.normal(0, 25, (size_px, size_px, 3)), 0, 255).astype(np.uint8)
            packed = io.BytesIO()
            Image.fromarray(pixels).save(packed, "PNG")
            found[-1].append(packed.getvalue())
    return found


def build_dataset(
    root: Path, classes: tuple[str, ...] = CLASSES, num_train: int = 40, num_validation: int = 20, size_px: int = 24
) -> Dataset:
    """A data set with one colour per class, `num_train` and `num_validation` PNG files of each class."""
    samples = []
    for index, (name, pictures) in enumerate(zip(classes, _pictures(len(classes), num_train + num_validation, size_px))):
        folder = root / f"class-{index}"
        folder.mkdir(parents=True, exist_ok=True)
        for i, content in enumerate(pictures):
            path = folder / f"{i:04d}.png"
            path.write_bytes(content)
            stat = path.stat()
            split = "train" if i < num_train else "validation"
            samples.append(Sample(f"class-{index}/{path.name}", name, split, size_px, size_px, stat.st_size, stat.st_mtime_ns))
    return Dataset(path_to_text(root), "class folders", classes, tuple(samples))


def build_run(runs: Path, dataset: Dataset, status: Status = Status.FINISHED, nickname: str = "calm-otter", **more) -> RunFolder:
    """A recorded run. `more` are fields of studio.gui.recorded.Recording. One that was recorded before is written again, not made again."""
    from studio.core.experiment import Experiment
    from studio.gui.recorded import Recording, record_run

    more.setdefault("experiment", Experiment().changed({"data.source": dataset.root}))
    recording = Recording(status=status, nickname=nickname, **more)
    key = repr(recording), dataset.to_json()
    if key not in _recorded:
        with tempfile.TemporaryDirectory() as folder:
            made = record_run(Path(folder), recording, dataset)
            parts = sorted(made.path.rglob("*"))  # a folder before what is in it
            _recorded[key] = made.name, {p.relative_to(made.path): None if p.is_dir() else p.read_bytes() for p in parts}
    name, files = _recorded[key]
    path = Path(runs) / name
    path.mkdir(parents=True)
    for part, content in files.items():
        if content is None:
            (path / part).mkdir()
        else:
            (path / part).write_bytes(content)
    return RunFolder(path)
