"""A slider of the Augment page, dragged in the whole window with the real preview worker: how late the window's event loop gets, and how
soon the pictures are painted after a single move of the mouse.

Moves come at 60 a second; a timer of 16 ms in the window's thread is as late as anything that the user does would be. The pictures are the
15 variants of one photograph of 500 x 375 pixels in the medium preset, from the decoded image; the sixteenth tile is the photograph itself,
which no slider changes. Matplotlib draws the same 16 pictures in a grid for comparison, in this process and run.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.drag import close_window

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

MOVES, HZ = int(os.environ.get("AUGMENT_MOVES", "600")), 60
SINGLE = 40  # moves with a rest before each, each to another value
OF_EACH = 12  # such moves of every slider of the preset
RESTS = (("half a second of rest", 0.5), ("the pictures of the move before", 0.06))  # what a move comes after
LIMIT_MS, FIRST_MS, ALL_MS, LEAST_RATIO = 16.0, 5.0, 33.0, 5.0
SIZE_PX = (1440, 900)
SLIDERS = (("the last step, brightness", 3, "brightness"), ("the first step, area of the crop", 0, "scale"))


def main() -> None:
    from PySide6.QtWidgets import QApplication

    from studio.gui import theme

    app = QApplication(sys.argv)
    theme.install(app, "dark")
    with ExitStack() as stack:
        page, window = _open_window(app, Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))))
        painter = Painter(page.preview.grid)
        idle = _lateness(app, page, moves=0)
        came: list[int] = []
        line = page.preview.asker.picture_came.connect(lambda index, _: came.append(index))
        dragged = _lateness(app, page, moves=MOVES)
        page.preview.asker.picture_came.disconnect(line)
        singles = {
            (words, before): _single_moves(app, page, painter, step, param, rest_s, 0.64 + 0.0035 * k)
            for words, step, param in SLIDERS
            for k, (before, rest_s) in enumerate(RESTS)
        }
        every = _every_slider(app, page, painter)
        pictures = [variant.pixmap.toImage() for variant in page.preview.grid.variants]
        close_window(app, window)
    grid = _matplotlib(pictures)
    print("## Dragging a slider of the Augment page\n")
    print(f"Medium preset, 15 variants at 224 px, {MOVES} moves at {HZ} a second, window of {SIZE_PX[0]} x {SIZE_PX[1]} pixels.\n")
    print("| event loop | median late, ms | 99 of 100 within, ms | longest, ms | limit, ms |\n|---|---|---|---|---|")
    for name, values in (("at rest", idle), ("while dragging", dragged)):
        late = sorted(values)[int(0.99 * (len(values) - 1))]
        print(f"| {name} | {statistics.median(values):.1f} | **{late:.1f}** | {max(values):.1f} | {LIMIT_MS:.0f} |")
    print(f"\nPictures that came while dragging: {len(came)}, {len(came) / (MOVES / HZ):.0f} a second.\n")
    print(f"From a move of the mouse until it is painted, of {SINGLE} moves:\n")
    limits = f"first tile, ms (limit {FIRST_MS:.0f}) | 95 of 100 within | all, ms (limit {ALL_MS:.0f})"
    print(f"| slider of | after | {limits} | matplotlib, times (at least {LEAST_RATIO:.0f}) |\n|---|---|---|---|---|---|")
    for (words, before), (first, whole) in singles.items():
        everything = statistics.median(whole)
        ratio = f"**{grid / everything:.1f}**" if grid else "not installed"
        within = sorted(first)[int(0.95 * (len(first) - 1))]
        print(f"| {words} | {before} | **{statistics.median(first):.1f}** | {within:.1f} | **{everything:.1f}** | {ratio} |")
    print(f"\nEvery slider of the preset, medians of {OF_EACH} moves, each after the pictures of the one before:\n")
    print("| step | slider | first tile, ms | all, ms | matplotlib, times |\n|---|---|---|---|---|")
    for (step, param), (first, whole) in every.items():
        everything = statistics.median(whole)
        print(f"| {step} | {param} | {statistics.median(first):.1f} | {everything:.1f} | {f'{grid / everything:.1f}' if grid else ''} |")
    slowest = [max(statistics.median(times[side]) for times in every.values()) for side in (0, 1)]
    print(f"\nOf {len(every)} sliders the slowest: first tile **{slowest[0]:.1f} ms**, all **{slowest[1]:.1f} ms**.")
    print("\nIn half a second the processor falls asleep and its caches are another's; a hand that drags leaves it no such time.")
    if grid:
        print(f"\nMatplotlib, drawing these 16 pictures alone: {grid:.0f} ms, the least of 5.")
    print(f"\nLoad average at the end: {os.getloadavg()[0]:.1f}.")


def _open_window(app, home: Path):
    os.environ["STUDIO_HOME"] = str(home)
    import numpy as np
    from PIL import Image

    from studio.core.experiment import Data
    from studio.dataset.scan import scan
    from studio.gui.context import make_context
    from studio.gui.screenshot import fill
    from studio.gui.testing import FakeEngines, FakeWorker
    from studio.gui.window import Window

    folder, rng = home / "photos", np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for i in range(12):
            coarse = rng.integers(0, 255, (12, 16, 3), np.uint8)
            Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC).save(folder / name / f"{i}.jpg", quality=90)
    context = make_context(probe=FakeWorker(), finder=FakeWorker(), engines=FakeEngines())
    fill(context, "full", scan(Data(source=str(folder))), (), None, [])
    window = Window()
    window.attach(context)
    window.resize(*SIZE_PX)
    window.show_page("augment")
    window.show()
    page = window.page("augment")
    page.preview.num_answered = 0

    def answered(_result: dict) -> None:
        page.preview.num_answered += 1

    page.preview.answered.connect(answered)
    page.store.set({"augment.preset": "medium"})
    page.draft.choose((SLIDERS[0][1],))
    _wait_for(app, lambda: page.preview.num_answered >= 1, 120)
    _wait_for(app, lambda: False, 3)  # the gallery and the strips
    return page, window


class Hand:
    """The mouse on a slider."""

    def __init__(self, app, slider):
        self._app, self._slider = app, slider

    def press(self, share: float) -> None:
        self._send("MouseButtonPress", share)

    def move(self, share: float) -> None:
        self._send("MouseMove", share)

    def release(self, share: float) -> None:
        self._send("MouseButtonRelease", share)

    def _send(self, kind: str, share: float) -> None:
        self.give(self.event(kind, share))

    def give(self, event) -> None:
        self._app.sendEvent(self._slider, event)

    def event(self, kind: str, share: float):
        """`share` of the slider's width."""
        from PySide6.QtCore import QEvent, QPointF, Qt
        from PySide6.QtGui import QMouseEvent

        at = QPointF(self._slider.width() * share, self._slider.height() / 2)
        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        button, buttons = (none if kind == "MouseMove" else left), (none if kind == "MouseButtonRelease" else left)
        return QMouseEvent(QEvent.Type[kind], at, self._slider.mapToGlobal(at), button, buttons, Qt.KeyboardModifier.NoModifier)


