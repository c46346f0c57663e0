"""What the finder found beside the learning-rate curve, the rate up the axis that both plots share. Of a range test: loss across, the
suggestions as a band. Of a sweep, which compares heads where the head alone trains: top-1 on validation across.

How the Schedule page takes it in:

    self.finder = FinderView(context, self)               # lives as long as the page
    self.head.addWidget(self.finder.choice)               # "Find learning rate", or "Cancel the test", and the menu of both ways
    panel.body.addWidget(self.finder.strip)               # progress, suggestions, errors; hidden while there is nothing to say
    self.finder.attach(self.plot)                         # once: puts the curve at row 0, column 1 and the band over the plot
    self.scale_choice.value_changed.connect(self.finder.set_scale)
    self.finder.band_changed.connect(self.plot.keep_in_sight)  # (low, high) rates: the band, and on a log axis where the loss turns

`attach` needs `plot.graphics` (GraphicsLayoutWidget) and `plot.plot` (PlotItem) whose y axis is log10 of the rate, or the rate when linear.
Nothing is shown at column 1 until something has been found for this draft. `finder.open_large()` shows it over the page with the rate on x.
"""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QMenu, QWidget

from studio.core.head_sweep import NUM_PEAKS
from studio.core.rate_test import HIGHEST, LOWEST, RULES, smooth
from studio.core.words import counted
from studio.gui.context import Context
from studio.gui.icon import icon
from studio.gui.pages.model.network import network_from
from studio.gui.pages.schedule.finder_cover import FinderCover
from studio.gui.pages.schedule.finder_large import LargeRateTest, loss_range
from studio.gui.pages.schedule.finder_large_sweep import LargeHeadSweep
from studio.gui.pages.schedule.finder_peaks import PeakCurve
from studio.gui.pages.schedule.finder_run import FinderRun
from studio.gui.pages.schedule.finder_strip import FinderStrip
from studio.gui.pages.schedule.sweep_check import obstacle
from studio.gui.theme import colour, font, pen, px, theme
from studio.gui.widgets import button, icon_button
from studio.gui.widgets.plot_axis import PlainAxis
from studio.gui.widgets.plot_style import QuietPlot, set_axis_label
from studio.gui.wording import rate
from studio.supervise.worker import WorkerError

WIDTH_PX = 150
FINDER_STATES = (  # for pictures
    "finder-running", "finder-done", "finder-diverged", "finder-failed", "finder-stale", "finder-large",
    "peaks-running", "peaks-done", "peaks-failed", "peaks-stale", "peaks-large",
)  # fmt: skip
_NAME_PX = 15  # from one name to the next


