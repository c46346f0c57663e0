"""The new head, and what the network is fed with."""

from __future__ import annotations

from PySide6.QtWidgets import QGridLayout, QSizePolicy, QWidget

from studio.gui.store import ExperimentStore
from studio.gui.theme import px
from studio.gui.widgets import Panel, button
from studio.gui.widgets.form import FormRow
from studio.gui.wording import parameters

_ROWS = (
    ("model.dropout", "Dropout", 0, 0),
    ("model.head_init", "Initialise", 1, 0),
    ("model.input_size", "Input size", 0, 1),
    ("model.normalisation", "Normalise", 1, 1),
)


class HeadPanel(Panel):
    """Dropout and initialisation of the linear head; input size and normalisation."""

    def __init__(self, store: ExperimentStore, parent: QWidget | None = None):
        super().__init__("New head", name="model.head", parent=parent)
        self.fold_button = button(
            "Edit",
            "caret-down",
            kind="quiet",
            small=True,
            name="model.head.edit",
            tooltip="Show the settings of the head",
            on_click=lambda: self.set_folded(False),
        )
        self.head.addWidget(self.fold_button)
        self._content = QWidget()
        self._content.setMinimumWidth(px(260))  # one column; the page shows two where they fit
        self._grid = grid = QGridLayout(self._content)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(px(16))
        grid.setVerticalSpacing(px(2))
        self.rows = {path: FormRow(store, path, label=label, label_width=62) for path, label, _, _ in _ROWS}
        self._num_columns = 0
        self._arrange(2)
        number = self.rows["model.dropout"].editor.number_field
        if number is not None:
            number.setFixedWidth(px(64))
        self.body.addWidget(self._content)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.set_folded(False)

    def set_folded(self, folded: bool) -> None:
        """One line in a low window; Edit opens it."""
        self._content.setVisible(not folded)
        self.fold_button.setVisible(folded)
        self.body.setContentsMargins(*((0, 0, 0, px(4)) if folded else (px(12), 0, px(12), px(12))))

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self._arrange(2 if self.width() >= px(528) else 1)

    def _arrange(self, num_columns: int) -> None:
        if num_columns == self._num_columns:
            return
        self._num_columns = num_columns
        for place, (path, _, row, column) in enumerate(_ROWS):
            self._grid.addWidget(self.rows[path], *((row, column) if num_columns == 2 else (place, 0)))
        for column in (0, 1):
            self._grid.setColumnStretch(column, 1 if column < num_columns else 0)

    def show_head(self, num_parameters: int | None, num_classes: int | None) -> None:
        """Says what the head is: one linear layer from the features to the classes."""
        if not num_parameters:
            self.set_subtitle("one linear layer")
            return
        words = f"{parameters(num_parameters)} new"
        if num_classes:
            words += f", linear {round(num_parameters / num_classes) - 1:,} → {num_classes:,}"
        self.set_subtitle(words)
