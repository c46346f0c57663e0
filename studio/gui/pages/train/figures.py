"""The six figures above the plots: what the run has reached, and how that compares with another run at the same epoch."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from studio.core.experiment import Experiment
from studio.core.fold import RunState
from studio.core.path_text import shown
from studio.core.words import format_number
from studio.gui.theme import px
from studio.gui.widgets.label import PlainLabel, SteadyLabel, set_plain_tooltip
from studio.gui.widgets.panel import line
from studio.gui.wording import NBSP, count, percent, signed

NUM_LAST_STEPS = 50  # the train loss shown is the mean of these, an epoch at most: one batch says little
LOW_RECALL = 0.5


@dataclass(frozen=True)
class Figure:
    """One figure. `tone` colours the note: good, warn, bad or muted."""

    label: str
    value: str
    note: str = ""
    tone: str = "muted"
    help: str = ""


def run_figures(state: RunState, experiment: Experiment, ghost: RunState | None = None, ghost_name: str = "") -> tuple[Figure, ...]:
    """Six figures of a run, compared with `ghost` at the last epoch that both have finished."""
    last = state.epochs[-1] if state.epochs else None
    twin = next((e for e in ghost.epochs if last and e.epoch == last.epoch), None) if ghost else None
    none = "no images held back" if last and not state.is_measured else ""
    against = f"Compared with {ghost_name} after epoch {last.epoch + 1}." if twin and last else ""
    return (
        _compared("Validation top-1", last and last.validation_top1, twin and twin.validation_top1, against, none, is_fraction=True),
        _compared("Validation loss", last and last.validation_loss, twin and twin.validation_loss, against, none, is_lower_better=True),
        _train_loss(state, last),
        _compared("Macro F1", last and last.macro_f1, twin and twin.macro_f1, against, none, "Mean over classes of the F1 score: all classes count the same."),
        _rarest_class(state, last),
        _gradient(state, experiment) if len(state.grad_norm) else _speed(state),
    )  # fmt: skip


def _compared(label, value, other, against: str, none: str, help_: str = "", *, is_fraction=False, is_lower_better=False) -> Figure:
    if value is None or value != value:
        if none:
            return Figure(label, "–", none if label == "Validation top-1" else "", help=help_)
        return Figure(label, "…", "after the first epoch" if label == "Validation top-1" else "", help=help_)
    words = percent(value) if is_fraction else f"{value:.3f}"
    if other is None or other != other:
        return Figure(label, words, help=help_)
    scale, places = (100, 1) if is_fraction else (1, 3)
    gain = round((value - other) * scale, places)
    tone = "muted" if gain == 0 else "good" if (gain < 0) == is_lower_better else "bad"
    note = signed(gain, places) if gain else "±0"
    return Figure(label, words, note, tone, f"{help_} {against}".strip())


def _train_loss(state: RunState, last) -> Figure:
    import numpy as np

    num_recent = min(NUM_LAST_STEPS, state.description.steps_per_epoch if state.description else NUM_LAST_STEPS)
    recent = state.train_loss.y[-num_recent:]
    recent = recent[np.isfinite(recent)]
    if not len(recent):
        return Figure("Train loss", "…", "after the first step" if not state.step else "")
    help_ = f"Mean of the last {len(recent)} steps, augmented images and label smoothing included."
    if last is None or last.train_loss is None or last.validation_loss is None:
        return Figure("Train loss", f"{recent.mean():.3f}", help=help_)
    gap = last.validation_loss - last.train_loss
    return Figure(
        "Train loss",
        f"{recent.mean():.3f}",
        f"gap {signed(gap, 2)}",
        "muted",
        f"{help_} Gap: validation minus train loss of the last epoch.",
    )


def _rarest_class(state: RunState, last) -> Figure:
    """The class with the lowest recall."""
    classes = state.description.classes if state.description else ()
    recalls = [(r, i) for i, r in enumerate(last.class_recalls) if r is not None] if last else []
    if not recalls or not classes:
        return Figure("Weakest class", "…" if last is None or state.is_measured else "–")
    recall, index = min(recalls)
    tone = "warn" if recall < LOW_RECALL else "muted"
    return Figure(
        "Weakest class", percent(recall), shown(classes[index]), tone,
        f"{shown(classes[index])} is found least often: share of its validation images that are called so (recall).",
    )  # fmt: skip


def _gradient(state: RunState, experiment: Experiment) -> Figure:
    clip = experiment.optimiser.clip_norm
    value = state.grad_norm.y[-1]
    note = f"clip {format_number(clip)}" if clip else "no clipping"
    shown_value = f"{value:.2f}" if value == value and value < 1000 else f"{value:.1e}" if value == value else "not finite"
    return Figure("Gradient norm", shown_value, note, "muted", "Length of the gradient of the last step, before it is clipped.")


def _speed(state: RunState) -> Figure:
    return Figure("Speed", count(state.images_per_s), "images per s") if state.images_per_s else Figure("Speed", "…")


class FiguresRow(QFrame):
    """Six figures side by side, of equal width. Where one of their notes does not fit beside its figure, all stand below."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setProperty("frame", "panel")
        self.setObjectName("train.figures")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        row = QHBoxLayout(self)
        row.setContentsMargins(1, 1, 1, 1)
        row.setSpacing(0)
        self._cells = [_Cell() for _ in range(6)]
        self._are_below = False
        for index, cell in enumerate(self._cells):
            if index:
                row.addWidget(line(vertical=True))
            row.addWidget(cell, 1)

    def set_figures(self, figures: tuple[Figure, ...]) -> None:
        for cell, figure in zip(self._cells, figures):
            cell.set_figure(figure)
        if not self._are_below:  # figures grow and shrink by a digit all the time: back only in another width
            self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._fit()

    def _fit(self) -> None:
        self._are_below = any(not cell.has_room_beside() for cell in self._cells)
        for cell in self._cells:
            cell.set_note_below(self._are_below)

    def texts(self) -> list[str]:
        """What is shown, for people and tests: "Validation top-1: 91.3 % +0.7"."""
        return [cell.accessibleName() for cell in self._cells]


