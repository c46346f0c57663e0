"""What is wrong with the schedule, a line each, with the button that mends it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from studio.core.problem import Problem, Severity
from studio.gui.theme import px
from studio.gui.widgets import IconLabel, PlainLabel, button
from studio.gui.widgets.form import PROBLEM_ICONS

_MOST = 3


class ProblemLines(QWidget):
    """The gravest problems first; hidden while there is none."""

    repair_wanted = Signal(object)  # Repair

    def __init__(self, *, name: str = "", parent: QWidget | None = None):
        super().__init__(parent)
        self.setObjectName(name)
        self.setAccessibleName("Problems of the schedule")
        self._shown: tuple[Problem, ...] = ()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(2))
        self.lines = tuple(_Line(f"{name}.{i}", self.repair_wanted.emit) for i in range(_MOST))
        for each in self.lines:
            column.addWidget(each)
        self.more_label = PlainLabel("", "caption", "muted")
        column.addWidget(self.more_label)
        self.hide()

    def show_problems(self, problems: Sequence[Problem]) -> None:
        problems = tuple(sorted(problems, key=lambda p: list(Severity).index(p.severity)))
        if problems == self._shown:
            return
        self._shown = problems
        for place, each in enumerate(self.lines):
            each.show_problem(problems[place] if place < len(problems) else None)
        rest = len(problems) - _MOST
        self.more_label.setText(f"and {rest} more" if rest > 0 else "")
        self.more_label.setVisible(rest > 0)
        self.setVisible(bool(problems))


class _Line(QWidget):
    def __init__(self, name: str, repair):
        super().__init__()
        self._problem: Problem | None = None
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(8))
        self._icon = IconLabel("warning", "warn", 16)
        self.sentence_label = PlainLabel("", "label", wrap=True)
        self.repair_button = button("", small=True, name=f"{name}.repair", on_click=lambda: repair(self._problem.repair))
        row.addWidget(self._icon)
        row.addWidget(self.sentence_label, 1)
        row.addWidget(self.repair_button)
        self.setMinimumHeight(px(26))
        self.hide()

    def show_problem(self, problem: Problem | None) -> None:
        self._problem = problem
        self.setVisible(problem is not None)
        if problem is None:
            return
        icon, token = PROBLEM_ICONS[problem.severity]
        self._icon.set_icon(icon, token)
        self.sentence_label.setText(problem.sentence)
        self.repair_button.setVisible(problem.repair is not None)
        if problem.repair is not None:
            self.repair_button.setText(problem.repair.label)
            self.repair_button.setAccessibleName(problem.repair.label)
            self.repair_button.setAccessibleDescription(problem.sentence)
