"""The lines of the learning-rate plot: one per stage that trains, the head's on top; while a hand drags, only what changes is painted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyqtgraph as pg

from studio.gui.pages.schedule.curve import Curves
from studio.gui.pages.schedule.stroke import Points, Stroke, with_jumps
from studio.gui.widgets.curve_item import CurveItem


class StageLines:
    """Draws curves into a plot. `to_y` turns rates into the units of its axis."""

    def __init__(self, plot: pg.PlotItem, to_y: Callable[[np.ndarray], np.ndarray]):
        self._plot, self._to_y = plot, to_y
        self._lines: list[CurveItem] = []  # of the stages, the head last
        self._rest = CurveItem(Points(), Stroke("series.0", 1.6, (2, 3)))  # of the head, where the run decides
        self._rest.setZValue(4)
        plot.addItem(self._rest, ignoreBounds=True)

    def draw(self, curves: Curves, strong: str | None, *, is_dragged: bool, is_held: bool) -> None:
        """strong: the stage that is drawn strongly, None for all as usual. is_dragged: a handle of the curve is in the hand; is_held: something
        else that changes the curves."""
        count = len(curves.stages)
        while len(self._lines) < count:
            self._lines.insert(0, CurveItem(Points(), Stroke("series.0")))
            self._plot.addItem(self._lines[0], ignoreBounds=True)
        while len(self._lines) > count:
            self._plot.removeItem(self._lines.pop(0))
        steps, rates = with_jumps(curves)
        y, num_certain = self._to_y(rates.T), int(np.searchsorted(steps, curves.certain_steps))
        for place, line in enumerate(self._lines):
            is_head = place == count - 1
            was_held = line.is_in_hand and is_held
            before = line.style, line.zValue(), line.isVisible()
            line.is_in_hand = is_dragged or is_held
            line.style = stroke_of(curves, place, strong)
            if line.is_in_hand and not is_head:
                line.style = replace(line.style, width=1.0)  # a tenth of the time of a wider one
            line.setZValue(5 if is_head or curves.stages[place] == strong else 2)
            points = Points(steps[:num_certain], y[place, :num_certain]) if is_head else Points(steps, y[place])
            is_like_head = not is_head and curves.factors[place] == 1.0 and np.array_equal(y[place], y[-1])
            line.setVisible(not is_like_head or curves.stages[place] == strong)  # the head's stronger line lies on it from end to end
            if not was_held or before != (line.style, line.zValue(), line.isVisible()):
                line.trace = points
                line.update()
            elif span := line.trace.span_of_change(points):  # a mark is being dragged: most of the plot stays as it is
                line.trace = points
                line.update_between(*span)
        self._rest.trace = Points(steps[num_certain:], y[-1, num_certain:])
        if not is_held:
            self._rest.update()

    @property
    def strokes(self) -> tuple[Stroke, ...]:
        """How the curves are drawn, in the order of the stages."""
        return tuple(line.style for line in self._lines)

    def head_points(self) -> tuple[np.ndarray, np.ndarray]:
        """Steps, and the head's rates in units of the axis, as they are drawn: float64[n] each."""
        parts = self._lines[-1].trace, self._rest.trace
        return np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts])


def stroke_of(curves: Curves, place: int, strong: str | None) -> Stroke:
    """How the curve of the stage at a place is drawn while `strong` is the one that is drawn strongly."""
    order = min(len(curves.stages) - 1 - place, 9)  # the head is the first series
    is_strong = curves.stages[place] == strong
    alpha = 1.0 if strong is None or is_strong else 0.35
    if order == 0:
        return Stroke("series.0", 2.2, alpha=alpha)
    return Stroke(f"series.{order}", 2.2 if is_strong else 1.4, (6, 4), alpha)
