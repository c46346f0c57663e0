"""Whether the disks have room for what a run will write, said before its first step."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from studio.core.place import cache_dir
from studio.core.trim import total_bytes
from studio.dataset.disk_use import DiskUse, Room, disk_use, free_bytes, most_features, most_images, record_bytes, rooms
from studio.engine.checkpoint import checkpoints_bytes
from studio.engine.describe import network_use, shapes_of
from studio.engine.network import frozen_as_asked

if TYPE_CHECKING:
    from studio.engine.setup import Setup


def say_if_room_is_short(s: Setup) -> None:
    """By the rule of dataset.disk_use, as the window has told before."""
    with contextlib.suppress(OSError):  # a disk that does not answer is met where it is written to
        for room in _short_rooms(s):
            s.reporter.warn("disk-small", room.sentence, "Free some space. When the disk is full the run waits and goes on by itself.")


def _short_rooms(s: Setup) -> list[Room]:
    """Where everything that is allowed fits, nothing is looked into: what features take only a network without values can say."""
    runs, cache, network, e = s.folder.path.parent, cache_dir(), s.network, s.experiment
    checkpoints = checkpoints_bytes(network.module, network.last_plan(e.model).trainable, e.training, e.optimiser)
    free = free_bytes(cache)
    allowed = DiskUse(checkpoints, record_bytes(e, s.dataset), most_features(e), most_images(free))
    if not any(room.is_short for room in rooms(allowed, runs, cache)):
        return []
    there = total_bytes(s.folder.checkpoints_path.glob("*/*"))  # of earlier sessions: they give way to those of this one
    use = replace(_use(s, free), checkpoints=max(0, checkpoints - there))
    return [room for room in rooms(use, runs, cache) if room.is_short]


def _use(s: Setup, free: int) -> DiskUse:
    shapes = shapes_of(s.experiment.model, len(s.dataset.classes))
    network = frozen_as_asked(shapes.built.module, shapes.built.stages, s.experiment)
    return disk_use(s.experiment, s.dataset, network_use(shapes, network, s.experiment), free)
