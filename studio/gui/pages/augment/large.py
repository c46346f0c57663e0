"""One variant beside the original, as large as the page."""

from __future__ import annotations

from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from studio.gui.pages.augment.grid import Variant
from studio.gui.theme import px
from studio.gui.widgets import PlainLabel
from studio.gui.widgets.cover import Cover
from studio.gui.widgets.thumb import paint_whole
from studio.gui.widgets.thumb_grid import paint_badge


class LargeVariant(Cover):
    """Left and Right go through the variants."""

    def __init__(self, parent: QWidget):
        super().__init__(parent, name="augment.large", what="variant", hint="← → variants   Esc close")
        self._pair: tuple[Variant, Variant] | None = None
        self.title_label = PlainLabel("", "panel")
        self.seed_label = PlainLabel("", "number", "muted")
        self.head.addWidget(self.title_label)
        self.head.addWidget(self.seed_label)
        self.head.addStretch(1)
        self.finish_head()

    def show_pair(self, original: Variant, variant: Variant) -> None:
        self._pair = (original, variant)
        is_original = variant.epoch is None
        self.title_label.setText("The original" if is_original else f"As it is in epoch {variant.epoch + 1}")
        self.seed_label.setText("" if is_original else f"seed {variant.seed}")
        self.setAccessibleName(variant.in_words)
        self.open_view()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self._pair is None:
            return
        painter = QPainter(self)
        room = self.room
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
