"""Where things stand on the architecture strip: blocks, the places of the freeze line, the rail. Without painting, px."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from PySide6.QtCore import QPointF, QRectF

from studio.gui.pages.model.network import Network, block_widths
from studio.gui.theme import px

_LEAST_BLOCK_PX, _GAP_PX = 26, 7  # room for an upright name
_MANY = 10  # more stages than these (transformers) stand closer together
_NARROW_BLOCK_PX, _NARROW_GAP_PX = 22, 4
RAIL_PX = 36  # from the top
_HEAD_PX = 46  # rail and its words

Place = tuple[int, int]  # of the line: stages before it, and blocks of the next stage before it


@dataclass(frozen=True)
class StripGeometry:
    """A network on a strip of some size. Width grows with the square root of the parameters or of the multiply-adds (`by`), height with the
    feature map. `blocks_of` are the parameters of the blocks of every stage."""

    network: Network
    blocks_of: tuple[tuple[int, ...], ...]
    by: str
    width: float
    height: float

    @property
    def left(self) -> float:
        """Where the first block begins: the image stands before it."""
        return px(52)

    @property
    def gap(self) -> float:
        return px(_NARROW_GAP_PX if len(self.network.stages) > _MANY else _GAP_PX)

    @property
    def _least_block(self) -> float:
        return px(_NARROW_BLOCK_PX if len(self.network.stages) > _MANY else _LEAST_BLOCK_PX)

    @property
    def least_width(self) -> float:
        count = len(self.network.stages)
        return self.left + count * self._least_block + max(0, count - 1) * self.gap + px(12)

    @property
    def head(self) -> float:
        """Above it the line is dragged, below it stages are selected."""
        return px(_HEAD_PX)

    @property
    def foot(self) -> float:
        """Below the blocks: the shape of what each gives, and its stride in a second line where the strip is high enough."""
        return px(33) if self.has_two_lines else px(20)

    @property
    def has_two_lines(self) -> bool:
        return self.height >= px(185)

    @property
    def bottom(self) -> float:
        return self.height - self.foot

    @property
    def middle(self) -> float:
        return self.head + (self.height - self.head - self.foot) / 2

    @cached_property
    def blocks(self) -> list[QRectF]:
        """The rectangle of every stage."""
        stages = self.network.stages
        if not stages:
            return []
        gap = self.gap
        room = self.width - self.left - px(4) - gap * (len(stages) - 1)
        by_compute = self.by == "compute" and any(s.macs for s in stages)
        widths = block_widths([s.macs if by_compute else s.num_parameters for s in stages], room, self._least_block)
        full = self.height - self.head - self.foot - px(12)
        largest = max((s.feature_side for s in stages if s.feature_side), default=None)
        found, x = [], self.left
        for index, (stage, width) in enumerate(zip(stages, widths, strict=True)):
            share = self._height_share(index, stage.feature_side, largest)
            height = max(min(px(50), full), full * share)
            found.append(QRectF(x, self.middle - height / 2, width, height))
            x += width + gap
        return found

    def _height_share(self, index: int, side: int | None, largest: int | None) -> float:
        """Share of the full height: equal for equal maps, a step less for every halving."""
        if index == len(self.network.stages) - 1:
            return 0.42
        if side is None or largest is None:
            return 0.8 if largest is None else 0.46
        halvings = 0.0
        while side * 2 <= largest and halvings < 4:
            side *= 2
            halvings += 1
        return max(0.46, 1.0 - 0.17 * halvings)

    def stage_at(self, at: QPointF) -> int | None:
        return next((i for i, block in enumerate(self.blocks) if block.contains(at)), None)

    # the line

    def stop_x(self, boundary: int) -> float:
        if not self.blocks:
            return 0.0
        if boundary <= 0:
            return self.blocks[0].left() - self.gap / 2
        return self.blocks[min(boundary, len(self.blocks)) - 1].right() + self.gap / 2

    def place_x(self, place: Place) -> float:
        boundary, inside = place
        if not inside:
            return self.stop_x(boundary)
        block = self.blocks[boundary]
        return block.left() + block.width() * inside / len(self.blocks_of[boundary])

    def places(self, *, with_blocks: bool) -> list[Place]:
        """Where the line can stand, from left to right."""
        last = self.network.num_backbone_stages
        counts = [len(self.blocks_of[b]) if with_blocks and b < min(last, len(self.blocks_of)) else 0 for b in range(last + 1)]
        return [(b, k) for b in range(last + 1) for k in range(max(1, counts[b]))]

    def is_on_line(self, at: QPointF, line: Place) -> bool:
        """The hit area of the handle is wide, that of the thin line below it narrow."""
        reach = px(14) if at.y() < px(56) else px(5)
        return bool(self.network.stages) and abs(at.x() - self.place_x(line)) <= reach
