"""Whether augmentation keeps up with the network: images per second of both, in one sentence. No Qt."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from studio.core.experiment import Experiment
from studio.core.outcome import Status
from studio.core.run_digest import model_id
from studio.core.words import counted
from studio.gui.run_entry import RunEntry
from studio.gui.wording import count

_NO_MATTER = 0.95  # of what the network takes: nobody notices less


def num_loaders(workers: int, device: str) -> int:
    """How many processes augment, as the engine's loader chooses: on the CPU one core does both by turns."""
    if workers >= 0:
        return max(1, workers)
    return 1 if device == "cpu" else max(1, min(12, (os.cpu_count() or 1) - 2))


@dataclass(frozen=True)
class Speed:
    """Images per second that a network has taken, in which run and on what."""

    images_per_s: float = 0.0
    run: str = ""
    device: str = "cpu"


def network_speed(experiment: Experiment, entries: Sequence[RunEntry]) -> Speed:
    """The draft's network in its fastest run that ran it on pictures; nothing where it has none."""
    same = model_id(experiment.model)
    fastest = max(
        (e for e in entries if e.summary.model_id == same and e.summary.status is Status.FINISHED and e.summary.speed_id),
        key=lambda e: e.summary.images_per_s,
        default=None,
    )
    if fastest is None or not fastest.summary.images_per_s:
        return Speed()
    described = fastest.state.description
    return Speed(fastest.summary.images_per_s, fastest.name, described.device if described else "cpu")


def slow_words(ms_per_image: float | None, loaders: int, network: Speed) -> str:
    """Why loading becomes the slowest part, with both figures; empty when it does not."""
    if not ms_per_image or not network.images_per_s:
        return ""
    augmentation = loaders * 1000 / ms_per_image
    if augmentation >= _NO_MATTER * network.images_per_s:
        return ""
    by = f" with {counted(loaders, 'loader process', 'loader processes')}" if loaders > 1 else ""
    return f"Augmentation: {count(augmentation)} images/s{by}; the network took {count(network.images_per_s)} in {network.run}. Loading becomes the slowest part."
