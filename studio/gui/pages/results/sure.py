"""How sure the network is, and whether it may be: reliability diagram, temperature, and what answering only when sure comes to."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from studio.core.reliability import ACCURACIES, in_words
from studio.core.words import confidence_text
from studio.gui.pages.results.reliability import ReliabilityDiagram
from studio.gui.sureness import Sureness, sure_words
from studio.gui.theme import px
from studio.gui.widgets.button import button
from studio.gui.widgets.label import PlainLabel, set_plain_tooltip
from studio.gui.widgets.slider import Slider
from studio.gui.wording import percent

_MOST_ODDS = 10_000.0  # right of the slider: 99.99 % sure
HELP = (
    "Calibration error: how far, on average, the share of right answers is from how sure they are (ECE, 15 bins, arXiv 1706.04599); with few images some of it is chance. "
    "Brier score: squared distance of the probabilities from the truth, 0 is best, 2 worst. "
    "A temperature divides what the network gives before softmax; it changes how sure the answers are, not which they are. Nothing is changed here."
)


class SureView(QWidget):
    """The slider holds back answers that are less sure; nothing of the run is changed by it."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._sureness: Sureness | None = None
        self._least = 0.0
        column = QVBoxLayout(self)
        column.setContentsMargins(px(8), px(2), px(6), px(2))
        column.setSpacing(px(5))
        self.words = PlainLabel("", "label", wrap=True)
        self.figures = PlainLabel("", "caption", "muted", wrap=True)
        self.diagram = ReliabilityDiagram()
        self.axis = PlainLabel("right, % by how sure, % · n: answers", "caption", "muted", elide=Qt.TextElideMode.ElideRight)
        column.addWidget(self.words)
        column.addWidget(self.figures)
        column.addWidget(self.diagram, 1)
        column.addWidget(self.axis)
        line = QHBoxLayout()
        line.setSpacing(px(6))
        self.slider = Slider(1, _MOST_ODDS, 1, log=True, default=1, name="results.sure.least")
        self.slider.setAccessibleName("Answer only when at least so sure")
        self.slider.value_changed.connect(lambda odds: self._set_least(1 - 1 / odds))
        self.least_label = PlainLabel("", "number")
        self.least_label.setMinimumWidth(px(52))
        self.least_label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        line.addWidget(PlainLabel("Answer only from", "label"))
        line.addWidget(self.slider, 1)
        line.addWidget(self.least_label)
        column.addLayout(line)
        self.outcome = PlainLabel("", "strong", elide=Qt.TextElideMode.ElideRight)
        column.addWidget(self.outcome)
        line = QHBoxLayout()
        line.setSpacing(px(6))
        self.targets = {}
        for accuracy in ACCURACIES:
            made = button(f"{percent(accuracy, 0)} right", small=True, name=f"results.sure.{accuracy:g}")
            made.setAccessibleName(f"As sure as makes {percent(accuracy, 0)} of the answers right")
            made.clicked.connect(partial(self._on_target_clicked, accuracy))
            self.targets[accuracy] = made
            line.addWidget(made)
        line.addStretch(1)
        column.addLayout(line)
        self._show(None)

    def show_sureness(self, sureness: Sureness | None) -> None:
        """Another run begins with every answer given."""
        if sureness is not self._sureness:
            self._show(sureness)

    def _show(self, sureness: Sureness | None) -> None:
        self._sureness = sureness
        r = sureness.validation if sureness else None
        self.diagram.show_bins(r.bins if r else None)
        for widget in (self.figures, self.axis, self.slider, *self.targets.values()):
            widget.setEnabled(r is not None)
        if r is None:
            self.words.setText("The stored answers of this run are missing or damaged.")
            self.figures.setText("")
        else:
            self.words.setText(in_words(r, lambda x: percent(x, 1 if x < 0.1 or 0.995 < x < 0.9995 else 0)))
            self.figures.setText(_figures(sureness))
        for widget in (self.words, self.figures):
            set_plain_tooltip(widget, HELP)
        for accuracy, made in self.targets.items():
            set_plain_tooltip(made, sure_words(r, accuracy) if r else "")
            made.setEnabled(r is not None and r.answered.confidence_for(accuracy) is not None)
        self.slider.set_number(1)
        self._set_least(0.0)

    def _on_target_clicked(self, accuracy: float) -> None:
        confidence = self._sureness.validation.answered.confidence_for(accuracy)
        self.slider.set_number(1 / max(1 - confidence, 1 / _MOST_ODDS))
        self._set_least(confidence)

    def _set_least(self, confidence: float) -> None:
        self._least = confidence
        self.diagram.set_least(confidence)
        self.least_label.setText(confidence_text(confidence) if confidence else "any")
        if self._sureness is None:
            self.outcome.setText("")
            return
        accuracy, share = self._sureness.validation.answered.at(confidence)
        words = f"{percent(accuracy)} right, {percent(share)} answered" if accuracy is not None else "No answer is so sure"
        self.outcome.setText(words)
        self.slider.setAccessibleDescription(f"From {self.least_label.text()} sure: {words}" if confidence else words)


def _figures(sureness: Sureness) -> str:
    r = sureness.validation
    words = f"calibration error {percent(r.error)} · Brier {r.brier:.3f}"
    if sureness.test and sureness.test.error_after is not None:
        words += f" · on test {percent(sureness.test.error)}, with the temperature {percent(sureness.test.error_after)}"
    return words
