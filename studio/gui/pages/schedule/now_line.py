"""An upright line on the learning-rate plot where the run that goes on stands, with its name beside it."""

from __future__ import annotations

import pyqtgraph as pg

from studio.gui.theme import colour, font, pen


class NowLine(pg.InfiniteLine):
    def __init__(self):
        super().__init__(0, angle=90, label="", labelOpts={"position": 0.04, "anchors": [(-0.06, 0.5), (1.06, 0.5)]})
        self.setZValue(8)
        self.hide()

    def show_step(self, step: int | None, words: str) -> None:
        """None takes it away."""
        self.setVisible(step is not None)
        if step is not None:
            self.setPos(step)
            self.label.setFormat(words)

    def restyle(self) -> None:
        """Take the tokens of the current theme."""
        self.setPen(pen("trains", 1.5))
        self.label.setColor(colour("onTrains"))
        self.label.fill = pg.mkBrush(colour("trainsFill"))
        self.label.textItem.setFont(font("caption"))
