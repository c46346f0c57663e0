"""The range test as large as the page: loss against the rate on a logarithmic axis, what it suggests, and its values. Esc closes it."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt, Signal
from PySide6.QtWidgets import QAbstractItemView, QHBoxLayout, QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from studio.core.rate_test import RULES, smooth
from studio.gui.pages.schedule.finder_run import RateTestRun
from studio.gui.pages.schedule.finder_strip import how_words, running_words, stale_words
from studio.gui.theme import colour, font, pen, px, theme
from studio.gui.widgets import Panel, PlainLabel, button, icon_button
from studio.gui.widgets.cover import Cover
from studio.gui.widgets.plot_axis import LogAxis, PlainAxis
from studio.gui.widgets.plot_style import QuietPlot, set_axis_label
from studio.gui.wording import rate

_COLUMNS = ("Rate", "Loss", "Smoothed")


def loss_range(losses: np.ndarray, course: np.ndarray) -> tuple[float, float]:
    """What of the loss axis to show: all of the fall, and of the run-away end what fits."""
    top = max(float(losses[: max(2, len(losses) // 2)].max()), 1.5 * float(course.min()))
    low = float(min(losses.min(), course.min()))
    room = max(0.06 * (top - low), 1e-3)
    return low - room, top + room


class LargeRateTest(Cover):
    """Follows a RateTestRun while open."""

    use_wanted = Signal(str)  # key of a rule

    def __init__(self, run: RateTestRun, parent: QWidget):
        super().__init__(parent, name="schedule.finder.view", what="test", hint="Point at the curve to read it   Esc close")
        self._run = run
        self._was_growing = False
        self.setAccessibleName("Learning-rate test")
        self.words_label = PlainLabel("", "label", "muted", elide=Qt.TextElideMode.ElideRight)
        self.reading_label = PlainLabel("", "number")
        self.head.addWidget(PlainLabel("Loss against learning rate", "panel"))
        self.head.addWidget(self.words_label, 1)
        self.head.addWidget(self.reading_label)
        self.head.addWidget(icon_button("x", "Close the large view", name="schedule.finder.view.close", on_click=self.close_view))
        self.graphics = pg.GraphicsLayoutWidget()
        self.graphics.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.plot = QuietPlot(PlainAxis("left"), LogAxis("bottom", powers_only=True))
        self.graphics.addItem(self.plot)
        self._raw, self._smooth = self.plot.plot(), self.plot.plot()
        self._band = pg.LinearRegionItem(movable=False)
        self._band.setZValue(-50)
        self.plot.addItem(self._band, ignoreBounds=True)
        self._lines = {rule.key: self._make_line() for rule in RULES}
        self._cursor = pg.InfiniteLine(angle=90)
        self._cursor.hide()
        self.plot.addItem(self._cursor, ignoreBounds=True)
        self.graphics.scene().sigMouseMoved.connect(self._on_scene_mouse_moved)
        middle = QHBoxLayout()
        middle.setSpacing(px(12))
        middle.addWidget(self.graphics, 1)
        middle.addLayout(self._make_side())
        column = self.layout()
        column.takeAt(1)  # the room that other covers paint pictures into
        column.insertLayout(1, middle, 1)
        run.changed.connect(self._on_run_changed)
        theme().changed.connect(self.restyle)
        self.restyle()

    def _make_side(self) -> QVBoxLayout:
        side = QVBoxLayout()
        side.setSpacing(px(8))
        self.rate_labels, self.use_buttons = {}, {}
        for rule in RULES:
            panel = Panel(rule.title)
            panel.setFixedWidth(px(270))
            self.rate_labels[rule.key] = PlainLabel("", "number")
            self.use_buttons[rule.key] = button(
                "Use this",
                small=True,
                name=f"schedule.finder.view.use.{rule.key}",
                on_click=lambda key=rule.key: self._on_use_clicked(key),
            )
            panel.head.addWidget(self.rate_labels[rule.key])
            panel.head.addWidget(self.use_buttons[rule.key])
            panel.body.addWidget(PlainLabel(rule.words, "label", "text2", wrap=True))
            side.addWidget(panel)
        self.table = QTableWidget(0, len(_COLUMNS))
        self.table.setObjectName("schedule.finder.view.values")
        self.table.setAccessibleName("Values of the test")
        self.table.setHorizontalHeaderLabels(_COLUMNS)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.verticalHeader().hide()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setTabKeyNavigation(False)
        self.table.setFixedWidth(px(270))
        side.addWidget(self.table, 1)
        return side

    def open_view(self) -> None:
        super().open_view()
        self.refresh()

    def restyle(self) -> None:
        self.graphics.setBackground(colour("surface"))
        self.plot.restyle()
        set_axis_label(self.plot, "left", "Training loss")
        set_axis_label(self.plot, "bottom", "Learning rate (log)")
        self._raw.setPen(pen("good", 1, 0.4))
        self._smooth.setPen(pen("good", 2.2))
        self._band.setBrush(colour("good", 0.13))
        self._cursor.setPen(pen("outline", 1, dash=(2, 3)))
        for line in self._band.lines:
            line.setPen(pen("good", 1, 0.0))
        for line in self._lines.values():
            line.setPen(pen("good", 1.2, dash=(4, 3)))
            line.label.setColor(colour("good"))
            line.label.fill = pg.mkBrush(colour("plot", 0.86))
            line.label.textItem.setFont(font("caption"))

    def refresh(self) -> None:
        """Draw the running test, else the kept one."""
        run = self._run
        is_running = run.state == "running"
        rates, losses = run.curve
        course = smooth(rates, losses)
        x = np.log10(rates)
        self._raw.setData(x, losses)
        self._smooth.setData(x, course)
        found = {} if is_running or run.test is None else run.test.suggestions
        self._band.setVisible(bool(found))
        if found:
            self._band.setRegion([np.log10(v) for v in run.test.band])
        for place, rule in enumerate(RULES):
            line, value = self._lines[rule.key], found.get(rule.key)
            line.setVisible(value is not None)
            self.use_buttons[rule.key].setEnabled(value is not None)
            self.rate_labels[rule.key].setText(rate(value) if value is not None else "…")
            self.rate_labels[rule.key].set_tone("good" if found and value == run.test.best else "text")
            if value is not None:
                line.setPos(np.log10(value))
                line.label.setFormat(f"{rule.title} {rate(value)}")
                line.label.setPosition(0.16 - 0.05 * place)
        if len(course):
            self.plot.setYRange(*loss_range(losses, course), padding=0)
            self.plot.setXRange(x[0], x[-1], padding=0.02)
        self._fill_table(rates, losses, course, is_growing=is_running)
        words = running_words(run) if is_running else stale_words(run.changed_settings) or how_words(run.test) if run.test else ""
        self.words_label.setText(words)
        self.setAccessibleDescription(". ".join([words, *(f"{r.title} {rate(found[r.key])}" for r in RULES if r.key in found)]))

    def _fill_table(self, rates, losses, course, *, is_growing: bool) -> None:
        """Rows of a running test are only added: what they say does not change."""
        first = min(self.table.rowCount(), len(rates)) if is_growing and self._was_growing else 0
        self._was_growing = is_growing
        self.table.setRowCount(len(rates))
        for row in range(first, len(rates)):
            for place, text in enumerate((f"{rates[row]:.2e}", f"{losses[row]:.4f}", f"{course[row]:.4f}")):
                item = QTableWidgetItem(text)
                item.setFont(font("number"))
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(row, place, item)

    def _make_line(self) -> pg.InfiniteLine:
        line = pg.InfiniteLine(angle=90, label="", labelOpts={"position": 0.9, "anchors": [(1.04, 0.5), (1.04, 0.5)]})
        self.plot.addItem(line, ignoreBounds=True)
        return line

    def _on_use_clicked(self, key: str) -> None:
        self.use_wanted.emit(key)
        self.close_view()

    def _on_run_changed(self) -> None:
        if self.isVisible():
            self.refresh()

    def _on_scene_mouse_moved(self, at: QPointF) -> None:
        rates, losses = self._run.curve
        box = self.plot.getViewBox()
        is_inside = len(rates) and box.sceneBoundingRect().contains(at)
        self._cursor.setVisible(bool(is_inside))
        if not is_inside:
            self.reading_label.setText("")
            return
        i = int(np.abs(np.log10(rates) - box.mapSceneToView(at).x()).argmin())
        self._cursor.setPos(np.log10(rates[i]))
        course = smooth(rates, losses)
        self.reading_label.setText(f"rate {rates[i]:.2e}  loss {losses[i]:.3f}  smoothed {course[i]:.3f}")
