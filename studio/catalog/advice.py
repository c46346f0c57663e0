"""What to freeze, which head, and why: rules from the literature, with their sources, for this data set and this device.

Each rule is one function that gives advice or none. `domain` is the distance of the data from what the backbone knows, in sigmas of its
batch norms, by stage; None where it was not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from studio.core.experiment import Experiment
from studio.core.head import Hidden

FEW, MANY = 20, 200  # images per class
FAR = 1.0  # sigmas
UNEVEN = 10  # times as many images in the largest class as in the smallest


@dataclass(frozen=True)
class Advice:
    key: str
    sentence: str  # what to do
    reason: str  # the figures of this data set that lead to it
    rule: str
    source: str
    values: dict[str, Any]  # settings that do it
    label: str  # of the button


@dataclass(frozen=True)
class Situation:
    experiment: Experiment
    images_per_class: tuple[int, ...]
    domain: Mapping[str, float] | None = None
    has_gpu: bool = False
    has_batch_norm: bool | None = None

    @property
    def typical(self) -> float:
        """Training images of a class in the middle."""
        return median(self.images_per_class) if self.images_per_class else 0

    @property
    def far(self) -> list[str]:
        """Stages that see values far from what they know."""
        return [stage for stage, sigmas in (self.domain or {}).items() if sigmas is not None and sigmas >= FAR]


def advice(situation: Situation) -> tuple[Advice, ...]:
    """What would change something, the most important first."""
    return tuple(each for each in _all(situation) if not _is_followed(each, situation.experiment))


def followed(situation: Situation) -> tuple[Advice, ...]:
    """What the draft does already."""
    return tuple(each for each in _all(situation) if _is_followed(each, situation.experiment))


def _all(situation: Situation) -> list[Advice]:
    return [each for rule in RULES if (each := rule(situation))]


def _is_followed(each: Advice, experiment: Experiment) -> bool:
    return all(_now(experiment, path) == value for path, value in each.values.items())


def _freezing(s: Situation) -> Advice | None:
    if not s.images_per_class or s.experiment.model.start_run:
        return None
    figures = f"{s.typical:,.0f} training images in a typical class of {len(s.images_per_class):,}"
    distance = f"; {len(s.far)} stages see values far from what they know" if s.far else ""
    if s.typical < FEW and not s.far:
        return Advice(
            "freeze", "Train the head only.", figures + distance,
            "With few images of a kind that the backbone knows, every weight that trains learns the images by heart.",
            "Kumar et al. 2022, arXiv 2202.10054", {"model.train_stages": 0, "model.thaw": {}}, "Head only",
        )  # fmt: skip
    if s.typical < MANY or not s.has_gpu:
        count = 2 if s.far else 1
        device = "" if s.has_gpu else "; no GPU"
        return Advice(
            "freeze", f"Train the last {'stage' if count == 1 else 'two stages'} and the head.", figures + distance + device,
            "Early layers are general and carry over; late ones are specific to what they were trained on.",
            "Yosinski et al. 2014, arXiv 1411.1792", {"model.train_stages": count, "model.thaw": {}}, f"Last {count}",
        )  # fmt: skip
    return Advice(
        "freeze", "Train everything, early stages more slowly.", figures + distance,
        "With many images and a GPU, fine-tuning the whole network beats a frozen one; smaller rates keep what early stages know.",
        "Kornblith et al. 2019, arXiv 1805.08974", {"model.train_stages": -1, "model.thaw": {}}, "All",
    )  # fmt: skip


def _statistics(s: Situation) -> Advice | None:
    if not s.far or s.has_batch_norm is False:
        return None
    wishes = dict(s.experiment.model.batch_norm) | {stage: "adapt" for stage in s.far if stage != "head"}
    worst = max(s.far, key=lambda stage: s.domain[stage])
    return Advice(
        "statistics", f"Let the batch normalisation of {', '.join(s.far[:3])} adapt to your images.",
        f"{worst} sees values {s.domain[worst]:.1f} sigma from what it knows",
        "Replacing the stored mean and variance by the data's own undoes most of a shift of domain, and trains no weight.",
        "Li et al. 2016 (AdaBN), arXiv 1603.04779", {"model.batch_norm": wishes}, "Adapt",
    )  # fmt: skip


def _head(s: Situation) -> Advice | None:
    if not s.images_per_class or s.experiment.model.head and s.typical >= FEW:
        return None  # with more images a larger head is the user's own choice
    figures = f"{s.typical:,.0f} training images in a typical class"
    if s.typical < FEW:
        rule, source = "With few images per class one linear layer on good features is hard to beat.", "Chen et al. 2019, arXiv 1904.04232"
    else:
        rule = "On pretrained features one linear layer is the strong start; a hidden layer may help where the backbone stays frozen."
        source = "Kornblith et al. 2019, arXiv 1805.08974"
    return Advice("head", "Use a linear head.", figures, rule, source, {"model.head": []}, "Linear")


def _prior(s: Situation) -> Advice | None:
    counts = [n for n in s.images_per_class if n]
    if len(counts) < 2 or max(counts) < UNEVEN * min(counts):
        return None
    return Advice(
        "prior", "Start the last bias at the class prior.", f"the largest class has {max(counts):,} training images, the smallest {min(counts):,}",
        "With uneven classes the first steps only learn how frequent each is; the bias can start there.",
        "Lin et al. 2017, arXiv 1708.02002, section 4.1", {"model.head_bias": "class prior"}, "Class prior",
    )  # fmt: skip


def _initialisation(s: Situation) -> Advice | None:
    model = s.experiment.model
    if model.head_init != "zeros" or not any(isinstance(part, Hidden) for part in model.head):
        return None
    return Advice(
        "initialisation", "Do not start hidden layers at zero.", "the head has hidden layers that start at zero",
        "Zeros give every unit the same gradient, or none: the layers stay as they are.",
        "He et al. 2015, arXiv 1502.01852", {"model.head_init": "he"}, "He",
    )  # fmt: skip


RULES = (_freezing, _statistics, _head, _prior, _initialisation)


def _now(experiment: Experiment, path: str) -> Any:
    section, _, name = path.partition(".")
    value = experiment.model_dump()[section][name]
    return list(value) if isinstance(value, tuple) else value


def plain(found: Sequence[Advice]) -> list[dict[str, Any]]:
    """As dictionaries."""
    return [{**vars(each)} for each in found]
