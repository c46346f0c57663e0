"""A drop-down list that the wheel cannot change while it is closed."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRect, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QComboBox, QStyledItemDelegate, QWidget

from studio.gui.icon import paint_icon
from studio.gui.theme import px


class ComboBox(QComboBox):
    """One of many choices. `value_changed` fires for the user's choice only."""

    value_changed = Signal(object)

    def __init__(self, options: Sequence[tuple[object, str]] = (), value: object = None, *, name: str = "", parent: QWidget | None = None):
        """options: pairs of value and label."""
        super().__init__(parent)
        self.setObjectName(name)
        self.setItemDelegate(QStyledItemDelegate(self))
        self._values: list[object] = []
        self.set_options(options, value)
        self.activated.connect(lambda index: self.value_changed.emit(self._values[index]))

    def set_options(self, options: Sequence[tuple[object, str]], value: object = None) -> None:
        self.clear()
        self._values = [v for v, _ in options]
        for _, label in options:
            self.addItem(label)
        self.set_value(value)

    @property
    def value(self) -> object:
        index = self.currentIndex()
        return self._values[index] if 0 <= index < len(self._values) else None

    def set_value(self, value: object) -> None:
        self.setCurrentIndex(self._values.index(value) if value in self._values else 0 if self._values else -1)

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        side = px(12)
        rect = QRect(self.width() - side - px(7), (self.height() - side) // 2, side, side)
        paint_icon(painter, rect, "caret-down", "text2" if self.isEnabled() else "disabled")
        painter.end()
