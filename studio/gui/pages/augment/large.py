"""One variant beside the original, as large as the page, with what every step drew for it."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from studio.gui.pages.augment.variant import Variant
from studio.gui.pages.augment.words import title_of
from studio.gui.theme import px
from studio.gui.widgets import PlainLabel, button, scrolling
from studio.gui.widgets.cover import Cover
from studio.gui.widgets.thumb import paint_whole
from studio.gui.widgets.thumb_grid import paint_badge

_SIDE_PX = 248


class LargeVariant(Cover):
    """Left and Right go through the variants."""

    pin_toggled = Signal()

    def __init__(self, parent: QWidget):
        super().__init__(parent, name="augment.large", what="variant", hint="← → variants   P test case   Esc close")
        self._pair: tuple[Variant | None, Variant] | None = None
        self.title_label = PlainLabel("", "panel")
        self.seed_label = PlainLabel("", "number", "muted")
        self.head.addWidget(self.title_label)
        self.head.addWidget(self.seed_label)
        self.head.addStretch(1)
        self.pin_button = button("", "push-pin", small=True, name="augment.large.pin", on_click=self.pin_toggled.emit)
        self.head.addWidget(self.pin_button)
        self.finish_head()
        self.drawn = QWidget()
        self._column = QVBoxLayout(self.drawn)
        self._column.setContentsMargins(0, 0, px(8), 0)
        self._column.setSpacing(px(2))
        self._side = scrolling(self.drawn, name="augment.large.drawn")
        self._side.setParent(self)
        self._side.setAccessibleName("What was drawn for this picture")

    def show_pair(self, original: Variant | None, variant: Variant, is_pinned: bool = False) -> None:
        """original: None where the variants are of different photos."""
        self.show_pinned(is_pinned)
        self.pin_button.setVisible(variant.epoch is not None)
        self._pair = (original, variant)
        is_original = variant.epoch is None
        self.title_label.setText(
            "The original" if is_original else variant.name and variant.title or f"As it is in epoch {variant.epoch + 1}"
        )
        self.seed_label.setText("" if is_original else f"seed {variant.seed}")
        self.setAccessibleName(variant.in_words)
        self._show_drawn(variant)
        self.open_view()
        self._place_side()

    def show_pinned(self, is_pinned: bool) -> None:
        self.pin_button.setText("Unpin" if is_pinned else "Make this a test case")
        self.pin_button.setAccessibleName(self.pin_button.text())

    def _show_drawn(self, variant: Variant) -> None:
        while self._column.count():
            item = self._column.takeAt(0)
            if item.widget() is not None:
                item.widget().hide()
                item.widget().deleteLater()
        self._side.setVisible(variant.epoch is not None)
        if variant.labels:
            self._column.addWidget(PlainLabel("Label", "strong"))
            self._column.addWidget(PlainLabel(variant.label_words, "label", wrap=True))
            self._column.addSpacing(px(8))
        for each in variant.drawn:
            self._column.addWidget(PlainLabel(title_of(each.name), "strong", "bad" if each.failure else ""))
            words = f"Left out: {each.failure}" if each.failure else each.in_words or "applied"
            self._column.addWidget(PlainLabel(words, "label", "bad" if each.failure else "", wrap=True))
            self._column.addSpacing(px(8))
        if not variant.drawn:
            self._column.addWidget(PlainLabel("No step acted on this picture.", "label", "muted", wrap=True))
        self._column.addStretch(1)

    def _place_side(self) -> None:
        room = self.room
        width = px(_SIDE_PX)
        self._side.setGeometry(int(room.right()) - width, int(room.top()), width, int(room.height()))

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self._place_side()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self._pair is None:
            return
        painter = QPainter(self)
        room, gap = self.room, px(12)
        original, variant = self._pair
        if variant.epoch is not None:
            room.setWidth(room.width() - px(_SIDE_PX) - gap)
        half = (room.width() - gap) / 2
        shown = ((variant, room),) if variant.epoch is None or original is None else (
            (original, QRectF(room.left(), room.top(), half, room.height())),
            (variant, QRectF(room.left() + half + gap, room.top(), half, room.height())),
        )  # fmt: skip
        for each, place in shown:
            if not each.pixmap.isNull():
                paint_badge(painter, paint_whole(painter, place, each.pixmap), each.title)
        painter.end()
