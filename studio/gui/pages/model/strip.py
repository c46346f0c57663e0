"""The architecture strip: a block per stage in execution order, and the freeze line between them.

Where things stand is in strip_geometry, how they look in strip_paint.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from studio.gui.pages.model.network import Network
from studio.gui.pages.model.strip_geometry import RAIL_PX, Place, StripGeometry
from studio.gui.pages.model.strip_paint import Look, StripPicture, paint_strip
from studio.gui.pages.schedule.thaw_plan import num_frozen_before
from studio.gui.theme import px
from studio.gui.widgets import Bubble, set_plain_tooltip
from studio.gui.wording import parameters, percent


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
        self._placed: tuple[tuple, StripGeometry] | None = None
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
        self.setMinimumWidth(round(self._geometry.least_width))
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

    @property
    def _geometry(self) -> StripGeometry:
        size = self.width(), self.height()
        asked = self._network, self._blocks_of, self._by, *size
        if self._placed is None or self._placed[0] != asked:
            self._placed = asked, StripGeometry(*asked)
        return self._placed[1]

    @property
    def _line(self) -> Place:
        has_block = self._boundary < len(self._blocks_of) and self._inside < len(self._blocks_of[self._boundary])
        return self._boundary, self._inside if has_block else 0

    def block_rect(self, stage: int) -> QRectF:
        """Where a stage is drawn, px."""
        blocks = self._geometry.blocks
        return blocks[stage] if 0 <= stage < len(blocks) else QRectF()

    def handle_position(self) -> QPoint:
        """The middle of the handle, for tests and for bubbles."""
        return self.place_position(self._line)

    def stop_position(self, boundary: int) -> QPoint:
        return self.place_position((boundary, 0))

    def place_position(self, place: Place) -> QPoint:
        return QPointF(self._geometry.place_x(place), px(RAIL_PX)).toPoint()

    def _nearest(self, x: float, event: QMouseEvent) -> Place:
        """Where the line stands now is a place too, with or without Alt: a hand that trembles on the handle moves nothing."""
        geometry, with_blocks = self._geometry, bool(event.modifiers() & Qt.KeyboardModifier.AltModifier)
        return min((self._line, *geometry.places(with_blocks=with_blocks)), key=lambda place: abs(geometry.place_x(place) - x))

    # the hand

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton or not self._network.stages:
            return
        is_on_line = self._geometry.is_on_line(event.position(), self._line)
        if is_on_line or event.position().y() < self._geometry.head:
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
        index = self._geometry.stage_at(event.position())
        set_plain_tooltip(self, self.stage_words(index) if index is not None else "")
        over = self._geometry.is_on_line(event.position(), self._line)
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
        index = self._geometry.stage_at(QPointF(event.pos()))
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

    def _select_at(self, at: QPointF, *, more: bool = False) -> bool:
        """`more` adds a stage to those that are selected, or takes it away."""
        index = self._geometry.stage_at(at)
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
        places = self._geometry.places(with_blocks=with_blocks)
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

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._network.stages:
            painter = QPainter(self)
            paint_strip(
                painter,
                StripPicture(
                    self._geometry,
                    self._looks,
                    self._line,
                    self._target,
                    self._selected,
                    self.hasFocus(),
                    self._num_training,
                    self._input_size,
                ),
            )
            painter.end()
