"""The right panel: what is known of the chosen run, or how its settings differ from another's."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QStackedLayout, QVBoxLayout, QWidget

from studio.core.experiment import Experiment
from studio.gui.pages.results.details import DetailsView
from studio.gui.pages.results.difference import DifferenceTable, Side, num_equal
from studio.gui.pages.results.rows import RunRow
from studio.gui.theme import px
from studio.gui.widgets.button import Segmented, button
from studio.gui.widgets.combo import ComboBox
from studio.gui.widgets.label import PlainLabel, set_plain_tooltip
from studio.gui.widgets.panel import Panel

DRAFT = "draft"
_MAX_OTHERS = 60


class SidePanel(Panel):
    """`show` fills both views. The second run of the difference is the user's choice, or else the best guess."""

    restore_wanted = Signal()
    compared = Signal(object)  # RunEntry: its figures stand beside the chosen run's

    def __init__(self, parent: QWidget | None = None):
        super().__init__("", name="results.side", margins=False, parent=parent)
        self._wanted: object = None  # a folder name, DRAFT, or None for the best guess
        self._shown: tuple | None = None
        head = QWidget()
        row = QHBoxLayout(head)
        row.setContentsMargins(px(10), px(5), px(8), px(5))
        self.view = Segmented([("details", "Details"), ("difference", "Difference")], "difference", name="results.side.view")
        self.view.setAccessibleName("Details of the run or difference to another")
        self.other = ComboBox([], name="results.other")
        self.other.setSizeAdjustPolicy(ComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.other.setMaximumWidth(px(150))
        self.other.setAccessibleName("Compare the settings with")
        row.addWidget(self.view)
        row.addStretch(1)
        row.addWidget(self.other)
        self.body.addWidget(head)
        self.details, self.difference = DetailsView(), DifferenceTable()
        holder = QWidget()
        self._stack = QStackedLayout(holder)
        self._stack.addWidget(self._make_difference())
        self._stack.addWidget(self.details)
        self.body.setSpacing(0)
        self.body.addWidget(holder, 1)
        self.set_narrow(False)
        self.view.value_changed.connect(self.set_view)
        self.other.value_changed.connect(self._on_other_value_changed)

    def set_narrow(self, is_narrow: bool) -> None:
        self.view.set_dense(is_narrow)
        self.view.setMinimumWidth(self.view.sizeHint().width())
        self.other.setMinimumContentsLength(3 if is_narrow else 5)
        self.setMinimumWidth(px(266 if is_narrow else 296))

    def _make_difference(self) -> QWidget:
        made = QWidget()
        column = QVBoxLayout(made)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.difference, 1)
        foot = QHBoxLayout()
        foot.setContentsMargins(px(12), px(4), px(8), px(6))
        self.equal_label = PlainLabel("", "caption", elide=Qt.TextElideMode.ElideRight)
        self.equal_button = button("Show", kind="link", small=True, checkable=True, name="results.equal")
        self.restore_button = button("Restore", "arrow-u-up-left", small=True, name="results.restore", on_click=self.restore_wanted.emit)
        foot.addWidget(self.equal_label, 1)
        foot.addWidget(self.equal_button)
        foot.addWidget(self.restore_button)
        column.addLayout(foot)
        self.equal_button.toggled.connect(self._on_equal_button_toggled)
        return made

    def set_view(self, which: object) -> None:
        """ "details" or "difference"."""
        self.view.set_value(which)
        self._stack.setCurrentIndex(1 if which == "details" else 0)
        self.other.setVisible(which == "difference")

    def show_run(self, row: RunRow | None, rows: list[RunRow], checked: set[str], draft: Experiment) -> None:
        """rows: all runs, oldest first; checked: folder names of those in Compare, which are compared with first."""
        self._shown = (row, rows, checked, draft)
        self.details.show_row(row)
        if row is not None:
            self._show_difference(row, rows, checked, draft)

    def _show_difference(self, row: RunRow, rows: list[RunRow], checked: set[str], draft: Experiment) -> None:
        others = [r for r in reversed(rows) if r is not row]
        options = [(DRAFT, "draft"), *((r.entry.folder.name, r.name) for r in others[:_MAX_OTHERS])]
        if [(v, self.other.itemText(i)) for i, v in enumerate(self.other._values)] != options:
            self.other.set_options(options)
        is_offered = self._wanted in [v for v, _ in options]
        self.other.set_value(self._wanted if is_offered else _best_other(row, others, checked))
        other = next((r for r in others if r.entry.folder.name == self.other.value), None)
        first = Side(row.name, row.experiment, row.state)
        second = Side(other.name, other.experiment, other.state) if other else Side("Draft", draft)
        self.difference.show_sides(first, second, (row.series, other.series if other else None), with_equal=self.equal_button.isChecked())
        equal = num_equal(first.experiment, second.experiment)
        self.equal_label.set_texts(f"{equal} equal settings", f"{equal} equal")
        self.restore_button.setText(f"Restore {row.entry.name}")
        set_plain_tooltip(self.restore_button, f"Take the settings of {row.name} as the draft")
        if other is not None:
            self.compared.emit(other.entry)

    def _on_equal_button_toggled(self, is_on: bool) -> None:
        self.equal_button.setText("Hide" if is_on else "Show")
        if self._shown:
            self.show_run(*self._shown)

    def _on_other_value_changed(self, which: object) -> None:
        self._wanted = which
        if self._shown:
            self.show_run(*self._shown)


def _best_other(row: RunRow, others: list[RunRow], checked: set[str]) -> object:
    """A checked run, else the one before, else the draft."""
    pick = next((r for r in others if r.entry.folder.name in checked), None)
    pick = pick or next((r for r in others if r.entry.number < row.entry.number), None)
    return pick.entry.folder.name if pick else DRAFT
