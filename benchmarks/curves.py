"""What one update of a live curve costs: a batch of points is appended and the plot is painted, offscreen.

Studio's plot of the Train page against pyqtgraph as it comes, plain setData and its peak mode, in turn in one process: a loss per step and
its running average. Both sides have the same points, size and frame. pyqtgraph gets thin lines without soft edges, its fastest, its average is
not charged to it, and its arrays are not copied; Studio's side appends, averages, and draws its own style with legend and labels.
"""

from __future__ import annotations

import os
import statistics
import sys
import time

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

FEW, MANY = 1_000, 1_000_000
BATCH = 20
SIZE_PX = (560, 300)
ROUNDS, OURS_A_ROUND = 12, 25
SMOOTHING = 0.9


class Sample:
    """A noisy falling loss over `num_points` steps and more; the shape is the same however many there are."""

    def __init__(self, num_points: int):
        import numpy as np

        from studio.core.curve import smoothed

        rng = np.random.default_rng(0)
        num_all = num_points + BATCH * 2000
        self.num_points = num_points
        self.x = np.arange(num_all, dtype=float)
        self.y = np.exp(-3 * self.x / num_points) + 0.2 * rng.gamma(2, 0.3, num_all) + 0.05
        self.mean = smoothed(self.y, SMOOTHING)


class Ours:
    """The plot of the Train page."""

    def __init__(self, sample: Sample):
        from studio.core.curve import Smoother
        from studio.core.trace import Trace
        from studio.gui.widgets.curve_plot import CurvePlot
        from studio.gui.widgets.curve_style import CurveStyle
        from studio.gui.widgets.plot_axis import PlainAxis

        self.sample, self.num = sample, 0
        self.raw, self.mean, self.smoother = Trace(), Trace(), Smoother(SMOOTHING)
        self.styles = CurveStyle("train, each step", "series.0", "raw"), CurveStyle("train", "series.0")
        self.plot = CurvePlot("bench.loss", "Loss", left=PlainAxis("left"), left_label="cross-entropy")
        self.plot.resize(*SIZE_PX)
        self.plot.show()
        self.plot.set_x_range(0, 1.2 * sample.num_points)
        self.plot.set_y_range(0, 2)
        self._append(sample.num_points)

    def _append(self, num: int) -> None:
        new = slice(self.num, self.num + num)
        self.num += num
        self.raw.extend(self.sample.x[new], self.sample.y[new])
        self.mean.extend(self.sample.x[new], self.smoother.extended(self.sample.y[new]))

    def update(self) -> None:
        self._append(BATCH)
        self.plot.set_trace("train.raw", self.raw, self.styles[0], has_grown=True)
        self.plot.set_trace("train", self.mean, self.styles[1], has_grown=True)
        self.plot.widget.viewport().repaint()


class Pyqtgraph:
    """A plot of pyqtgraph's own; mode "plain" or "peak"."""

    def __init__(self, sample: Sample, mode: str):
        import pyqtgraph as pg

        self.sample, self.num = sample, sample.num_points
        self.widget = pg.PlotWidget()
        self.widget.resize(*SIZE_PX)
        self.widget.setXRange(0, 1.2 * sample.num_points)
        self.widget.setYRange(0, 2)
        self.items = [self.widget.plot(pen=pg.mkPen(c, width=1)) for c in ("#5B45D6", "#A594FF")]
        if mode == "peak":
            for item in self.items:
                item.setDownsampling(auto=True, method="peak")
                item.setClipToView(True)
        self.widget.show()

    def update(self) -> None:
        self.num += BATCH
        for item, y in zip(self.items, (self.sample.y, self.sample.mean), strict=True):
            item.setData(self.sample.x[: self.num], y[: self.num])
        self.widget.viewport().repaint()


def main() -> None:
    from PySide6.QtWidgets import QApplication

    from studio.gui import theme

    app = QApplication(sys.argv)
    theme.install(app, "dark")
    few, many = Sample(FEW), Sample(MANY)
    sides = {
        "ours few": (Ours(few), OURS_A_ROUND), "ours many": (Ours(many), OURS_A_ROUND), "plain": (Pyqtgraph(many, "plain"), 1),
        "peak": (Pyqtgraph(many, "peak"), 4),
    }  # fmt: skip
    costs: dict[str, list[float]] = {name: [] for name in sides}
    for side, _ in sides.values():
        app.processEvents()
        side.update()
        side.update()
    for _ in range(ROUNDS):
        for name, (side, times) in sides.items():
            for _ in range(times):
                start = time.perf_counter()
                side.update()
                costs[name].append(1000 * (time.perf_counter() - start))
    _print(costs)


def _print(costs: dict[str, list[float]]) -> None:
    middle = {name: statistics.median(values) for name, values in costs.items()}
    ours = middle["ours many"]
    print("## Live curves: one update, painted\n")
    print(f"A loss per step and its average, {BATCH} points appended, {SIZE_PX[0]} x {SIZE_PX[1]} pixels, {ROUNDS} rounds in turn.\n")
    print("| plot | points | median, ms | 99 of 100 within, ms |\n|---|---|---|---|")
    for name, words, points in (
        ("ours few", "Studio", FEW), ("ours many", "Studio", MANY), ("peak", "pyqtgraph, peak mode and clipped to the view", MANY),
        ("plain", "pyqtgraph, plain setData", MANY),
    ):  # fmt: skip
        late = sorted(costs[name])[int(0.99 * (len(costs[name]) - 1))]
        print(f"| {words} | {points:,} | {middle[name]:.2f} | {late:.2f} |")
    print("\n| figure | measured | limit |\n|---|---|---|")
    print(f"| one update at {MANY:,} points | **{ours:.2f} ms** | 3 |")
    print(f"| faster than plain setData | **{middle['plain'] / ours:.0f} times** | 40 |")
    print(f"| faster than peak mode | **{middle['peak'] / ours:.1f} times** | 5 |")
    print(f"| cost at {MANY:,} over cost at {FEW:,} points | **{ours / middle['ours few']:.2f}** | 1.3 |")
    print(f"\nLoad average at the end: {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
