"""What the active run leaves on the learning-rate plot: a shade over the steps that are done, and a line where it was changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyqtgraph as pg
from PySide6.QtCore import QObject, Qt

from studio.core.event import ExperimentEdited
from studio.core.fold import fold
from studio.core.outcome import Status
from studio.gui.monitor import RunUpdate
from studio.gui.theme import colour, font, pen


class FlightMarks(QObject):
    """Items of a plot whose x axis counts steps. They lie under the curves and take no part in its range."""

    def __init__(self, plot: pg.PlotItem, parent: QObject):
        super().__init__(parent)
        self._plot = plot
        self._shade = pg.LinearRegionItem((0, 0), movable=False)
        self._shade.setZValue(-50)
        self._word = pg.InfLineLabel(self._shade.lines[0], "already trained", movable=False, position=0.04, anchors=[(0, 0.5), (0, 0.5)])
        self._lines: list[pg.InfiniteLine] = []
        self._edits: tuple[int, ...] = ()
        plot.addItem(self._shade, ignoreBounds=True)
        self.restyle()
        self.show(None)

    @property
    def trained_steps(self) -> int | None:
        """How far the shade reaches; None when there is none."""
        return round(self._shade.getRegion()[1]) if self._shade.isVisible() else None

    @property
    def edit_steps(self) -> tuple[int, ...]:
        return self._edits

    def show(self, step: int | None, edits: Sequence[int] = ()) -> None:
        """Steps done, and the steps from which changes count; None takes all away."""
        self._shade.setVisible(step is not None)
        if step is not None:
            self._shade.setRegion((0, step))
            width = self._plot.getViewBox().viewPixelSize()[0]
            self._word.setVisible(step > 110 * width)  # only where it fits
        edits = tuple(dict.fromkeys(edits)) if step is not None else ()
        if edits != self._edits:
            self._edits = edits
            self._draw_lines()

    def restyle(self) -> None:
        """Take the tokens of the current theme."""
        self._shade.setBrush(colour("muted", 0.10))
        for line in self._shade.lines:
            line.setPen(pg.mkPen(None))
            line.setHoverPen(pg.mkPen(None))
        self._word.setColor(colour("muted"))
        self._word.textItem.setFont(font("caption"))
        self._draw_lines()

    def _draw_lines(self) -> None:
        for line in self._lines:
            self._plot.removeItem(line)
        self._lines = []
        for place, step in enumerate(self._edits):
            is_last = place == len(self._edits) - 1  # words of all would cover each other
            label = {"position": 0.95, "anchors": [(-0.08, 0.5), (1.08, 0.5)], "color": colour("accent")}
            line = pg.InfiniteLine(step, pen=pen("accent", 1, dash=(2, 3)), label="edited" if is_last else None, labelOpts=label)
            line.setAcceptedMouseButtons(Qt.MouseButton.NoButton)
            if is_last:
                line.label.textItem.setFont(font("caption"))
            line.setZValue(-10)
            self._plot.addItem(line, ignoreBounds=True)
            self._lines.append(line)


def _show_in_flight(page) -> None:
    """The newest run in its seventh epoch, changed in its third, with more changes in the draft."""
    runs = page.context.runs
    entry = runs.entries[-1]
    per_epoch = entry.state.description.steps_per_epoch
    state = replace(entry.state, status=Status.RUNNING, finished=None, stopped=None, failed=None, step=2 * per_epoch + 1)
    state = fold(state, [ExperimentEdited(step=2 * per_epoch + 1, values={"schedule.peak_lr": 2e-4})])
    runs.take((RunUpdate(entry.folder, replace(state, step=6 * per_epoch + 2), entry.experiment, True),))
    draft = entry.in_force.changed({"schedule.final_factor": 0.02, "model.thaw": {"stage 2": 9}, "optimiser.weight_decay": 0.05})
    page.store.replace(draft, "changes")


FLIGHT_STATES = {"in_flight": _show_in_flight}
