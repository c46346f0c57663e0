"""The architecture strip: a block per stage in execution order, and the freeze line between them.

Width grows with the square root of the parameters or of the multiply-adds, height with the feature map. Ice-blue blocks are frozen,
orange ones train; a hatched band says that the statistics of batch norms follow the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QLineF, QPoint, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QFontMetricsF, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from studio.gui.icon import paint_icon
from studio.gui.pages.model.network import Network, block_widths
from studio.gui.pages.schedule.thaw_plan import Epoch, num_frozen_before
from studio.gui.theme import colour, font, hatch, pen, px
from studio.gui.widgets import Bubble, set_plain_tooltip
from studio.gui.wording import parameters, percent

_LEAST_BLOCK = 26  # px: room for an upright name
_GAP = 7


@dataclass(frozen=True)
class Look:
    """How a stage is drawn: from which epoch it trains, whether parts of it differ, whether its running statistics follow the data."""

    epoch: Epoch = None
    is_mixed: bool = False
    moves: bool = False


Place = tuple[int, int]  # of the line: stages before it, and blocks of the next stage before it


class ArchitectureStrip(QWidget):
    """Shows a network and its freeze line. Drag the line, or Left and Right; `boundary_changed` fires once, at the end.
    With Alt it stops between the blocks of a stage too (`block_boundary_changed`).

    A click selects a stage (`stage_selected`), Ctrl click more of them; F freezes or trains just these (`state_wanted`).
    Enter or a double-click opens a stage (`opened`).
    """

    boundary_changed = Signal(int)
    block_boundary_changed = Signal(int, int)  # stage, number of its first blocks that are frozen too
    stage_selected = Signal(int)
    state_wanted = Signal(object, bool)  # list of stage indices, should they train
    opened = Signal(int)
    menu_wanted = Signal(int, QPoint)  # stage, global place

    def __init__(self, *, name: str = "", parent: QWidget | None = None):
        super().__init__(parent)
        self._network = Network(())
        self._boundary = 0
        self._looks: tuple[Look, ...] = ()
        self._selected: tuple[int, ...] = ()  # the last one is current
        self._by = "parameters"
        self._num_images = 0
        self._num_training = 0
        self._input_size = 224
        self._blocks_of: tuple[tuple[int, ...], ...] = ()  # per stage, the parameters of each block
        self._inside = 0  # blocks behind the boundary that are frozen too
        self._target: Place | None = None  # where the line would go, while it is dragged
        self._bubble: Bubble | None = None
        self.setObjectName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(px(150))

    # what is shown

    def set_network(
        self,
        network: Network,
        looks: Sequence[Look],
        blocks: Sequence[Sequence[int]],
        num_frozen: int,
        input_size: int,
        num_images: int = 0,
    ) -> None:
        """The line stands before the first stage that ever trains. `blocks` are the parameters of the blocks of every stage, `num_frozen`
        of the first ones behind the line are frozen too. `num_images` are those of an epoch, for the bubble."""
        self._blocks_of, self._inside = tuple(tuple(each) for each in blocks), num_frozen
        self._network, self._looks, self._input_size, self._num_images = network, tuple(looks), input_size, num_images
        self._num_training = sum(s.num_parameters for s, look in zip(network.stages, looks, strict=True) if look.epoch is not None)
        self._boundary = num_frozen_before([0 if look.is_mixed else look.epoch for look in looks])
        self._selected = tuple(i for i in self._selected if i < len(network.stages))
        count = len(network.stages)
        self.setMinimumWidth(round(self._left() + count * px(_LEAST_BLOCK) + max(0, count - 1) * px(_GAP) + px(12)))
        self._say()
        self.update()

    def set_measure(self, by: str) -> None:
        """What the length of a block stands for: parameters or compute."""
        self._by = by
        self.update()

    def set_selected(self, index: int) -> None:
        if index not in self._selected:
            self._selected = (index,)
        self._say()
        self.update()

    def set_num_training(self, count: int) -> None:
        """Weights that ever train, with single layers counted as they are."""
        self._num_training = count
        self.update()

    @property
    def selected(self) -> tuple[int, ...]:
        return self._selected

    @property
    def boundary(self) -> int:
        return self._boundary

    def sizeHint(self) -> QSize:
        return QSize(px(480), px(230))

    def _say(self) -> None:
        if not self._network.stages:
            self.setAccessibleName("Architecture")
            return
        words, figures = self._words_of(self._line)
        self.setAccessibleName(f"Freeze line: {words}, {figures}")
        stages = self._network.stages
        chosen = ", ".join(f"{stages[i].title}, {self.state_word(i)}" for i in self._selected)
        frozen = sum(look.epoch is None and not look.is_mixed for look in self._looks)
        self.setAccessibleDescription(
            f"{frozen} of {len(stages)} stages frozen. {f'Selected: {chosen}. ' if chosen else ''}"
            "Left and Right move the line, with Alt by blocks, Up and Down select a stage, F freezes or trains it, Enter opens it."
        )

    def stage_words(self, index: int) -> str:
        """A stage in full: its state, size, and the shape and stride of what it gives."""
        stage = self._network.stages[index]
        stride = stage.stride_words(self._input_size).replace("/", ", stride ")
        macs = f", {stage.macs / 1e9:.2g} GFLOPs" if stage.macs else ""
        return f"{stage.title}, {self.state_word(index)}\n{parameters(stage.num_parameters)} parameters{macs}\nGives {stage.shape_words}{stride}"

    def state_word(self, index: int) -> str:
        """frozen, trains, mixed or later, and whether its statistics follow the data."""
        look = self._looks[index]
        word = (
            "mixed" if look.is_mixed else "frozen" if look.epoch is None else f"trains from epoch {look.epoch}" if look.epoch else "trains"
        )
        return f"{word}, batch norm follows the data" if look.moves and look.epoch is None else word

    # geometry

    def _left(self) -> float:
        return px(52)

    def _foot(self) -> float:
        """Below the blocks: the shape of what each gives, and its stride in a second line where the strip is high enough."""
        return px(33) if self.height() >= px(185) else px(20)

    def _middle(self) -> float:
        return px(46) + (self.height() - px(46) - self._foot()) / 2

    def _blocks(self) -> list[QRectF]:
        """The rectangle of every stage."""
        stages = self._network.stages
        if not stages:
            return []
        gap, left = px(_GAP), self._left()
        room = self.width() - left - px(4) - gap * (len(stages) - 1)
        by_compute = self._by == "compute" and any(s.macs for s in stages)
        widths = block_widths([s.macs if by_compute else s.num_parameters for s in stages], room, px(_LEAST_BLOCK))
        full = self.height() - px(46) - self._foot() - px(12)
        sides = [s.feature_side for s in stages]
        largest = max((s for s in sides if s), default=None)
        found, x = [], left
        for index, (stage, width) in enumerate(zip(stages, widths, strict=True)):
            share = self._height_share(index, stage.feature_side, largest)
            height = max(min(px(50), full), full * share)
            found.append(QRectF(x, self._middle() - height / 2, width, height))
            x += width + gap
        return found

    def block_rect(self, stage: int) -> QRectF:
        """Where a stage is drawn, px."""
        blocks = self._blocks()
        return blocks[stage] if 0 <= stage < len(blocks) else QRectF()

    def _height_share(self, index: int, side: int | None, largest: int | None) -> float:
        """Share of the full height: equal for equal maps, a step less for every halving."""
        if index == len(self._network.stages) - 1:
            return 0.42
        if side is None or largest is None:
            return 0.8 if largest is None else 0.46
        halvings = 0.0
        while side * 2 <= largest and halvings < 4:
            side *= 2
            halvings += 1
        return max(0.46, 1.0 - 0.17 * halvings)

    def _stop_x(self, boundary: int) -> float:
        blocks = self._blocks()
        if not blocks:
            return 0.0
        if boundary <= 0:
            return blocks[0].left() - px(_GAP) / 2
        return blocks[min(boundary, len(blocks)) - 1].right() + px(_GAP) / 2

    def _place_x(self, place: Place) -> float:
        boundary, inside = place
        if not inside:
            return self._stop_x(boundary)
        block = self._blocks()[boundary]
        return block.left() + block.width() * inside / len(self._blocks_of[boundary])

    def _places(self, *, with_blocks: bool) -> list[Place]:
        """Where the line can stand, from left to right."""
        last = self._network.num_backbone_stages
        counts = [len(self._blocks_of[b]) if with_blocks and b < min(last, len(self._blocks_of)) else 0 for b in range(last + 1)]
        return [(b, k) for b in range(last + 1) for k in range(max(1, counts[b]))]

    @property
    def _line(self) -> Place:
        has_block = self._boundary < len(self._blocks_of) and self._inside < len(self._blocks_of[self._boundary])
        return self._boundary, self._inside if has_block else 0

    def _nearest(self, x: float, event: QMouseEvent) -> Place:
        """Where the line stands now is a place too, with or without Alt: a hand that trembles on the handle moves nothing."""
        with_blocks = bool(event.modifiers() & Qt.KeyboardModifier.AltModifier)
        return min((self._line, *self._places(with_blocks=with_blocks)), key=lambda place: abs(self._place_x(place) - x))

    def _is_on_line(self, at: QPointF) -> bool:
        """The hit area of the handle is wide, that of the thin line below it narrow."""
        reach = px(14) if at.y() < px(56) else px(5)
        return bool(self._network.stages) and abs(at.x() - self._place_x(self._line)) <= reach

    def handle_position(self) -> QPoint:
        """The middle of the handle, for tests and for bubbles."""
        return QPointF(self._place_x(self._line), px(36)).toPoint()

    def stop_position(self, boundary: int) -> QPoint:
        return QPointF(self._stop_x(boundary), px(36)).toPoint()

    # the hand

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton or not self._network.stages:
            return
        is_on_line = self._is_on_line(event.position())
        if is_on_line or event.position().y() < px(46):
            self._target = self._line if is_on_line else self._nearest(event.position().x(), event)
            self._show_bubble(event.globalPosition().toPoint())
        else:
            self._select_at(event.position(), more=bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier))
        self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._target is not None:
            self._target = self._nearest(event.position().x(), event)
            self._show_bubble(event.globalPosition().toPoint())
            self.update()
            return
        index = self._stage_at(event.position())
        set_plain_tooltip(self, self.stage_words(index) if index is not None else "")
        over = self._is_on_line(event.position())
        self.setCursor(Qt.CursorShape.SplitHCursor if over else Qt.CursorShape.ArrowCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._target is not None and event.button() == Qt.MouseButton.LeftButton:
            target = self._target
            self._end_drag()
            self._move_to(*target)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self._select_at(event.position()):
            self.opened.emit(self._selected[-1])

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        index = self._stage_at(QPointF(event.pos()))
        if event.reason() == QContextMenuEvent.Reason.Keyboard and self._selected:
            index = self._selected[-1]
        if index is not None:
            self.menu_wanted.emit(index, event.globalPos())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        match event.key():
            case Qt.Key.Key_Left | Qt.Key.Key_Right:
                self._step_line(1 if event.key() == Qt.Key.Key_Right else -1, bool(event.modifiers() & Qt.KeyboardModifier.AltModifier))
            case Qt.Key.Key_Home:
                self._move_to(0)
            case Qt.Key.Key_End:
                self._move_to(self._network.num_backbone_stages)
            case Qt.Key.Key_Up | Qt.Key.Key_Down if self._network.stages:
                self._step_selected(1 if event.key() == Qt.Key.Key_Down else -1)
            case Qt.Key.Key_F if self._selected:
                self._toggle_selected()
            case Qt.Key.Key_Return | Qt.Key.Key_Enter if self._selected:
                self.opened.emit(self._selected[-1])
            case Qt.Key.Key_Escape if self._target is not None:
                self._end_drag()
            case _:
                super().keyPressEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self.unsetCursor()

    def _stage_at(self, at: QPointF) -> int | None:
        return next((i for i, block in enumerate(self._blocks()) if block.contains(at)), None)

    def _select_at(self, at: QPointF, *, more: bool = False) -> bool:
        """`more` adds a stage to those that are selected, or takes it away."""
        index = self._stage_at(at)
        if index is None:
            return False
        if more and index in self._selected:
            self._selected = tuple(i for i in self._selected if i != index)
        else:
            self._selected = (*(self._selected if more else ()), index)
            self.stage_selected.emit(index)
        self._say()
        self.update()
        return True

    def _step_selected(self, by: int) -> None:
        last = len(self._network.stages) - 1
        index = self._selected[-1] + by if self._selected else 0 if by > 0 else last
        self.set_selected(min(max(0, index), last))
        self.stage_selected.emit(self._selected[-1])

    def _toggle_selected(self) -> None:
        """Just the selected stages: where one is frozen or mixed they train, otherwise they freeze."""
        looks = [self._looks[i] for i in self._selected]
        self.state_wanted.emit(list(self._selected), any(look.is_mixed or look.epoch is None for look in looks))

    def _step_line(self, by: int, with_blocks: bool) -> None:
        places = self._places(with_blocks=with_blocks)
        beyond = [place for place in places if (place > self._line if by > 0 else place < self._line)]
        if beyond:
            self._move_to(*beyond[0 if by > 0 else -1])

    def _move_to(self, boundary: int, inside: int = 0) -> None:
        if (boundary, inside) == self._line or not self._network.stages:
            return
        if inside:
            self.block_boundary_changed.emit(boundary, inside)
        else:
            self.boundary_changed.emit(boundary)

    def _show_bubble(self, at: QPoint) -> None:
        if self._bubble is None:
            self._bubble = Bubble(self.window())
        self._bubble.show_at(at, *self._words_of(self._target, self._num_images))

    def _words_of(self, place: Place, num_images: int = 0) -> tuple[str, str]:
        """What trains with the line at a place: a sentence and its figures."""
        boundary, inside = place
        if not inside:
            return self._network.change_words(self._boundary, boundary, num_images)
        blocks, stage = self._blocks_of[boundary], self._network.stages[boundary]
        trains = self._network.num_trainable(boundary) - sum(blocks[:inside])
        words = f"{stage.title}: {inside} of {len(blocks)} blocks frozen"
        return words, f"{parameters(trains)} trainable, {percent(trains / max(1, self._network.num_parameters))}"

    def _end_drag(self) -> None:
        self._target = None
        if self._bubble is not None:
            self._bubble.hide()
        self.update()

    # painting

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._network.stages:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        blocks = self._blocks()
        self._paint_input(painter)
        for index, block in enumerate(blocks):
            self._paint_block(painter, index, block)
        self._paint_rail(painter, blocks)
        if self._target is not None and self._target != self._line:
            x = self._place_x(self._target)
            painter.setPen(pen("text2", 1.2, dash=(4, 3)))
            painter.drawLine(QLineF(x, px(42), x, self.height() - self._foot() + 2))
        painter.end()

    def _paint_input(self, painter: QPainter) -> None:
        side = px(34)
        tile = QRectF(0.5, self._middle() - side / 2, side, side)
        painter.setPen(pen("border2"))
        painter.setBrush(colour("raised"))
        painter.drawRoundedRect(tile, 4, 4)
        paint_icon(painter, tile.adjusted(8, 8, -8, -8).toRect(), "image", "muted")
        painter.setFont(font("tick"))
        painter.setPen(colour("muted"))
        words = QRectF(-4, tile.bottom() + px(3), side + 8, px(16))
        painter.drawText(words, Qt.AlignmentFlag.AlignCenter, f"{self._input_size}²")
        painter.drawText(QRectF(side, self._middle() - px(8), self._left() - side, px(16)), Qt.AlignmentFlag.AlignCenter, "→")

    def _paint_block(self, painter: QPainter, index: int, block: QRectF) -> None:
        stage, look = self._network.stages[index], self._looks[index]
        epoch = look.epoch
        state = "trains" if epoch == 0 else "frozen"
        rect = block.adjusted(0.5, 0.5, -0.5, -0.5)
        painter.setPen(pen(f"{state}Edge"))
        painter.setBrush(colour(f"{state}Fill"))
        painter.drawRoundedRect(rect, 5, 5)
        if look.is_mixed:  # the lower half is what single layers do
            self._paint_part(painter, rect, rect.center().y(), "frozen" if state == "trains" else "trains")
        elif epoch:  # thaws later: a rim of what it becomes
            self._paint_part(painter, rect, rect.bottom() - px(7), "trains")
        if look.moves and epoch != 0:
            band = QRectF(rect.left() + 1, rect.top() + 1, rect.width() - 2, min(px(14), rect.height() / 3))
            painter.fillRect(band, hatch(colour("trainsEdge"), colour("frozenFill"), step=7, width=2.2))
        if index in self._selected:
            painter.setPen(pen("focus" if self.hasFocus() else "text", 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(rect.adjusted(2, 2, -2, -2), 4, 4)
        painter.setPen(colour("onFrozen" if state == "frozen" else "onTrains"))
        self._paint_words(painter, stage.title, f"epoch {epoch:,}" if epoch else parameters(stage.num_parameters), rect)
        painter.setFont(font("tick"))
        painter.setPen(colour("muted"))
        short, stride = f"{stage.feature_side}²" if stage.feature_side else "", stage.stride_words(self._input_size)
        room, wide = block.width() + px(_GAP) - 2, painter.fontMetrics().horizontalAdvance
        shape = next((w for w in (stage.size_words, short) if w and wide(w) <= room), "")
        lines = [shape, stride if wide(stride) <= room else ""] if self._foot() > px(20) else [shape]
        if len(lines) == 1 and stride:
            lines = [next((w for w in (f"{stage.size_words} {stride}", f"{short} {stride}") if wide(w) <= room), shape)]
        for number, words in enumerate(lines):
            line = QRectF(block.left() - px(20), self.height() - self._foot() + number * px(13), block.width() + px(40), px(16))
            painter.drawText(line, Qt.AlignmentFlag.AlignCenter, words)

    def _paint_part(self, painter: QPainter, rect: QRectF, top: float, state: str) -> None:
        painter.save()
        painter.setClipRect(QRectF(rect.left() - 1, top, rect.width() + 2, rect.bottom() - top + 1))
        painter.setPen(pen(f"{state}Edge"))
        painter.setBrush(colour(f"{state}Fill"))
        painter.drawRoundedRect(rect, 5, 5)
        painter.restore()

    def _paint_words(self, painter: QPainter, title: str, count: str, rect: QRectF) -> None:
        name_font, number_font = font("strong"), font("tick")
        wide = QFontMetricsF(name_font).horizontalAdvance(title)
        if wide > max(rect.width() - 4, rect.height() - 6) and " " in title:  # "Block 10" -> "10", so that blocks can be told apart
            title = title.rpartition(" ")[2]
            wide = QFontMetricsF(name_font).horizontalAdvance(title)
        if wide > rect.width() - 4:  # upright
            painter.save()
            painter.setFont(name_font)
            painter.translate(rect.center())
            painter.rotate(-90)
            line = QRectF(-rect.height() / 2 + 3, -px(9), rect.height() - 6, px(18))
            painter.drawText(
                line, Qt.AlignmentFlag.AlignCenter, QFontMetricsF(name_font).elidedText(title, Qt.TextElideMode.ElideRight, line.width())
            )
            painter.restore()
            return
        has_count = QFontMetricsF(number_font).horizontalAdvance(count) <= rect.width() - 4
        middle = rect.center().y()
        painter.setFont(name_font)
        top = middle - px(17) if has_count else middle - px(9)
        painter.drawText(QRectF(rect.left(), top, rect.width(), px(18)), Qt.AlignmentFlag.AlignCenter, title)
        if has_count:
            painter.setFont(number_font)
            painter.drawText(QRectF(rect.left(), middle, rect.width(), px(17)), Qt.AlignmentFlag.AlignCenter, count)

    def _paint_rail(self, painter: QPainter, blocks: list[QRectF]) -> None:
        y = px(36)
        left, right, cut = blocks[0].left(), blocks[-1].right(), self._place_x(self._line)
        handle_half = px(9)
        total = max(1, self._network.num_parameters)
        trains = self._num_training
        frozen = total - trains
        self._paint_rail_words(painter, left, right, frozen, trains, total)
        painter.setPen(pen("frozenEdge", 2))
        if cut - handle_half - 3 > left:
            painter.drawLine(QLineF(left, y, cut - handle_half - 3, y))
        painter.setPen(pen("trainsEdge", 2))
        painter.drawLine(QLineF(cut + handle_half + 3, y, right, y))
        for boundary in range(self._network.num_backbone_stages + 1):
            if (boundary, 0) != self._line:
                painter.setPen(pen("frozenEdge" if boundary < self._boundary else "trainsEdge", 1.4))
                painter.setBrush(colour("surface"))
                painter.drawEllipse(QPointF(self._stop_x(boundary), y), 3, 3)
        painter.setPen(pen("text", 2))
        painter.drawLine(QLineF(cut, y, cut, self.height() - self._foot()))
        grip = QRectF(cut - handle_half, y - px(13), handle_half * 2, px(26))
        if self.hasFocus():
            painter.setPen(pen("focus", 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(grip.adjusted(-3, -3, 3, 3), 7, 7)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("text"))
        painter.drawRoundedRect(grip, 5, 5)
        painter.setPen(pen("surface", 1.6))
        for x in (cut - 2.5, cut + 2.5):
            painter.drawLine(QLineF(x, y - px(6), x, y + px(6)))

    def _paint_rail_words(self, painter: QPainter, left: float, right: float, frozen: int, trains: int, total: int) -> None:
        metrics = QFontMetricsF(font("strong"))
        side = px(14)
        painter.setFont(font("strong"))
        words = f"Trains {parameters(trains)} · {percent(trains / total)}"
        wide = metrics.horizontalAdvance(words)
        painter.setPen(colour("trains"))
        painter.drawText(QRectF(right - wide - 1, px(4), wide + 2, px(18)), Qt.AlignmentFlag.AlignVCenter, words)
        paint_icon(painter, QRect(round(right - wide - side - px(6)), px(6), side, side), "flame", "trains")
        if frozen:
            words = f"Frozen {parameters(frozen)} · {percent(frozen / total)}"
            paint_icon(painter, QRect(round(left), px(6), side, side), "snowflake", "frozen")
            painter.setPen(colour("frozen"))
            painter.drawText(
                QRectF(left + side + px(5), px(4), metrics.horizontalAdvance(words) + 2, px(18)), Qt.AlignmentFlag.AlignVCenter, words
            )
