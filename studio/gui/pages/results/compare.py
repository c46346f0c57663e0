"""The validation curves of the checked runs over their epochs."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QStackedLayout, QWidget

from studio.core.edit import label_of
from studio.core.experiment import differences
from studio.core.words import counted
from studio.gui.pages.results.difference import value_text
from studio.gui.pages.results.rows import RunRow
from studio.gui.pages.results.why import is_unmeasured, left_out, no_curves
from studio.gui.theme import DASHES, px
from studio.gui.widgets.button import Segmented
from studio.gui.widgets.curve_plot import CurvePlot
from studio.gui.widgets.curve_style import CurveStyle
from studio.gui.widgets.label import PlainLabel, set_plain_tooltip
from studio.gui.widgets.panel import Panel
from studio.gui.widgets.plot_axis import PlainAxis
from studio.gui.wording import percent

MAX_RUNS = 10
MEASURES = {
    "top1": ("validation top-1, %", "validation_top1", percent, max),
    "loss": ("validation loss", "validation_loss", lambda v: f"{v:.3f}", min),
    "f1": ("macro F1", "macro_f1", lambda v: f"{v:.3f}", max),
}


MOST_NAMED = 2  # settings in which the runs differ, for which the legend has room


def differing(rows: list[RunRow]) -> tuple[str, ...]:
    """The settings that are not the same in all runs, by their paths, the seed last; without the name."""
    found: dict[str, None] = {}
    for row in rows[1:]:
        found |= dict.fromkeys(differences(rows[0].experiment, row.experiment))
    found.pop("name", None)
    return tuple(sorted(found, key=lambda path: path == "training.seed"))


def values_of(row: RunRow, paths: tuple[str, ...]) -> str:
    """The run's own values of some settings: "2e-4, seed 3"."""

    def words(path: str) -> str:
        section, _, name = path.partition(".")
        text = value_text(path, getattr(getattr(row.experiment, section), name))
        return f"seed {text}" if path == "training.seed" else text

    return ", ".join(map(words, paths))


def names_of(rows: list[RunRow], differ: tuple[str, ...]) -> list[tuple[str, str]]:
    """What each run is called in the legend, with its values of the settings that differ, and in short by the values alone."""
    names = [f"{row.name}, live" if row.entry.is_active else row.name for row in rows]
    if not 0 < len(differ) <= MOST_NAMED:
        return [(name, "") for name in names]
    first, all_values = ([values_of(row, paths) for row in rows] for paths in (differ[:1], differ))
    short = first if len(set(first)) == len(rows) else all_values  # as many as tell the runs apart
    return [(f"{name} · {values}", brief) for name, values, brief in zip(names, all_values, short, strict=True)]


class ComparePanel(Panel):
    """Up to ten runs, each in its own colour; the best value is marked. Where they differ in one or two settings, the legend has their values."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__("Compare", name="results.compare", parent=parent)
        self._rows: list[RunRow] = []
        self._wanted: list[RunRow] = []
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
        self.message = PlainLabel("", "label", "muted", wrap=True)
        self.message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.message.setContentsMargins(px(12), 0, px(12), 0)
        holder = QWidget()
        self._stack = QStackedLayout(holder)
        self._stack.addWidget(self.plot)
        self._stack.addWidget(self.message)
        self.body.addWidget(holder)
        self.body.setContentsMargins(px(4), 0, px(4), px(4))

    def set_narrow(self, is_narrow: bool) -> None:
        self.measure.set_dense(is_narrow)

    def show_rows(self, rows: list[RunRow]) -> None:
        self._wanted = rows[:MAX_RUNS]
        self._rows = [row for row in self._wanted if not is_unmeasured(row)]  # the others would be names in the legend without a curve
        short, whole = left_out(self._wanted) if self._rows else ("", "")
        self.set_subtitle(short)
        set_plain_tooltip(self.subtitle_label, whole)
        self._draw()

    def _draw(self) -> None:
        key = str(self.measure.value)
        label, field, show, best_of = MEASURES[key]
        is_share = key == "top1"
        self.plot.set_factor(100 if is_share else 1)
        self.plot.set_left_label(label)
        keys = [row.entry.folder.name for row in self._rows]
        old = self.plot.curve_keys()
        for key_ in old if list(old) != keys[: len(old)] else ():  # the legend has them in the order of the runs
            self.plot.remove_curve(key_)
        self.plot.legend.set_corner("top right" if key == "loss" else "bottom right")
        best: tuple[float, int, RunRow] | None = None
        values = []
        differ = differing(self._rows)
        for row, (name, short) in zip(self._rows, names_of(self._rows, differ), strict=True):
            epochs = row.state.epochs
            x = np.array([e.epoch + 1 for e in epochs], float)
            y = np.array([v if (v := getattr(e, field)) is not None else np.nan for e in epochs], float)
            style = CurveStyle(name, f"series.{row.series}", "marks", show, row.series % 4, DASHES[row.series], short)
            self.plot.set_curve(row.entry.folder.name, x, y, style)
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
            room = max(0.12 * (high - low), 0.01)  # of a single value the axis would have five digits
            self.plot.set_y_range(max(0.0, low - room), min(1.0, high + room) if key != "loss" else high + room)
        self.plot.legend.settle()
        has_points = any(row.state.epochs for row in self._rows)
        self._stack.setCurrentWidget(self.plot if has_points else self.message)
        self.measure.setEnabled(has_points)
        self.message.setText("" if has_points else no_curves(self._wanted))
        words = f"Best {label} {show(best[0])}, {best[2].name} at epoch {best[1]}." if best else no_curves(self._wanted)
        if differ:
            words += f" They differ in {', '.join(label_of(path) for path in differ)}."
        self.plot.describe(f"{counted(len(self._rows), 'run')}. {words}")
