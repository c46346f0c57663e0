"""The counts of a confusion matrix as a table model, and the colours of its cells."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QAbstractTableModel, QModelIndex, Qt
from PySide6.QtGui import QColor

from studio.core.path_text import shown
from studio.core.words import counted
from studio.gui.pages.results.scores import Scores
from studio.gui.theme import colour
from studio.gui.widgets.label import plain_tooltip
from studio.gui.wording import percent

MANY = 40  # classes above which cells are too small for figures: one picture, zoomed with the wheel


class ConfusionModel(QAbstractTableModel):
    """The matrix of Scores; shares are of the row: of all images of the true class."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self.scores: Scores | None = None
        self.classes: tuple[str, ...] = ()  # of the rows and columns
        self.is_share = False
        self._sums = np.empty(0)

    def set_scores(self, scores: Scores | None) -> None:
        self.beginResetModel()
        self.scores = scores
        self._sums = np.array([scores.per_class[i].support for i in scores.confused_classes]) if scores else np.empty(0)
        self.classes = tuple(scores.classes[i] for i in scores.confused_classes) if scores else ()
        self.endResetModel()

    def set_share(self, is_share: bool) -> None:
        self.is_share = is_share
        if self.rowCount():
            self.dataChanged.emit(self.index(0, 0), self.index(self.rowCount() - 1, self.columnCount() - 1))

    def count(self, row: int, column: int) -> int:
        return int(self.scores.confusion[row, column])

    def share(self, row: int, column: int) -> float:
        return self.count(row, column) / self._sums[row] if self._sums[row] else 0.0

    def sentence(self, row: int, column: int) -> str:
        """ "fox called wolf: 7 images, 11 % of 62"."""
        true, called = shown(self.classes[row]), shown(self.classes[column])
        what = f"{true} called {true}, right" if row == column else f"{true} called {called}"
        return f"{what}: {counted(self.count(row, column), 'image')}, {percent(self.share(row, column), 0)} of {self._sums[row]:,}"

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self.classes)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self.classes)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        row, column = index.row(), index.column()
        match role:
            case Qt.ItemDataRole.DisplayRole:
                n = self.count(row, column)
                return "" if not n else f"{self.share(row, column) * 100:.0f}" if self.is_share else str(n)
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tooltip(self.sentence(row, column))
            case Qt.ItemDataRole.AccessibleTextRole:
                return self.sentence(row, column)
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole):
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            name = shown(self.classes[section])
            return plain_tooltip(name) if role == Qt.ItemDataRole.ToolTipRole else name
        return None


def cell_colour(model: ConfusionModel, row: int, column: int) -> QColor | None:
    """Accent for right, bad for wrong, stronger for more; None for an empty cell."""
    n = model.count(row, column)
    if not n:
        return None
    if row == column:
        return colour("accent", 0.25 + 0.6 * model.share(row, column))
    off = model.scores.confusion
    most = max(1, int((off - np.diag(np.diag(off))).max()))
    return colour("bad", 0.22 + 0.48 * n / most)


def readable_on(fill: QColor) -> QColor:
    """White or the text colour, whichever stands out more from `fill` over the plot ground."""
    ground, share = colour("plot"), fill.alphaF()
    red, green, blue = (f * share + g * (1 - share) for f, g in zip(fill.getRgbF()[:3], ground.getRgbF()[:3]))

    def luminance(r: float, g: float, b: float) -> float:  # WCAG 2 relative luminance
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (r, g, b)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    under = luminance(red, green, blue)

    def contrast(candidate: QColor) -> float:
        over = luminance(*candidate.getRgbF()[:3])
        return (max(over, under) + 0.05) / (min(over, under) + 0.05)

    return max((colour("text"), colour("onAccent"), colour("window")), key=contrast)
