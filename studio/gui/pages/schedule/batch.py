"""The usual batch sizes in a row, each with how many steps an epoch then has."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QHBoxLayout, QSizePolicy, QWidget

from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets import set_plain_tooltip
from studio.gui.wording import count

BATCH_SIZES = (8, 16, 32, 64, 128, 256)


class BatchCell(QAbstractButton):
    """One batch size, and how many steps an epoch then has."""

    def __init__(self, size: int, parent: QWidget | None = None):
        super().__init__(parent)
        self.size_images = size
        self._facts: tuple[int | None, int | None] = (None, None)
        self._steps: int | None = None
        self._is_too_large = False
        self.setCheckable(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setObjectName(f"schedule.batch.{size}")
        self.setFixedHeight(px(46))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(px(34))

    def sizeHint(self) -> QSize:
        return QSize(px(44), px(46))

    def set_facts(self, steps: int | None, num_train: int | None) -> None:
        """steps per epoch, and training images; None where no data set is open."""
        if self.accessibleName() and (steps, num_train) == self._facts:
            return
        self._facts = steps, num_train
        self._steps = steps
        self._is_too_large = num_train is not None and self.size_images > num_train
        words = f"{self.size_images} images per step"
        if steps is not None:
            words += f", {count(steps)} {'step' if steps == 1 else 'steps'} per epoch"
        if self._is_too_large:
            words += f". More than the {count(num_train)} training images"
        self.setAccessibleName(f"Batch size {self.size_images}")
        self.setAccessibleDescription(words)
        set_plain_tooltip(self, words)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        edge = "focus" if self.hasFocus() else "accent" if self.isChecked() else "bad" if self._is_too_large else "border2"
        painter.setPen(pen(edge, 2 if self.hasFocus() else 1))
        painter.setBrush(colour("accentWash" if self.isChecked() else "hover" if self.underMouse() else "raised"))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 6, 6)
        painter.setFont(font("number"))
        painter.setPen(colour("text" if self.isChecked() else "text2"))
        has_steps = self._steps is not None
        top = QRectF(0, px(6), self.width(), px(18)) if has_steps else QRectF(self.rect())
        painter.drawText(top, Qt.AlignmentFlag.AlignCenter, str(self.size_images))
        if has_steps:
            painter.setFont(font("tick"))
            painter.setPen(colour("bad" if self._is_too_large else "muted"))
            painter.drawText(QRectF(0, px(24), self.width(), px(16)), Qt.AlignmentFlag.AlignCenter, count(self._steps))
        painter.end()


class BatchRow(QWidget):
    """The usual batch sizes. `chosen` fires for the user's choice only; another number goes into the field below."""

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(4))
        self.cells = {size: BatchCell(size, self) for size in BATCH_SIZES}
        for size, cell in self.cells.items():
            row.addWidget(cell, 1)
            cell.clicked.connect(lambda *_, size=size: self._on_clicked(size))

    def _on_clicked(self, size: int) -> None:
        self.cells[size].setChecked(True)
        self.chosen.emit(size)

    def set_size(self, size: int) -> None:
        for value, cell in self.cells.items():
            cell.setChecked(value == size)
