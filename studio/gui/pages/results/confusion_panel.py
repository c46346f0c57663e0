"""The middle panel: confusion matrix and scores per class, or why there are none."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QStackedLayout, QWidget

from studio.gui.pages.results.classes import ClassTable
from studio.gui.pages.results.confusion import ConfusionMatrix
from studio.gui.pages.results.load import Cell
from studio.gui.pages.results.scores import Scores
from studio.gui.theme import px
from studio.gui.widgets.button import Segmented
from studio.gui.widgets.label import PlainLabel
from studio.gui.widgets.panel import Panel
from studio.gui.wording import count


class ConfusionPanel(Panel):
    """`cell_chosen` carries (true, predicted), (true, None) for a whole class, or None."""

    cell_chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None):
        super().__init__("", name="results.confusion.panel", margins=False, parent=parent)
        self.setAccessibleName("Confusion")
        self.view = Segmented([("matrix", "Matrix"), ("classes", "Classes")], "matrix", name="results.view")
        self.view.setAccessibleName("Confusion matrix or scores per class")
        self.share = Segmented([(False, "Count"), (True, "Row %")], False, name="results.share")
        self.share.setAccessibleName("Cells as counts or as share of the true class")
        self._label = PlainLabel("", "label", "muted", elide=Qt.TextElideMode.ElideRight)
        head = QWidget()
        row = QHBoxLayout(head)
        row.setContentsMargins(px(10), px(5), px(8), px(5))
        row.setSpacing(px(8))
        row.addWidget(self.view)
        row.addWidget(self._label, 1)
        row.addWidget(self.share)
        self.matrix, self.classes = ConfusionMatrix(), ClassTable()
        self.message = PlainLabel("", "label", "muted", wrap=True)
        self.message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        holder = QWidget()
        self._stack = QStackedLayout(holder)
        for widget in (self.matrix, self.classes, self.message):
            self._stack.addWidget(widget)
        self.body.setSpacing(0)
        self.body.addWidget(head)
        self.body.addWidget(holder, 1)
        self.body.setContentsMargins(px(4), 0, px(6), px(6))
        self.set_narrow(False)
        self.view.value_changed.connect(self.set_view)
        self.share.value_changed.connect(self.matrix.set_share)
        self.matrix.cell_chosen.connect(self.cell_chosen)
        self.classes.class_chosen.connect(lambda index: self.cell_chosen.emit((index, None)))

    def set_narrow(self, is_narrow: bool) -> None:
        for choice in (self.view, self.share):
            choice.set_dense(is_narrow)
        self.setMinimumWidth(px(248 if is_narrow else 290))

    def set_view(self, which: object) -> None:
        """ "matrix" or "classes"."""
        self.view.set_value(which)
        self.share.setVisible(which == "matrix")
        if self._stack.currentWidget() is not self.message:
            self._stack.setCurrentWidget(self.matrix if which == "matrix" else self.classes)

    def show_scores(self, scores: Scores, cell: Cell | None) -> None:
        if self.matrix.model.scores is not scores:
            self.matrix.set_scores(scores)
            self.classes.set_scores(scores)
        self._stack.setCurrentWidget(self.matrix)
        self.set_view(self.view.value)
        self._label.setText(f"{count(scores.num_mistakes)} wrong")
        self.matrix.choose(cell if cell and cell[1] is not None else None)

    def show_message(self, sentence: str) -> None:
        self.message.setText(sentence)
        self._label.setText("")
        self._stack.setCurrentWidget(self.message)
