"""Milestones, pieces and points of a schedule as a table: read, typed into, added and removed with the keyboard alone."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QSizePolicy,
    QStyledItemDelegate,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from studio.catalog.schedules import head_lr
from studio.core.experiment import Schedule, bounds
from studio.core.problem import BadInput
from studio.core.words import format_number
from studio.gui.pages.schedule.curve import Length
from studio.gui.pages.schedule.handles import added_at, handles_of, removed, settings_at
from studio.gui.theme import font, px
from studio.gui.widgets import ComboBox, PlainLabel, icon_button, parse_number

LISTS = ("milestones", "segments", "points")
COURSES = {"hold": "Hold", "linear": "Line", "cosine": "Cosine", "exponential": "Exponential"}
_COLUMNS = {"multi_step": ("Drop at epoch",), "segments": ("Course", "Until epoch", "Rate"), "points": ("Epoch", "Rate")}
_TITLES = {"multi_step": "Milestones", "segments": "Pieces", "points": "Points"}
_ROOT = QModelIndex()
_ROW_PX, _MOST_ROWS = 26, 4
_FIELDS_PX = 108


class ListModel(QAbstractTableModel):
    """A row per milestone, piece or point in the order of time. An entry that can be used becomes settings; the others are refused."""

    wanted = Signal(dict)
    refused = Signal(str)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._schedule, self._length = Schedule(), Length(1, 1)
        self._rows: list[tuple[Any, ...]] = []

    @property
    def schedule(self) -> Schedule:
        return self._schedule

    def show_schedule(self, schedule: Schedule, length: Length) -> None:
        rows = _rows(schedule, length)
        is_same_form = schedule.shape == self._schedule.shape and len(rows) == len(self._rows)
        self._schedule, self._length = schedule, length
        if is_same_form:
            changed = [i for i, (new, old) in enumerate(zip(rows, self._rows, strict=True)) if new != old]
            self._rows = rows
            for i in changed:
                self.dataChanged.emit(self.index(i, 0), self.index(i, self.columnCount() - 1))
        else:
            self.beginResetModel()
            self._rows = rows
            self.endResetModel()

    def rowCount(self, parent=_ROOT) -> int:
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent=_ROOT) -> int:
        return 0 if parent.isValid() else len(_COLUMNS.get(self._schedule.shape, ()))

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole):
        if role == Qt.ItemDataRole.DisplayRole:
            return _COLUMNS[self._schedule.shape][section] if orientation == Qt.Orientation.Horizontal else str(section + 1)
        return None

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        is_fixed = self._is_rate(index.column()) and self._is_hold(index.row())
        return flags if is_fixed else flags | Qt.ItemFlag.ItemIsEditable

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        value = self._rows[index.row()][index.column()]
        match role:
            case Qt.ItemDataRole.DisplayRole if isinstance(value, str):
                return COURSES[value]
            case Qt.ItemDataRole.DisplayRole if self._is_rate(index.column()) and self._is_hold(index.row()):
                return "as before"
            case Qt.ItemDataRole.DisplayRole:
                return format_number(float(f"{value:.5g}"))
            case Qt.ItemDataRole.EditRole:
                return value if isinstance(value, str) else format_number(value)
            case Qt.ItemDataRole.FontRole:
                return font("label" if isinstance(value, str) else "number")
            case Qt.ItemDataRole.AccessibleTextRole:
                return f"{self.headerData(index.column(), Qt.Orientation.Horizontal)} {self.data(index)}"
        return None

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        if role != Qt.ItemDataRole.EditRole or value == self.data(index, role):
            return False
        try:
            settings = self._settings(index.row(), index.column(), value)
        except (ValueError, BadInput) as exc:
            self.refused.emit(str(exc))
            return False
        self.wanted.emit(settings)
        return True

    def added(self, row: int) -> dict[str, Any] | None:
        """The settings with one more behind a row, half-way to the next."""
        per_epoch, n = self._length.steps_per_epoch, self._length.num_steps
        column = 1 if self._schedule.shape == "segments" else 0
        times = [r[column] * per_epoch for r in self._rows]
        here = times[row] if 0 <= row < len(times) else 0.0
        after = times[row + 1] if 0 <= row + 1 < len(times) else n
        if after - here < 2 and row > 0:  # no room behind the last: before it
            here, after = times[row - 1], here
        step = (here + after) / 2
        return added_at(self._schedule, self._length, step, float(head_lr(self._schedule, [round(step)], per_epoch)[0]))

    def removed(self, row: int) -> dict[str, Any] | None:
        handle = self._handle(row)
        if self._schedule.shape == "multi_step":
            milestones = sorted(self._schedule.milestones)
            return {"schedule.milestones": tuple(milestones[:row] + milestones[row + 1 :])}
        return removed(self._schedule, handle) if handle else None

    def _settings(self, row: int, column: int, value: Any) -> dict[str, Any]:
        schedule = self._schedule
        if schedule.shape == "segments" and column == 0:
            segments = list(schedule.segments)
            segments[row] = segments[row].model_copy(update={"kind": value})
            return {"schedule.segments": tuple(segments)}
        number = parse_number(str(value))
        if schedule.shape == "multi_step":
            if not 0 < number <= 10_000:
                raise ValueError("A milestone is more than 0 and at most 10,000 epochs.")
            milestones = sorted(schedule.milestones)
            milestones[row] = number
            return {"schedule.milestones": tuple(sorted(milestones))}
        handle = self._handle(row)
        if self._is_rate(column):
            high = bounds("schedule.peak_lr")[1]
            if not 0 <= number <= high:
                raise ValueError(f"A rate is between 0 and {format_number(high)}.")
            return settings_at(schedule, self._length, handle, handle.step, number)
        if not 0 <= number <= schedule.epochs:
            raise ValueError(f"The run has {schedule.epochs:,} epochs.")
        return settings_at(schedule, self._length, handle, number / schedule.epochs * (self._length.num_steps - 1), handle.rate)

    def _handle(self, row: int):
        kind = "point" if self._schedule.shape == "points" else "segment"
        return next((h for h in handles_of(self._schedule, self._length) if h.key == f"{kind} {row + 1}"), None)

    def _is_rate(self, column: int) -> bool:
        return _COLUMNS[self._schedule.shape][column] == "Rate"

    def _is_hold(self, row: int) -> bool:
        return self._schedule.shape == "segments" and self._schedule.segments[row].kind == "hold"


def _rows(schedule: Schedule, length: Length) -> list[tuple[Any, ...]]:
    epochs = length.epochs
    match schedule.shape:
        case "multi_step":
            return [(float(m),) for m in sorted(schedule.milestones)]
        case "segments":
            return [(s.kind, s.until * epochs, s.to * schedule.peak_lr) for s in schedule.segments]
        case "points":
            return [(time * epochs, level * schedule.peak_lr) for time, level in sorted(schedule.points)]
    return []


class _Courses(QStyledItemDelegate):
    """The course of a piece is chosen from a list."""

    def createEditor(self, parent: QWidget, option, index: QModelIndex) -> QWidget:
        if index.data(Qt.ItemDataRole.EditRole) not in COURSES:
            editor = super().createEditor(parent, option, index)
            editor.setAccessibleName(index.data(Qt.ItemDataRole.AccessibleTextRole))
            return editor
        box = ComboBox(list(COURSES.items()), index.data(Qt.ItemDataRole.EditRole), parent=parent)
        box.setAccessibleName("Course of the piece")
        box.value_changed.connect(lambda _: self._take(box))
        return box

    def _take(self, box: ComboBox) -> None:
        self.commitData.emit(box)
        self.closeEditor.emit(box)

    def setEditorData(self, editor: QWidget, index: QModelIndex) -> None:
        if not isinstance(editor, ComboBox):
            super().setEditorData(editor, index)

    def setModelData(self, editor: QWidget, model, index: QModelIndex) -> None:
        if isinstance(editor, ComboBox):
            model.setData(index, editor.value)
        else:
            super().setModelData(editor, model, index)


class ListEditor(QWidget):
    """The table with its title and the buttons to add and remove a row. Insert and Delete do the same."""

    wanted = Signal(dict)
    refused = Signal(str)

    def __init__(self, *, name: str = "", parent: QWidget | None = None):
        super().__init__(parent)
        self.setObjectName(name)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(2))
        row = QHBoxLayout()
        row.setSpacing(px(4))
        self.title_label = PlainLabel("", "label")
        self.add_button = icon_button("plus", "Add a row", small=True, name=f"{name}.add", on_click=self.add)
        self.remove_button = icon_button("trash", "Remove the row", small=True, name=f"{name}.remove", on_click=self.remove)
        row.addWidget(self.title_label, 1)
        row.addWidget(self.add_button)
        row.addWidget(self.remove_button)
        column.addLayout(row)
        self.model = ListModel(self)
        self.model.wanted.connect(self.wanted)
        self.model.refused.connect(self.refused)
        self.table = _Table(self)
        self.table.setObjectName(f"{name}.table")
        self.table.setModel(self.model)
        self.table.setItemDelegate(_Courses(self.table))
        self.table.selectionModel().currentChanged.connect(lambda *_: self._refresh_buttons())
        column.addWidget(self.table)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def show_schedule(self, schedule: Schedule, length: Length) -> None:
        """Shows itself where the shape has a list."""
        is_shown = schedule.shape in _COLUMNS
        self.setVisible(is_shown)
        if not is_shown:
            return
        row = self.table.currentIndex()
        self.model.show_schedule(schedule, length)
        rows = min(max(2, self.model.rowCount()), _MOST_ROWS)
        self.table.setFixedHeight(self.table.horizontalHeader().sizeHint().height() + rows * px(_ROW_PX) + 2)
        title = _TITLES[schedule.shape]
        self.title_label.setText(title)
        self.table.setAccessibleName(title)
        one = {"Milestones": "milestone", "Pieces": "piece", "Points": "point"}[title]
        self.add_button.setAccessibleName(f"Add a {one}")
        self.remove_button.setAccessibleName(f"Remove the {one}")
        if not self.table.currentIndex().isValid() and self.model.rowCount():
            last = self.model.rowCount() - 1
            self.table.setCurrentIndex(
                self.model.index(min(max(0, row.row()), last), min(max(0, row.column()), self.model.columnCount() - 1))
            )
        self._refresh_buttons()

    @property
    def more_height(self) -> int:
        """By how much it is higher than the fields of a shape without a list, px."""
        return 0 if self.isHidden() else max(0, self.sizeHint().height() - px(_FIELDS_PX))

    def add(self) -> None:
        self._ask(self.model.added(self.table.currentIndex().row()), 1)

    def remove(self) -> None:
        self._ask(self.model.removed(self.table.currentIndex().row()), 0)

    def _ask(self, settings: dict | None, move: int) -> None:
        if settings is None:
            return
        row, column = self.table.currentIndex().row(), self.table.currentIndex().column()
        self.wanted.emit(settings)
        if self.model.rowCount():
            self.table.setCurrentIndex(self.model.index(min(row + move, self.model.rowCount() - 1), max(0, column)))

    def _refresh_buttons(self) -> None:
        row = self.table.currentIndex().row()
        self.remove_button.setEnabled(row >= 0 and self.model.removed(row) is not None)


class _Table(QTableView):
    def __init__(self, editor: ListEditor):
        super().__init__()
        self._editor = editor
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked
            | QAbstractItemView.EditTrigger.EditKeyPressed
            | QAbstractItemView.EditTrigger.AnyKeyPressed
            | QAbstractItemView.EditTrigger.SelectedClicked
        )
        self.verticalHeader().setDefaultSectionSize(px(_ROW_PX))
        self.verticalHeader().setFixedWidth(px(26))
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.horizontalHeader().setHighlightSections(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        match event.key():
            case Qt.Key.Key_Insert:
                self._editor.add()
            case Qt.Key.Key_Delete | Qt.Key.Key_Backspace:
                self._editor.remove()
            case Qt.Key.Key_Return | Qt.Key.Key_Enter:
                self.edit(self.currentIndex())
            case _:
                super().keyPressEvent(event)
