"""What single steps made of one picture. While a slider of a later step moves, everything before it stays as it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from studio.catalog.augments.pipeline import Applied


@dataclass(frozen=True)
class Mark:
    """One step that has been done. `image` is the trail's own."""

    step: tuple[Any, ...]
    image: np.ndarray  # behind the step
    applied: Applied | None  # None where the step did not act
    seconds: float  # of processor time


@dataclass
class Trail:
    """The way of one picture with one seed; another picture or seed begins a new one. Not for several threads at once."""

    start: tuple[Any, int] | None = None  # the picture and the seed
    marks: list[Mark] = field(default_factory=list)

    def resume(self, image: np.ndarray, seed: int, steps: list[tuple[Any, ...]]) -> list[Mark]:
        """The marks of the leading steps that are these; later ones are forgotten."""
        if self.start is None or self.start[0] is not image or self.start[1] != seed:
            self.start, self.marks = (image, seed), []
        same = 0
        for mark, step in zip(self.marks, steps, strict=False):
            if mark.step != step:
                break
            same += 1
        del self.marks[same:]
        return self.marks

    def left(self, steps: list[tuple[Any, ...]]) -> tuple[bool, float]:
        """(whether these steps make the same picture again, seconds that they are likely to take), by what was done last."""
        same = 0
        for mark, step in zip(self.marks, steps, strict=False):
            if mark.step != step:
                break
            same += 1
        behind = self.marks[same:]
        return bool(behind) and behind[0].applied is None, sum(mark.seconds for mark in behind)

    @property
    def seconds(self) -> float:
        """What all steps have taken, each at the time it was done."""
        return sum(mark.seconds for mark in self.marks)

    @property
    def num_bytes(self) -> int:
        return sum({id(mark.image): mark.image.nbytes for mark in self.marks}.values())
