"""Cold start: from spawning the process to a window that is painted and takes a click.

Three windows in turn, several rounds, medians: Studio's; a bare Qt window with as many widgets of the same classes; a window like the bare one
in a build that imports torch, timm and albumentations first. The clock starts in this process, before the spawn.

In each, after the first paint event of the window, the mouse clicks a button ("Open folder" in Studio) through Qt's event queue, and the clock
stops when the button's function runs: in Studio the one that opens the picker. A second row gives the time until everything behind the first
page is there too: settings, runs, inspector, the Data page; what is asked for before then is kept and done then.
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

# Waits for the first paint, then clicks `target()` once; used by every window.
_CLICK = """
from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, Qt, QTimer
from PySide6.QtGui import QMouseEvent
class Clicker(QObject):
    def __init__(self, window, target):
        super().__init__(window)
        self.target = target
        window.installEventFilter(self)
    def eventFilter(self, watched, event):
        if event.type() == QEvent.Type.Paint:
            watched.removeEventFilter(self)
            QTimer.singleShot(0, self.click)
        return False
    def click(self):
        from PySide6.QtCore import QCoreApplication
        button = self.target()
        at = QPointF(button.rect().center())
        for kind, held in ((QEvent.Type.MouseButtonPress, Qt.MouseButton.LeftButton), (QEvent.Type.MouseButtonRelease, Qt.MouseButton.NoButton)):
            where = button.mapToGlobal(at)
            QCoreApplication.postEvent(button, QMouseEvent(kind, at, where, Qt.MouseButton.LeftButton, held, Qt.KeyboardModifier.NoModifier))
"""

STUDIO = (
    _REPORT
    + _CLICK
    + """
from studio.gui import app as studio_app
from studio.gui.window import Window
marks = {}
def open_folder(self):
    if "clicked" not in marks:
        marks["clicked"] = time.time()
        marks["widgets"] = [w for w in window.findChildren(QObject) if w.isWidgetType()]  # other pages are made from now on
Window.open_folder_dialog = open_folder  # what the click comes to, noted instead of opened
app = studio_app.make_application()
window = studio_app.open_window()
Clicker(window, lambda: window.first_page.welcome.zone.folder_button)
def look():
    if window.context is None or "clicked" not in marks:
        QTimer.singleShot(5, look)
        return
    from collections import Counter
    window.repaint()
    heavy = [m for m in ("torch", "torchvision", "timm", "albumentations", "cv2", "sklearn") if m in sys.modules]
    counts = Counter(next(c.__name__ for c in type(w).__mro__ if c.__module__.startswith("PySide6")) for w in marks["widgets"])
    import json
    report(json.dumps({"clicked": marks["clicked"], "heavy": heavy, "widgets": counts}))
QTimer.singleShot(0, look)
app.exec()
"""
)

BARE = (
    _REPORT
    + """
import json
{imports}
"""
    + _CLICK
    + """
from PySide6 import QtWidgets
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
button = QtWidgets.QPushButton("Open folder")
button.clicked.connect(lambda: report())
grid.addWidget(button)
window.setCentralWidget(central)
window.resize(1440, 900)
window.show()
Clicker(window, lambda: button)
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
    times: dict[str, list[float]] = {"alive": [], "studio": [], "bare": [], "loaded": []}
    memory = 0
    spawn(bare, widgets), spawn(loaded, widgets)  # warm the disk cache for all alike
    for _ in range(ROUNDS):
        start = time.time()
        seconds, memory, note = spawn(STUDIO)
        times["alive"].append(seconds)
        times["studio"].append(json.loads(note)["clicked"] - start)
        times["bare"].append(spawn(bare, widgets)[0])
        times["loaded"].append(spawn(loaded, widgets)[0])
    m = {name: statistics.median(values) for name, values in times.items()}
    print("## Cold start of the window\n")
    print("| from spawn to painted and a click carried out | seconds (median of 7) | ratio to the bare window | limit |\n|---|---|---|---|")
    print(f"| bare Qt window, {sum(json.loads(widgets).values())} widgets | {m['bare']:.2f} | 1 | |")
    print(f"| **Studio painted, a click on “Open folder” carried out** | {m['studio']:.2f} | **{m['studio'] / m['bare']:.2f}** | 2 |")
    print(f"| Studio with everything behind the first page | {m['alive']:.2f} | {m['alive'] / m['bare']:.2f} | |")
    print(f"| bare window after importing torch, timm, albumentations | {m['loaded']:.2f} | {m['loaded'] / m['bare']:.2f} | |")
    print(f"\nStudio over the importing build: **1/{m['loaded'] / m['studio']:.1f}** (limit 1/10).")
    print(
        f"Memory of the window's process: **{memory / 1e6:.0f} MB** (limit 200). Heavy modules loaded: {json.loads(note)['heavy'] or 'none'}."
    )


if __name__ == "__main__":
    main()
