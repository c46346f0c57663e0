"""One image, as large as the page: over the grid, with its name and what is known about it. Not a dialog: Esc or Space closes it."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from studio.gui.theme import colour, font
from studio.gui.widgets import PlainLabel, Tag
from studio.gui.widgets.cover import Cover
from studio.gui.widgets.thumb import ThumbLoader, paint_whole, read_whole

_SIDE = 1600  # enough for a page on a 4K screen, small enough to keep a few


class LargeView(Cover):
    """Left and Right ask for the neighbours; other keys go to the caller."""

    def __init__(self, parent: QWidget):
        super().__init__(parent, name="data.large", what="image", hint="← → next   1–9 give class   Del leave out   Esc close")
        self.loader = ThumbLoader(self, read=read_whole, threads=1)
        self.loader.loaded.connect(lambda _: self.update())
        self._path = ""
        self.name_label = PlainLabel("", "panel", elide=Qt.TextElideMode.ElideMiddle)
        self.class_tag = Tag("", "run")
        self.part_tag = Tag("", "plain")
        self.fact_label = PlainLabel("", "number", "muted")
        self.name_label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.head.addWidget(self.class_tag)
        self.head.addWidget(self.part_tag)
        self.head.addWidget(self.name_label, 1)
        self.head.addWidget(self.fact_label)
        self.finish_head()

    def show_image(self, path: str, name: str, label: str, part: str, facts: str) -> None:
        self._path = path
        self.name_label.setText(name)
        self.class_tag.setText(label)
        self.class_tag.setVisible(bool(label))
        self.part_tag.setText(part)
        self.part_tag.setVisible(bool(part))
        self.fact_label.setText(facts)
        self.setAccessibleName(f"{name}, {label}, {part}, {facts}")
        self.open_view()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        room = self.room
        pixmap = self.loader.pixmap(self._path, _SIDE) if self._path else None
        if pixmap is not None:
            paint_whole(painter, room, pixmap)
        else:
            reason = self.loader.failed.get(self._path)
            painter.setFont(font("label"))
            painter.setPen(colour("muted"))
            painter.drawText(room, Qt.AlignmentFlag.AlignCenter, f"Cannot be read: {reason}" if reason else "Reading…")
        painter.end()
