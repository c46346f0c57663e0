"""What became of every peak of a sweep, drawn: top-1 on validation over the peak's logarithm, the best, the chosen one and the draft's marked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QObject, QPointF, Qt, Signal

from studio.core.head_sweep import Head, HeadSweep
from studio.core.words import NBSP
from studio.gui.theme import colour, font, pen
from studio.gui.wording import percent, rate

_POINT_PX, _BEST_PX, _RING_PX = 6, 10, 16


class PeakCurve(QObject):
    """Lives in a plot that it shares with others. `rate_is_up`: the rate is on the vertical axis, as beside the learning-rate plot."""

    chosen = Signal(int)  # index of the head whose peak was clicked

    def __init__(self, plot: pg.PlotItem, *, rate_is_up: bool):
        super().__init__()
        self._plot, self._rate_is_up = plot, rate_is_up
        self._sweep: HeadSweep | None = None
        self._to_axis: Callable = np.log10
        self._line = plot.plot()
        self._points = pg.ScatterPlotItem(size=_POINT_PX, hoverable=True, tip=lambda x, y, data: head_words(data))
        self._best = pg.ScatterPlotItem(size=_BEST_PX)
        self._ring = pg.ScatterPlotItem(size=_RING_PX, brush=None)
        self._name = pg.TextItem("best")
        self._now = pg.InfiniteLine(
            angle=0 if rate_is_up else 90,
            label="now",
            labelOpts={"position": 0.08, "anchors": [(0, 1), (0, 1)] if rate_is_up else [(0, 0), (1, 0)]},
        )
        self._items = (self._now, self._line, self._points, self._best, self._ring, self._name)
        for item in self._items[2:]:
            plot.addItem(item, ignoreBounds=True)
        plot.addItem(self._now, ignoreBounds=True)
        self.restyle()
        self.show_sweep(None, 0, 1.0)

    def listen(self, scene: pg.GraphicsScene) -> None:
        """Take clicks from here on; the plot's scene is known once it stands in one."""
        scene.sigMouseClicked.connect(self._on_scene_mouse_clicked)

    def restyle(self) -> None:
        self._line.setPen(pen("good", 1.4))
        self._points.setPen(pen("plot", 1))
        self._points.setBrush(colour("good"))
        self._best.setPen(pen("plot", 1.5))
        self._best.setBrush(colour("good"))
        self._ring.setPen(pen("accent", 2))
        self._name.setColor(colour("good"))
        self._now.setPen(pen("outline", 1, dash=(2, 3)))
        self._now.label.setColor(colour("muted"))
        for text in (self._name, self._now.label):
            text.fill = pg.mkBrush(colour("plot", 0.7))
        self._name.setFont(font("caption"))
        self._now.label.textItem.setFont(font("caption"))

    def show_sweep(self, sweep: HeadSweep | None, chosen: int, peak: float, to_axis: Callable = np.log10) -> None:
        """`peak` is the draft's now; `to_axis` turns rates into places on their axis."""
        self._sweep, self._to_axis = sweep, to_axis
        for item in self._items:
            item.setVisible(sweep is not None)
        if sweep is None:
            return
        places = [self._place(head) for head in sweep.heads]
        best = self._place(sweep.best)
        self._line.setData([place[0] for place in places], [place[1] for place in places])
        self._points.setData([{"pos": place, "data": head} for place, head in zip(places, sweep.heads, strict=True)])
        self._best.setData([{"pos": best}])
        self._ring.setData([{"pos": places[chosen]}])
        self._name.setText(f"best {rate(sweep.best.peak)}")
        self._name.setAnchor((1.1, 0.5) if self._rate_is_up else (0.5, 1.4))
        self._name.setPos(*best)
        self._now.setPos(float(to_axis(peak)))
        low = min(
            (head.top1 for head in sweep.heads if head.loss is not None), default=0.0
        )  # where the loss is no number it falls out of sight
        room = max(0.12 * (sweep.best.top1 - low), 0.01)
        set_range = self._plot.setXRange if self._rate_is_up else self._plot.setYRange
        set_range(low - room, sweep.best.top1 + room, padding=0)

    def index_at(self, at: QPointF) -> int | None:
        """Which head is nearest to a place in the scene, by its rate; None outside the plot."""
        box = self._plot.getViewBox()
        if self._sweep is None or self._plot.scene() is None or not box.sceneBoundingRect().contains(at):
            return None
        place = box.mapSceneToView(at)
        peaks = self._to_axis(np.array([head.peak for head in self._sweep.heads]))
        return int(np.abs(peaks - (place.y() if self._rate_is_up else place.x())).argmin())

    def _place(self, head: Head) -> tuple[float, float]:
        along = float(self._to_axis(head.peak))
        return (head.top1, along) if self._rate_is_up else (along, head.top1)

    def _on_scene_mouse_clicked(self, event) -> None:
        index = self.index_at(event.scenePos()) if event.button() == Qt.MouseButton.LeftButton else None
        if index is not None:
            event.accept()
            self.chosen.emit(index)


def head_words(head: Head) -> str:
    """ "peak 3.2e-3: top-1 91.2 %, loss 0.312"."""
    return f"peak {rate(head.peak)}: top-1 {percent(head.top1)}, loss {loss_text(head)}"


def loss_text(head: Head) -> str:
    return f"no{NBSP}number" if head.loss is None else f"{head.loss:.3f}"
