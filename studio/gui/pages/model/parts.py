"""Small pieces of the Model page."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QWidget

from studio.gui.theme import colour, pen, px
from studio.gui.widgets import Banner, IconLabel, PlainLabel, Spinner


def make_legend() -> QWidget:
    """What the colours and sizes of the strip mean."""
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(px(6))
    layout.addWidget(_Swatch("frozen"))
    layout.addWidget(PlainLabel("Frozen, batch norm fixed", "caption"))
    layout.addSpacing(px(8))
    layout.addWidget(_Swatch("trains"))
    layout.addWidget(PlainLabel("Trains", "caption"))
    layout.addSpacing(px(8))
    hint = PlainLabel("width √parameters · height feature map", "caption", elide=Qt.TextElideMode.ElideRight)
    hint.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    layout.addWidget(hint, 1)
    return row


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
        painter.setPen(pen(f"{self._state}Edge"))
        painter.setBrush(colour(f"{self._state}Fill"))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()