def _lateness(app, page, moves: int) -> list[float]:
    """Milliseconds by which a timer of 16 ms is late while the slider is dragged, or while nothing happens for as long."""
    from PySide6.QtCore import QElapsedTimer, Qt, QTimer

    _, step, param = SLIDERS[0]
    page.draft.choose((step,))
    _wait_for(app, lambda: False, 1)
    hand = Hand(app, page.form.rows[param].editor.slider)
    late: list[float] = []
    clock = QElapsedTimer()
    beat = QTimer(interval=16, timerType=Qt.TimerType.PreciseTimer)

    def on_beat() -> None:
        late.append(max(0.0, clock.nsecsElapsed() / 1e6 - 16))
        clock.start()

    beat.timeout.connect(on_beat)
    page.preview.num_answered = 0
    start = time.perf_counter() + 0.1
    clock.start()
    beat.start()
    if moves:
        hand.press(0.62)
    for i in range(moves or MOVES):
        app.processEvents()  # also where the machine is too busy to wait for the next move
        _wait_for(app, lambda due=start + i / HZ: time.perf_counter() >= due, 5)
        if moves:
            hand.move(0.62 + 0.3 * abs(i % 120 - 60) / 60)
    if moves:
        hand.release(0.62)
    beat.stop()
    return late[2:]


