"""How one curve of a CurvePlot is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pyqtgraph as pg
from PySide6.QtGui import QPainterPath, QPen, QTransform

from studio.gui.theme import SYMBOLS, pen

_GHOST_DASH = (3, 4)
_SYMBOL_PX = 8


@dataclass
class CurveStyle:
    """kind: line (2.2 px), marks (line and points), raw (1 px, 30 %, not in the legend), ghost (dashed), planned (dotted).

    token: "series.0" to "series.9" or any colour token. `show` writes a y value for people. symbol: index of the points' form. dash: lengths of
    dash and gap, in widths of the line. short: the label in a legend of many that has no room for whole ones.
    """

    label: str
    token: str
    kind: str = "line"
    show: Callable[[float], str] = field(default=lambda v: f"{v:.3f}")
    symbol: int = 0
    dash: tuple[float, ...] = ()
    short: str = ""

    def point(self) -> QPainterPath:
        """The form of its points, px, about (0, 0)."""
        unit = pg.graphicsItems.ScatterPlotItem.Symbols[SYMBOLS[self.symbol % len(SYMBOLS)]]
        return QTransform.fromScale(_SYMBOL_PX, _SYMBOL_PX).map(unit)

    def pen(self) -> QPen:
        match self.kind:
            case "raw":
                return pen(self.token, 1, 0.3)
            case "ghost":
                return pen(self.token, 1.4, 0.55 if self.token == "text2" else 0.85, self.dash or _GHOST_DASH)
            case "planned":
                return pen(self.token, 1.4, 0.7, (2, 3))
        return pen(self.token, 2.2, dash=self.dash)
