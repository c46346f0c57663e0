"""The right-hand column of the Schedule page: optimiser, rate by depth, batch size, and how the run is carried out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QGridLayout, QHBoxLayout, QPushButton, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from studio.catalog.optimisers import KINDS, kind_of
from studio.core.experiment import Training, bounds
from studio.core.words import counted
from studio.gui.store import ExperimentStore
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets import Chip, IconLabel, MeterBar, PlainLabel, button, format_number, line, set_plain_tooltip
from studio.gui.widgets.form import CHOICE_LABELS, FormRow
from studio.gui.wording import count, parameters, rate

FORM_LABEL_PX = 98
_OF_KINDS = tuple(dict.fromkeys(name for kind in KINDS for name in kind.fields))
BATCH_SIZES = (8, 16, 32, 64, 128, 256)
KINDS_PER_ROW = 3


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


class HintLine(QWidget):
    """A sentence in passing, and what can be done about it in one click each."""

    def __init__(self, name: str, parent: QWidget | None = None):
        super().__init__(parent)
        self.setObjectName(name)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, px(2), 0, px(2))
        row.setSpacing(px(6))
        row.addWidget(IconLabel("lightbulb", "warn", 14), 0, Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.setSpacing(0)
        self.label = PlainLabel("", "caption", "text2", wrap=True)
        words.addWidget(self.label)
        self._buttons = QHBoxLayout()
        self._buttons.setSpacing(px(4))
        words.addLayout(self._buttons)
        row.addLayout(words, 1)
        self._shown: tuple = ()
        self.hide()

    def show_hint(self, sentence: str, actions: Sequence[tuple[str, str, Callable[[], object]]] = ()) -> None:
        """An empty sentence hides it. actions: label, tooltip, what it does; not made anew while sentence and labels stay."""
        self.setVisible(bool(sentence))
        shown = (sentence, [label for label, *_ in actions])
        if not sentence or shown == self._shown:
            return
        self._shown = shown
        self.label.setText(sentence)
        while self._buttons.count():
            item = self._buttons.takeAt(0)
            if item.widget():
                item.widget().deleteLater()
        for place, (label, tooltip, act) in enumerate(actions):
            self._buttons.addWidget(
                button(label, kind="link", small=True, name=f"{self.objectName()}.{place}", tooltip=tooltip, on_click=act)
            )
        self._buttons.addStretch(1)

    @property
    def buttons(self) -> list[QPushButton]:
        return [item for i in range(self._buttons.count()) if (item := self._buttons.itemAt(i).widget())]


class OptimiserForm(QWidget):
    """The kinds as chips, the fields that the chosen kind has, and what holds for all kinds: decay, clipping, averaging."""

    def __init__(self, store: ExperimentStore, parent: QWidget | None = None):
        super().__init__(parent)
        self._store = store
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(2))
        chips = QGridLayout()
        chips.setSpacing(px(6))
        self.chips: dict[str, Chip] = {}
        for place, kind in enumerate(KINDS):
            chip = Chip(CHOICE_LABELS["optimiser.kind"][kind.key], name=f"schedule.optimiser.{kind.key}")
            chip.setAutoExclusive(True)
            chip.setAccessibleDescription(kind.help)
            set_plain_tooltip(chip, f"{kind.help}\n{kind.paper}".strip())
            chip.clicked.connect(lambda *_, key=kind.key: store.set({"optimiser.kind": key}))
            self.chips[kind.key] = chip
            chips.addWidget(chip, place // KINDS_PER_ROW, place % KINDS_PER_ROW, Qt.AlignmentFlag.AlignLeft)
        chips.setColumnStretch(KINDS_PER_ROW, 1)
        column.addLayout(chips)
        self.help_label = PlainLabel("", "caption", wrap=True)
        column.addWidget(self.help_label)
        column.addSpacing(px(2))
        self.rows = {
            name: narrow(FormRow(store, f"optimiser.{name}", label_width=FORM_LABEL_PX, max_segments=0))
            for name in (
                "beta1", "beta2", "momentum", "nesterov", "epsilon", "weight_decay", "weight_decay_course", "weight_decay_final", "clip_norm",
                "ema_decay",
            )
        }  # fmt: skip
        self.beta_hint = HintLine("schedule.beta2.hint")
        self.decay_label = PlainLabel("", "caption", wrap=True)
        self.average_label = PlainLabel("", "caption", wrap=True)
        after = {"epsilon": self.beta_hint, "weight_decay_final": self.decay_label, "ema_decay": self.average_label}
        for name, row in self.rows.items():
            column.addWidget(row)
            if name in after:
                column.addWidget(after[name])
        self.refresh()

    def refresh(self, num_undecayed: int | None = None) -> None:
        """`num_undecayed`: weights of norms and biases that train, where the network is known."""
        optimiser = self._store.experiment.optimiser
        kind = kind_of(optimiser.kind)
        self.chips[kind.key].setChecked(True)
        self.help_label.setText(kind.help)
        for name in _OF_KINDS:
            self.rows[name].setVisible(name in kind.fields)
        self.rows["nesterov"].setEnabled(optimiser.momentum > 0)
        self.rows["weight_decay_course"].setEnabled(optimiser.weight_decay > 0)
        self.rows["weight_decay_final"].setVisible(optimiser.weight_decay > 0 and optimiser.weight_decay_course in ("linear", "cosine"))
        who = "normalisation layers and biases" if num_undecayed is None else f"the {parameters(num_undecayed)} of normalisation and biases"
        self.decay_label.setText(f"Never on {who}.")
        self.decay_label.setVisible(optimiser.weight_decay > 0)
        decay = format_number(optimiser.ema_decay)
        self.average_label.setText(f"Rises to it: min({decay}, (1 + n) / (10 + n)) after n steps. The average is validated and kept.")
        self.average_label.setVisible(optimiser.ema_decay > 0)
        is_slow = kind.key == "lion" and optimiser.beta2 > 0.99
        self.beta_hint.show_hint(
            f"Lion is usually used with Beta 2 at 0.99, not {format_number(optimiser.beta2)}." if is_slow else "",
            [("Set to 0.99", "Chen et al., arXiv 2302.06675", lambda: self._store.set({"optimiser.beta2": 0.99}))],
        )


class EffectiveBatch(QWidget):
    """How many images a step takes in, and a hint when that is no longer what the peak was set for.

    Which batch a peak was set for is remembered while the window is open: the one there was when the draft first had that peak.
    """

    def __init__(self, store: ExperimentStore, parent: QWidget | None = None):
        super().__init__(parent)
        self._store = store
        self._set_for: dict[float, int] = {}  # peak: images of a step
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(2))
        self.row = narrow(FormRow(store, "training.accumulation", label_width=FORM_LABEL_PX))
        self.words_label = PlainLabel("", "caption", "text2")
        self.hint = HintLine("schedule.batch.hint")
        for part in (self.row, self.words_label, self.hint):
            column.addWidget(part)
        store.experiment_changed.connect(lambda old, new: self.refresh())
        self.refresh()

    def refresh(self) -> None:
        experiment = self._store.experiment
        training, peak = experiment.training, experiment.schedule.peak_lr
        images = _images(training)
        before = self._set_for.setdefault(peak, images)
        product = f"{count(training.batch_size)} × {count(training.accumulation)} = " if training.accumulation > 1 else ""
        self.words_label.setText(f"{product}{counted(images, 'image')} per step")
        if images == before:
            self.hint.show_hint("")
            return
        factor, rule = _scaling(experiment.optimiser.kind, images / before)
        self.hint.show_hint(
            f"The peak of {rate(peak)} was set for {count(before)} images per step, now there are {count(images)}. {rule.sentence}",
            [
                (f"Scale the peak by {_short(factor)}", rule.paper, self._scale),
                ("Keep it", "The peak stays, and counts as set for this batch", self._keep),
            ],
        )

    def _scale(self) -> None:
        experiment, (low, high) = self._store.experiment, bounds("schedule.peak_lr")
        peak, images = experiment.schedule.peak_lr, _images(experiment.training)
        factor, _ = _scaling(experiment.optimiser.kind, images / self._set_for[peak])
        scaled = float(f"{min(high, max(low, peak * factor)):.3g}")
        self._set_for[scaled] = images
        self._store.set({"schedule.peak_lr": scaled}, f"peak scaled by {_short(factor)}")

    def _keep(self) -> None:
        experiment = self._store.experiment
        self._set_for[experiment.schedule.peak_lr] = _images(experiment.training)
        self.refresh()


def _images(training: Training) -> int:
    return training.batch_size * training.accumulation


@dataclass(frozen=True)
class _Rule:
    sentence: str
    paper: str


_LINEAR = _Rule("SGD’s rate usually grows in line with the batch.", "Linear scaling: Goyal et al., arXiv 1706.02677")
_ROOT = _Rule(
    "For optimisers like Adam the rate usually grows with the square root of the batch.",
    "Square-root scaling: Malladi et al., arXiv 2205.10287",
)


def _scaling(kind: str, times: float) -> tuple[float, _Rule]:
    """What the peak is multiplied by when a step has so many times as many images, and why."""
    return (times, _LINEAR) if kind == "sgd" else (times**0.5, _ROOT)


def _short(factor: float) -> str:
    return format_number(float(f"{factor:.2g}"))


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
        while self._rows.count() > len(rates):
            left = self._rows.takeAt(self._rows.count() - 1).widget()
            left.hide()
            left.deleteLater()
        while self._rows.count() < len(rates):
            self._rows.addWidget(_DepthRow())
        for place, (name, factor) in enumerate(rates):
            self._rows.itemAt(place).widget().show_rate(name, factor)


class _DepthRow(QWidget):
    """One stage: whether it trains, its name, and its share of the peak as a bar and a number."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._shown: tuple[str, float | None] | None = None
        self.setFixedHeight(px(24))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(px(8))
        self._icon = IconLabel("flame", "trains", 14)
        self._label = PlainLabel("", "label", elide=Qt.TextElideMode.ElideRight)
        self._label.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self._label.setFixedWidth(px(92))
        self._bar = MeterBar(4)
        self._value = PlainLabel("", "number")
        self._value.setFixedWidth(px(52))
        self._value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        layout.addWidget(self._icon)
        layout.addWidget(self._label)
        layout.addWidget(self._bar, 1)
        layout.addWidget(self._value)

    def show_rate(self, name: str, factor: float | None) -> None:
        """`factor` is None for a frozen stage."""
        if (name, factor) == self._shown:
            return
        self._shown = name, factor
        is_frozen = factor is None
        self._icon.set_icon("snowflake" if is_frozen else "flame", "frozen" if is_frozen else "trains")
        self._label.setText(name)
        self._bar.set_parts([] if is_frozen else [(factor, "trainsFill")], 1.0)
        self._value.setText("frozen" if is_frozen else _factor(factor))
        self._value.set_tone("muted" if is_frozen else "")
        self.setAccessibleName(f"{name}: {'frozen' if is_frozen else f'{_factor(factor)} times the peak rate'}")


def _factor(value: float) -> str:
    return f"{value:.2f}" if value >= 0.01 else f"{value:.1e}"


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


def section(column: QVBoxLayout, title: str, note: str = "", *, first: bool = False) -> PlainLabel:
    """Adds a line and a heading to a column; returns the heading's caption."""
    if not first:
        column.addSpacing(px(6))
        column.addWidget(line())
        column.addSpacing(px(2))
    row, caption = heading(title, note)
    column.addWidget(row)
    return caption


def _show_accumulation(page) -> None:
    page.store.set({"training.accumulation": 4, "optimiser.weight_decay_course": "cosine", "optimiser.ema_decay": 0.999})
    area = page.findChild(QScrollArea, "schedule.settings.area")
    area.verticalScrollBar().rangeChanged.connect(lambda low, high: area.ensureWidgetVisible(page.effective_batch.hint))


FORM_STATES = {
    "accumulation": _show_accumulation,
    "lion": lambda page: page.store.set({"optimiser.kind": "lion", "training.batch_size": 64, "schedule.peak_lr": 5e-3}),
}