class Painter:
    """Watches a grid: when each of its tiles was first painted with another picture."""

    def __init__(self, grid):
        self._grid, self._paint = grid, grid.paintEvent
        self.times: dict[int, float] = {}
        self._before: list = []
        self.is_done = lambda: None  # called when every tile but the original has been painted anew
        grid.paintEvent = self._watched

    def begin(self) -> None:
        self.times, self._before = {}, list(self._grid.variants)

    def _watched(self, event) -> None:
        self._paint(event)
        now, region = time.perf_counter(), event.region()
        for index, (variant, before) in enumerate(zip(self._grid.variants, self._before, strict=False)):
            if variant is not before and index not in self.times and region.contains(self._grid.tile(index).toAlignedRect().center()):
                self.times[index] = now
        if len(self.times) == self._grid.num_wanted - 1:  # no slider changes the original
            self.is_done()


def _every_slider(app, page, painter: Painter) -> dict[tuple[str, str], tuple[list[float], list[float]]]:
    """By titles of step and parameter: as `_single_moves`."""
    found, rest_s = {}, RESTS[1][1]
    for step in range(len(page.draft.steps)):
        page.store.set({"augment.preset": "medium"})
        page.draft.choose((step,))
        rows = page.form.rows.items()
        for param in [name for name, row in rows if row.strip is not None and row.strip.isVisibleTo(row) and not row.param.is_whole]:
            titles = (page.form.title_label.text(), page.form.rows[param].param.title)
            found[titles] = _single_moves(app, page, painter, step, param, rest_s, 0.64, OF_EACH)
    return found


def _single_moves(
    app, page, painter: Painter, step: int, param: str, rest_s: float, start_share: float, moves: int = SINGLE
) -> tuple[list[float], list[float]]:
    """(first tile, all tiles): milliseconds from a move of the hand, which holds the slider, until the grid is painted with them. Before a
    move everything is painted, and nothing happens for `rest_s`. The event loop runs as the application's does and gets the move as an event."""
    from PySide6.QtCore import QEventLoop, QTimer

    page.draft.choose((step,))
    _wait_for(app, lambda: False, 1)
    hand = Hand(app, page.form.rows[param].editor.slider)
    hand.press(0.62)
    first, whole = [], []
    for i in range(moves):
        _wait_for(app, lambda: False, rest_s)
        move, loop, start = hand.event("MouseMove", start_share + 0.007 * i), QEventLoop(), [0.0]
        painter.begin()
        painter.is_done = loop.quit

        def give(move=move, start=start) -> None:
            start[0] = time.perf_counter()
            hand.give(move)

        QTimer.singleShot(5, give)
        guard = QTimer(singleShot=True, interval=30_000)
        guard.timeout.connect(loop.quit)
        guard.start()
        loop.exec()
        num_tiles = page.preview.grid.num_wanted - 1
        assert len(painter.times) == num_tiles, f"{len(painter.times)} of {num_tiles} tiles were painted"
        first.append(1000 * (min(painter.times.values()) - start[0]))
        whole.append(1000 * (max(painter.times.values()) - start[0]))
    painter.is_done = lambda: None
    hand.release(0.64)
    return first, whole


def _matplotlib(pictures: list) -> float | None:
    """Milliseconds of a figure of 4 x 4 axes with these pictures, drawn to memory: the least of 5. None where it is not installed."""
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    import numpy as np
    from matplotlib import pyplot

    arrays = []
    for picture in pictures:
        picture = picture.convertToFormat(picture.Format.Format_RGB888)
        raw = np.frombuffer(picture.constBits(), np.uint8).reshape(picture.height(), picture.bytesPerLine())
        arrays.append(raw[:, : 3 * picture.width()].reshape(picture.height(), picture.width(), 3).copy())
    costs = []
    for _ in range(5):
        start = time.perf_counter()
        figure, axes = pyplot.subplots(4, 4, figsize=(8, 8))
        for ax, array in zip(axes.flat, arrays, strict=True):
            ax.imshow(array)
            ax.axis("off")
        figure.canvas.draw()
        costs.append(1000 * (time.perf_counter() - start))
        pyplot.close(figure)
    return min(costs)


def _wait_for(app, is_done, seconds: float) -> None:
    """Run the event loop as the application does, asleep while nothing comes, and look every millisecond whether it is done."""
    from PySide6.QtCore import QEventLoop, Qt, QTimer

    if is_done():
        return
    loop, end = QEventLoop(), time.perf_counter() + seconds
    look = QTimer(interval=1, timerType=Qt.TimerType.PreciseTimer)
    look.timeout.connect(lambda: loop.quit() if is_done() or time.perf_counter() >= end else None)
    look.start()
    loop.exec()


if __name__ == "__main__":
    main()
