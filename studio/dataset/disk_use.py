"""What a run writes to the disk, at the most, against what is free there: one rule for the window, which tells before a run, and for the engine,
which warns as one begins.

What takes torch to know of a network comes as plain data (engine.describe). Checkpoints and records go into the folder of the runs, features and
decoded images into the cache folder, which may lie on another disk.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from studio.catalog.augments import cached_views
from studio.catalog.augments.view import working_size
from studio.core.batch_plan import steps_per_epoch
from studio.core.experiment import Experiment
from studio.core.path_text import path_to_text, shown
from studio.core.place import existing
from studio.core.words import num_bytes
from studio.dataset.dataset import Dataset
from studio.dataset.decoded import FREE_SHARE, HEAD_BYTES, budget

HALF_FROM_BYTES = 16_384  # per row of features: those of a head are small, those of a layer before it are not

_ANY_RUN_BYTES = 1_000_000  # settings, log, latest batch and reserve: half of it on the bundled backbone
_IMAGE_BYTES = 200  # in the list of images, and its name beside its answer
_STEP_BYTES = 640  # of the journal, at a step a second; fewer where steps are faster


@dataclass(frozen=True)
class FrozenStart:
    """The stages that give the same for the same picture from an epoch on: how many values, and their share of a forward pass, in [0, 1]."""

    epoch: int
    num_values: int
    share: float


@dataclass(frozen=True)
class NetworkUse:
    """What hangs on the network: bytes of all checkpoints that are there at once, and where features may be kept as it thaws."""

    checkpoints: int
    frozen_starts: tuple[FrozenStart, ...]

    @classmethod
    def of(cls, told: dict[str, Any]) -> NetworkUse:
        """From plain data, as a worker sends it."""
        return cls(told["checkpoints"], tuple(FrozenStart(**start) for start in told["frozen_starts"]))


@dataclass(frozen=True)
class DiskUse:
    """Bytes, at the most, by use."""

    checkpoints: int
    records: int  # list of images, journal, answers
    features: int
    images: int  # decoded

    @property
    def in_runs(self) -> int:
        return self.checkpoints + self.records

    @property
    def in_cache(self) -> int:
        return self.features + self.images


@dataclass(frozen=True)
class Others:
    """What other runs that wait and that train will write yet, at the most, on the same disks."""

    num_waiting: int = 0
    num_training: int = 0
    in_runs: int = 0
    in_cache: int = 0  # beside what they share

    @property
    def words(self) -> list[str]:
        """ "the one that trains", "the 2 that wait"."""
        found = []
        if self.num_training:
            found.append("the one that trains" if self.num_training == 1 else f"the {self.num_training:,} that train")
        if self.num_waiting:
            found.append("the one that waits" if self.num_waiting == 1 else f"the {self.num_waiting:,} that wait")
        return found


NO_OTHERS = Others()


@dataclass(frozen=True)
class Room:
    """What runs write on one disk against what is free there. `folder` is what they were told to write into."""

    folder: Path
    needed: int
    free: int
    num_runs: int = 1
    others: Others = NO_OTHERS  # which are in `needed`

    @property
    def is_short(self) -> bool:
        return self.needed > self.free

    @property
    def sentence(self) -> str:
        where = f"on the disk with {shown(path_to_text(self.folder))}"
        return f"{self.who} will write up to {num_bytes(self.needed)}; {num_bytes(self.free)} are free {where}."

    @property
    def who(self) -> str:
        *most, last = ["The run" if self.num_runs == 1 else f"The {self.num_runs:,} runs", *self.others.words]
        return f"{', '.join(most)} and {last}" if most else last


def disk_use(experiment: Experiment, dataset: Dataset, network: NetworkUse, free: int) -> DiskUse:
    """Of a new run that finds nothing of an earlier one. `free`: bytes on the disk with the cache, of which decoded images take a share."""
    return DiskUse(
        network.checkpoints,
        record_bytes(experiment, dataset),
        _feature_bytes(experiment, dataset, network.frozen_starts),
        _image_bytes(dataset, experiment.model.input_size, most_images(free)),
    )


def others_of(
    own: tuple[Experiment, DiskUse], waiting: Sequence[tuple[Experiment, DiskUse]], training: Sequence[tuple[DiskUse, int]], free: int
) -> Others:
    """`training`: with the bytes of checkpoints that are there, which give way to new ones; what such a run caches counts as there. `free`: bytes
    on the disk with the cache.

    Runs of one network on the same pictures share features, and all on the same pictures decoded images. What would be more than is allowed
    takes the place of what was used longest ago.
    """
    features, images = {}, {}
    for e, use in (own, *waiting):
        pictures = e.data.model_dump_json()
        for found, key, size in (
            (features, (pictures, e.model.model_dump_json(), e.augment.model_dump_json()), use.features),
            (images, (pictures, e.model.input_size), use.images),
        ):
            found[key] = max(size, found.get(key, 0))
    allowed = max(most_features(e) for e, _ in (own, *waiting))
    in_cache = min(sum(features.values()), allowed) + min(sum(images.values()), most_images(free))
    in_runs = sum(use.in_runs for _, use in waiting) + sum(max(0, use.checkpoints - there) + use.records for use, there in training)
    return Others(len(waiting), len(training), in_runs, max(0, in_cache - own[1].in_cache))


def rooms(use: DiskUse, runs: Path, cache: Path, others: Others = NO_OTHERS) -> tuple[Room, ...]:
    """One for each disk. Raises OSError where one does not answer."""
    in_runs, in_cache = use.in_runs + others.in_runs, use.in_cache + others.in_cache
    if os.stat(existing(runs)).st_dev == os.stat(existing(cache)).st_dev:
        return (Room(runs, in_runs + in_cache, free_bytes(runs), others=others),)
    return Room(runs, in_runs, free_bytes(runs), others=others), Room(cache, in_cache, free_bytes(cache), others=others)


def free_bytes(folder: Path) -> int:
    """On the disk that a folder is or will be on. Raises OSError."""
    return shutil.disk_usage(existing(folder)).free


def record_bytes(experiment: Experiment, dataset: Dataset) -> int:
    """All in the run's folder but its checkpoints. Answers are stored as a number of two bytes for each class."""
    training = experiment.training
    per_epoch = steps_per_epoch(dataset.epoch_size(experiment.data.synthetic_fraction), training.batch_size, training.accumulation)
    answers = 2 * len(dataset.classes) * _num_scored(dataset)
    num_images = len(dataset.samples) + len(dataset.synthetic)
    return _ANY_RUN_BYTES + _IMAGE_BYTES * num_images + answers + _STEP_BYTES * experiment.schedule.epochs * per_epoch


