"""The families of curves as a row of tiles, each with its curve in small."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent, QPolygonF
from PySide6.QtWidgets import QAbstractButton, QHBoxLayout, QSizePolicy, QWidget

from studio.catalog.schedules import SHAPES, Shape, learning_rates
from studio.core.experiment import Schedule
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets import set_plain_tooltip

_MINI_EPOCHS, _MINI_STEPS = 12, 10


def mini_curve(key: str) -> list[float]:
    """The family's typical course in [0, 1], for 120 steps."""
    plan = Schedule(
        shape=key,
        epochs=_MINI_EPOCHS,
        peak_lr=1.0,
        warmup_fraction=0.3 if key == "one_cycle" else 0.0,
        cycle_epochs=3,
        cycle_growth=1,
        step_epochs=4,
        step_factor=0.45,
    )
    return list(learning_rates(plan, _MINI_EPOCHS * _MINI_STEPS, _MINI_STEPS))


class ShapeTile(QAbstractButton):
    """One family: its mini curve above its name."""

    def __init__(self, shape: Shape, parent: QWidget | None = None):
        super().__init__(parent)
        self.shape_key = shape.key
        self.setText(shape.title)
        self.setCheckable(True)
        self.setAutoExclusive(True)
        self.setAccessibleName(f"Shape {shape.title}")
        self.setAccessibleDescription(shape.help)
        self.setObjectName(f"schedule.shape.{shape.key}")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(px(52))
        self.setMinimumWidth(px(64))
        self.setMaximumWidth(px(96))
        self._curve = mini_curve(shape.key)
        set_plain_tooltip(self, f"{shape.title}\n{shape.help}\n{shape.paper}".strip())

    def sizeHint(self) -> QSize:
        return QSize(px(92), px(52))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        is_on, has_focus = self.isChecked(), self.hasFocus()
        painter.setPen(pen("focus" if has_focus else "accent" if is_on else "border2", 2 if has_focus else 1))
        painter.setBrush(colour("accentWash" if is_on else "hover" if self.underMouse() else "raised"))
        painter.drawRoundedRect(rect, 6, 6)
        left, top, width, height = px(9), px(8), self.width() - 2 * px(9), px(17)
        points = [QPointF(left + width * i / (len(self._curve) - 1), top + height * (1 - v)) for i, v in enumerate(self._curve)]
        painter.setPen(pen("accent" if is_on else "text2", 1.5))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(QPolygonF(points))
        painter.setFont(font("label"))
        painter.setPen(colour("text" if is_on else "text2"))
        words = QRectF(left, self.height() - px(23), self.width() - left - 3, px(18))
        text = painter.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, round(words.width()))
        painter.drawText(words, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)
        painter.end()


class ShapeRow(QWidget):
    """All families. Arrow keys move; `chosen` fires for the user's choice only."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(6))
        self.tiles = {shape.key: ShapeTile(shape, self) for shape in SHAPES}
        for key, tile in self.tiles.items():
            row.addWidget(tile, 1)
            tile.clicked.connect(lambda *_, key=key: self.chosen.emit(key))
            tile.installEventFilter(self)
        row.addStretch(1)

    def set_shape(self, key: str) -> None:
        self.tiles[key].setChecked(True)
        for tile in self.tiles.values():
            tile.setFocusPolicy(Qt.FocusPolicy.TabFocus if tile.isChecked() else Qt.FocusPolicy.NoFocus)

    def eventFilter(self, watched, event) -> bool:
        if isinstance(event, QKeyEvent) and event.type() == QKeyEvent.Type.KeyPress:
            move = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(event.key())
            if move is not None:
                keys = list(self.tiles)
                index = keys.index(watched.shape_key) + move
                if 0 <= index < len(keys):
                    self.set_shape(keys[index])
                    self.tiles[keys[index]].setFocus(Qt.FocusReason.TabFocusReason)
                    self.chosen.emit(keys[index])
                return True
        return super().eventFilter(watched, event)
