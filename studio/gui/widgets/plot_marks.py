"""Vertical lines for what happened at an x, each with a word; words that would lie on one another take rows of their own."""

from __future__ import annotations

from collections.abc import Sequence

import pyqtgraph as pg
from PySide6.QtGui import QFontMetrics

from studio.gui.theme import colour, font, pen, px

Mark = tuple[float, str, str]  # x, word ("" for none), colour token
_MAX_ROWS = 4  # words beyond are left out: the list of events has them


class PlotMarks:
    """The marks of one plot. `place` is called when its view moves."""

    def __init__(self, plot: pg.PlotItem):
        self._plot, self._view = plot, plot.getViewBox()
        self._lines: list[pg.InfiniteLine] = []
        self.marks: tuple[Mark, ...] = ()
        self._view.sigXRangeChanged.connect(lambda *_: self.place())
        self._view.sigResized.connect(lambda *_: self.place())

    def set(self, marks: Sequence[Mark]) -> None:
        if tuple(marks) == self.marks:
            return
        self.marks = tuple(marks)
        for line in self._lines:
            self._plot.removeItem(line)
        # A word stands right of its line, and left of it in the right half, where it would be cut.
        options = {"anchors": [(0, 0.5), (1, 0.5)]}
        self._lines = [pg.InfiniteLine(x, angle=90, label=word or None, labelOpts=options) for x, word, _ in self.marks]
        for line in self._lines:
            line.setZValue(3)
            self._plot.addItem(line, ignoreBounds=True)
        self.restyle()
        self.place()

    def restyle(self) -> None:
        for line, (_, word, token) in zip(self._lines, self.marks, strict=True):
            style_line(line, word, token)

    def words(self) -> list[tuple[str, float, float, int]]:
        """What is written: (word, left edge, right edge, row), px."""
        (low, high), width = self._view.viewRange()[0], self._view.width()
        if high <= low:
            return []
        metrics, found = QFontMetrics(font("caption")), []
        rows: list[list[tuple[float, float]]] = []
        for x, word, _ in sorted(mark for mark in self.marks if mark[1]):
            at, room = (x - low) / (high - low) * width, metrics.horizontalAdvance(word) + px(8)
            left = at if at <= width / 2 else at - room
            free = (i for i, row in enumerate(rows) if all(left + room <= begin or end <= left for begin, end in row))
            row = next(free, len(rows))
            if row == len(rows):
                rows.append([])
            rows[row].append((left, left + room))
            found.append((word, left, left + room, row))
        return found

    def shown_words(self) -> list[tuple[float, float]]:
        """Left and right edges of the words for which there is a row, px."""
        return [(left, right) for _, left, right, row in self.words() if row < _MAX_ROWS]

    def place(self) -> None:
        height = max(1.0, self._view.height())
        lines = sorted((mark, i) for i, mark in enumerate(self.marks) if mark[1])
        for (_, i), (*_, row) in zip(lines, self.words()):
            label = self._lines[i].label
            label.setVisible(row < _MAX_ROWS)
            label.setPosition(min(0.95, (px(12) + row * px(17)) / height))


def style_line(line: pg.InfiniteLine, word: str, token: str) -> None:
    line.setPen(pen(token, 1, 0.8, (2, 3)))
    if word:
        line.label.setColor(colour(token))
        line.label.textItem.setFont(font("caption"))
        line.label.fill = pg.mkBrush(colour("plot", 0.86))
