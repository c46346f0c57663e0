"""A stage or block opened: its layers in the order they run, parallel branches above each other, ways around as arcs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontMetricsF, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QToolTip, QVBoxLayout, QWidget

from studio.core.path_text import shown
from studio.gui.pages.model.layers import LayerPlan, Node
from studio.gui.pages.model.network import StageFacts
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets import PlainLabel, button, icon_button, plain_tooltip
from studio.gui.wording import parameters

_COLUMN_PX, _GAP_PX, _ARC_PX, _ROW_PX = 62, 12, 16, 26
_SIDE_PX = 34  # what a layer on the way around needs above the others
_AROUND = ("downsample", "shortcut", "skip")  # how libraries call such a layer
_MOST_WITH_WAYS = 24  # boxes, where there are branches or ways around to be seen: those scroll
_MOST_OPEN = 10  # boxes: with more of them the inside of each stays closed


@dataclass(frozen=True)
class Box:
    """A node where it is drawn. Open ones hold others and have only a frame."""

    node: Node
    rect: QRectF
    is_open: bool


def modules_in(node: Node) -> tuple[Node, ...]:
    return tuple(child for child in node.children if not child.is_parameter)


def ways(node: Node) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
    """What runs one after the other in a node, and what stands on the way around it."""
    parts = modules_in(node)
    side = tuple(part for part in parts if part.label in _AROUND) if node.layout == "residual" else ()
    main = tuple(part for part in parts if part not in side)
    return (main, side) if main else (parts, ())


def depth_for(node: Node) -> int:
    """How many levels are drawn at once: two where that stays readable."""
    inner = sum(max(1, len(modules_in(child))) for child in modules_in(node))
    return 2 if inner <= _MOST_OPEN or any(child.layout != "series" for child in modules_in(node)) and inner <= _MOST_WITH_WAYS else 1


def columns(node: Node, depth: int) -> int:
    """How many boxes stand side by side."""
    parts = modules_in(node)
    if not depth or not parts:
        return 1
    widths = [columns(part, depth - 1) for part in ways(node)[0]]
    return max(widths) if node.layout == "branches" else sum(widths)


def rows(node: Node, depth: int) -> int:
    """How many boxes stand above each other."""
    parts = modules_in(node)
    if not depth or not parts:
        return 1
    main, side = ways(node)
    heights = [rows(part, depth - 1) for part in main]
    return sum(heights) if node.layout == "branches" else max(heights) + bool(side)


def place(node: Node, rect: QRectF, depth: int, *, is_root: bool = True) -> list[Box]:
    """Boxes of what is in a node, outer ones before those in them."""
    if not depth or not modules_in(node):
        return [Box(node, rect, False)]
    found = [] if is_root else [Box(node, rect, True)]
    inner = rect if is_root else rect.adjusted(5, 5, -5, -5)
    parts, side = ways(node)
    if node.layout == "residual":
        top = inner.top()
        inner = inner.adjusted(6, px(_SIDE_PX if side else _ARC_PX), -6, 0)
        wide = min(px(_COLUMN_PX) * 1.6, inner.width() / max(1, len(side)) - px(_GAP_PX))
        for i, part in enumerate(side):
            middle = inner.left() + inner.width() * (i + 0.5) / len(side)
            found.append(Box(part, QRectF(middle - wide / 2, top + 2, wide, px(_SIDE_PX) - 8), False))
    is_stack = node.layout == "branches"
    sizes = [(rows if is_stack else columns)(part, depth - 1) for part in parts]
    gap = px(5) if is_stack else px(_GAP_PX)
    room = (inner.height() if is_stack else inner.width()) - gap * (len(parts) - 1)
    at = inner.top() if is_stack else inner.left()
    for part, size in zip(parts, sizes, strict=True):
        length = room * size / sum(sizes)
        box = QRectF(inner.left(), at, inner.width(), length) if is_stack else QRectF(at, inner.top(), length, inner.height())
        found += place(part, box, depth - 1, is_root=False)
        at += length + gap
    return found


def short_kind(kind: str) -> str:
    """ "Conv2d 3×3 /2" -> "3×3 /2", "BatchNorm2d" -> "norm": for narrow boxes."""
    name, _, rest = kind.partition(" ")
    return "norm" if "Norm" in name else rest or name.removesuffix("2d").lower()


def box_titles(node: Node, fits: Callable[[str], bool]) -> tuple[str, str]:
    """Name and kind, as far as they fit. A number, which is only a place in a sequence, says what stands there in the same line: often it is
    the only one that there is room for."""
    kinds = (node.kind, short_kind(node.kind))
    if not node.label.isdigit():
        return node.label, next((kind for kind in kinds if fits(kind)), "")
    return next((words for kind in kinds if fits(words := f"{node.label}: {kind}")), node.label), ""


def _fitting(words: Sequence[str], style: str, room: float) -> str:
    """The first that there is room for, px; empty where there is none."""
    wide = QFontMetricsF(font(style)).horizontalAdvance
    return next((w for w in words if wide(w) <= room), "")


class _Canvas(QWidget):
    """Draws one node's inside; a click selects a box, a double-click or Enter opens it, F freezes or trains it."""

    state_wanted = Signal(object, bool)  # list[Node], should they train
    opened = Signal(object)  # Node
    left = Signal()

    def __init__(self):
        super().__init__()
        self.setObjectName("model.inside")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._node: Node | None = None
        self._plan: LayerPlan | None = None
        self._selected = 0

    def show_node(self, node: Node, plan: LayerPlan) -> None:
        if self._node is None or node.name != self._node.name:
            self._selected = 0
        self._node, self._plan = node, plan
        depth = depth_for(node)
        self.setMinimumSize(columns(node, depth) * px(_COLUMN_PX) + px(40), rows(node, depth) * px(_ROW_PX) + px(36))
        self._say()
        self.update()

    def sizeHint(self) -> QSize:
        return self.minimumSize()

    def boxes(self) -> list[Box]:
        if self._node is None:
            return []
        area = QRectF(self.rect()).adjusted(px(18), px(8), -px(18), -px(8))
        return place(self._node, area, depth_for(self._node))

    def _closed(self) -> list[Box]:
        return [box for box in self.boxes() if not box.is_open]

    @property
    def selected(self) -> Node | None:
        found = self._closed()
        return found[min(self._selected, len(found) - 1)].node if found else None

    def _say(self) -> None:
        node = self.selected
        if node is None or self._plan is None:
            return
        self.setAccessibleName(f"Inside of {self._node.label}: {node.label}, {node.kind}, {self._plan.state(node).word}")
        self.setAccessibleDescription("Left and Right select a layer, F freezes or trains it, Enter opens it, Escape goes back.")

    def _box_at(self, at: QPointF) -> int | None:
        return next((i for i, box in enumerate(self._closed()) if box.rect.contains(at)), None)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if (index := self._box_at(event.position())) is not None:
            self._select(index)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self._box_at(event.position()) is not None:
            self._open()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        match event.key():
            case Qt.Key.Key_Left | Qt.Key.Key_Up:
                self._select(self._selected - 1)
            case Qt.Key.Key_Right | Qt.Key.Key_Down:
                self._select(self._selected + 1)
            case Qt.Key.Key_F if self.selected:
                state = self._plan.state(self.selected)
                self.state_wanted.emit([self.selected], state.is_mixed or state.epoch is None)
            case Qt.Key.Key_Return | Qt.Key.Key_Enter:
                self._open()
            case Qt.Key.Key_Escape | Qt.Key.Key_Backspace:
                self.left.emit()
            case _:
                super().keyPressEvent(event)

    def _select(self, index: int) -> None:
        self._selected = min(max(0, index), len(self._closed()) - 1)
        self._say()
        self.update()

    def _open(self) -> None:
        if self.selected is not None and modules_in(self.selected):
            self.opened.emit(self.selected)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            index = self._box_at(QPointF(event.pos()))
            QToolTip.showText(event.globalPos(), plain_tooltip(self._tip(self._closed()[index].node)) if index is not None else "", self)
            return True
        return super().event(event)

    def _gives(self, node: Node, room: float) -> str:
        """ "64×56² /4": the shape of what it gives and its stride against the image, as much of it as there is room for."""
        facts = StageFacts(node.name, node.num_parameters, node.output_shape)
        stride, side = facts.stride_words(self._plan.model.input_size), f"{facts.feature_side}²" if facts.feature_side else ""
        return _fitting((f"{facts.size_words} {stride}".strip(), f"{side} {stride}".strip(), stride), "tick", room)

    def _tip(self, node: Node) -> str:
        facts = StageFacts(node.name, node.num_parameters, node.output_shape)
        stride = facts.stride_words(self._plan.model.input_size).replace("/", ", stride ")
        shape = f"\ngives {node.shape_words}{stride}" if node.shape_words else ""
        return f"{shown(node.name)}\n{node.kind}, {parameters(node.num_parameters)} parameters{shape}\n{self._plan.state(node).word}"

    # painting

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._node is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        boxes = self.boxes()
        self._paint_wires(painter, self._node, QRectF(self.rect()).adjusted(px(18), px(8), -px(18), -px(8)), depth_for(self._node), True)
        for box in boxes:
            if box.is_open:
                painter.setPen(pen("border2"))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRoundedRect(box.rect.adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        for index, box in enumerate(b for b in boxes if not b.is_open):
            self._paint_box(painter, box, is_selected=index == self._selected)
        painter.end()

    def _paint_wires(self, painter: QPainter, node: Node, rect: QRectF, depth: int, is_root: bool) -> None:
        """The way of the data: lines from box to box, forks and joins of branches, the arc of a way around."""
        parts, side = ways(node)
        if not depth or not parts:
            return
        inner = rect if is_root else rect.adjusted(5, 5, -5, -5)
        if node.layout == "residual":
            inner = inner.adjusted(6, px(_SIDE_PX if side else _ARC_PX), -6, 0)
        around = [next(b.rect for b in place(part, self._rect_of(node, rect, depth, is_root, i), depth - 1, is_root=False)) for i, part in enumerate(parts)]  # fmt: skip
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(pen("outline", 1.4))
        if node.layout == "branches":
            fork, join = QPointF(inner.left() - px(8), inner.center().y()), QPointF(inner.right() + px(8), inner.center().y())
            for box in around:
                painter.drawLine(fork, QPointF(box.left(), box.center().y()))
                painter.drawLine(QPointF(box.right(), box.center().y()), join)
        else:
            for first, second in zip(around, around[1:], strict=False):
                painter.drawLine(QPointF(first.right(), first.center().y()), QPointF(second.left(), second.center().y()))
        if node.layout == "residual" and around:
            y = inner.top() - px(_SIDE_PX) + 2 + (px(_SIDE_PX) - 8) / 2 if side else inner.top() - px(_ARC_PX) + 4
            left, right, middle = around[0].left() - 5, around[-1].right() + 5, inner.center().y()
            path = QPainterPath(QPointF(left, middle))
            path.cubicTo(QPointF(left, y), QPointF(left, y), QPointF(left + px(14), y))
            path.lineTo(QPointF(right - px(14), y))
            path.cubicTo(QPointF(right, y), QPointF(right, y), QPointF(right, middle))
            painter.setPen(pen("accent", 1.6))
            painter.drawPath(path)
            painter.setBrush(colour("accent"))
            painter.drawEllipse(QPointF(right, middle), 2.5, 2.5)
        for i, part in enumerate(parts):
            self._paint_wires(painter, part, self._rect_of(node, rect, depth, is_root, i), depth - 1, False)

    @staticmethod
    def _rect_of(node: Node, rect: QRectF, depth: int, is_root: bool, index: int) -> QRectF:
        """Where the child with this number stands, of those that run one after the other."""
        part = ways(node)[0][index]
        return next(box.rect for box in place(node, rect, depth, is_root=is_root) if box.node is part)

    def _paint_box(self, painter: QPainter, box: Box, *, is_selected: bool) -> None:
        node, state = box.node, self._plan.state(box.node)
        has_weights = bool(node.leaves)
        token = "trains" if state.epoch == 0 and not state.is_mixed else "frozen"
        rect = box.rect.adjusted(0.5, 0.5, -0.5, -0.5)
        if rect.height() > px(64):
            rect = QRectF(rect.left(), rect.center().y() - px(32), rect.width(), px(64))
        painter.setPen(pen(f"{token}Edge" if has_weights else "border2"))
        painter.setBrush(colour(f"{token}Fill") if has_weights else colour("raised"))
        painter.drawRoundedRect(rect, 5, 5)
        if has_weights and (state.is_mixed or state.epoch):
            painter.save()
            painter.setClipRect(QRectF(rect.left(), rect.bottom() - px(6), rect.width(), px(7)))
            painter.setPen(pen("trainsEdge"))
            painter.setBrush(colour("trainsFill"))
            painter.drawRoundedRect(rect, 5, 5)
            painter.restore()
        if is_selected:
            painter.setPen(pen("focus" if self.hasFocus() else "text", 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(rect.adjusted(2, 2, -2, -2), 4, 4)
        painter.setPen(colour(("onFrozen" if token == "frozen" else "onTrains") if has_weights else "text2"))
        room = rect.width() - 6
        words = parameters(node.num_parameters) if has_weights else ""
        name, kind = box_titles(node, lambda words: QFontMetricsF(font("caption")).horizontalAdvance(words) <= room)
        lines = [
            (name, "strong" if modules_in(node) else "caption"),
            (kind, "caption"),
            (_fitting((words, re.sub(r"\.\d+", "", words)), "tick", room), "tick"),
            (self._gives(node, room), "tick"),
        ]
        lines = [(words, style) for words, style in lines if words][: max(1, int(rect.height() // px(14)))]
        top = rect.center().y() - len(lines) * px(14) / 2
        for i, (words, style) in enumerate(lines):
            painter.setFont(font(style))
            words = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, int(room))
            painter.drawText(QRectF(rect.left(), top + i * px(14), rect.width(), px(14)), int(Qt.AlignmentFlag.AlignCenter), words)


class BlockInside(QWidget):
    """The canvas with the way back above it. `closed` when the user goes up from the stage itself."""

    state_wanted = Signal(object, bool)
    closed = Signal()

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(2))
        row = QHBoxLayout()
        row.setSpacing(px(6))
        row.addWidget(icon_button("caret-left", "Back", small=True, name="model.inside.back", on_click=self.go_up))
        self.trail_label = PlainLabel("", "label", "text2", elide=Qt.TextElideMode.ElideLeft)
        row.addWidget(self.trail_label, 1)
        row.addWidget(PlainLabel("F freezes or trains, Enter opens", "caption", "muted"))
        row.addWidget(button("Close", kind="quiet", small=True, name="model.inside.close", on_click=self.closed.emit))
        column.addLayout(row)
        self.canvas = _Canvas()
        self.canvas.state_wanted.connect(self.state_wanted)
        self.canvas.opened.connect(self._open)
        self.canvas.left.connect(self.go_up)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.viewport().setAutoFillBackground(False)
        area.setWidget(self.canvas)
        self.canvas.setAutoFillBackground(False)
        column.addWidget(area, 1)
        self._trail: list[str] = []  # names from the stage down to what is shown

    def show_stage(self, stage: Node, plan: LayerPlan) -> None:
        """Open a stage; where all its weights are in a single block, that block."""
        self._trail = [stage.name]
        node = stage
        while len(heavy := [part for part in modules_in(node) if part.leaves]) == 1 and modules_in(heavy[0]):
            node = heavy[0]
            self._trail.append(node.name)
        self.refresh(plan)
        self.canvas.setFocus(Qt.FocusReason.OtherFocusReason)

    def refresh(self, plan: LayerPlan) -> bool:
        """Show the same place under another plan; False when the network has no such place."""
        self._plan = plan
        known = {node.name: node for stage in plan.tree.stages for node in stage.walk()} if self._trail else {}
        if not self._trail or any(name not in known for name in self._trail):
            return False
        nodes = [known[name] for name in self._trail]
        self.trail_label.setText(shown("  ›  ".join(node.label for node in nodes)))
        self.canvas.show_node(nodes[-1], plan)
        return True

    def _open(self, node: Node) -> None:
        self._trail.append(node.name)
        self.refresh(self._plan)

    def go_up(self) -> None:
        if len(self._trail) > 1:
            self._trail.pop()
            self.refresh(self._plan)
        else:
            self.closed.emit()
