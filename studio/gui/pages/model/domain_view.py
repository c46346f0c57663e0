"""Domain shift: how far the user's images are from what the backbone knows, stage by stage, and what to do about it."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from studio.core.path_text import shown
from studio.core.problem import BadInput
from studio.gui.context import Context
from studio.gui.pages.model.signal_view import images_of
from studio.gui.theme import colour, font, px
from studio.gui.widgets import EmptyState, NumberField, PlainLabel, Spinner, button, scrolling, set_plain_tooltip
from studio.gui.widgets.form import FieldEditor
from studio.gui.wording import MINUS, percent

_WARN_SIGMA, _BAD_SIGMA, _FULL_SIGMA = 1.0, 2.0, 4.0
_HEADS = (
    ("Stage", ""),
    ("Distance", "Between the mean that its batch norms have stored and that of your images, in stored standard deviations"),
    ("Input", "Range of the values that come in, against what the backbone was trained on"),
    ("Dead", "Share of units that are zero on every image"),
    ("Saturated", "Share of units at the end of their activation’s range"),
)


class DomainView(QWidget):
    """Measured on a sample when asked; stale once another network or other images are chosen."""

    measured = Signal(object)  # the result; None when it no longer holds

    def __init__(self, context: Context, parent: QWidget | None = None):
        super().__init__(parent)
        self._context, self._store = context, context.store
        self._asked: tuple | None = None
        self.result: dict | None = None
        column = QVBoxLayout(self)
        column.setContentsMargins(px(10), 0, px(8), 0)
        column.setSpacing(px(4))
        row = QHBoxLayout()
        row.setSpacing(px(8))
        self.measure_button = button("Measure", "magnifying-glass", small=True, name="model.domain.measure", on_click=self.measure)
        set_plain_tooltip(self.measure_button, "Pass a sample of the training images through the pretrained network")
        row.addWidget(self.measure_button)
        self.spinner = Spinner()
        self.spinner.hide()
        row.addWidget(self.spinner)
        self.sentence_label = PlainLabel("", "label", "text2", wrap=True)
        self.sentence_label.setObjectName("model.domain.sentence")
        row.addStretch(1)
        row.addWidget(PlainLabel("Normalise", "label"))
        self.normalisation = FieldEditor(self._store, "model.normalisation", max_segments=1, name="model.domain.normalisation")
        self.normalisation.control.setProperty("dense", "true")
        self.normalisation.control.setFixedWidth(px(122))
        self.normalisation.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        row.addWidget(self.normalisation)
        column.addLayout(row)
        column.addWidget(self.sentence_label)
        self.custom = _CustomNormalisation(self._store)
        column.addWidget(self.custom)
        self._content = QWidget()
        self._grid = QGridLayout(self._content)
        self._grid.setContentsMargins(0, 0, px(6), 0)
        self._grid.setHorizontalSpacing(px(12))
        self._grid.setVerticalSpacing(px(4))
        self._grid.setColumnStretch(len(_HEADS), 1)
        self._area = scrolling(self._content)
        self.empty = EmptyState(
            "scales", "Not measured yet", "A sample of your images is passed through the pretrained network, which takes a few seconds."
        )
        column.addWidget(self._area, 1)
        column.addWidget(self.empty, 1)
        self._store.experiment_changed.connect(lambda old, new: self._follow() if old.model != new.model else None)
        self._store.dataset_changed.connect(lambda _: self._follow())
        self._follow()

    def _question(self) -> tuple:
        m, dataset = self._store.experiment.model, self._store.dataset
        return (
            m.source,
            m.backbone,
            m.pretrained,
            m.weights_file,
            m.cut,
            m.input_size,
            m.normalisation,
            m.custom_mean,
            m.custom_std,
            images_of(dataset),
        )

    def _follow(self) -> None:
        if self._asked is not None:
            question = self._question()
            if question == self._asked:
                self._asked = question
            else:
                self._asked, self.result = None, None
                self.measured.emit(None)
                self.sentence_label.setText("")
        self._show()

    def measure(self) -> None:
        question = self._asked = self._question()
        self.spinner.show()
        self.measure_button.setEnabled(False)
        self.sentence_label.setText("Measuring…")
        self._context.probe.call(
            "domain_shift",
            {"experiment": self._store.experiment.model_dump(mode="json"), "list_number": self._store.dataset_number},
            lambda result: self._on_answer(question, result),
            lambda error: self._on_failed(question, error),
            lambda done, total, what: self._on_progress(question, done, total),
            key="model.domain",
        )

    def _on_progress(self, question: tuple, done: int, total: int | None) -> None:
        if question == self._asked and total:
            self.sentence_label.setText(f"Measuring… {done} of {total} images")

    def _on_answer(self, question: tuple, result: dict) -> None:
        self._end()
        if question == self._asked:
            self.result = result
            self.measured.emit(result)
            self.sentence_label.setText(shown(result.get("sentence") or ""))
            self._show()

    def _on_failed(self, question: tuple, error) -> None:
        self._end()
        if question == self._asked:
            self._asked = None
            self.sentence_label.setText(shown(f"{error.sentence} {error.fix}".strip()))

    def _end(self) -> None:
        self.spinner.hide()
        self.measure_button.setEnabled(self._store.dataset is not None)

    def _show(self) -> None:
        self.custom.setVisible(self._store.experiment.model.normalisation == "custom")
        dataset = self._store.dataset
        self.measure_button.setEnabled(dataset is not None and not self.spinner.isVisibleTo(self))
        self._area.setVisible(self.result is not None)
        self.empty.setVisible(self.result is None)
        while self._grid.count():
            gone = self._grid.takeAt(0).widget()
            gone.hide()
            gone.deleteLater()
        if self.result is None:
            return
        for place, (title, help_) in enumerate(_HEADS):
            label = PlainLabel(title, "caption", "muted")
            set_plain_tooltip(label, help_)
            self._grid.addWidget(label, 0, place)
        for number, stage in enumerate(self.result["stages"]):
            self._show_stage(2 * number + 1, stage)
        self._grid.setRowStretch(2 * len(self.result["stages"]) + 1, 1)

    def _show_stage(self, row: int, stage: dict) -> None:
        """Figures in one row; where something should be done, the sentence and its remedies in the next."""
        sentence = shown(stage.get("sentence") or "")
        name, sigma = PlainLabel(shown(stage["name"]), "label"), _Sigma(stage.get("bn_distance"))
        for widget in (name, sigma):
            set_plain_tooltip(widget, sentence)
        self._grid.addWidget(name, row, 0)
        self._grid.addWidget(sigma, row, 1)
        words = shown(str(stage.get("input_words") or "–").replace("-", MINUS))
        values = PlainLabel(words.replace("its first norm knows", "knows"), "number", "text2")
        set_plain_tooltip(values, words)
        self._grid.addWidget(values, row, 2)
        for place, key in ((3, "dead_fraction"), (4, "saturated_fraction")):
            value = stage.get(key)
            self._grid.addWidget(PlainLabel(percent(value) if value is not None else "–", "number", "text2"), row, place)
        if not stage.get("remedies"):
            return
        holder = QWidget()
        line = QHBoxLayout(holder)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(px(6))
        line.addWidget(PlainLabel(sentence, "caption", "text2", wrap=True), 1)
        for number, remedy in enumerate(stage["remedies"]):
            name = f"model.domain.{stage['name']}.{number}"
            line.addWidget(button(remedy["label"], kind="link", small=True, name=name, on_click=lambda remedy=remedy: self._apply(remedy)))
        self._grid.addWidget(holder, row + 1, 0, 1, len(_HEADS) + 1)

    def _apply(self, remedy: dict) -> None:
        try:
            is_changed = self._store.set(remedy["values"], remedy["label"])
        except BadInput as exc:
            self._context.shell.toast(exc.problems[0].sentence)
            return
        self._context.shell.toast_change(f"{remedy['label']}.", self._store, is_changed)


class _CustomNormalisation(QWidget):
    """Mean and deviation of red, green and blue, each a number of its own."""

    def __init__(self, store):
        super().__init__()
        self._store = store
        self.fields: dict[tuple[str, int], NumberField] = {}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(5))
        for path, title, low in (("model.custom_mean", "Mean", 0.0), ("model.custom_std", "Deviation", 0.001)):
            row.addWidget(PlainLabel(title, "label"))
            for channel, name in enumerate(("red", "green", "blue")):
                field = NumberField(store.value(path)[channel], low=low, high=1.0, name=f"{path}.{name}")
                field.setFixedWidth(px(62))
                field.setAccessibleName(f"{title} of {name}")
                field.value_changed.connect(lambda value, path=path, channel=channel: self._set(path, channel, float(value)))
                self.fields[path, channel] = field
                row.addWidget(field)
            row.addSpacing(px(8))
        row.addStretch(1)
        store.experiment_changed.connect(lambda old, new: self._follow())

    def _set(self, path: str, channel: int, value: float) -> None:
        values = list(self._store.value(path))
        values[channel] = value
        self._store.set({path: tuple(values)})

    def _follow(self) -> None:
        for (path, channel), field in self.fields.items():
            field.set_value(self._store.value(path)[channel])


class _Sigma(QWidget):
    """A distance in standard deviations as a bar with its number."""

    def __init__(self, value: float | None):
        super().__init__()
        self._value = value
        self.setFixedSize(px(92), px(18))
        self.setAccessibleName("no batch norm" if value is None else f"{value:.1f} standard deviations")

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        value = self._value
        if value is not None:
            token = "bad" if value >= _BAD_SIGMA else "warn" if value >= _WARN_SIGMA else "good"
            track = QRectF(0, self.height() / 2 - 3, px(50), 6)
            painter.fillRect(track, colour("border"))
            painter.fillRect(
                QRectF(track.left(), track.top(), track.width() * min(1.0, value / _FULL_SIGMA), 6),
                colour(f"{token}Dot" if token != "bad" else "bad"),
            )
        painter.setFont(font("number"))
        painter.setPen(colour("text" if value is not None else "muted"))
        painter.drawText(
            QRectF(px(56), 0, px(40), self.height()), int(Qt.AlignmentFlag.AlignVCenter), "–" if value is None else f"{value:.1f} σ"
        )
        painter.end()
