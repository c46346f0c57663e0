"""The chosen network as the Model page draws it: its stages, and where the freeze line stands. No Qt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from studio.core.experiment import Model
from studio.core.single_layers import trains_while_frozen
from studio.gui.wording import duration, num_bytes, parameters, percent


@dataclass(frozen=True, slots=True)
class StageFacts:
    """One stage as the probe worker measured it. `output_shape` is that of one image, without the batch axis."""

    name: str
    num_parameters: int
    output_shape: tuple[int, ...] | None = None
    num_blocks: int = 1
    has_batch_norm: bool = False
    macs: int = 0  # multiply-adds of one image; 0 where they are not known
    parameters: tuple[str, ...] = ()  # names
    norms: frozenset[str] = frozenset()  # names of its batch norms

    @property
    def title(self) -> str:
        """ "stage 2" -> "Stage 2"."""
        return self.name[:1].upper() + self.name[1:]

    @property
    def _map(self) -> tuple[int, int] | None:
        """Channels and side of a square feature map, given as (C, H, W) or (H, W, C); None for tokens and vectors."""
        shape = self.output_shape
        if shape and len(shape) == 3:
            if shape[1] == shape[2]:
                return shape[0], shape[1]
            if shape[0] == shape[1]:
                return shape[2], shape[0]
        return None

    @property
    def feature_side(self) -> int | None:
        """Side of the feature map in cells; None for outputs that are not maps."""
        return self._map[1] if self._map else None

    @property
    def size_words(self) -> str:
        """ "96×56²", "197×768", "10"; empty when it is not known."""
        if self._map:
            return f"{self._map[0]}×{self._map[1]}²"
        return "×".join(str(n) for n in self.output_shape or ())

    def stride_words(self, input_size: int) -> str:
        """ "/4": so many pixels of the image stand between two cells of the map; empty for what is no map.

        Convolutions without a margin give a little less than the image holds (AlexNet: 27 cells of 8 px from 224): then it is the power
        of two that is near.
        """
        if not self.feature_side:
            return ""
        stride = input_size / self.feature_side
        near = 2.0 ** round(math.log2(stride))
        return f"/{near if not stride.is_integer() and 0.8 < near / stride < 1.25 else stride:.3g}"

    @property
    def shape_words(self) -> str:
        """ "96×56×56"."""
        return "×".join(str(n) for n in self.output_shape) if self.output_shape else "unknown"


@dataclass(frozen=True, slots=True)
class Stop:
    """What the freeze line would cost at one place, all stages before it frozen. None where it is not known."""

    memory_bytes: int | None = None
    seconds_per_image: float | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """Stages in execution order, the head last. A freeze line at `boundary` b means: stages before b are frozen."""

    stages: tuple[StageFacts, ...]
    stops: tuple[Stop, ...] = ()  # by boundary

    @property
    def stage_names(self) -> tuple[str, ...]:
        return tuple(stage.name for stage in self.stages)

    def partly(self, model: Model) -> frozenset[str]:
        """Names of the stages in which single layers train while the stage is frozen."""
        return frozenset(s.name for s in self.stages if trains_while_frozen(model, s.name, s.parameters, s.norms))

    @property
    def num_backbone_stages(self) -> int:
        return max(0, len(self.stages) - 1)

    @property
    def num_parameters(self) -> int:
        return sum(s.num_parameters for s in self.stages)

    def boundary_of(self, train_stages: int) -> int:
        """Where the line stands for `model.train_stages`: −1 trains everything, more stages than there are does too."""
        if train_stages < 0:
            return 0
        return max(0, self.num_backbone_stages - train_stages)

    def train_stages_at(self, boundary: int) -> int:
        """The value of `model.train_stages` for a line at `boundary`; −1 at the very left, so that it stays "everything"."""
        boundary = min(max(0, boundary), self.num_backbone_stages)
        return -1 if boundary == 0 and self.num_backbone_stages else self.num_backbone_stages - boundary

    def num_trainable(self, boundary: int) -> int:
        return sum(s.num_parameters for s in self.stages[boundary:])

    def what_trains(self, boundary: int) -> str:
        """ "stage 3 and head train", "everything trains", "only the head trains"."""
        if boundary <= 0:
            return "everything trains"
        if boundary >= self.num_backbone_stages:
            return "only the head trains"
        first, last = self.stages[boundary].name, self.stages[self.num_backbone_stages - 1].name
        span = last if first == last else f"{first} to {last}"
        return f"{span} and head train"

    def change_words(self, old: int, new: int, num_images: int = 0) -> tuple[str, str]:
        """What moving the line from `old` to `new` would do: a sentence and its figures. `num_images` are those of an epoch."""
        trains = self.num_trainable(new)
        words = self.what_trains(new)
        figures = f"{parameters(trains)} trainable, {percent(trains / max(1, self.num_parameters))}"
        if new != old:
            change = trains - self.num_trainable(old)
            figures += f" ({'+' if change > 0 else '−'}{parameters(abs(change))})"
        stop = self.stops[new] if new < len(self.stops) else Stop()
        if stop.seconds_per_image and num_images:
            figures += f" · {duration(stop.seconds_per_image * num_images)}/epoch"
        if stop.memory_bytes:
            figures += f" · {num_bytes(stop.memory_bytes)}"
        return words[:1].upper() + words[1:], figures


def with_times(network: Network, trains: Sequence[bool], seconds_per_image: float | None, stage_seconds: Sequence[float] = ()) -> Network:
    """Every stop with its time, from the time of the present plan: a stage that trains costs about three times its forward pass, since
    its backward pass makes two products of the same size; a frozen one in front costs the forward pass alone. The forward passes are
    those that were measured, `stage_seconds`; without them their multiply-adds stand for them."""
    work = list(stage_seconds) if len(stage_seconds) == len(network.stages) else [s.macs for s in network.stages]
    total = sum(work)
    if not seconds_per_image or not total or len(network.stops) != len(network.stages):
        return network
    now = total + 2 * sum(each for each, does in zip(work, trains, strict=True) if does)
    stops = tuple(
        replace(stop, seconds_per_image=seconds_per_image * (total + 2 * sum(work[boundary:])) / now)
        for boundary, stop in enumerate(network.stops)
    )
    return replace(network, stops=stops)


def network_from(result: dict[str, Any]) -> Network:
    """The network from the worker's answer to `describe_model`."""
    stages = []
    for raw in result["stages"]:
        shape = raw.get("output_shape")
        stages.append(
            StageFacts(
                raw["name"],
                int(raw["num_parameters"]),
                tuple(int(n) for n in shape) if shape else None,
                int(raw.get("num_blocks") or 1),
                bool(raw.get("has_batch_norm")),
                int(raw.get("macs") or 0),
                tuple(raw.get("parameters") or ()),
                frozenset(raw.get("norms") or ()),
            )
        )
    stops = tuple(Stop(_memory(raw.get("memory"))) for raw in result.get("stops") or ())
    return Network(tuple(stages), stops)


def _memory(found: Any) -> int | None:
    """In all, of a number or of numbers by use."""
    return int(sum(found.values()) if isinstance(found, dict) else found) if found else None


def block_widths(counts: Sequence[int], total_px: float, least_px: float) -> list[float]:
    """Widths proportional to the square root of the parameters, none below `least_px`, that fill `total_px`."""
    roots = [max(c, 1) ** 0.5 for c in counts]
    widths = [0.0] * len(roots)
    free = set(range(len(roots)))
    left = total_px
    while free:
        scale = left / sum(roots[i] for i in free)
        small = [i for i in free if roots[i] * scale < least_px]
        if not small or left <= 0:
            for i in free:
                widths[i] = max(roots[i] * scale, least_px)
            break
        for i in small:
            widths[i] = least_px
            left -= least_px
            free.remove(i)
    return widths
