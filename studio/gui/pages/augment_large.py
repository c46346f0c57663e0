"""One variant beside the original, as large as the page."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from studio.gui.pages.augment_grid import Variant
from studio.gui.theme import px
from studio.gui.widgets import PlainLabel, icon_button
from studio.gui.widgets.thumb import paint_whole
from studio.gui.widgets.thumb_grid import paint_badge


class LargeVariant(QFrame):
    """Covers its parent while open. Left and Right go through the variants, Esc closes."""

    step_wanted = Signal(int)
    closed = Signal()

    def __init__(self, parent: QWidget):
        super().__init__(parent)
        self.setObjectName("augment.large")
        self.setProperty("frame", "panel")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._pair: tuple[Variant, Variant] | None = None
        column = QVBoxLayout(self)
        column.setContentsMargins(px(12), px(8), px(8), px(10))
        head = QHBoxLayout()
        head.setSpacing(px(8))
        self.title_label = PlainLabel("", "panel")
        self.seed_label = PlainLabel("", "number", "muted")
        head.addWidget(self.title_label)
        head.addWidget(self.seed_label)
        head.addStretch(1)
        head.addWidget(
            icon_button("caret-left", "Show the variant before", name="augment.large.back", on_click=lambda: self.step_wanted.emit(-1))
        )
        head.addWidget(
            icon_button("caret-right", "Show the next variant", name="augment.large.next", on_click=lambda: self.step_wanted.emit(1))
        )
        head.addWidget(icon_button("x", "Close the large view", name="augment.large.close", on_click=self.close_view))
        column.addLayout(head)
        column.addStretch(1)
        column.addWidget(PlainLabel("← → variants   Esc close", "caption"), 0, Qt.AlignmentFlag.AlignHCenter)
        self.hide()

    def show_pair(self, original: Variant, variant: Variant) -> None:
        self._pair = (original, variant)
        is_original = variant.epoch is None
        self.title_label.setText("The original" if is_original else f"As it is in epoch {variant.epoch + 1}")
        self.seed_label.setText("" if is_original else f"seed {variant.seed}")
        self.setAccessibleName(variant.in_words)
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
        move = {Qt.Key.Key_Left: -1, Qt.Key.Key_Up: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Down: 1}.get(event.key())
        if event.key() in (Qt.Key.Key_Escape, Qt.Key.Key_Space):
            self.close_view()
        elif move is not None:
            self.step_wanted.emit(move)
        else:
            event.ignore()

    def mousePressEvent(self, event) -> None:
        """A click beside the controls goes no further: the grid lies below."""

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self._pair is None:
            return
        painter = QPainter(self)
        room = QRectF(self.rect()).adjusted(px(12), px(44), -px(12), -px(34))
        original, variant = self._pair
        gap = px(12)
        half = (room.width() - gap) / 2
        shown = ((variant, room),) if variant.epoch is None else (
            (original, QRectF(room.left(), room.top(), half, room.height())),
            (variant, QRectF(room.left() + half + gap, room.top(), half, room.height())),
        )  # fmt: skip
        for each, place in shown:
            paint_badge(painter, paint_whole(painter, place, each.pixmap), each.title)
        painter.end()
