"""From giving the window a folder of images to its classes, counts and split, and to the thumbnails in view, painted.

The window is the real one with its helpers, which load their libraries and prepare the network meanwhile. Every folder is opened as for the
first time, without any thumbnail on disk, and once more after another one. The clock starts when the path is given, as after a drop.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from benchmarks.drag import close_window

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

SHARED = Path(__file__).parents[2] / "shared" / "data"
LIMIT_S, REST_S = 2.0, 3.0


def main() -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        os.environ["STUDIO_HOME"] = home
        from studio.gui import app as studio_app

        app = studio_app.make_application()
        window = studio_app.open_window()
        window.resize(1440, 900)
        _wait_for(lambda: window.context is not None)
        rested = time.perf_counter() + REST_S
        _wait_for(lambda: time.perf_counter() > rested)
        rows = [(name, again, *_open(window, SHARED / name)) for again in (False, True) for name in ("clothing", "signs")]
        close_window(app, window)
    print("## Opening a folder of images\n")
    print(f"| folder | images | classes, counts and split after | thumbnails in view after (limit {LIMIT_S:.0f} s) |\n|---|---|---|---|")
    for name, again, num, split_s, thumbs_s in rows:
        print(f"| {name}{', again' if again else ''} | {num:,} | {split_s:.2f} s | **{thumbs_s:.2f} s** |")
    print(f"\nLoad average at the end: {os.getloadavg()[0]:.1f}.")


def _open(window, folder: Path) -> tuple[int, float, float]:
    """(images, seconds until the page shows classes and split, seconds until nothing is missing in view)."""
    store, page = window.context.store, window.page("data")
    window.show_page("data")
    start = time.perf_counter()
    window.open_path(str(folder))
    root = str(folder.resolve())
    _wait_for(
        lambda: store.dataset is not None and store.is_dataset_current and Path(store.dataset.root).resolve() == Path(root)
        and page.stack.currentWidget() is page.full,
    )  # fmt: skip
    window.grab()
    split_s = time.perf_counter() - start
    _wait_for(lambda: not page.is_busy())
    window.grab()
    return len(store.dataset.samples), split_s, time.perf_counter() - start


def _wait_for(is_done, seconds: float = 60) -> None:
    """Run the event loop as the application does."""
    from PySide6.QtCore import QEventLoop, Qt, QTimer

    loop, end = QEventLoop(), time.perf_counter() + seconds
    look = QTimer(interval=2, timerType=Qt.TimerType.PreciseTimer)
    look.timeout.connect(lambda: loop.quit() if is_done() or time.perf_counter() > end else None)
    look.start()
    loop.exec()
    if not is_done():
        raise SystemExit("waited too long")


if __name__ == "__main__":
    main()
