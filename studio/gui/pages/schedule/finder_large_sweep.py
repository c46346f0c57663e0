"""The sweep of peaks as large as the page: top-1 on validation over the peak, and the values of every head. Esc closes it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from studio.gui.pages.schedule.finder_cover import SIDE_PX, FinderCover
from studio.gui.pages.schedule.finder_peaks import PeakCurve, head_words, loss_text
from studio.gui.pages.schedule.finder_run import FinderRun
from studio.gui.pages.schedule.finder_strip import stale_words, sweep_words
from studio.gui.theme import px
from studio.gui.widgets import Panel, PlainLabel, button
from studio.gui.widgets.plot_axis import PlainAxis
from studio.gui.widgets.plot_style import set_axis_label
from studio.gui.wording import percent, rate


class LargeHeadSweep(FinderCover):
    """A click, the arrow keys or a row of the table choose a peak; Enter takes it. `peak`: the draft's now."""

    def __init__(self, run: FinderRun, peak: Callable[[], float], parent: QWidget):
        super().__init__(
            run,
            parent,
            name="schedule.finder.peaks",
            what="comparison",
            title="Validation top-1 against peak learning rate",
            hint="Left Right choose a peak   Enter use it   Esc close",
            left=PlainAxis("left", factor=100),
            columns=("Peak", "Top-1", "Loss"),
        )
        self._peak = peak
        self._filled = None  # the sweep whose rows the table has
        self.curve = PeakCurve(self.plot, rate_is_up=False)
        self.curve.listen(self.graphics.scene())
        self.curve.chosen.connect(run.choose)
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.table.currentCellChanged.connect(lambda row, *_: self._on_row_chosen(row))
        panel = Panel("Peak")
        panel.setFixedWidth(px(SIDE_PX))
        self.chosen_label = PlainLabel("", "label", "text2", wrap=True)
        self.use_button = button("Use", small=True, name="schedule.finder.peaks.use", on_click=self._use_chosen)
        panel.head.addWidget(self.use_button)
        panel.body.addWidget(self.chosen_label)
        self.side.insertWidget(0, panel)
        self.step_wanted.connect(lambda by: run.choose(run.chosen + by))
        self.key_pressed.connect(self._on_key_pressed)
        self.restyle()

    def fits(self) -> bool:
        return self._run.state == "done" and self._run.sweep is not None

    def restyle(self) -> None:
        super().restyle()
        set_axis_label(self.plot, "left", "Validation top-1, %")
        self.curve.restyle()

    def refresh(self) -> None:
        sweep, chosen = self._run.sweep, self._run.chosen
        head = sweep.heads[chosen]
        self.curve.show_sweep(sweep, chosen, self._peak())
        self.plot.setXRange(*np.log10([min(sweep.heads[0].peak, self._peak()), max(sweep.heads[-1].peak, self._peak())]), padding=0.02)
        if self._filled is not sweep:
            self._filled = sweep
            self.fill_rows([(rate(h.peak), percent(h.top1), loss_text(h)) for h in sweep.heads])
        if self.table.currentRow() != chosen:
            self.table.selectRow(chosen)
        self.chosen_label.setText(f"{'Best: ' if head is sweep.best else ''}{head_words(head)}")
        is_used = head.peak == self._peak()
        self.use_button.setText("In use" if is_used else f"Use {rate(head.peak)}")
        self.use_button.setAccessibleName(f"Use {rate(head.peak)} as peak learning rate")
        self.use_button.setEnabled(not is_used)
        words = stale_words(self._run.changed_settings) or sweep_words(sweep)
        self.words_label.setText(words)
        self.setAccessibleDescription(f"{head_words(head)}. Best: {head_words(sweep.best)}. {words}")

    def rates(self) -> np.ndarray:
        sweep = self._run.sweep
        return np.array([head.peak for head in sweep.heads]) if sweep else np.empty(0)

    def words_at(self, index: int) -> str:
        return head_words(self._run.sweep.heads[index])

    def _on_row_chosen(self, row: int) -> None:
        if self.isVisible() and self._filled is self._run.sweep and row >= 0 and row != self._run.chosen:
            self._run.choose(row)

    def _on_key_pressed(self, event) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.use_button.isEnabled():
            event.accept()
            self._use_chosen()

    def _use_chosen(self) -> None:
        self.use(self._run.sweep.heads[self._run.chosen].peak)
