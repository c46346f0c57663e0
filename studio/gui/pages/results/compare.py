"""The validation curves of the checked runs over their epochs."""

from __future__ import annotations

import numpy as np
from PySide6.QtWidgets import QWidget

from studio.core.words import counted
from studio.gui.pages.results.rows import RunRow
from studio.gui.theme import DASHES, px
from studio.gui.widgets.button import Segmented
from studio.gui.widgets.curve_plot import CurvePlot, CurveStyle
from studio.gui.widgets.panel import Panel
from studio.gui.widgets.plot_axis import PlainAxis
from studio.gui.wording import percent

MAX_RUNS = 10
MEASURES = {
    "top1": ("validation top-1, %", "validation_top1", percent, max),
    "loss": ("validation loss", "validation_loss", lambda v: f"{v:.3f}", min),
    "f1": ("macro F1", "macro_f1", lambda v: f"{v:.3f}", max),
}


class ComparePanel(Panel):
    """Up to ten runs, each in its own colour; the best value is marked."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__("Compare", name="results.compare", parent=parent)
        self._rows: list[RunRow] = []
        self.measure = Segmented([("top1", "Top-1"), ("loss", "Loss"), ("f1", "F1")], "top1", name="results.compare.measure")
        self.measure.setAccessibleName("What is compared")
        self.measure.value_changed.connect(lambda _: self._draw())
        self.head.addWidget(self.measure)
        self._axis = PlainAxis("left", factor=100)
        self.plot = CurvePlot(
            "results.compare.plot",
            "Compare",
            left=self._axis,
            bottom=PlainAxis("bottom", is_whole=True),
            left_label=" ",
            corner="bottom right",
        )
        self.plot.set_x_label("epoch")
        self.plot.show_x = lambda x: f"epoch {x:.0f}"
        self.plot.hovered.connect(lambda x: self.plot.set_cross(None if x is None else float(max(1, round(x)))))
        self.plot.fit_requested.connect(self._draw)
        self.body.addWidget(self.plot)
        self.body.setContentsMargins(px(4), 0, px(4), px(4))

    def show_rows(self, rows: list[RunRow]) -> None:
        self._rows = rows[:MAX_RUNS]
        self._draw()

    def _draw(self) -> None:
        key = str(self.measure.value)
        label, field, show, best_of = MEASURES[key]
        is_share = key == "top1"
        self.plot.set_factor(100 if is_share else 1)
        self.plot.set_left_label(label)
        keys = {row.entry.folder.name for row in self._rows}
        for old in [k for k in self.plot.curve_keys() if k not in keys]:
            self.plot.remove_curve(old)
        self.plot.legend.set_corner("top right" if key == "loss" else "bottom right")
        best: tuple[float, int, RunRow] | None = None
        values = []
        for row in self._rows:
            epochs = row.state.epochs
            x = np.array([e.epoch + 1 for e in epochs], float)
            y = np.array([v if (v := getattr(e, field)) is not None else np.nan for e in epochs], float)
            name = f"{row.name}, live" if row.entry.is_active else row.name
            dash = DASHES[row.series]
            self.plot.set_curve(row.entry.folder.name, x, y, CurveStyle(name, f"series.{row.series}", "marks", show, row.series % 4, dash))
            good = y[np.isfinite(y)]
            if len(good):
                values.append(good)
                value = float(best_of(good))
                if best is None or best_of(value, best[0]) == value != best[0]:
                    best = (value, int(x[np.nanargmin(y) if best_of is min else np.nanargmax(y)]), row)
        self.plot.set_guide(
            "best", best[0] if best else None, f"series.{best[2].series}" if best else "outline", show(best[0]) if best else ""
        )
        longest = max((len(r.state.epochs) for r in self._rows), default=1)
        self.plot.set_x_range(0, max(2, longest))
        if values:
            whole = np.concatenate(values)
            low, high = float(np.percentile(whole, 20) if len(whole) > 8 else whole.min()), float(whole.max())
            if key == "loss":
                low, high = float(whole.min()), float(np.percentile(whole, 80) if len(whole) > 8 else whole.max())
            room = max(high - low, 0.02) * 0.12
            self.plot.set_y_range(max(0.0, low - room), min(1.0, high + room) if key != "loss" else high + room)
        self.plot.legend.settle()
        words = f"Best {label} {show(best[0])}, {best[2].name} at epoch {best[1]}." if best else "No finished epoch."
        self.plot.describe(f"{counted(len(self._rows), 'run')}. {words}")
