"""The numbers behind a plot of curves: as a table to read, as CSV to take along. Both say every figure in full."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PySide6.QtCore import QAbstractTableModel, QModelIndex, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QHBoxLayout, QTableView, QVBoxLayout, QWidget

from studio.core.file import write_atomically
from studio.core.path_text import shown
from studio.gui.theme import font, px
from studio.gui.widgets.button import button
from studio.gui.widgets.file_dialog import pick_new_file
from studio.gui.widgets.label import PlainLabel
from studio.gui.wording import count

ROOT = QModelIndex()


class CurveTable(QAbstractTableModel):
    """A row for each x, a column for each curve; empty where a curve has no point, "nan" where its value was not finite."""

    def __init__(self, x_label: str, curves: Sequence[tuple[str, np.ndarray, np.ndarray]], parent=None):
        """curves: (label, x, y), float64[n] each, x ascending. Points of one curve with the same x get a row each."""
        super().__init__(parent)
        self.header = [x_label, *(label for label, _, _ in curves)]
        # Sorted as complex numbers: first by x, then by how many points of the same curve have the same x before them.
        keys = [x + 1j * (np.arange(len(x)) - np.searchsorted(x, x)) for _, x, _ in curves]
        rows = np.unique(np.concatenate(keys)) if keys else np.empty(0, complex)
        self._x = rows.real
        self._values = np.full((len(curves), len(rows)), np.nan)
        self._is_there = np.zeros(self._values.shape, bool)
        for column, (key, (_, _, y)) in enumerate(zip(keys, curves, strict=True)):
            at = np.searchsorted(rows, key)
            self._values[column, at], self._is_there[column, at] = y, True

    def rowCount(self, parent=ROOT) -> int:
        return 0 if parent.isValid() else len(self._x)

    def columnCount(self, parent=ROOT) -> int:
        return 0 if parent.isValid() else len(self.header)

    def text(self, row: int, column: int) -> str:
        """The figure so that it reads back as the same float64."""
        if column == 0:
            return repr(float(self._x[row]))
        return repr(float(self._values[column - 1, row])) if self._is_there[column - 1, row] else ""

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        if role == Qt.ItemDataRole.DisplayRole:
            return self.text(index.row(), index.column())
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole):
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        return self.header[section] if orientation == Qt.Orientation.Horizontal else str(section + 1)

    def as_csv(self) -> str:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.header)
        writer.writerows([self.text(row, column) for column in range(len(self.header))] for row in range(len(self._x)))
        return out.getvalue()


class CurveTableDialog(QDialog):
    """The table in a window of its own that blocks nothing. It shows the numbers of the moment it was opened."""

    def __init__(self, name: str, title: str, table: CurveTable, parent: QWidget | None = None):
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setObjectName(name)
        self.setWindowTitle(f"{title}: values")
        self._title = title
        self.resize(px(640), px(480))
        self.table = table
        table.setParent(self)
        self.view = QTableView()
        self.view.setObjectName(f"{name}.view")
        self.view.setAccessibleName(f"Values of {title.lower()}, a row for each point")
        self.view.setModel(table)
        self.view.setFont(font("number"))
        self.view.horizontalHeader().setDefaultSectionSize(px(150))
        self.view.verticalHeader().setDefaultSectionSize(px(24))
        self.note = PlainLabel(f"{count(table.rowCount())} rows", "label", "muted")
        foot = QHBoxLayout()
        foot.addWidget(self.note, 1)
        foot.addWidget(button("Copy", "copy", name=f"{name}.copy", on_click=self._copy))
        foot.addWidget(button("Save as CSV…", "download-simple", name=f"{name}.save", on_click=self.save))
        foot.addWidget(button("Close", name=f"{name}.close", on_click=self.close))
        column = QVBoxLayout(self)
        column.addWidget(self.view, 1)
        column.addLayout(foot)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.table.as_csv())
        self.note.setText("Copied")

    def save(self) -> None:
        pick_new_file(self, "curves", "Save the values as CSV", "CSV table", f"{self._title.lower()}.csv", self.save_to)

    def save_to(self, path: str) -> None:
        """Raises OSError when it cannot be written."""
        write_atomically(path, self.table.as_csv().encode())
        self.note.setText(f"Saved as {shown(Path(path).name)}")
