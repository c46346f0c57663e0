"""How every pyqtgraph plot looks and behaves: quiet axes, a faint grid under the data, no menus of pyqtgraph's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyqtgraph as pg
from PySide6.QtWidgets import QGraphicsRectItem

from studio.gui.theme import colour, font, pen

AXIS_WIDTH_PX = 62  # room for "1e-4" and a label; pyqtgraph drops labels that are wider than the axis


class WordAxis(pg.AxisItem):
    """An axis whose ticks are chosen by a function: `ticks(low, high, pixels) -> [(position, text), ...]`."""

    def __init__(self, side: str, ticks: Callable[[float, float, float], Sequence[tuple[float, str]]]):
        super().__init__(side)
        self._choose = ticks
        self._words: dict[float, str] = {}

    def tickValues(self, minVal, maxVal, size):
        low, high = sorted((minVal, maxVal))
        chosen = [(p, w) for p, w in self._choose(low, high, size) if low - 1e-9 <= p <= high + 1e-9]
        self._words = dict(chosen)
        return [(1.0, list(self._words))]

    def tickStrings(self, values, scale, spacing):
        return [self._words.get(v, "") for v in values]


class QuietPlot(pg.PlotItem):
    """A plot with its ground, its grid above that and under the data, and none of pyqtgraph's own buttons and menus."""

    def __init__(self, left: pg.AxisItem | None = None, bottom: pg.AxisItem | None = None, *, axis_width_px: float = AXIS_WIDTH_PX,
                 view: pg.ViewBox | None = None):  # fmt: skip
        """axis_width_px: of the left axis; the same for plots that stand above each other. view: one that the pointer moves; None stands still."""
        self._axis_width_px = axis_width_px
        axes = {side: axis for side, axis in (("left", left), ("bottom", bottom)) if axis is not None}
        super().__init__(axisItems=axes, viewBox=view, enableMenu=False)
        # The view's own background would cover a grid that lies under the data.
        self._ground = QGraphicsRectItem(self)
        self._ground.setFlag(QGraphicsRectItem.GraphicsItemFlag.ItemNegativeZStacksBehindParent)  # as the axes do
        self._ground.setZValue(-2000)
        self.getViewBox().sigResized.connect(self._fit_ground)
        self.hideButtons()
        if view is None:
            self.setMouseEnabled(x=False, y=False)
        self.restyle()

    def restyle(self) -> None:
        """Take the current theme's tokens; call again when the theme changes."""
        self.getAxis("left").setWidth(self._axis_width_px)
        for side in ("left", "bottom"):
            axis = self.getAxis(side)
            axis.enableAutoSIPrefix(False)
            axis.setPen(pen("border2"))
            axis.setTickPen(pen("outline"))
            axis.setTextPen(colour("muted"))
            axis.setStyle(tickFont=font("tick"), tickLength=4, hideOverlappingLabels=False)
            axis.setZValue(-1000)
        self.showGrid(x=True, y=True, alpha=0.22)
        self._ground.setBrush(colour("plot"))
        self._ground.setPen(pen("plot"))

    def _fit_ground(self) -> None:
        view = self.getViewBox()
        self._ground.setRect(view.mapRectToParent(view.boundingRect()))


def set_axis_label(plot: pg.PlotItem, side: str, text: str) -> None:
    """A plain-text axis label in caption style."""
    axis = plot.getAxis(side)
    axis.setLabel(text)
    axis.label.setFont(font("caption"))
    axis.label.setDefaultTextColor(colour("muted"))


def nice_step(span: float, most: int) -> float:
    """A step of 1, 2 or 5 times a power of ten that divides `span` into at most `most` parts."""
    if span <= 0 or most < 1:
        return 1.0
    power = 10.0**-12
    while True:
        for factor in (1, 2, 5):
            if span / (factor * power) <= most:
                return factor * power
        power *= 10
