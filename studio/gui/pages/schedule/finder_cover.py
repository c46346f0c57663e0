"""What the large views of the finder are made of: a plot over the learning rate, a table of its values, and a line under the pointer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt, Signal
from PySide6.QtWidgets import QAbstractItemView, QHBoxLayout, QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from studio.gui.pages.schedule.finder_run import FinderRun
from studio.gui.theme import colour, font, pen, px, theme
from studio.gui.widgets import PlainLabel, icon_button
from studio.gui.widgets.cover import Cover
from studio.gui.widgets.plot_axis import LogAxis
from studio.gui.widgets.plot_style import QuietPlot, set_axis_label

SIDE_PX = 270


class FinderCover(Cover):
    """Follows a FinderRun while open, and closes when that is about something else. Subclasses draw into `plot`, add to `side` and fill `table`."""

    use_wanted = Signal(object)  # what the page takes: key of a rule, or a peak

    def __init__(
        self, run: FinderRun, parent: QWidget, *, name: str, what: str, title: str, hint: str, left: pg.AxisItem, columns: Sequence[str]
    ):
        super().__init__(parent, name=name, what=what, hint=hint)
        self._run = run
        self.setAccessibleName(title)
        self.words_label = PlainLabel("", "label", "muted", elide=Qt.TextElideMode.ElideRight)
        self.reading_label = PlainLabel("", "number")
        self.head.addWidget(PlainLabel(title, "panel"))
        self.head.addWidget(self.words_label, 1)
        self.head.addWidget(self.reading_label)
        self.head.addWidget(icon_button("x", "Close the large view", name=f"{name}.close", on_click=self.close_view))
        self.graphics = pg.GraphicsLayoutWidget()
        self.graphics.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.plot = QuietPlot(left, LogAxis("bottom", powers_only=True))
        self.graphics.addItem(self.plot)
        self._cursor = pg.InfiniteLine(angle=90)
        self._cursor.hide()
        self.plot.addItem(self._cursor, ignoreBounds=True)
        self.graphics.scene().sigMouseMoved.connect(self._on_scene_mouse_moved)
        self.side = QVBoxLayout()
        self.side.setSpacing(px(8))
        self.table = self._make_table(f"{name}.values", f"Values of the {what}", columns)
        self.side.addWidget(self.table, 1)
        middle = QHBoxLayout()
        middle.setSpacing(px(12))
        middle.addWidget(self.graphics, 1)
        middle.addLayout(self.side)
        column = self.layout()
        column.takeAt(1)  # the room that other covers paint pictures into
        column.insertLayout(1, middle, 1)
        run.changed.connect(self._on_run_changed)
        theme().changed.connect(self.restyle)

    def fits(self) -> bool:
        """Whether the run is about what is drawn here."""
        raise NotImplementedError

    def refresh(self) -> None:
        raise NotImplementedError

    def rates(self) -> np.ndarray:
        """float64[points] of what is drawn, rising."""
        raise NotImplementedError

    def words_at(self, index: int) -> str:
        """What the line under the pointer says of a point."""
        raise NotImplementedError

    def open_view(self) -> None:
        super().open_view()
        self.refresh()

    def restyle(self) -> None:
        self.graphics.setBackground(colour("surface"))
        self.plot.restyle()
        set_axis_label(self.plot, "bottom", "Learning rate (log)")
        self._cursor.setPen(pen("outline", 1, dash=(2, 3)))

    def fill_rows(self, rows: Sequence[Sequence[str]], first: int = 0) -> None:
        """Give the table these rows; those before `first` have not changed."""
        self.table.setRowCount(len(rows))
        for row in range(first, len(rows)):
            for place, text in enumerate(rows[row]):
                item = QTableWidgetItem(text)
                item.setFont(font("number"))
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(row, place, item)

    def use(self, what: object) -> None:
        self.use_wanted.emit(what)
        self.close_view()

    def _make_table(self, name: str, title: str, columns: Sequence[str]) -> QTableWidget:
        table = QTableWidget(0, len(columns))
        table.setObjectName(name)
        table.setAccessibleName(title)
        table.setHorizontalHeaderLabels(columns)
        table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        table.verticalHeader().hide()
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setTabKeyNavigation(False)
        table.setFixedWidth(px(SIDE_PX))
        return table

    def _on_run_changed(self) -> None:
        if self.isVisible():
            if self.fits():
                self.refresh()
            else:
                self.close_view()

    def _on_scene_mouse_moved(self, at: QPointF) -> None:
        rates = self.rates()
        box = self.plot.getViewBox()
        is_inside = len(rates) > 0 and box.sceneBoundingRect().contains(at)
        self._cursor.setVisible(is_inside)
        if not is_inside:
            self.reading_label.setText("")
            return
        i = int(np.abs(np.log10(rates) - box.mapSceneToView(at).x()).argmin())
        self._cursor.setPos(np.log10(rates[i]))
        self.reading_label.setText(self.words_at(i))
