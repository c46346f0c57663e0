"""The middle panel: confusion matrix, scores per class and how far the probabilities can be believed, or why there are none."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QStackedLayout, QWidget

from studio.gui.pages.results.classes import ClassTable
from studio.gui.pages.results.confusion import ConfusionMatrix
from studio.gui.pages.results.load import Cell
from studio.gui.pages.results.scores import Scores
from studio.gui.pages.results.sure import SureView
from studio.gui.sureness import Sureness
from studio.gui.theme import px
from studio.gui.widgets.button import Chip, Segmented
from studio.gui.widgets.label import PlainLabel, set_plain_tooltip
from studio.gui.widgets.panel import Panel
from studio.gui.wording import count


class ConfusionPanel(Panel):
    """`cell_chosen` carries (true, predicted), (true, None) for a whole class, or None."""

    cell_chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None):
        super().__init__("", name="results.confusion.panel", margins=False, parent=parent)
        self.setAccessibleName("Confusion")
        self.view = Segmented([("matrix", "Matrix"), ("classes", "Classes"), ("sure", "How sure")], "matrix", name="results.view")
        self.view.setAccessibleName("Confusion matrix, scores per class, or how sure it is")
        self.share = Chip("Row %", name="results.share")
        self.share.setAccessibleName("Cells as share of the true class")
        set_plain_tooltip(self.share, "Each cell as a share of its row: of the images of that class")
        self._wrong, self._is_part = "", False
        self._label = PlainLabel("", "label", "muted", elide=Qt.TextElideMode.ElideRight)
        head = QWidget()
        row = QHBoxLayout(head)
        row.setContentsMargins(px(10), px(5), px(8), px(5))
        row.setSpacing(px(6))
        row.addWidget(self.view)
        row.addWidget(self._label, 1)
        row.addWidget(self.share)
        self.matrix, self.classes, self.sure = ConfusionMatrix(), ClassTable(), SureView()
        self.message = PlainLabel("", "label", "muted", wrap=True)
        self.message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.message.setContentsMargins(px(12), 0, px(12), 0)
        holder = QWidget()
        self._stack = QStackedLayout(holder)
        for widget in (self.matrix, self.classes, self.sure, self.message):
            self._stack.addWidget(widget)
        self.body.setSpacing(0)
        self.body.addWidget(head)
        self.body.addWidget(holder, 1)
        self.body.setContentsMargins(px(4), 0, px(6), px(6))
        self.set_narrow(False)
        self.view.value_changed.connect(self.set_view)
        self.share.toggled.connect(self.matrix.set_share)
        self.matrix.cell_chosen.connect(self.cell_chosen)
        self.classes.class_chosen.connect(lambda index: self.cell_chosen.emit((index, None)))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit_label()

    def _fit_label(self) -> None:
        """The number of mistakes stands beside the choice where there is room for the whole of it."""
        taken = self.view.sizeHint().width() + (self.share.sizeHint().width() if self.share.isVisibleTo(self) else 0) + px(54)
        fits = self.fontMetrics().horizontalAdvance(self._wrong) <= self.width() - taken
        self._label.setText(self._wrong if fits or self._is_part else "")

    def set_narrow(self, is_narrow: bool) -> None:
        self.view.set_dense(is_narrow)
        self.share.setText("%" if is_narrow else "Row %")
        self.setMinimumWidth(px(248 if is_narrow else 308))

    def set_view(self, which: object) -> None:
        """ "matrix", "classes" or "sure"."""
        self.view.set_value(which)
        self.share.setVisible(which == "matrix" and self._stack.currentWidget() is not self.message)
        self._fit_label()
        if self._stack.currentWidget() is not self.message:
            self._stack.setCurrentWidget({"matrix": self.matrix, "classes": self.classes, "sure": self.sure}[which])

    def show_scores(self, scores: Scores, cell: Cell | None, sureness: Sureness | None = None) -> None:
        if self.matrix.model.scores is not scores:
            self.matrix.set_scores(scores)
            self.classes.set_scores(scores, sureness)
        self.sure.show_sureness(sureness)
        self._stack.setCurrentWidget(self.matrix)
        self.set_view(self.view.value)
        self._wrong, self._is_part = f"{count(scores.num_mistakes)} wrong", scores.confused is not None
        if scores.confused:
            self._wrong += f", the {len(scores.confused)} most confused of {count(len(scores.classes))} classes"
        self._fit_label()
        self.matrix.choose(cell if cell and cell[1] is not None else None)

    def show_message(self, sentence: str) -> None:
        self.message.setText(sentence)
        self.share.hide()
        self._wrong, self._is_part = "", False
        self._fit_label()
        self._stack.setCurrentWidget(self.message)
