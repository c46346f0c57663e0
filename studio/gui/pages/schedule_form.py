"""The right-hand column of the Schedule page: optimiser, rate by depth, batch size, and how the run is carried out."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from studio.catalog.optimisers import KINDS
from studio.gui.store import ExperimentStore
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets import Chip, IconLabel, MeterBar, PlainLabel, line, set_plain_tooltip
from studio.gui.widgets.form import CHOICE_LABELS, FormRow
from studio.gui.wording import count

FORM_LABEL_PX = 98
BATCH_SIZES = (8, 16, 32, 64, 128, 256)
_FIELDS_OF = {"adamw": ("beta1", "beta2"), "adam": ("beta1", "beta2"), "sgd": ("momentum", "nesterov")}


def narrow(row: FormRow) -> FormRow:
    """The row with a number field that leaves room for its slider in a column of 290 px."""
    if row.editor.number_field is not None:
        row.editor.number_field.setFixedWidth(px(72))
    return row


def heading(text: str, note: str = "") -> tuple[QWidget, PlainLabel]:
    """A title inside a column, with a caption at its right; and that caption."""
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, px(2), 0, 0)
    layout.addWidget(PlainLabel(text, "panel"))
    layout.addStretch(1)
    caption = PlainLabel(note, "caption")
    layout.addWidget(caption)
    return row, caption


class OptimiserForm(QWidget):
    """The kinds as chips, and the fields that the chosen kind has."""

    def __init__(self, store: ExperimentStore, parent: QWidget | None = None):
        super().__init__(parent)
        self._store = store
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(2))
        chips = QHBoxLayout()
        chips.setSpacing(px(6))
        self.chips: dict[str, Chip] = {}
        for kind in KINDS:
            chip = Chip(CHOICE_LABELS["optimiser.kind"][kind.key], name=f"schedule.optimiser.{kind.key}")
            chip.setAutoExclusive(True)
            chip.setAccessibleDescription(kind.help)
            set_plain_tooltip(chip, f"{kind.help}\n{kind.paper}".strip())
            chip.clicked.connect(lambda *_, key=kind.key: store.set({"optimiser.kind": key}))
            self.chips[kind.key] = chip
            chips.addWidget(chip)
        chips.addStretch(1)
        column.addLayout(chips)
        self.help_label = PlainLabel("", "caption", wrap=True)
        column.addWidget(self.help_label)
        column.addSpacing(px(2))
        column.addWidget(narrow(FormRow(store, "optimiser.weight_decay", label_width=FORM_LABEL_PX)))
        self.rows = {
            name: narrow(FormRow(store, f"optimiser.{name}", label_width=FORM_LABEL_PX))
            for name in ("beta1", "beta2", "momentum", "nesterov")
        }
        for row in self.rows.values():
            column.addWidget(row)
        column.addWidget(narrow(FormRow(store, "optimiser.clip_norm", label_width=FORM_LABEL_PX)))
        self.refresh()

    def refresh(self) -> None:
        kind = self._store.experiment.optimiser.kind
        self.chips[kind].setChecked(True)
        self.help_label.setText(next(k.help for k in KINDS if k.key == kind))
        for name, row in self.rows.items():
            row.setVisible(name in _FIELDS_OF[kind])


class DepthRates(QWidget):
    """The learning rate of every stage as a share of the peak: a factor to edit, and what follows from it."""

    def __init__(self, store: ExperimentStore, parent: QWidget | None = None):
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(4))
        column.addWidget(narrow(FormRow(store, "optimiser.stage_lr_factor", label="× per stage", label_width=FORM_LABEL_PX)))
        self._rows = QVBoxLayout()
        self._rows.setSpacing(px(2))
        column.addLayout(self._rows)

    def show_rates(self, rates: list[tuple[str, float | None]]) -> None:
        """Pairs of stage name and multiplier, None for frozen ones; the head first."""
        while self._rows.count():
            self._rows.takeAt(0).widget().deleteLater()
        for name, factor in rates:
            self._rows.addWidget(self._row(name, factor))

    def _row(self, name: str, factor: float | None) -> QWidget:
        row = QWidget()
        row.setFixedHeight(px(24))
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(px(8))
        is_frozen = factor is None
        layout.addWidget(IconLabel("snowflake" if is_frozen else "flame", "frozen" if is_frozen else "trains", 14))
        label = PlainLabel(name, "label", elide=Qt.TextElideMode.ElideRight)
        label.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        label.setFixedWidth(px(92))
        layout.addWidget(label)
        bar = MeterBar(4)
        bar.set_parts([] if is_frozen else [(factor, "trainsFill")], 1.0)
        layout.addWidget(bar, 1)
        value = PlainLabel("frozen" if is_frozen else _factor(factor), "number", "muted" if is_frozen else "")
        value.setFixedWidth(px(52))
        value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        layout.addWidget(value)
        row.setAccessibleName(f"{name}: {'frozen' if is_frozen else f'{_factor(factor)} times the peak rate'}")
        return row


def _factor(value: float) -> str:
    return f"{value:.2f}" if value >= 0.01 else f"{value:.1e}"


class BatchCell(QAbstractButton):
    """One batch size, and how many steps an epoch then has."""

    def __init__(self, size: int, parent: QWidget | None = None):
        super().__init__(parent)
        self.size_images = size
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


def section(column: QVBoxLayout, title: str, note: str = "", *, first: bool = False) -> PlainLabel:
    """Adds a line and a heading to a column; returns the heading's caption."""
    if not first:
        column.addSpacing(px(6))
        column.addWidget(line())
        column.addSpacing(px(2))
    row, caption = heading(title, note)
    column.addWidget(row)
    return caption
