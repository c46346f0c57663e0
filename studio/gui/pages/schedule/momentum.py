"""The momentum under the learning-rate plot, over the same steps."""

from __future__ import annotations

import pyqtgraph as pg

from studio.gui.pages.schedule.curve import Curves
from studio.gui.pages.schedule.stroke import Points, Stroke
from studio.gui.pages.schedule.tick import few_ticks
from studio.gui.theme import px
from studio.gui.widgets.curve_item import CurveItem
from studio.gui.widgets.plot_style import QuietPlot, WordAxis

_HEIGHT_PX = 100


class MomentumPlot(QuietPlot):
    def __init__(self, time_axis: pg.AxisItem, *, axis_width_px: float):
        super().__init__(WordAxis("left", few_ticks), time_axis, axis_width_px=axis_width_px)
        self.setMaximumHeight(px(_HEIGHT_PX))
        self._line = CurveItem(Points(), Stroke("series.2", 1.6))
        self.addItem(self._line, ignoreBounds=True)

    def show_curves(self, curves: Curves) -> None:
        """Draw the momentum, which there has to be."""
        self._line.trace = Points(curves.steps, curves.momentum)
        self._line.update()
        low, high = float(curves.momentum.min()), float(curves.momentum.max())
        room = max(0.01, (high - low) * 0.15)
        self.setYRange(low - room, high + room, padding=0)
