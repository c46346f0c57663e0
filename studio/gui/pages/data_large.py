"""One image, as large as the page: over the grid, with its name and what is known about it. Not a dialog: Esc or Space closes it."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from studio.gui.theme import colour, font, px
from studio.gui.widgets import PlainLabel, Tag, icon_button
from studio.gui.widgets.thumb import ThumbLoader, paint_whole, read_whole

_SIDE = 1600  # enough for a page on a 4K screen, small enough to keep a few


class LargeView(QFrame):
    """Covers its parent while open. Left and Right ask for the neighbours; other keys go to the caller."""

    step_wanted = Signal(int)  # -1 or 1
    key_pressed = Signal(object)  # QKeyEvent of Delete, digits, ...
    closed = Signal()

    def __init__(self, parent: QWidget):
        super().__init__(parent)
        self.setObjectName("data.large")
        self.setProperty("frame", "panel")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.loader = ThumbLoader(self, read=read_whole, threads=1)
        self.loader.loaded.connect(lambda _: self.update())
        self._path = ""
        column = QVBoxLayout(self)
        column.setContentsMargins(px(12), px(8), px(8), px(10))
        head = QHBoxLayout()
        head.setSpacing(px(8))
        self.name_label = PlainLabel("", "panel", elide=Qt.TextElideMode.ElideMiddle)
        self.class_tag = Tag("", "run")
        self.part_tag = Tag("", "plain")
        self.fact_label = PlainLabel("", "number", "muted")
        self.name_label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        head.addWidget(self.class_tag)
        head.addWidget(self.part_tag)
        head.addWidget(self.name_label, 1)
        head.addWidget(self.fact_label)
        head.addWidget(
            icon_button("caret-left", "Show the image before", name="data.large.back", on_click=lambda: self.step_wanted.emit(-1))
        )
        head.addWidget(icon_button("caret-right", "Show the next image", name="data.large.next", on_click=lambda: self.step_wanted.emit(1)))
        head.addWidget(icon_button("x", "Close the large view", name="data.large.close", on_click=self.close_view))
        column.addLayout(head)
        column.addStretch(1)
        self._hint = PlainLabel("← → next   1–9 give class   Del leave out   Esc close", "caption")
        column.addWidget(self._hint, 0, Qt.AlignmentFlag.AlignHCenter)
        self.hide()

    def show_image(self, path: str, name: str, label: str, part: str, facts: str) -> None:
        self._path = path
        self.name_label.setText(name)
        self.class_tag.setText(label)
        self.class_tag.setVisible(bool(label))
        self.part_tag.setText(part)
        self.part_tag.setVisible(bool(part))
        self.fact_label.setText(facts)
        self.setAccessibleName(f"{name}, {label}, {part}, {facts}")
        self.setGeometry(self.parentWidget().rect())
        self.show()
        self.raise_()
        self.setFocus(Qt.FocusReason.OtherFocusReason)
        self.update()

    def close_view(self) -> None:
        if self.isVisible():
            self.hide()
            self.closed.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Escape, Qt.Key.Key_Space):
            self.close_view()
        elif event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Up):
            self.step_wanted.emit(-1)
        elif event.key() in (Qt.Key.Key_Right, Qt.Key.Key_Down):
            self.step_wanted.emit(1)
        else:
            event.ignore()
            self.key_pressed.emit(event)

    def mousePressEvent(self, event) -> None:
        """A click beside the controls goes no further: the grid lies below."""

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        room = QRectF(self.rect()).adjusted(px(12), px(44), -px(12), -px(34))
        pixmap = self.loader.pixmap(self._path, _SIDE) if self._path else None
        if pixmap is not None:
            paint_whole(painter, room, pixmap)
        else:
            reason = self.loader.failed.get(self._path)
            painter.setFont(font("label"))
            painter.setPen(colour("muted"))
            painter.drawText(room, Qt.AlignmentFlag.AlignCenter, f"Cannot be read: {reason}" if reason else "Reading…")
        painter.end()