class _Cell(QWidget):
    def __init__(self):
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(px(13), px(6), px(3), px(6))
        column.setSpacing(0)
        self.label = PlainLabel("", "label", "muted", elide=Qt.TextElideMode.ElideRight)
        self.value = SteadyLabel("…", "metric")
        self.note = PlainLabel("", "caption", elide=Qt.TextElideMode.ElideRight)
        figures = QHBoxLayout()
        figures.setSpacing(px(5))
        self.unit = PlainLabel("", "body", "muted")
        self.unit.setContentsMargins(0, 0, 0, px(3))
        figures.addWidget(self.value)
        figures.addWidget(self.unit, 0, Qt.AlignmentFlag.AlignBottom)
        figures.addWidget(self.note, 1, Qt.AlignmentFlag.AlignBottom)
        figures.addStretch(0)
        self.note.setContentsMargins(0, 0, 0, px(4))
        self._figures, self._column, self._is_below = figures, column, False
        column.addWidget(self.label)
        column.addLayout(figures)

    def has_room_beside(self) -> bool:
        """Whether the whole note fits beside the figure."""
        margins = self._column.contentsMargins()
        taken = self.value.sizeHint().width() + (px(5) + self.unit.sizeHint().width() if self.unit.text() else 0) + px(5)
        return self.note.fontMetrics().horizontalAdvance(self.note.text()) <= self.width() - margins.left() - margins.right() - taken

    def set_note_below(self, is_below: bool) -> None:
        if is_below == self._is_below:
            return
        self._is_below = is_below
        if is_below:
            self._figures.removeWidget(self.note)
            self._column.addWidget(self.note)
        else:
            self._column.removeWidget(self.note)
            self._figures.insertWidget(2, self.note, 1, Qt.AlignmentFlag.AlignBottom)
        self._figures.setStretch(self._figures.count() - 1, 1 if is_below else 0)
        self.note.setContentsMargins(0, 0, 0, 0 if is_below else px(4))

    def set_figure(self, figure: Figure) -> None:
        self.label.setText(figure.label)
        value, _, unit = figure.value.partition(NBSP)
        self.value.setText(value)
        self.unit.setText(unit)
        self.unit.setVisible(bool(unit))
        self.value.set_tone("muted" if figure.value == "…" else "text")
        self.note.setText(figure.note)
        self.note.set_tone(figure.tone)
        self.setAccessibleName(f"{figure.label}: {figure.value} {figure.note}".strip())
        self.setAccessibleDescription(figure.help)
        set_plain_tooltip(self, figure.help)
