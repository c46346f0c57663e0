"""The learning-rate range test: its curve, what it suggests, and which settings it was made with.

Leslie Smith, "Cyclical learning rates for training neural networks", arXiv 1506.01186: the rate climbs exponentially over a few score
steps of training on a network of its own; where the loss falls fastest is a good peak. The rules are those of fastai's `lr_find`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

from studio.core import made_with
from studio.core.curve import smoothed
from studio.core.experiment import Experiment
from studio.core.json_text import parse_json
from studio.core.problem import BadInput

LOWEST, HIGHEST = 1e-7, 10.0
NUM_STEPS = 100
SMOOTHED_DECADES = 0.5  # the running mean's length: it lags by as much, so a fixed number of steps would shift a coarse test's curve
DIVERGED_AT = 4.0  # times the least smoothed loss so far
MIN_POINTS = 12  # fewer say nothing about a slope
_SKIPPED = 0.1  # share of the points at the left that steepest and valley leave out, as fastai does: the mean has hardly begun there
_SLOPE_DECADES = 0.35  # on either side of a point, for its slope: single differences are mostly noise
_NOISE = 4.0  # standard deviations of the running mean that the loss must fall for the curve to say anything


@dataclass(frozen=True)
class Rule:
    """How a rate is read off the curve."""

    key: str
    title: str
    words: str


RULES = (
    Rule("valley", "Valley", "The middle of the longest fall: careful, and the usual choice."),
    Rule("steepest", "Steepest", "Where the loss falls fastest."),
    Rule("minimum", "Minimum ÷ 10", "A tenth of the rate with the least loss."),
)


@dataclass(frozen=True)
class RateTest:
    """One range test. `losses[i]` is the training loss of the step taken at `rates[i]`, label smoothing included; all are finite."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    num_steps: int  # planned: fewer were taken where it diverged
    has_diverged: bool
    made_with: dict[str, str]  # setting to a digest of its value; see `changed_since`
    batch_size: int = 0
    passes: float = 0.0  # how often each training image was seen
    device: str = ""
    seconds: float = 0.0

    @cached_property
    def smoothed(self) -> np.ndarray:
        """float64[len(rates)]: the running mean of the losses, corrected for its start."""
        return smooth(self.rates, self.losses)

    @cached_property
    def suggestions(self) -> dict[str, float]:
        """Rates by the key of their rule, rounded to two digits; empty where the curve says nothing."""
        return suggest(np.asarray(self.rates), np.asarray(self.losses))

    @property
    def best(self) -> float | None:
        """The rate to take when nothing else is known: the middle one of the suggestions, since each rule has its bad days."""
        return sorted(self.suggestions.values())[1] if self.suggestions else None

    @property
    def band(self) -> tuple[float, float] | None:
        """From the least to the greatest suggestion."""
        found = self.suggestions.values()
        return (min(found), max(found)) if found else None

    def changed_since(self, experiment: Experiment) -> tuple[str, ...]:
        """Settings that have another value now and that the curve depends on; none where the test still fits."""
        return made_with.changed_since(self.made_with, experiment, _counts)

    def to_json(self) -> bytes:
        return json.dumps({"version": 1} | asdict(self), separators=(",", ":"), allow_nan=False).encode()

    @classmethod
    def from_json(cls, content: bytes) -> RateTest:
        """Inverse of `to_json`. Raises BadInput when the bytes are something else."""
        try:
            raw = parse_json(content)
            if raw.pop("version") != 1:
                raise ValueError("another version")
            raw["rates"], raw["losses"] = tuple(map(float, raw["rates"])), tuple(map(float, raw["losses"]))
            made = cls(**raw)
            if not isinstance(made.made_with, dict):
                raise ValueError("no settings")
            if len(made.rates) != len(made.losses) or not np.isfinite([*made.rates, *made.losses]).all() or min(made.rates, default=1) <= 0:
                raise ValueError("not a curve")
            return made
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise BadInput(f"The kept learning-rate test cannot be read ({type(exc).__name__}). Run it again.") from None


