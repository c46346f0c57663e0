"""Surfaces: the panel with its title row, lines, scrolling columns."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QSizePolicy, QSplitter, QVBoxLayout, QWidget

from studio.gui.theme import px
from studio.gui.widgets.label import PlainLabel


class Panel(QFrame):
    """A titled surface. Add controls of the title row to `head` (right of the stretch), content to `body`. With `elide` a long subtitle takes
    what room there is, and asks for none."""

    def __init__(
        self, title: str = "", subtitle: str = "", *, name: str = "", margins: bool = True, elide: bool = False,
        parent: QWidget | None = None,
    ):  # fmt: skip
        super().__init__(parent)
        self.setProperty("frame", "panel")
        self.setObjectName(name)
        column = QVBoxLayout(self)
        column.setContentsMargins(1, 1, 1, 1)
        column.setSpacing(0)
        self.title_label = PlainLabel(title, "panel")
        self.subtitle_label = PlainLabel(subtitle, "label", "muted", elide=Qt.TextElideMode.ElideMiddle if elide else None)
        self.head = QHBoxLayout()
        self.head.setContentsMargins(px(12), px(4), px(8), 0)
        self.head.setSpacing(px(8))
        if title:
            self.head.addWidget(self.title_label)
            self.head.addWidget(self.subtitle_label, int(elide))
            if not elide:
                self.head.addStretch(1)
            holder = QWidget()
            holder.setMinimumHeight(px(36))
            holder.setLayout(self.head)
            holder.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
            column.addWidget(holder)
        self.body = QVBoxLayout()
        edge = px(12) if margins else 0
        self.body.setContentsMargins(edge, 0 if title else edge, edge, edge)
        self.body.setSpacing(px(8))
        column.addLayout(self.body, 1)
        self.setAccessibleName(title)

    def set_title(self, title: str, subtitle: str | None = None) -> None:
        self.title_label.setText(title)
        if subtitle is not None:
            self.subtitle_label.setText(subtitle)

    def set_subtitle(self, subtitle: str) -> None:
        self.subtitle_label.setText(subtitle)


def line(*, vertical: bool = False) -> QFrame:
    """A hairline between groups."""
    made = QFrame()
    made.setProperty("frame", "column" if vertical else "line")
    return made


def scrolling(content: QWidget, *, name: str = "") -> QScrollArea:
    """`content` in a frameless area that scrolls up and down only."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    area.setObjectName(name)
    content.setProperty("plain", "true")
    content.setAutoFillBackground(False)
    area.setWidget(content)
    area.viewport().setAutoFillBackground(False)
    return area


def splitter(orientation: Qt.Orientation, *parts: QWidget, stretch: tuple[int, ...] = (), name: str = "") -> QSplitter:
    """Parts with a 12 px gap that can be dragged. Sizes of splitters with a `name` ("data.columns") are remembered."""
    made = QSplitter(orientation)
    made.setObjectName(name)
    made.setHandleWidth(px(12))
    made.setChildrenCollapsible(False)
    for part in parts:
        made.addWidget(part)
    for index, share in enumerate(stretch):
        made.setStretchFactor(index, share)
    return made
