"""A slider of the Augment page, dragged in the whole window with the real preview worker: how late the window's event loop gets, and how
soon the pictures follow a single move.

Moves come at 60 a second; a timer of 16 ms in the window's thread is as late as anything that the user does would be. The pictures are the
15 variants of one photograph of 500 x 375 pixels in the medium preset, from the decoded image. Matplotlib draws the same 16 pictures in a
grid for comparison, in this process and run.
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

MOVES, HZ = int(os.environ.get("AUGMENT_MOVES", "600")), 60
SINGLE = 20  # moves with a rest after each
LIMIT_MS, FIRST_MS, ALL_MS, LEAST_RATIO = 16.0, 5.0, 33.0, 5.0
SIZE_PX = (1440, 900)
COLOUR = 3  # the step whose brightness is dragged


def main() -> None:
    from PySide6.QtWidgets import QApplication

    from studio.gui import theme

    app = QApplication(sys.argv)
    theme.install(app, "dark")
    with ExitStack() as stack:
        page, window = _open_window(app, Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))))
        idle = _lateness(app, page, moves=0)
        dragged, answered = _lateness(app, page, moves=MOVES), page.preview.num_answered
        first, whole = _single_moves(app, page)
        pictures = [variant.pixmap.toImage() for variant in page.preview.grid.variants]
        window.context.close()
    grid = _matplotlib(pictures)
    print("## Dragging a slider of the Augment page\n")
    print(f"Medium preset, 15 variants at 224 px, {MOVES} moves at {HZ} a second, window of {SIZE_PX[0]} x {SIZE_PX[1]} pixels.\n")
    print("| event loop | median late, ms | 99 of 100 within, ms | longest, ms | limit, ms |\n|---|---|---|---|---|")
    for name, values in (("at rest", idle), ("while dragging", dragged)):
        late = sorted(values)[int(0.99 * (len(values) - 1))]
        print(f"| {name} | {statistics.median(values):.1f} | **{late:.1f}** | {max(values):.1f} | {LIMIT_MS:.0f} |")
    print(f"\nWhole grids answered while dragging: {answered}.\n")
    print(f"| after one move, median of {SINGLE} | ms | limit, ms |\n|---|---|---|")
    print(f"| first picture | **{statistics.median(first):.1f}** | {FIRST_MS:.0f} |")
    print(f"| all 15 | **{statistics.median(whole):.1f}** | {ALL_MS:.0f} |")
    if grid is None:
        print("\nWithout matplotlib, which is not installed here (`pip install .[bench]`).")
    else:
        ratio = grid / statistics.median(whole)
        print(f"| matplotlib, drawing alone | {grid:.0f} | **{ratio:.1f}** times, at least {LEAST_RATIO:.0f} |")
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
    page.draft.choose((COLOUR,))
    _wait_for(app, lambda: page.preview.num_answered >= 1, 120)
    _wait_for(app, lambda: False, 3)  # the gallery and the strips
    return page, window


def _lateness(app, page, moves: int) -> list[float]:
    """Milliseconds by which a timer of 16 ms is late while the slider is dragged, or while nothing happens for as long."""
    from PySide6.QtCore import QElapsedTimer, QEvent, QPointF, Qt, QTimer
    from PySide6.QtGui import QMouseEvent

    slider = page.form.rows["brightness"].editor.slider
    late: list[float] = []
    clock = QElapsedTimer()
    beat = QTimer(interval=16, timerType=Qt.TimerType.PreciseTimer)

    def on_beat() -> None:
        late.append(max(0.0, clock.nsecsElapsed() / 1e6 - 16))
        clock.start()

    beat.timeout.connect(on_beat)
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton

    def send(kind, x: float, button, buttons) -> None:
        at = QPointF(x, slider.height() / 2)
        app.sendEvent(slider, QMouseEvent(kind, at, slider.mapToGlobal(at), button, buttons, Qt.KeyboardModifier.NoModifier))

    width = slider.width()
    page.preview.num_answered = 0
    start = time.perf_counter() + 0.1
    clock.start()
    beat.start()
    if moves:
        send(QEvent.Type.MouseButtonPress, width * 0.62, left, left)
    for i in range(moves or MOVES):
        _wait_for(app, lambda due=start + i / HZ: time.perf_counter() >= due, 5)
        if moves:
            send(QEvent.Type.MouseMove, width * (0.62 + 0.3 * abs(i % 120 - 60) / 60), none, left)
    if moves:
        send(QEvent.Type.MouseButtonRelease, width * 0.62, left, none)
    beat.stop()
    return late[2:]


def _single_moves(app, page) -> tuple[list[float], list[float]]:
    """(first picture, all pictures): milliseconds from a change to the pictures being in the grid, when nothing else goes on."""
    came: list[float] = []
    page.preview.asker.picture_came.connect(lambda *_: came.append(time.perf_counter()))
    first, whole = [], []
    for i in range(SINGLE):
        _wait_for(app, lambda: False, 0.5)
        came.clear()
        done = page.preview.num_answered
        start = time.perf_counter()
        page.draft.set_params((COLOUR,), {"brightness": (0.8, 1.21 + 0.01 * i)}, "brightness")
        _wait_for(app, lambda done=done: page.preview.num_answered > done, 30)
        first.append(1000 * (came[0] - start))
        whole.append(1000 * (came[-1] - start))
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
    end = time.perf_counter() + seconds
    while not is_done() and time.perf_counter() < end:
        app.processEvents()
        time.sleep(0.0005)


if __name__ == "__main__":
    main()
