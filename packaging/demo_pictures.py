"""Opens the window on a folder of images and its runs, and keeps a picture of every page: OUT DATA RUNS. On the display, or offscreen without one."""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

SIZE = (1440, 900)  # of the window; the platform's own screen is smaller
SCREEN = {"name": "demo", "x": 0, "y": 0, "width": 1920, "height": 1200, "logicalDpi": 96, "logicalBaseDpi": 96, "dpr": 1}
LOOK_MS, READ_MS, MOST_LOOKS = 100, 1500, 300  # between two looks; for a page to ask its helpers; then looks until it has heard from them


def main(out: Path, data: str, runs: Path) -> NoReturn:
    scratch = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)  # helpers may still end
    set_up(Path(scratch.name), runs)
    from PySide6.QtCore import QTimer  # Qt and Studio look at what was set up when they are imported

    from studio.gui import app as studio_app
    from studio.gui.pages import PAGES

    out.mkdir(parents=True, exist_ok=True)
    app = studio_app.make_application()
    window = studio_app.open_window(data)
    window.resize(*SIZE)
    waiting = [slot.key for slot in PAGES]

    def begin() -> None:
        context = window.context
        if context is None or not context.runs.is_loaded or context.store.dataset is None:
            QTimer.singleShot(LOOK_MS, begin)
            return
        show_next()

    def show_next() -> None:
        if not waiting:
            window.close()
            app.quit()
            return
        entries = window.context.runs.entries
        key = waiting.pop(0)
        window.show_page(key, entries[-1] if entries and key in ("train", "results") else None)
        QTimer.singleShot(READ_MS, lambda: keep(key, MOST_LOOKS))

    def keep(key: str, looks: int) -> None:
        if looks and (window.context.preview.is_busy or window.context.probe.is_busy or window.page(key).is_busy()):
            QTimer.singleShot(LOOK_MS, lambda: keep(key, looks - 1))
            return
        window.grab().save(str(out / f"{key}.png"))
        show_next()

    begin()
    code = app.exec()
    scratch.cleanup()
    studio_app.leave(code, window)


def set_up(scratch: Path, runs: Path) -> None:
    """A screen where there is none, the runs, and a home of its own: a draft of the user's stays where it is."""
    config = scratch / "screen.json"
    config.write_text(json.dumps({"screens": [SCREEN]}))
    if not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        os.environ["QT_QPA_PLATFORM"] = f"offscreen:configfile={config}"
    os.environ["STUDIO_RUNS"] = str(runs.absolute())
    os.environ["STUDIO_HOME"] = str(scratch / "home")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