def planned_rates(num_steps: int, lowest: float = LOWEST, highest: float = HIGHEST) -> np.ndarray:
    """float64[num_steps]: equal steps on a logarithmic axis from the lowest to the highest rate."""
    return np.geomspace(lowest, highest, num_steps)


def smooth(rates, losses) -> np.ndarray:
    """float64[points]: the running mean of the losses over SMOOTHED_DECADES of rates, corrected for its start."""
    return smoothed(np.asarray(losses, float), _weight(rates))


def has_diverged(rates, losses) -> bool:
    """True once the last loss is no number or the smoothed loss is DIVERGED_AT times its minimum."""
    if not np.isfinite(losses[-1]):
        return True
    course = smooth(rates, losses)
    return bool(course[-1] > DIVERGED_AT * course.min())


def suggest(rates: np.ndarray, losses: np.ndarray) -> dict[str, float]:
    """Rates by rule; empty where there are too few points or the loss fell by no more than noise does."""
    if len(losses) < MIN_POINTS:
        return {}
    course = smooth(rates, losses)
    lowest, first = int(np.argmin(course)), int(len(course) * _SKIPPED)
    weight = _weight(rates)
    noise = np.median(np.abs(np.diff(losses))) / 0.954 * np.sqrt((1 - weight) / (1 + weight))  # 0.954: of normal noise
    before = np.mean(losses[: max(5, lowest // 2)])
    if lowest < first + 2 or before - course[lowest] < _NOISE * noise:
        return {}
    found = {
        "valley": rates[first + valley(course[first:])],
        "steepest": rates[first + steepest(np.log10(rates[first:]), course[first:], lowest - first)],
        "minimum": rates[lowest] / 10,
    }
    return {rule.key: float(f"{found[rule.key]:.1e}") for rule in RULES}


def _weight(rates) -> float:
    """Of the running mean, so that it spans SMOOTHED_DECADES; at most 50 points."""
    decades = np.log10(rates[-1] / rates[0]) if len(rates) > 1 else 0.0
    num_points = min(50.0, SMOOTHED_DECADES * (len(rates) - 1) / decades) if decades > 0 else 1.0
    return max(0.0, 1 - 1 / num_points) if num_points > 0 else 0.0


def steepest(log_rates: np.ndarray, course: np.ndarray, lowest: int) -> int:
    """Index, `lowest` at most, of the most negative slope: that of the line through the points _SLOPE_DECADES on either side."""
    slopes = np.zeros(lowest + 1)
    for i in range(lowest + 1):
        near = np.abs(log_rates - log_rates[i]) <= _SLOPE_DECADES
        near[max(0, i - 2) : i + 3] = True
        x = log_rates[near] - log_rates[near].mean()
        slopes[i] = (x * course[near]).sum() / (x * x).sum()
    return int(np.argmin(slopes))


def valley(course: np.ndarray) -> int:
    """Index of the middle of the longest falling subsequence; the first of several equally long ones, as fastai takes it."""
    longest = np.ones(len(course), int)  # length of the longest fall that ends at each point
    for i in range(1, len(course)):
        before = longest[:i][course[:i] > course[i]]
        longest[i] = before.max(initial=0) + 1
    end = int(np.argmax(longest))
    start = max(0, end - int(longest[end]))
    section = (end - start) / 3
    return start + int(section) + int(section / 2)


_LEFT_OUT = {"optimiser.ema_decay", "optimiser.weight_decay_course", "optimiser.weight_decay_final"}  # no part in the test
_TRAINING = {"batch_size", "accumulation", "label_smoothing", "class_weights"}


def _counts(path: str) -> bool:
    """The schedule, the device and the seed do not."""
    section, _, name = path.partition(".")
    return section != "schedule" and path not in _LEFT_OUT and (section != "training" or name in _TRAINING)


def digests(experiment: Experiment) -> dict[str, str]:
    """Each setting that the curve depends on, with a short SHA-256 of its value."""
    return made_with.digests(experiment, _counts)
