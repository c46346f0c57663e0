"""The families of curves as a row of tiles, each with its curve in small."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent, QPolygonF
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QWidget

from studio.catalog.schedules import SHAPES, Shape, head_lr
from studio.core.experiment import Schedule
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets import icon_button, set_plain_tooltip

TILE_PX, TILE_HEIGHT_PX = 92, 44
_MOST_ROWS = 2
_MINI_EPOCHS, _MINI_STEPS = 12, 10


def mini_curve(key: str) -> list[float]:
    """The family's typical course in [0, 1], for 120 steps."""
    plan = Schedule(
        shape=key,
        epochs=_MINI_EPOCHS,
        peak_lr=1.0,
        warmup_fraction={"one_cycle": 0.3, "inverse_sqrt": 0.1}.get(key, 0.0),
        cycle_epochs=3,
        cycle_growth=1,
        step_epochs=4,
        step_factor=0.45,
        milestones=(5.0, 9.0),
        final_factor=0.02 if key == "exponential" else 1e-4,
    )
    losses = (1.0,) * 9 if key == "plateau" else ()  # of a run that stands still: it drops
    return list(head_lr(plan, range(_MINI_EPOCHS * _MINI_STEPS), _MINI_STEPS, losses))


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
        self._curve = mini_curve(shape.key)
        set_plain_tooltip(self, f"{shape.title}\n{shape.help}\n{shape.paper}".strip())

    def sizeHint(self) -> QSize:
        return QSize(px(TILE_PX), px(TILE_HEIGHT_PX))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        is_on, has_focus = self.isChecked(), self.hasFocus()
        painter.setPen(pen("focus" if has_focus else "accent" if is_on else "border2", 2 if has_focus else 1))
        painter.setBrush(colour("accentWash" if is_on else "hover" if self.underMouse() else "raised"))
        painter.drawRoundedRect(rect, 6, 6)
        left, top, width, height = px(8), px(6), self.width() - 2 * px(8), px(13)
        points = [QPointF(left + width * i / (len(self._curve) - 1), top + height * (1 - v)) for i, v in enumerate(self._curve)]
        painter.setPen(pen("accent" if is_on else "text2", 1.5))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(QPolygonF(points))
        painter.setFont(font("label"))
        painter.setPen(colour("text" if is_on else "text2"))
        words = QRectF(left, self.height() - px(22), self.width() - left - 3, px(18))
        text = painter.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, round(words.width()))
        painter.drawText(words, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)
        painter.end()


class ShapeRow(QWidget):
    """All families, in two rows; where there is no room for them in one that scrolls. Arrow keys move; `chosen` fires for the user's
    choice only."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._is_low = False
        self._first = 0  # the tile at the left of the one row
        self.tiles = {shape.key: ShapeTile(shape, self) for shape in SHAPES}
        for key, tile in self.tiles.items():
            tile.clicked.connect(lambda *_, key=key: self.chosen.emit(key))
            tile.installEventFilter(self)
        self.back_button = icon_button("caret-left", "Earlier shapes", small=True, on_click=lambda: self._scroll(-1), parent=self)
        self.on_button = icon_button("caret-right", "More shapes", small=True, on_click=lambda: self._scroll(1), parent=self)
        for each in (self.back_button, self.on_button):
            each.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the arrow keys reach every shape
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._arrange()

    def sizeHint(self) -> QSize:
        return QSize(px(TILE_PX) * 7, self.maximumHeight())

    def minimumSizeHint(self) -> QSize:
        """Of one row, so that two of them do not keep the page from becoming low."""
        return QSize(px(TILE_PX) * 3, px(TILE_HEIGHT_PX))

    def set_low(self, is_low: bool) -> None:
        """One row where there is little height."""
        if is_low != self._is_low:
            self._is_low = is_low
            self._arrange()

    def set_shape(self, key: str) -> None:
        self.tiles[key].setChecked(True)
        for tile in self.tiles.values():
            tile.setFocusPolicy(Qt.FocusPolicy.TabFocus if tile.isChecked() else Qt.FocusPolicy.NoFocus)
        self._arrange()

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self._arrange()

    def wheelEvent(self, event) -> None:
        if self.back_button.isVisible():
            self._scroll(-1 if event.angleDelta().y() > 0 else 1)
            event.accept()
        else:
            super().wheelEvent(event)

    def _scroll(self, by: int) -> None:
        self._first += by
        self._arrange(keep_chosen=False)

    def _arrange(self, *, keep_chosen: bool = True) -> None:
        gap, height, tiles = px(6), px(TILE_HEIGHT_PX), list(self.tiles.values())
        fitting = max(1, (self.width() + gap) // (px(TILE_PX) + gap))
        is_scrolled = fitting < len(tiles) and (self._is_low or fitting < len(tiles) / _MOST_ROWS)
        edge = px(28) if is_scrolled else 0
        if is_scrolled:
            columns = max(1, (self.width() - 2 * edge + gap) // (px(TILE_PX) + gap))
            chosen = next((i for i, tile in enumerate(tiles) if tile.isChecked()), 0)
            if keep_chosen:
                self._first = min(max(self._first, chosen - columns + 1), chosen)
            self._first = min(max(0, self._first), len(tiles) - columns)
            num_rows = 1
        else:
            num_rows = -(-len(tiles) // fitting)
            columns, self._first = -(-len(tiles) // num_rows), 0
        self.back_button.setVisible(is_scrolled)
        self.on_button.setVisible(is_scrolled)
        self.back_button.setEnabled(self._first > 0)
        self.on_button.setEnabled(self._first + columns < len(tiles))
        for button_, x in ((self.back_button, 0), (self.on_button, self.width() - px(24))):
            button_.move(x, (height - button_.sizeHint().height()) // 2)
        width = (self.width() - 2 * edge + gap) / columns
        for i, tile in enumerate(tiles):
            place = i - self._first
            row, column = divmod(place, columns)
            tile.setVisible(0 <= place < columns * num_rows)
            left = edge + round(column * width)
            tile.setGeometry(left, row * (height + gap), edge + round((column + 1) * width) - gap - left, height)
        self.setMaximumHeight(num_rows * (height + gap) - gap)

    def eventFilter(self, watched, event) -> bool:
        if isinstance(event, QKeyEvent) and event.type() == QKeyEvent.Type.KeyPress:
            move = {Qt.Key.Key_Left: -1, Qt.Key.Key_Up: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Down: 1}.get(event.key())
            if move is not None:
                keys = list(self.tiles)
                index = keys.index(watched.shape_key) + move
                if 0 <= index < len(keys):
                    self.set_shape(keys[index])
                    self.tiles[keys[index]].setFocus(Qt.FocusReason.TabFocusReason)
                    self.chosen.emit(keys[index])
                return True
        return super().eventFilter(watched, event)
