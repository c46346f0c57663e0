"""The range test beside the learning-rate curve: loss across, the rate up the axis that both plots share, the suggestions as a band.

How the Schedule page takes it in:

    self.finder = FinderView(context, self)               # lives as long as the page
    self.head.addWidget(self.finder.button)               # "Find learning rate", or "Cancel the test"
    panel.body.addWidget(self.finder.strip)               # progress, suggestions, errors; hidden while there is nothing to say
    self.finder.attach(self.plot)                         # once: puts the curve at row 0, column 1 and the band over the plot
    self.scale_choice.value_changed.connect(self.finder.set_scale)
    self.finder.band_changed.connect(self.plot.keep_in_sight)  # (low, high) rates: the band, and on a log axis where the loss turns

`attach` needs `plot.graphics` (GraphicsLayoutWidget) and `plot.plot` (PlotItem) whose y axis is log10 of the rate, or the rate when linear.
Nothing is shown at column 1 until a test has been run for this draft. `finder.open_large()` shows it over the page with the rate on x.
"""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtWidgets import QWidget

from studio.core.rate_test import HIGHEST, LOWEST, RULES, smooth
from studio.gui.context import Context
from studio.gui.icon import icon
from studio.gui.pages.schedule.finder_large import LargeRateTest, loss_range
from studio.gui.pages.schedule.finder_run import RateTestRun
from studio.gui.pages.schedule.finder_strip import FinderStrip
from studio.gui.theme import colour, font, pen, px, theme
from studio.gui.widgets import button
from studio.gui.widgets.plot_axis import PlainAxis
from studio.gui.widgets.plot_style import QuietPlot, set_axis_label
from studio.gui.wording import rate
from studio.supervise.worker import WorkerError

WIDTH_PX = 150
FINDER_STATES = ("finder-running", "finder-done", "finder-diverged", "finder-failed", "finder-stale", "finder-large")  # for pictures
_NAME_PX = 15  # from one name to the next


