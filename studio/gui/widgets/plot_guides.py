"""Horizontal reference lines of a plot: a limit, a baseline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg

from studio.gui.widgets.plot_marks import style_line


@dataclass(frozen=True)
class _Guide:
    y: float  # in data units
    token: str
    word: str


class _Word(pg.InfLineLabel):
    """Stands on the side of its line that faces an edge of the plot, where curves seldom are; on the other one where the edge would cut it."""

    _ABOVE, _BELOW = (0, 1), (0, 0)

    def updatePosition(self) -> None:
        super().updatePosition()
        view, unit = self.line.viewRect(), self.line.pixelHeight()
        if view is None or not unit:
            return
        is_high = view.center().y() < 0
        room = (view.bottom() if is_high else -view.top()) / unit
        is_outside = room >= self.textItem.boundingRect().height()
        self.setAnchor(self._ABOVE if is_high == is_outside else self._BELOW)


class PlotGuides:
    """The guides of one plot, by key."""

    def __init__(self, plot: pg.PlotItem):
        self._plot = plot
        self._lines: dict[str, tuple[_Guide, pg.InfiniteLine]] = {}

    def set(self, key: str, y: float | None, token: str, word: str, to_plot: Callable[[np.ndarray], np.ndarray] | None) -> None:
        """A line at `y` in data units, in the units that `to_plot` makes of them; none where y is None or not finite."""
        wanted = _Guide(y, token, word) if y is not None and np.isfinite(y) else None
        if key in self._lines:
            if self._lines[key][0] == wanted:
                return
            self._plot.removeItem(self._lines.pop(key)[1])
        if wanted is None:
            return
        line = pg.InfiniteLine(_height(y, to_plot), angle=0)
        if word:
            line.label = _Word(line, word, position=0.03, anchors=[_Word._ABOVE, _Word._BELOW])
        self._lines[key] = (wanted, line)
        self._plot.addItem(line, ignoreBounds=True)
        style_line(line, word, token)

    def place(self, to_plot: Callable[[np.ndarray], np.ndarray] | None) -> None:
        """Move all to where other units of the plot have them."""
        for guide, line in self._lines.values():
            line.setValue(_height(guide.y, to_plot))

    def height_of(self, key: str) -> float:
        """Where a guide is drawn, in plot units. Raises KeyError where there is none."""
        return self._lines[key][1].value()

    def word_of(self, key: str) -> pg.TextItem:
        """What stands beside a guide that has a word. Raises KeyError where there is no guide."""
        return self._lines[key][1].label

    def clear(self) -> None:
        for _, line in self._lines.values():
            self._plot.removeItem(line)
        self._lines.clear()

    def restyle(self) -> None:
        for guide, line in self._lines.values():
            style_line(line, guide.word, guide.token)


def _height(y: float, to_plot: Callable[[np.ndarray], np.ndarray] | None) -> float:
    return float(to_plot(np.array([y]))[0]) if to_plot else y
