"""Inputs for tests: small folders of real images and run folders in any state."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from studio.core.outcome import Status
from studio.core.path_text import path_to_text
from studio.core.run_folder import RunFolder
from studio.dataset.dataset import Dataset, Sample

CLASSES = ("boot", "dress", "hat", "shirt", "shoe", "shorts")


def build_dataset(
    root: Path, classes: tuple[str, ...] = CLASSES, num_train: int = 40, num_validation: int = 20, size_px: int = 24
) -> Dataset:
    """A data set with one colour per class, `num_train` and `num_validation` PNG files of each class."""
    from PIL import Image

    rng = np.random.default_rng(0)
    samples = []
    for index, name in enumerate(classes):
        folder = root / f"class-{index}"
        folder.mkdir(parents=True, exist_ok=True)
        base = rng.integers(40, 215, 3)
        for i in range(num_train + num_validation):
            path = folder / f"{i:04d}.png"
            pixels = np.clip(base + rng.normal(0, 25, (size_px, size_px, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(path)
            stat = path.stat()
            split = "train" if i < num_train else "validation"
            samples.append(Sample(f"class-{index}/{path.name}", name, split, size_px, size_px, stat.st_size, stat.st_mtime_ns))
    return Dataset(path_to_text(root), "class folders", classes, tuple(samples))


def build_run(runs: Path, dataset: Dataset, status: Status = Status.FINISHED, nickname: str = "calm-otter", **more) -> RunFolder:
    """A recorded run. `more` are fields of studio.gui.recorded.Recording."""
    from studio.core.experiment import Experiment
    from studio.gui.recorded import Recording, record_run

    more.setdefault("experiment", Experiment().changed({"data.source": dataset.root}))
    return record_run(runs, Recording(status=status, nickname=nickname, **more), dataset)
