"""What a drag on the Schedule page costs: from a mouse move to the painted plot, offscreen, in the whole window with recorded runs.

Moves come at a fixed rate, as from a mouse, and are timed from when they were due: work that the one before left behind counts. The heavy
plan is 10,000,000 steps with a restart every epoch and six stages that train. Afterwards the curves of plans of 10,000,000 steps are made.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

MOVES, HZ = 400, 60
LIMIT_MS, MAKE_LIMIT_MS = 16.0, 50.0
SIZE_PX = (1440, 900)
STAGES = ("stem", "stage 1", "stage 2", "stage 3", "stage 4", "head")
HEAVY = {
    "schedule.shape": "warm_restarts", "schedule.epochs": 10_000, "schedule.cycle_epochs": 1.0, "schedule.cycle_growth": 1,
    "schedule.warmup_fraction": 0.1, "model.train_stages": -1,
}  # fmt: skip


def main() -> None:
    from PySide6.QtWidgets import QApplication

    from studio.gui import theme

    app = QApplication(sys.argv)
    theme.install(app, "dark")
    with ExitStack() as stack:
        page, window = _open_window(Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))))
        costs = {"the peak of the default plan": _drag(app, page, {})}
        costs["the thaw of a stage"] = _drag_thaw(app, page)
        costs["the peak of 10,000,000 steps with 10,000 restarts"] = _drag(app, page, HEAVY, steps_per_epoch=1000)
        close_window(app, window)
    makes = _make_all()
    print("## Dragging a handle of the schedule, from mouse move to painted plot\n")
    print(f"{MOVES} moves, {HZ} a second, window of {SIZE_PX[0]} x {SIZE_PX[1]} pixels, six stages.\n")
    print("| dragged | median, ms | 99 of 100 within, ms | longest, ms | limit, ms | processor time: median, ms | 99 of 100, ms |")
    print("|---|---|---|---|---|---|---|")
    for name, (values, works) in costs.items():
        late, hard = (sorted(each)[int(0.99 * (len(each) - 1))] for each in (values, works))
        print(
            f"| {name} | {statistics.median(values):.1f} | **{late:.1f}** | {max(values):.1f} | {LIMIT_MS:.0f} "
            f"| {statistics.median(works):.1f} | {hard:.1f} |"
        )
    print("\nThe points of the curves of 10,000,000 steps, longest of 5, six stages:\n")
    print("| shape | ms | limit, ms |\n|---|---|---|")
    for name, cost in makes.items():
        print(f"| {name} | **{cost:.1f}** | {MAKE_LIMIT_MS:.0f} |")
    print(f"\nLoad average at the end: {os.getloadavg()[0]:.1f}.")


def _open_window(home: Path):
    os.environ["STUDIO_HOME"] = str(home)
    from studio.gui.context import make_context
    from studio.gui.screenshot import fill, read_data
    from studio.gui.testing import FakeEngines, FakeWorker
    from studio.gui.window import Window

    probe = FakeWorker()
    described = [
        {"name": n, "num_parameters": 10_000, "output_shape": [8, 28, 28], "num_blocks": 1, "has_batch_norm": True} for n in STAGES
    ]
    probe.answer("describe_model", {"stages": described, "num_features": 64, "num_parameters": 60_000, "num_trainable": 30_000})
    context = make_context(preview=FakeWorker(), probe=probe, finder=FakeWorker(), engines=FakeEngines())
    dataset, issues, pixels = read_data()
    fill(context, "full", dataset, issues, pixels, [])
    window = Window()
    window.attach(context)
    window.resize(*SIZE_PX)
    window.show_page("schedule")
    window.show()
    return window.page("schedule"), window


def close_window(app, window) -> None:
    """While the application lives: widgets that are left for the end of the interpreter crash it now and then."""
    from PySide6.QtCore import QEvent

    window.hide()
    window.context.close()
    window.deleteLater()
    app.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def _drag(app, page, settings: dict, steps_per_epoch: int = 0) -> tuple[list[float], list[float]]:
    """A drag of the peak: as `_timed_moves`."""
    from PySide6.QtCore import QPointF

    from studio.gui.pages.schedule import page as module
    from studio.gui.pages.schedule.curve import Length

    if steps_per_epoch:
        module.length_of = lambda experiment, dataset: Length(experiment.schedule.epochs, steps_per_epoch)
    page.context.estimates.refresh()
    page.store.set({"model.train_stages": -1, **settings})
    _wait(app, time.perf_counter() + 1.0)
    start = page.plot.place_of("peak")
    places = [start + QPointF(90 * (i % 120) / 120, 60 * abs(i % 80 - 40) / 40 + 1) for i in range(MOVES)]
    return _timed_moves(app, page, page.plot.graphics.viewport(), start, places)


def _drag_thaw(app, page) -> tuple[list[float], list[float]]:
    """A drag of the mark of a stage from epoch to epoch: as `_timed_moves`."""
    from PySide6.QtCore import QPointF

    page.store.set({"model.train_stages": 0})
    _wait(app, time.perf_counter() + 1.0)
    bar = next(row.bar for row in page.thaw.rows if row.bar.row.name == STAGES[-3])
    last = page.store.experiment.schedule.epochs - 1
    epochs = [1 + abs(i % (2 * last - 2) - (last - 1)) for i in range(MOVES)]  # each move comes to another epoch
    places = [QPointF(bar.x_of(epoch), bar.height() / 2) for epoch in epochs]
    return _timed_moves(app, page, bar, QPointF(bar.x_of(None), bar.height() / 2), places)


def _timed_moves(app, page, target, start, places) -> tuple[list[float], list[float]]:
    """Milliseconds from when each move was due until the plot was painted with it, and those of the processor: of a loaded machine only
    these mean something."""
    from PySide6.QtCore import QEvent, QObject, Qt
    from PySide6.QtGui import QMouseEvent

    painted = []

    class Watch(QObject):
        def eventFilter(self, watched, event) -> bool:
            if event.type() == QEvent.Type.Paint:
                painted.append(True)
            return False

    def send(kind, at, button, buttons) -> None:
        app.sendEvent(target, QMouseEvent(kind, at, target.mapToGlobal(at), button, buttons, Qt.KeyboardModifier.NoModifier))

    watch, viewport = Watch(), page.plot.graphics.viewport()
    viewport.installEventFilter(watch)
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    send(QEvent.Type.MouseButtonPress, start, left, left)
    costs, works, first = [], [], time.perf_counter() + 0.1
    for i, at in enumerate(places):
        due = first + i / HZ
        _wait(app, due)
        painted.clear()
        begin = time.thread_time()
        send(QEvent.Type.MouseMove, at, none, left)
        while not painted and time.perf_counter() < due + 1:
            app.processEvents()
        costs.append(1000 * (time.perf_counter() - due))
        works.append(1000 * (time.thread_time() - begin))
    send(QEvent.Type.MouseButtonRelease, places[-1], left, none)
    viewport.removeEventFilter(watch)
    return costs, works


def _wait(app, until: float) -> None:
    while time.perf_counter() < until:
        app.processEvents()
        time.sleep(0.0005)


def _make_all() -> dict[str, float]:
    from studio.catalog.schedules import SHAPES
    from studio.core.experiment import Experiment
    from studio.gui.pages.schedule.curve import Length, make_curves

    plans = {shape.title: {"schedule.shape": shape.key} for shape in SHAPES}
    plans["Warm restarts, one each epoch"] = {"schedule.shape": "warm_restarts", "schedule.cycle_epochs": 1.0, "schedule.cycle_growth": 1}
    plans["Step, a drop each epoch"] = {"schedule.shape": "step", "schedule.step_epochs": 1.0, "schedule.step_factor": 0.999}
    found = {}
    for name, settings in plans.items():
        experiment = Experiment().changed({"schedule.epochs": 10_000, "model.train_stages": -1, **settings})
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            make_curves(experiment, Length(10_000, 1000), STAGES)
            times.append(1000 * (time.perf_counter() - begin))
        found[name] = max(times)
    return found


if __name__ == "__main__":
    main()
