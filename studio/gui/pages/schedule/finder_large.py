"""The range test as large as the page: loss against the rate on a logarithmic axis, what it suggests, and its values. Esc closes it."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtWidgets import QWidget

from studio.core.rate_test import RULES, smooth
from studio.gui.pages.schedule.finder_cover import SIDE_PX, FinderCover
from studio.gui.pages.schedule.finder_run import FinderRun
from studio.gui.pages.schedule.finder_strip import how_words, running_words, stale_words
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets import Panel, PlainLabel, button
from studio.gui.widgets.plot_axis import PlainAxis
from studio.gui.widgets.plot_style import set_axis_label
from studio.gui.wording import rate


def loss_range(losses: np.ndarray, course: np.ndarray) -> tuple[float, float]:
    """What of the loss axis to show: all of the fall, and of the run-away end what fits."""
    top = max(float(losses[: max(2, len(losses) // 2)].max()), 1.5 * float(course.min()))
    low = float(min(losses.min(), course.min()))
    room = max(0.06 * (top - low), 1e-3)
    return low - room, top + room


class LargeRateTest(FinderCover):
    """Of the test that runs, else of the kept one."""

    def __init__(self, run: FinderRun, parent: QWidget):
        super().__init__(
            run,
            parent,
            name="schedule.finder.view",
            what="test",
            title="Loss against learning rate",
            hint="Point at the curve to read it   Esc close",
            left=PlainAxis("left"),
            columns=("Rate", "Loss", "Smoothed"),
        )
        self._was_growing = False
        self._raw, self._smooth = self.plot.plot(), self.plot.plot()
        self._band = pg.LinearRegionItem(movable=False)
        self._band.setZValue(-50)
        self.plot.addItem(self._band, ignoreBounds=True)
        self._lines = {rule.key: self._make_line() for rule in RULES}
        self.rate_labels, self.use_buttons = {}, {}
        for place, rule in enumerate(RULES):
            panel = Panel(rule.title)
            panel.setFixedWidth(px(SIDE_PX))
            self.rate_labels[rule.key] = PlainLabel("", "number")
            self.use_buttons[rule.key] = button(
                "Use this",
                small=True,
                name=f"schedule.finder.view.use.{rule.key}",
                on_click=lambda key=rule.key: self.use(key),
            )
            panel.head.addWidget(self.rate_labels[rule.key])
            panel.head.addWidget(self.use_buttons[rule.key])
            panel.body.addWidget(PlainLabel(rule.words, "label", "text2", wrap=True))
            self.side.insertWidget(place, panel)
        self.restyle()

    def fits(self) -> bool:
        return self._run.kind == "test"

    def restyle(self) -> None:
        super().restyle()
        set_axis_label(self.plot, "left", "Training loss")
        self._raw.setPen(pen("good", 1, 0.4))
        self._smooth.setPen(pen("good", 2.2))
        self._band.setBrush(colour("good", 0.13))
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
        rows = [(f"{r:.2e}", f"{loss:.4f}", f"{mean:.4f}") for r, loss, mean in zip(rates, losses, course, strict=True)]
        kept = min(self.table.rowCount(), len(rows)) if is_running and self._was_growing else 0  # a running test only adds to them
        self._was_growing = is_running
        self.fill_rows(rows, kept)
        words = running_words(run) if is_running else stale_words(run.changed_settings) or how_words(run.test) if run.test else ""
        self.words_label.setText(words)
        self.setAccessibleDescription(". ".join([words, *(f"{r.title} {rate(found[r.key])}" for r in RULES if r.key in found)]))

    def rates(self) -> np.ndarray:
        return self._run.curve[0]

    def words_at(self, index: int) -> str:
        rates, losses = self._run.curve
        return f"rate {rates[index]:.2e}  loss {losses[index]:.3f}  smoothed {smooth(rates, losses)[index]:.3f}"

    def _make_line(self) -> pg.InfiniteLine:
        line = pg.InfiniteLine(angle=90, label="", labelOpts={"position": 0.9, "anchors": [(1.04, 0.5), (1.04, 0.5)]})
        self.plot.addItem(line, ignoreBounds=True)
        return line