class FinderView(QObject):
    """Owns what is searched for the draft and everything that shows it on the page."""

    band_changed = Signal(object, object)  # low, high: the rates that should be in sight, or None and None

    def __init__(self, context: Context, page: QWidget):
        super().__init__(page)
        self._context, self._page = context, page
        self._plot = None  # RatePlot
        self._scale = "log"
        self._band: tuple[float, float] | None = None
        self._sight: tuple[float, float] | None = None
        self._covers: dict[str, FinderCover] = {}  # by the kind of finding
        self._places: dict[str, tuple[float, float]] = {}  # of the marks: loss and position on the rate axis
        self.run = FinderRun(context, self)
        self.button = button(
            "Find learning rate",
            "magnifying-glass",
            name="schedule.find",
            tooltip="Try rising rates on a network of their own and see where the loss falls. Runs and settings stay as they are.",
            on_click=self.start_or_cancel,
        )
        self.more_button = icon_button("caret-down", "Choose how the learning rate is found", name="schedule.find.more")
        self.menu = QMenu(self.more_button)
        self.menu.aboutToShow.connect(self._fill_menu)
        self.more_button.setMenu(self.menu)
        self.choice = QWidget()
        row = QHBoxLayout(self.choice)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(2))
        row.addWidget(self.button)
        row.addWidget(self.more_button)
        self.strip = FinderStrip(self.run, self._peak, self.obstacle)
        self.strip.use_wanted.connect(self.use)
        self.strip.peak_wanted.connect(self.use_peak)
        self.strip.large_wanted.connect(self.open_large)
        self.item = QuietPlot(bottom=PlainAxis("bottom"))
        self.item.hideAxis("left")  # it is the learning-rate plot's
        self.item.setFixedWidth(px(WIDTH_PX))
        self._raw, self._smooth = self.item.plot(), self.item.plot()
        self._marks = pg.ScatterPlotItem()
        self.item.addItem(self._marks)
        self.peaks = PeakCurve(self.item, rate_is_up=True)
        self.peaks.chosen.connect(self.run.choose)
        self._names = {rule.key: pg.TextItem(rule.title.lower().replace("minimum", "min")) for rule in RULES}
        for name in self._names.values():
            self.item.addItem(name, ignoreBounds=True)
        self._bands: list[pg.LinearRegionItem] = []
        self._words = pg.TextItem(anchor=(1, 0))  # of the band, over the learning-rate plot
        self._words.setZValue(3)
        self.run.changed.connect(self.refresh)
        self.run.finished.connect(self._on_run_finished)
        context.store.experiment_changed.connect(lambda *_: self._on_experiment_changed())
        context.estimates.changed.connect(self.strip.refresh)  # whether heads can be compared waits for them
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
        self.peaks.listen(plot.graphics.scene())
        self.strip.keyboard_left.connect(lambda: plot.setFocus(Qt.FocusReason.ShortcutFocusReason))
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

    def compare_or_cancel(self) -> None:
        """As start_or_cancel, of the sweep; where that cannot be, say why."""
        if self.run.state == "running":
            self.run.cancel()
        elif reason := self.obstacle():
            self._context.shell.toast(reason)
        else:
            self.run.start("sweep")

    def obstacle(self) -> str:
        """Why the draft's heads cannot be compared; empty where they can."""
        described = self._context.estimates.draft_model
        return obstacle(self._context.store.experiment.model, network_from(described) if described else None)

    def use(self, key: str) -> None:
        """Take a suggestion as the peak: one undo step."""
        self.use_peak(self.run.test.suggestions[key])

    def use_peak(self, value: float) -> None:
        self._context.store.set({"schedule.peak_lr": value}, f"peak to {rate(value)}")

    def open_large(self) -> None:
        """The plain plot over the page: loss or top-1 against the rate on a logarithmic axis."""
        if self.run.kind not in self._covers:
            self._covers[self.run.kind] = self._make_cover()
        self._covers[self.run.kind].open_view()

    def close_large(self) -> None:
        """As the page is left: hidden with it, a large view would not follow the run, and come back with what is not there any more."""
        for cover in self._covers.values():
            cover.hide()

    def _make_cover(self) -> FinderCover:
        if self.run.kind == "sweep":
            made = LargeHeadSweep(self.run, self._peak, self._page)
            made.use_wanted.connect(self.use_peak)
        else:
            made = LargeRateTest(self.run, self._page)
            made.use_wanted.connect(self.use)
        made.closed.connect(lambda: self.strip.large_button.setFocus(Qt.FocusReason.OtherFocusReason))
        return made

    def _fill_menu(self) -> None:
        reason = self.obstacle()
        epochs = counted(self._context.store.experiment.schedule.epochs, "epoch")
        about = f"Trains {NUM_PEAKS} heads at once on the kept features, {epochs}; without augmentation."
        self.menu.clear()
        self.menu.addAction("Range test", lambda: self.run.start("test"))
        self.menu.addAction("Tries rising rates for some steps and shows where the loss falls.").setEnabled(False)
        self.menu.addSeparator()
        self.menu.addAction(f"Compare {NUM_PEAKS} peaks", self.compare_or_cancel).setEnabled(not reason)
        self.menu.addAction(reason or about).setEnabled(False)

    def _peak(self) -> float:
        return self._context.store.experiment.schedule.peak_lr

    def restyle(self) -> None:
        self.item.restyle()
        self.item.showGrid(x=True, y=False, alpha=0.22)
        self.peaks.restyle()
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
        what = "comparison" if run.kind == "sweep" else "test"
        self.button.setText(f"Cancel the {what}" if is_running else "Find learning rate")
        if is_running and self.more_button.hasFocus():  # disabled, it would leave the keyboard to whatever comes next
            self.button.setFocus(Qt.FocusReason.OtherFocusReason)
        self.more_button.setEnabled(not is_running)
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
        sweep = None if is_running else run.sweep
        self.item.getAxis("bottom").factor = 100 if sweep else 1
        set_axis_label(self.item, "bottom", "Peaks: top-1, %" if sweep else "Rate test: loss")
        self.peaks.show_sweep(sweep, run.chosen, self._peak(), self._y)
        self._show(bool(len(rates)) or sweep is not None)
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
        sweep = self.run.sweep if self.run.state != "running" else None
        if sweep and self._scale == "log":
            sight = (sweep.heads[0].peak, sweep.heads[-1].peak)
        elif not len(rates) or self._scale == "lin":
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
        if self._page.isVisible():
            return
        test, sweep = self.run.test, self.run.sweep
        if test and test.best is None:
            self._context.shell.toast("The learning-rate test is done: the loss fell at no rate.")
            return
        found = (
            f"learning-rate test is done: it suggests {rate(test.best)}" if test else f"comparison is done: {rate(sweep.best.peak)} is best"
        )
        self._context.shell.toast(f"The {found}.", "Show", lambda: self._context.shell.go_to("schedule"))

    def _on_experiment_changed(self) -> None:
        self.strip.refresh()
        if self.run.state != "running" and self.run.sweep:
            self.peaks.show_sweep(self.run.sweep, self.run.chosen, self._peak(), self._y)
        for cover in self._covers.values():
            if cover.isVisible():
                cover.refresh()

    def show_recorded(self, state: str) -> None:
        """One of FINDER_STATES, from a recorded test or sweep."""
        from studio.gui.recorded import recorded_head_sweep, recorded_rate_test

        store, run = self._context.store, self.run
        if state.startswith("peaks"):
            store.set({"model.train_stages": 0, "model.thaw": {}})
        found = recorded_head_sweep(store.experiment) if state.startswith("peaks") else recorded_rate_test(store.experiment)
        no_memory = WorkerError("The memory is not enough for this.", "Choose a smaller network, input size or batch.")
        match state:
            case "finder-running":
                run.hold("running", curve=(found.rates[:62], found.losses[:62]), steps=(62, found.num_steps))
            case "finder-diverged":
                run.hold("done", recorded_rate_test(store.experiment, falls=False))
            case "finder-failed":
                run.hold("failed", error=no_memory)
            case "peaks-running":
                run.hold("running", kind="sweep", steps=(1_240, 3_025), what="Making features")
            case "peaks-failed":
                words = "A sweep compares heads on validation images, and none are held back. Choose a validation share."
                run.hold("failed", kind="sweep", error=WorkerError(words))
            case _:
                run.hold("done", found)
                if state.endswith("stale"):
                    store.set({"training.batch_size": 64, "optimiser.kind": "sgd"})
                if state.endswith("large"):
                    self.open_large()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self._page and event.type() == QEvent.Type.Resize:
            for cover in self._covers.values():
                if cover.isVisible():
                    cover.setGeometry(self._page.rect())
        return False
