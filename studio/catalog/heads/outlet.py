"""What a backbone gives at the place where it ends: the shape that a head begins with."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import Literal

Layout = Literal["map", "map, channels last", "tokens", "vector"]


@dataclass(frozen=True, slots=True)
class Outlet:
    """`shape` is that of one image: (C, H, W), (H, W, C), (N, C) or (F,), by `layout`.

    `num_prefix` are the class and register tokens before the places of the image; `is_read_by_token` says that the backbone itself
    takes the first of them as its answer.
    """

    layout: Layout
    shape: tuple[int, ...]
    num_prefix: int = 0
    is_read_by_token: bool = False

    @property
    def channels(self) -> int:
        return self.shape[0] if self.layout == "map" else self.shape[-1]

    @property
    def places(self) -> tuple[int, int]:
        """Height and width of the map; tokens that are no square stand in one column. (1, 1) for a vector."""
        match self.layout:
            case "map":
                return self.shape[1], self.shape[2]
            case "map, channels last":
                return self.shape[0], self.shape[1]
            case "tokens":
                count = self.shape[0] - self.num_prefix
                side = isqrt(count)
                return (side, side) if side * side == count else (count, 1)
        return 1, 1

    @property
    def has_map(self) -> bool:
        """Whether convolutions have something to run over."""
        return self.layout != "vector" and (self.layout != "tokens" or self.places[1] > 1)
