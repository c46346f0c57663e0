"""What became of many heads that learnt side by side on the features of the frozen network, each at another peak learning rate."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

from studio.core import made_with
from studio.core.experiment import Experiment
from studio.core.json_text import parse_json
from studio.core.problem import BadInput

NUM_PEAKS = 32
SPAN = 1000.0  # between the lowest and the highest peak
_LEAST, _MOST = 1e-8, 10.0  # that `schedule.peak_lr` takes


class Head(NamedTuple):
    """What became of one peak."""

    peak: float
    loss: float | None  # on validation; None where it is no number any more
    top1: float


@dataclass(frozen=True)
class HeadSweep:
    heads: tuple[Head, ...]  # by rising peak
    epochs: int
    feature_seconds: float
    head_seconds: float  # for all heads together
    made_with: dict[str, str]  # setting to a digest of its value; see `changed_since`
    device: str = ""

    @property
    def best(self) -> Head:
        """Most right answers, then the least loss."""
        return max(self.heads, key=lambda head: (head.loss is not None, head.top1, -(head.loss or 0.0)))

    @property
    def seconds(self) -> float:
        return self.feature_seconds + self.head_seconds

    def nearest(self, peak: float) -> int:
        """Index of the head whose peak is the nearest by its logarithm."""
        return int(np.abs(np.log([head.peak for head in self.heads]) - math.log(peak)).argmin())

    def changed_since(self, experiment: Experiment) -> tuple[str, ...]:
        """Settings that have another value now and that the heads depend on; none where the sweep still fits."""
        return made_with.changed_since(self.made_with, experiment, _counts)

    def to_json(self) -> bytes:
        return json.dumps({"version": 1} | asdict(self), separators=(",", ":"), allow_nan=False).encode()

    @classmethod
    def from_json(cls, content: bytes) -> HeadSweep:
        """Inverse of `to_json`. Raises BadInput when the bytes are something else."""
        try:
            raw = parse_json(content)
            if raw.pop("version") != 1:
                raise ValueError("another version")
            heads = tuple(Head(float(peak), None if loss is None else float(loss), float(top1)) for peak, loss, top1 in raw.pop("heads"))
            made = cls(heads, **raw)
            figures = [made.epochs, made.seconds, *(n for head in heads for n in head if n is not None)]
            is_rising = bool(heads) and heads[0].peak > 0 and all(np.diff([head.peak for head in heads]) > 0)
            if not is_rising or not np.isfinite(figures).all() or not isinstance(made.made_with, dict):
                raise ValueError("no heads by rising peak")
            return made
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise BadInput(f"The kept comparison of peaks cannot be read ({type(exc).__name__}). Run it again.") from None


def peaks_around(peak: float, count: int = NUM_PEAKS) -> list[float]:
    """Rising in equal factors, rounded to two digits; `peak` in their middle, unless a setting takes no rate so high or low."""
    lowest = min(max(peak / SPAN**0.5, _LEAST), _MOST / SPAN)
    return [float(f"{rate:.1e}") for rate in np.geomspace(lowest, lowest * SPAN, count)]


_TRAINING = {"batch_size", "accumulation", "label_smoothing", "class_weights"}
_LEFT_OUT = {  # no part in the sweep
    "schedule.peak_lr", "data.synthetic", "data.synthetic_fraction", "optimiser.ema_decay", "optimiser.weight_decay_course",
    "optimiser.weight_decay_final", "optimiser.stage_lr_factor", "optimiser.stage_lr_factors",
}  # fmt: skip


def _counts(path: str) -> bool:
    """Augmentation, the device and the seed do not: see engine.head_sweep."""
    section, _, name = path.partition(".")
    return section != "augment" and path not in _LEFT_OUT and (section != "training" or name in _TRAINING)


def digests(experiment: Experiment) -> dict[str, str]:
    """Each setting that the heads depend on, with a short SHA-256 of its value."""
    return made_with.digests(experiment, _counts)
