"""The window on a real X server under a real window manager: it maps, paints, takes keys and closes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

CODE = """
import json, sys
from PySide6.QtCore import QTimer, Qt
from PySide6.QtTest import QTest
from studio.gui import app as studio_app
app = studio_app.make_application()
window = studio_app.open_window()
def look():
    if window.context is None or not window.isActiveWindow():
        QTimer.singleShot(50, look)
        return
    QTest.keyClick(window, Qt.Key.Key_4, Qt.KeyboardModifier.ControlModifier)
    QTimer.singleShot(1500, show)
def show():
    picture = app.primaryScreen().grabWindow(0).toImage()  # what the X server shows, not what Qt thinks
    colours = {picture.pixel(x, y) for x in range(0, picture.width(), 7) for y in range(0, picture.height(), 7)}
    frame = window.frameGeometry().height() - window.geometry().height()
    print(json.dumps({"platform": app.platformName(), "page": window.current_page, "colours": len(colours), "frame_px": frame}), flush=True)
    window.close()
    app.quit()
look()
sys.exit(app.exec())
"""


@pytest.fixture
def display():
    """The name of a fresh X display with a window manager on it."""
    missing = [name for name in ("Xvfb", "openbox") if shutil.which(name) is None]
    if missing or not sys.platform.startswith("linux"):
        pytest.skip(f"needs {', '.join(missing) or 'X'}: packaging/install-system-libraries.sh installs them")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"], pass_fds=[write], stderr=subprocess.DEVNULL
    )
    os.close(write)
    with os.fdopen(read) as f:
        name = f":{f.readline().strip()}"
    manager = subprocess.Popen(["openbox"], env=os.environ | {"DISPLAY": name}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    yield name
    for process in (manager, server):
        process.terminate()
        process.wait(10)


def test_the_window_lives_on_a_real_display(display, studio_home):
    env = os.environ | {"DISPLAY": display, "QT_QPA_PLATFORM": "xcb", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", CODE], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["platform"] == "xcb" and shown["page"] == "schedule"
    assert shown["colours"] > 30 and shown["frame_px"] > 0
