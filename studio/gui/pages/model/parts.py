"""Small pieces of the Model page."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QWidget

from studio.gui.theme import colour, hatch, pen, px
from studio.gui.widgets import Banner, IconLabel, PlainLabel, Spinner, set_plain_tooltip
from studio.gui.wording import count


class Legend(QWidget):
    """What the colours and sizes of the strip mean, and how much batch norm moves."""

    def __init__(self):
        super().__init__()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(px(6))
        self.norm_label = PlainLabel("", "caption")
        set_plain_tooltip(self.norm_label, "Running means and variances of frozen stages that follow your images")
        for swatch, label in (
            ("frozen", PlainLabel("Frozen", "caption")),
            ("trains", PlainLabel("Trains", "caption")),
            ("moves", self.norm_label),
        ):
            layout.addWidget(_Swatch(swatch))
            layout.addWidget(label)
            layout.addSpacing(px(8))
        self.hint = PlainLabel("", "caption", elide=Qt.TextElideMode.ElideRight)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        layout.addWidget(self.hint, 1)
        set_plain_tooltip(
            self,
            "A block is as wide as the root of its share, and as high as its feature map is large.\n/4: a cell of its map stands for 4 px of the image.",
        )
        self.set_measure("parameters")
        self.show_plan(has_norm=True, num_moving=0, num_stages=0)

    def set_measure(self, by: str) -> None:
        self.hint.setText(f"width √{'weights' if by == 'parameters' else 'compute'}, /4 stride")

    def show_plan(self, *, has_norm: bool, num_moving: int, num_stages: int) -> None:
        """`num_moving`: running values of frozen stages that follow the data."""
        if not has_norm:
            words = "Batch norm: none here"
        elif not num_stages:
            words = "Batch norm adapts: none"
        else:
            words = f"Batch norm adapts: {count(num_moving)} values" if num_moving else "Batch norm adapts"
        self.norm_label.setText(words)


def grown(banner: Banner) -> Banner:
    """A banner in a narrow column: as tall as its wrapped words need."""
    policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
    policy.setHeightForWidth(True)
    banner.setSizePolicy(policy)
    return banner


def make_mark(name: str, words: str) -> QWidget:
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(px(4))
    layout.addWidget(IconLabel(name, "text2", 10))
    layout.addWidget(PlainLabel(words, "caption", "text2"))
    return row


def make_loading(words: str) -> QWidget:
    made = QWidget()
    row = QHBoxLayout(made)
    row.addStretch(1)
    row.addWidget(Spinner())
    row.addWidget(PlainLabel(words, "label", "muted"))
    row.addStretch(1)
    return made


class _Swatch(QFrame):
    """A small block in the colour of a state."""

    def __init__(self, state: str):
        super().__init__()
        self._state = state
        self.setFixedSize(px(14), px(10))

    def paintEvent(self, event) -> None:
        painter = QPainter(self)
        is_hatched = self._state == "moves"
        painter.setPen(pen("frozenEdge" if is_hatched else f"{self._state}Edge"))
        painter.setBrush(hatch(colour("trainsEdge"), colour("frozenFill"), step=6, width=2) if is_hatched else colour(f"{self._state}Fill"))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()
