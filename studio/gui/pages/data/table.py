"""A CSV file: how it is read, with its first rows, and which column is which where that is not clear by itself."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QFrame, QHBoxLayout, QHeaderView, QSizePolicy, QTableWidget, QTableWidgetItem, QWidget

from studio.core.experiment import Data, choices
from studio.core.path_text import path_to_text, shown, text_to_path
from studio.core.problem import Problem, Severity
from studio.core.words import counted
from studio.dataset.dataset import Dataset
from studio.dataset.suffix import TABLE_SUFFIXES
from studio.gui.context import Context
from studio.gui.theme import px
from studio.gui.widgets import ComboBox, IconLabel, Panel, PlainLabel, button, set_plain_tooltip

_ROLES = {"path_column": "Path", "label_column": "Label", "split_column": "Part"}
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_FIELDS = (*(f"data.{role}" for role in _ROLES), "data.encoding")
_ROW_PX = 24


class TablePanel(Panel):
    """Hidden where the images come from folders. Every choice takes effect at once and is one undo step."""

    def __init__(self, context: Context, parent: QWidget | None = None):
        super().__init__(name="data.table", parent=parent)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._context = context
        self._asked: tuple | None = None  # what was read last, or is being read
        self._preview = None  # studio.dataset.table.TablePreview
        self._is_asking = self._is_wrong = False
        self._is_open = False
        self._icon = IconLabel("check-circle", "good", 18)
        self.title_label = PlainLabel("", "strong", elide=Qt.TextElideMode.ElideMiddle)
        self.rows_button = button("Show rows", kind="quiet", small=True, name="data.table.rows", on_click=self._on_rows_clicked)
        head = QHBoxLayout()
        head.setSpacing(px(6))
        head.addWidget(self._icon)
        head.addWidget(self.title_label, 1)
        head.addWidget(self.rows_button)
        self.body.addLayout(head)
        self.combos = {field: ComboBox(name=field) for field in _FIELDS}
        line = QHBoxLayout()
        line.setSpacing(px(6))
        for field, combo in self.combos.items():
            words = _ROLES.get(field.partition(".")[2], "Letters")
            combo.setAccessibleName(f"{words} column" if field != "data.encoding" else "How letters are stored")
            combo.setMinimumWidth(px(120))
            combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            combo.value_changed.connect(lambda value, field=field: self._context.store.set({field: value}))
            line.addWidget(PlainLabel(words, "label"))
            line.addWidget(combo, 1)
            line.addSpacing(px(4))
        set_plain_tooltip(
            self.combos["data.encoding"], "How the letters of the file are stored. Names with accents show whether it is right."
        )
        self.body.addLayout(line)
        self.grid = _rows_grid()
        self.body.addWidget(self.grid)
        self.hide()

    def show_state(self, data: Data, dataset: Dataset | None, problems: tuple[Problem, ...], scanned: object) -> None:
        """`problems` of the scan or why it failed; `scanned` changes with every scan, so that a changed file is read again."""
        is_table = dataset.layout == "csv" if dataset else data.layout == "csv" or data.source.lower().endswith(TABLE_SUFFIXES)
        self._is_asking = any(p.field in _FIELDS and p.severity is not Severity.NOTE for p in problems)
        self._is_wrong = any(p.field in _FIELDS and p.severity is Severity.ERROR for p in problems)
        self._icon.set_icon(
            *(("warning-octagon", "bad") if self._is_wrong else ("warning", "warn") if self._is_asking else ("check-circle", "good"))
        )
        self.setVisible(bool(is_table and data.source and self._preview is not None))
        if not is_table:
            self._asked = self._preview = None
            return
        key = (data.source, data.encoding, scanned)
        if key != self._asked:
            self._asked = key
            self._read(key, text_to_path(data.source), data.encoding)
        self._show_choices(data)
        self._show_rows()

    def _read(self, key: tuple, source: str, encoding: str) -> None:
        from studio.dataset.table import preview_table

        def keep(preview: object) -> None:
            if key == self._asked:
                self._preview = preview
                self.setVisible(preview is not None)
                self._show_choices(self._context.store.experiment.data)
                self._show_rows()

        self._context.background.run(lambda: preview_table(source, encoding), keep, lambda _: keep(None))

    def _show_choices(self, data: Data) -> None:
        preview = self._preview
        if preview is None:
            return
        from studio.dataset.encoding import NAMES

        separator = _SEPARATORS.get(preview.separator, "commas")
        name = shown(path_to_text(preview.path.replace("\\", "/").rpartition("/")[2]))
        letters = NAMES[preview.encoding] + ("" if preview.is_sure else ", not sure")
        self.title_label.setText(f"{name}: {counted(preview.num_rows, 'row')}, separated by {separator}, {letters}")
        for field, combo in self.combos.items():
            chosen = getattr(data, field.partition(".")[2])
            if field == "data.encoding":
                options = [(key, NAMES.get(key, "Find out")) for key in choices(field)]
            else:
                others = [chosen] if chosen and chosen not in preview.columns else []
                options = [("", "By its name"), *((column, shown(column)) for column in (*preview.columns, *others))]
            if options != combo.property("shown_options"):  # a scan tells of itself many times a second: a list that is open stays as it is
                combo.setProperty("shown_options", options)
                combo.set_options(options)
            combo.set_value(chosen)

    def _show_rows(self) -> None:
        preview, is_shown = self._preview, self._is_asking or self._is_open
        self.rows_button.setVisible(not self._is_asking)
        self.rows_button.setText("Hide rows" if self._is_open else "Show rows")
        self.grid.setVisible(is_shown and preview is not None)
        if preview is None:
            return
        self.grid.setColumnCount(len(preview.columns))
        rows = preview.rows if self._is_wrong or self._is_open else preview.rows[:1]  # beside all else there is little room
        self.grid.setRowCount(len(rows))
        self.grid.setHorizontalHeaderLabels([shown(column) for column in preview.columns])
        for row, cells in enumerate(rows):
            for column, cell in enumerate(cells):
                self.grid.setItem(row, column, QTableWidgetItem(shown(cell)))
        self.grid.setFixedHeight(px(_ROW_PX) * (len(rows) + 1) + px(4))

    def _on_rows_clicked(self) -> None:
        self._is_open = not self._is_open
        self._show_rows()


def _rows_grid() -> QTableWidget:
    made = QTableWidget()
    made.setObjectName("data.table.grid")
    made.setAccessibleName("First rows of the CSV file")
    made.setFrameShape(QFrame.Shape.NoFrame)
    made.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    made.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
    made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    made.setTabKeyNavigation(False)
    made.setShowGrid(False)
    made.setWordWrap(False)
    made.verticalHeader().hide()
    made.verticalHeader().setDefaultSectionSize(px(_ROW_PX))
    made.horizontalHeader().setFixedHeight(px(_ROW_PX))
    made.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    made.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
    made.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    made.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    made.hide()
    return made
