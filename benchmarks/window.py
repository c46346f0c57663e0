"""Cold start: from spawning the process to a window that is painted and takes a click.

Three windows in turn, several rounds, medians: Studio's; a bare Qt window with as many widgets of the same classes; a window like the bare one
in a build that imports torch, timm and albumentations first. The clock starts in this process, before the spawn.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 7

# Every child prints the time of day at which it was painted and had answered an event, its resident memory, and a note.
_REPORT = """
import sys, time
def report(note=""):
    import os
    memory = int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    print(time.time(), memory, note, flush=True)
    os._exit(0)
"""

STUDIO = (
    _REPORT
    + """
from PySide6.QtCore import QEvent, QObject, QTimer
from studio.gui import app as studio_app
app = studio_app.make_application()
window = studio_app.open_window()
marks = {}
def look():
    marks.setdefault("painted", time.time())
    if window.context is None:
        QTimer.singleShot(5, look)
        return
    from collections import Counter
    from PySide6.QtWidgets import QPushButton, QToolButton
    window.repaint()
    heavy = [m for m in ("torch", "torchvision", "timm", "albumentations", "cv2", "sklearn") if m in sys.modules]
    counts = Counter(next(c.__name__ for c in type(w).__mro__ if c.__module__.startswith("PySide6")) for w in window.findChildren(QObject) if w.isWidgetType())
    import json
    report(json.dumps({"painted": marks["painted"], "heavy": heavy, "widgets": counts}))
QTimer.singleShot(0, look)
app.exec()
"""
)

BARE = (
    _REPORT
    + """
import json
{imports}
from PySide6 import QtWidgets
from PySide6.QtCore import QTimer
app = QtWidgets.QApplication([])
app.setStyle("Fusion")
window = QtWidgets.QMainWindow()
central = QtWidgets.QWidget()
grid = QtWidgets.QGridLayout(central)
i = 0
for name, count in json.loads(sys.argv[1]).items():
    kind = getattr(QtWidgets, name, QtWidgets.QWidget)
    for _ in range(count):
        try:
            widget = kind("text") if name in ("QLabel", "QPushButton", "QCheckBox") else kind()
        except TypeError:
            widget = QtWidgets.QWidget()
        if not isinstance(widget, QtWidgets.QMainWindow):
            grid.addWidget(widget, i // 12, i % 12)
            i += 1
window.setCentralWidget(central)
window.resize(1440, 900)
window.show()
QTimer.singleShot(0, report)
app.exec()
"""
)


def spawn(code: str, *arguments: str) -> tuple[float, int, str]:
    """(seconds from spawn to the child's mark, resident bytes, note)."""
    with tempfile.TemporaryDirectory() as home:
        env = os.environ | {
            "STUDIO_HOME": home,
            "QT_QPA_PLATFORM": os.environ.get("QT_QPA_PLATFORM", "offscreen"),
            "NO_ALBUMENTATIONS_UPDATE": "1",
        }
        start = time.time()
        done = subprocess.run([sys.executable, "-c", code, *arguments], env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    at, memory, note = done.stdout.splitlines()[-1].split(" ", 2)
    return float(at) - start, int(memory), note


def main() -> None:
    import json

    bare = BARE.replace("{imports}", "")
    loaded = BARE.replace("{imports}", "import torch, timm, albumentations")
    _, _, note = spawn(STUDIO)
    widgets = json.dumps(json.loads(note)["widgets"])
    times: dict[str, list[float]] = {"studio": [], "painted": [], "bare": [], "loaded": []}
    memory = 0
    spawn(bare, widgets), spawn(loaded, widgets)  # warm the disk cache for all alike
    for _ in range(ROUNDS):
        start = time.time()
        seconds, memory, note = spawn(STUDIO)
        times["studio"].append(seconds)
        times["painted"].append(json.loads(note)["painted"] - start)
        times["bare"].append(spawn(bare, widgets)[0])
        times["loaded"].append(spawn(loaded, widgets)[0])
    m = {name: statistics.median(values) for name, values in times.items()}
    print("## Cold start of the window\n")
    print("| from spawn to | seconds (median of 7) | ratio to the bare window | limit |\n|---|---|---|---|")
    print(f"| bare Qt window, {sum(json.loads(widgets).values())} widgets | {m['bare']:.2f} | 1 | |")
    print(f"| Studio painted | {m['painted']:.2f} | {m['painted'] / m['bare']:.2f} | |")
    print(f"| **Studio painted, every part alive and clickable** | {m['studio']:.2f} | **{m['studio'] / m['bare']:.2f}** | 2 |")
    print(f"| bare window after importing torch, timm, albumentations | {m['loaded']:.2f} | {m['loaded'] / m['bare']:.2f} | |")
    print(f"\nStudio over the importing build: **1/{m['loaded'] / m['studio']:.1f}** (limit 1/10).")
    print(
        f"Memory of the window's process: **{memory / 1e6:.0f} MB** (limit 200). Heavy modules loaded: {json.loads(note)['heavy'] or 'none'}."
    )


if __name__ == "__main__":
    main()
