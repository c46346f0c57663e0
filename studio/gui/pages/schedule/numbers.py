"""The numbers of the chosen shape under the plot: its settings as rows, its list of points, milestones or segments."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from studio.catalog.schedules import SHAPES, shape_of
from studio.core.problem import Problem
from studio.gui.pages.schedule.curve import Length
from studio.gui.pages.schedule.points import LISTS, ListEditor
from studio.gui.pages.schedule.row import shrinking
from studio.gui.store import ExperimentStore
from studio.gui.theme import px
from studio.gui.widgets import Panel, PlainLabel, SliderField, set_plain_tooltip
from studio.gui.widgets.form import FormRow

_LABEL_PX = 106
_THREE_COLUMNS_PX, _SLIDERS_PX = 980, 880  # width of the page from which there are


class NumbersPanel(Panel):
    """Edits the schedule of the draft in `store`."""

    rejected = Signal(object)  # Problem: what was typed into a row cannot be

    def __init__(self, store: ExperimentStore, parent: QWidget | None = None):
        super().__init__("Curve", name="schedule.numbers", parent=parent)
        self._store = store
        self._arranged: tuple = ()
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(px(20))
        self._grid.setVerticalSpacing(px(2))
        names = dict.fromkeys(name for shape in SHAPES for name in shape.fields if name not in LISTS)
        self.rows = {name: shrinking(FormRow(store, f"schedule.{name}", label_width=_LABEL_PX, parent=self)) for name in names}
        for row in self.rows.values():
            row.editor.rejected.connect(self.rejected)
        self.list_editor = ListEditor(name="schedule.list")
        beside = QHBoxLayout()
        beside.setSpacing(px(20))
        column = QVBoxLayout()
        column.addLayout(self._grid)
        column.addStretch(1)
        beside.addLayout(column, 1)
        beside.addWidget(self.list_editor, 1, Qt.AlignmentFlag.AlignTop)
        self.body.addLayout(beside)
        self.help_label = PlainLabel("", "label", "text2", wrap=True)
        self.body.addWidget(self.help_label)
        # its three columns do not keep the page from becoming narrow
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setMinimumWidth(px(420))

    def refresh(self, length: Length) -> None:
        """Title, help and list of the shape that the draft has."""
        schedule = self._store.experiment.schedule
        shape = shape_of(schedule.shape)
        self.set_title(shape.title if "curve" in shape.title else f"{shape.title} curve", shape.paper)
        set_plain_tooltip(self.title_label, shape.help)
        self.help_label.setText(shape.help)
        self.list_editor.show_schedule(schedule, length)

    def arrange(self, page_width: int, *, is_low: bool) -> None:
        """The settings that the shape has. A low page has them in three columns, a narrow one without their sliders. page_width in px."""
        schedule = self._store.experiment.schedule
        fields = tuple(name for name in shape_of(schedule.shape).fields if name not in LISTS)
        has_list = schedule.shape in ("multi_step", "segments", "points")
        is_wide = page_width >= px(_THREE_COLUMNS_PX)
        has_sliders = page_width >= px(_SLIDERS_PX) and not has_list
        if (fields, is_low, is_wide, has_sliders) == self._arranged:
            return
        self._arranged = (fields, is_low, is_wide, has_sliders)
        columns = 3 if is_low and not has_list and is_wide else 2
        for name, row in self.rows.items():
            self._grid.removeWidget(row)
            row.setVisible(name in fields)
            if isinstance(row.editor.control, SliderField):
                control = row.editor.control
                control.slider.setVisible(has_sliders and columns == 2)
                control.layout().setAlignment(control.field, Qt.AlignmentFlag.AlignLeft)
        for place, name in enumerate(fields):
            self._grid.addWidget(self.rows[name], place // columns, place % columns)
        for column in range(3):
            self._grid.setColumnStretch(column, 1 if column < columns else 0)
        self.help_label.setVisible(not is_low)

    def show_problems(self, problems: list[Problem]) -> None:
        by_field = {p.field: p for p in reversed(problems)}
        for name, row in self.rows.items():
            row.show_problem(by_field.get(f"schedule.{name}"))