class FinderView(QObject):
    """Owns the test of the draft and everything that shows it on the page."""

    band_changed = Signal(object, object)  # low, high: the rates that should be in sight, or None and None

    def __init__(self, context: Context, page: QWidget):
        super().__init__(page)
        self._context, self._page = context, page
        self._plot = None  # RatePlot
        self._scale = "log"
        self._band: tuple[float, float] | None = None
        self._sight: tuple[float, float] | None = None
        self._large: LargeRateTest | None = None
        self._places: dict[str, tuple[float, float]] = {}  # of the marks: loss and position on the rate axis
        self.run = RateTestRun(context, self)
        self.button = button(
            "Find learning rate",
            "magnifying-glass",
            name="schedule.find",
            tooltip="Try rising rates on a network of their own and see where the loss falls. Runs and settings stay as they are.",
            on_click=self.start_or_cancel,
        )
        self.strip = FinderStrip(self.run, lambda: context.store.experiment.schedule.peak_lr)
        self.strip.use_wanted.connect(self.use)
        self.strip.large_wanted.connect(self.open_large)
        self.item = QuietPlot(bottom=PlainAxis("bottom"))
        self.item.hideAxis("left")  # it is the learning-rate plot's
        self.item.setFixedWidth(px(WIDTH_PX))
        self._raw, self._smooth = self.item.plot(), self.item.plot()
        self._marks = pg.ScatterPlotItem()
        self.item.addItem(self._marks)
        self._names = {rule.key: pg.TextItem(rule.title.lower().replace("minimum", "min")) for rule in RULES}
        for name in self._names.values():
            self.item.addItem(name, ignoreBounds=True)
        self._bands: list[pg.LinearRegionItem] = []
        self._words = pg.TextItem(anchor=(1, 0))  # of the band, over the learning-rate plot
        self._words.setZValue(3)
        self.run.changed.connect(self.refresh)
        self.run.finished.connect(self._on_run_finished)
        context.store.experiment_changed.connect(lambda *_: self.strip.refresh())
        self.item.getViewBox().sigRangeChanged.connect(lambda *_: self._place_names())
        self.item.getViewBox().sigResized.connect(lambda *_: self._place_names())
        theme().changed.connect(self.restyle)
        page.installEventFilter(self)
        self.restyle()

    def attach(self, plot) -> None:
        """Put the curve beside the learning-rate plot and the band over both. Called once."""
        self._plot = plot
        self._bands = [self._make_band(plot.plot), self._make_band(self.item)]
        plot.plot.addItem(self._words, ignoreBounds=True)
        self.item.setYLink(plot.plot)
        plot.plot.getViewBox().sigRangeChanged.connect(lambda *_: self._place_words())
        self.restyle()

    def set_scale(self, scale: str) -> None:
        """ "log" or "lin", as the learning-rate axis."""
        self._scale = scale
        self.refresh()

    def start_or_cancel(self) -> None:
        if self.run.state == "running":
            self.run.cancel()
        else:
            self.run.start()

    def use(self, key: str) -> None:
        """Take a suggestion as the peak: one undo step."""
        value = self.run.test.suggestions[key]
        self._context.store.set({"schedule.peak_lr": value}, f"peak to {rate(value)}")

    def open_large(self) -> None:
        """The plain plot over the page: loss against the rate on a logarithmic axis."""
        if self._large is None:
            self._large = LargeRateTest(self.run, self._page)
            self._large.use_wanted.connect(self.use)
            self._large.closed.connect(lambda: self.strip.large_button.setFocus(Qt.FocusReason.OtherFocusReason))
        self._large.open_view()

    def restyle(self) -> None:
        self.item.restyle()
        self.item.showGrid(x=True, y=False, alpha=0.22)
        set_axis_label(self.item, "bottom", "Rate test: loss")
        self._raw.setPen(pen("good", 1, 0.4))
        self._smooth.setPen(pen("good", 2.2))
        self._marks.setPen(pen("plot", 1.5))
        self._marks.setBrush(colour("good"))
        for text in (self._words, *self._names.values()):
            text.setColor(colour("good"))
            text.setFont(font("caption"))
            text.fill = pg.mkBrush(colour("plot", 0.7))
        for band in self._bands:
            band.setBrush(colour("good", 0.13))
            for line in band.lines:
                line.setPen(pen("good", 1, 0.8, dash=(3, 4)))
        self.refresh()

    def refresh(self) -> None:
        """Draw what there is: the running test's curve, else the kept one."""
        run = self.run
        is_running = run.state == "running"
        self.button.setText("Cancel the test" if is_running else "Find learning rate")
        self.button.setIcon(icon("x" if is_running else "magnifying-glass", "text2"))
        self.button.setAccessibleName(self.button.text())
        rates, losses = run.curve
        course, y = smooth(rates, losses), self._y(rates)
        self._raw.setData(losses, y)
        self._smooth.setData(course, y)
        found = run.test.suggestions if run.test and not is_running else {}
        self._places = {key: (float(np.interp(np.log10(v), np.log10(rates), course)), float(self._y(v))) for key, v in found.items()}
        self._marks.setData([{"pos": place} for place in self._places.values()])
        for key, name in self._names.items():
            name.setVisible(key in self._places)
        if len(losses):
            self.item.setXRange(*loss_range(losses, course), padding=0)
        self._show(bool(len(rates)))
        self._show_band(run.test.band if found else None)
        self._keep_in_sight()
        self._place_names()
        self.strip.refresh()

    def _y(self, rates):
        return np.log10(rates) if self._scale == "log" else np.asarray(rates)

    def _show(self, is_wanted: bool) -> None:
        if self._plot is None:
            return
        graphics = self._plot.graphics
        is_there = self.item in graphics.ci.items
        if is_wanted and not is_there:
            graphics.addItem(self.item, 0, 1)
        elif is_there and not is_wanted:
            graphics.removeItem(self.item)

    def _show_band(self, band: tuple[float, float] | None) -> None:
        for item in self._bands:
            item.setVisible(band is not None)
            if band:
                item.setRegion([float(self._y(v)) for v in band])
        self._words.setVisible(band is not None and self._plot is not None)
        if band:
            self._words.setText(f"suggested {rate(band[0])} to {rate(band[1])}")
        self._band = band
        self._place_words()

    def _keep_in_sight(self) -> None:
        """The whole range while it is tested or where nothing came of it; then the band, and what the loss does behind it."""
        rates, losses = self.run.curve
        if not len(rates) or self._scale == "lin":
            sight = self._band  # on a linear axis a run-away rate would make the schedule a line on the ground
        elif self._band is None:
            sight = (LOWEST, HIGHEST if self.run.state == "running" else float(rates[-1]))
        else:
            turn = float(rates[np.argmin(smooth(rates, losses))])
            sight = (self._band[0], max(self._band[1], min(float(rates[-1]), 5 * turn)))
        if sight != self._sight:
            self._sight = sight
            self.band_changed.emit(*(sight or (None, None)))

    def _place_words(self) -> None:
        """Over the band, off the curves, or under its upper edge where the plot ends there; on a linear axis the legend is at the right."""
        if self._plot and self._band:
            box = self._plot.plot.getViewBox()
            (left, right), (bottom, top) = box.viewRange()
            edge = float(self._y(self._band[1]))
            is_over = (top - edge) / (top - bottom) * box.height() > px(20)
            self._words.setAnchor((1 if self._scale == "log" else 0, 1 if is_over else 0))
            self._words.setPos(right if self._scale == "log" else left, min(top, edge))

    def _place_names(self) -> None:
        """Beside their marks, on the side with more room, and none over another."""
        box = self.item.getViewBox()
        (left, right), (bottom, top) = box.viewRange()
        per_px = (top - bottom) / max(1.0, box.height())
        lowest = -np.inf
        for key, (x, y) in sorted(self._places.items(), key=lambda item: item[1][1]):
            y = max(y, lowest)
            lowest = y + _NAME_PX * per_px
            self._names[key].setAnchor((1.1, 0.5) if x > (left + right) / 2 else (-0.1, 0.5))
            self._names[key].setPos(x, y)

    def _make_band(self, plot: pg.PlotItem) -> pg.LinearRegionItem:
        band = pg.LinearRegionItem(orientation="horizontal", movable=False)
        band.setZValue(-50)
        band.hide()
        plot.addItem(band, ignoreBounds=True)
        return band

    def _on_run_finished(self) -> None:
        """Who has gone to another page hears of it."""
        best = self.run.test.best
        if self._page.isVisible():
            return
        if best is None:
            self._context.shell.toast("The learning-rate test is done: the loss fell at no rate.")
        else:
            words = f"The learning-rate test is done: it suggests {rate(best)}."
            self._context.shell.toast(words, "Show", lambda: self._context.shell.go_to("schedule"))

    def show_recorded(self, state: str) -> None:
        """One of FINDER_STATES, from a recorded test."""
        from studio.gui.recorded import recorded_rate_test

        experiment = self._context.store.experiment
        test = recorded_rate_test(experiment)
        match state:
            case "finder-running":
                self.run.hold("running", curve=(test.rates[:62], test.losses[:62]), steps=(62, test.num_steps))
            case "finder-diverged":
                self.run.hold("done", recorded_rate_test(experiment, falls=False))
            case "finder-failed":
                error = WorkerError("The memory is not enough for this.", "Choose a smaller network, input size or batch.")
                self.run.hold("failed", error=error)
            case _:
                self.run.hold("done", test)
                if state == "finder-stale":
                    self._context.store.set({"training.batch_size": 64, "optimiser.kind": "sgd"})
                if state == "finder-large":
                    self.open_large()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self._page and event.type() == QEvent.Type.Resize and self._large and self._large.isVisible():
            self._large.setGeometry(self._page.rect())
        return False