def most_features(experiment: Experiment) -> int:
    """Bytes that all kept features may take together."""
    return 0 if experiment.training.feature_cache == "off" else int(experiment.training.cache_gigabytes * 1e9)


def most_images(free: int) -> int:
    """Bytes that decoded images may take where so many are free."""
    return min(budget(), int(FREE_SHARE * free))


def is_halved(num_values: int, width: int, views: int) -> bool:
    """Whether the features of a training image are kept in half precision: large rows of several views, which stand for fresh ones anyway. Where
    training is exact, every bit is kept. `width`: bytes of a value as the network gives it."""
    return views > 1 and width == 4 and num_values * width > HALF_FROM_BYTES


def feature_parts(
    experiment: Experiment, num_values: int, share: float, num_train: int, num_scored: int, width: int = 4
) -> tuple[int, int, int]:
    """(bytes for validation and test, bytes for training, augmented views of each training image) that an experiment wants to keep behind a frozen
    start."""
    views = cached_views(experiment, share)
    kept_width = 2 if is_halved(num_values, width, views) else width
    return width * num_values * num_scored, kept_width * num_values * views * num_train, views


def _feature_bytes(experiment: Experiment, dataset: Dataset, starts: Sequence[FrozenStart]) -> int:
    """As engine.prefix keeps them: what would be more than allowed is not kept at all, and what older places hold goes for newer ones."""
    num_train, allowed, total = len(dataset.part("train")) + len(dataset.synthetic), most_features(experiment), 0
    for start in starts:
        if start.epoch < experiment.schedule.epochs:
            room = allowed
            for size in feature_parts(experiment, start.num_values, start.share, num_train, _num_scored(dataset))[:2]:
                room -= size if size <= room else 0
            total += allowed - room
    return min(total, allowed)


def _image_bytes(dataset: Dataset, input_size: int, most: int) -> int:
    trained = (working_size(s.height, s.width, input_size) for s in chain(dataset.part("train"), dataset.synthetic))
    total = _num_scored(dataset) * (3 * input_size**2 + HEAD_BYTES)
    for height, width in trained:
        if total >= most:  # of a million images the first thousands say it
            break
        total += 3 * height * width + HEAD_BYTES
    return min(total, most)


def _num_scored(dataset: Dataset) -> int:
    return len(dataset.part("validation")) + len(dataset.part("test"))
