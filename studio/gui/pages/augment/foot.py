"""The line under the pictures: what they are, whether newer ones are on their way, and the seed of the first."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QWidget

from studio.core.words import counted
from studio.gui.pages.augment.ask import Question
from studio.gui.theme import px
from studio.gui.widgets import PlainLabel, Spinner


class PreviewFoot(QWidget):
    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(8))
        self.spinner = Spinner(12, "muted")
        self.spinner.hide()
        self.fact_label = PlainLabel("", "caption", elide=Qt.TextElideMode.ElideRight)
        self.seed_label = PlainLabel("", "number", "muted")
        row.addWidget(self.spinner)
        row.addWidget(self.fact_label, 1)
        row.addWidget(self.seed_label)

    def show_loading(self) -> None:
        self.fact_label.setText("Starting the preview…")

    def show_seed(self, seed: int | None) -> None:
        self.seed_label.setText(f"seed {seed}" if seed is not None else "")

    def show_facts(self, question: Question, photo: str, *, is_network: bool) -> None:
        """photo: the name of the one whose variants are asked for. is_network: the pictures are as large as the network gets them."""
        size = question.model.input_size
        if question.mode == "photo":
            what = photo
            epochs = f"epochs {question.epoch + 1} to {question.epoch + question.num}"
        else:
            what = f"{question.num} photos" if question.mode == "photos" else _batch_words(question)
            epochs = f"epoch {question.epoch + 1}"
        sees = "larger than the network gets it" if not is_network else "normalised" if question.is_normalised else "as the network gets it"
        self.fact_label.setText(f"{what} · {size} × {size} px, {sees} · {epochs}")


def _batch_words(question: Question) -> str:
    size = len(question.subjects)
    shown = f"{question.num} of the {size:,} images" if question.num < size else f"the {counted(size, 'image')}"
    return f"{shown} of step {question.step + 1:,}"
