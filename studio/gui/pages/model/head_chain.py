"""The head as a chain of nodes from the features to the classes; parts are dragged or moved by keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QHBoxLayout, QWidget

from studio.gui.icon import paint_icon
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets import set_plain_tooltip


@dataclass(frozen=True)
class ChainNode:
    """`key` names it: features, part number ("0"), dropout, linear, classes, or "" for what goes without saying. `words` is its shape."""

    key: str
    title: str
    words: str
    note: str = ""
    is_new: bool = True

    @property
    def part(self) -> int | None:
        return int(self.key) if self.key.isdigit() else None


class _NodeButton(QAbstractButton):
    """One node: its title, and the shape it gives."""

    moved = Signal(int)  # by so many places
    removed = Signal()
    stepped = Signal(int)  # -1 or 1: the node beside it
    dragged_to = Signal(QPoint)  # global place where it was dropped

    def __init__(self, parent: QWidget):
        super().__init__(parent)
        self.setCheckable(True)
        self.setFixedHeight(px(44))
        self._node = ChainNode("", "", "")
        self._pressed: QPoint | None = None

    def show_node(self, node: ChainNode) -> None:
        self._node = node
        wide = max(QFontMetrics(font("strong")).horizontalAdvance(node.title), QFontMetrics(font("tick")).horizontalAdvance(node.words))
        self.setFixedWidth(wide + px(20))
        self.setObjectName(f"model.head.node.{node.key or 'plain'}")
        hint = "Alt and arrows move it, Delete takes it away." if node.part is not None else ""
        self.setAccessibleName(f"{node.title}, {node.words}{f', {node.note}' if node.note else ''}")
        self.setAccessibleDescription(hint)
        set_plain_tooltip(self, "\n".join(filter(None, (node.note, hint))))
        self.setEnabled(bool(node.key))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus if node.key else Qt.FocusPolicy.NoFocus)
        self.setCursor(Qt.CursorShape.OpenHandCursor if node.part is not None else Qt.CursorShape.ArrowCursor)
        self.update()

    def nextCheckState(self) -> None:
        """The chain decides which node is chosen."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        by = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(event.key())
        if by and event.modifiers() & Qt.KeyboardModifier.AltModifier:
            self.moved.emit(by)
        elif by:
            self.stepped.emit(by)
        elif event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.removed.emit()
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._pressed = event.globalPosition().toPoint()
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        at = event.globalPosition().toPoint()
        was_dragged = self._pressed is not None and (at - self._pressed).manhattanLength() > px(12) and self._node.part is not None
        self._pressed = None
        super().mouseReleaseEvent(event)
        if was_dragged:
            self.dragged_to.emit(at)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        is_new = self._node.is_new and bool(self._node.key)
        edge = "accent" if self.isChecked() else "trainsEdge" if is_new else "border2"
        painter.setPen(pen("focus" if self.hasFocus() else edge, 2 if self.isChecked() or self.hasFocus() else 1))
        painter.setBrush(colour("trainsWash" if is_new else "raised"))
        painter.drawRoundedRect(rect, 5, 5)
        painter.setFont(font("strong"))
        painter.setPen(colour("text" if self._node.key else "text2"))
        painter.drawText(QRectF(0, px(5), self.width(), px(18)), int(Qt.AlignmentFlag.AlignCenter), self._node.title)
        painter.setFont(font("tick"))
        painter.setPen(colour("text2"))
        painter.drawText(QRectF(0, px(22), self.width(), px(16)), int(Qt.AlignmentFlag.AlignCenter), self._node.words)
        painter.end()


class _Arrow(QWidget):
    def __init__(self):
        super().__init__()
        self.setFixedSize(QSize(px(18), px(44)))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        side = px(12)
        paint_icon(painter, QRect((self.width() - side) // 2, (self.height() - side) // 2, side, side), "arrow-right", "muted")
        painter.end()


class HeadChain(QWidget):
    """`selected` names the node whose options are wanted; `move_wanted` and `remove_wanted` carry a part's number."""

    selected = Signal(str)
    move_wanted = Signal(int, int)  # part, by so many places
    remove_wanted = Signal(int)

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setObjectName("model.head.chain")
        self.setAccessibleName("Head, from the features to the classes")
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(0)
        self.buttons: list[_NodeButton] = []
        self.nodes: tuple[ChainNode, ...] = ()
        self.key = "linear"

    def show_nodes(self, nodes: Sequence[ChainNode]) -> None:
        """The buttons stay where they can, and with them the focus."""
        self.nodes = tuple(nodes)
        while len(self.buttons) < len(nodes):
            self._add_button()
        while len(self.buttons) > len(nodes):
            gone = self.buttons.pop()
            for widget in (self._row.takeAt(self._row.count() - 2).widget(), self._row.takeAt(self._row.count() - 2).widget()):
                widget.hide()
                widget.deleteLater()
            del gone
        for made, node in zip(self.buttons, nodes, strict=True):
            made.show_node(node)
        if all(node.key != self.key for node in nodes):
            self.key = "linear"
        self._check()

    def _add_button(self) -> None:
        made = _NodeButton(self)
        at = max(0, self._row.count() - 1)
        if self.buttons:
            self._row.insertWidget(at, _Arrow())
            at += 1
        self._row.insertWidget(at, made)
        if not self.buttons:
            self._row.addStretch(1)
        made.clicked.connect(lambda *_: self.select(made._node.key))
        made.moved.connect(lambda by: self._on_moved(made, by))
        made.removed.connect(lambda: self.remove_wanted.emit(made._node.part) if made._node.part is not None else None)
        made.stepped.connect(lambda by: self._step(made, by))
        made.dragged_to.connect(lambda at: self._on_dropped(made, at))
        self.buttons.append(made)

    def select(self, key: str) -> None:
        self.key = key
        self._check()
        self.selected.emit(key)

    def _check(self) -> None:
        for made, node in zip(self.buttons, self.nodes, strict=True):
            made.setChecked(node.key == self.key)

    def focus_node(self, key: str) -> None:
        made = next((b for b, node in zip(self.buttons, self.nodes, strict=True) if node.key == key), None)
        if made is not None:
            made.setFocus(Qt.FocusReason.TabFocusReason)

    def _step(self, made: _NodeButton, by: int) -> None:
        usable = [b for b in self.buttons if b.isEnabled()]
        at = usable.index(made) + by
        if 0 <= at < len(usable):
            usable[at].setFocus(Qt.FocusReason.TabFocusReason)
            self.select(usable[at]._node.key)

    def _on_moved(self, made: _NodeButton, by: int) -> None:
        part = made._node.part
        if part is not None:
            self.move_wanted.emit(part, by)

    def _on_dropped(self, made: _NodeButton, at: QPoint) -> None:
        """To the place among the parts over which it was let go."""
        x = self.mapFromGlobal(at).x()
        parts = [b for b in self.buttons if b._node.part is not None and b is not made]
        target = sum(b.geometry().center().x() < x for b in parts)
        self.move_wanted.emit(made._node.part, target - made._node.part)
