"""The window on a real X server under a real window manager: it maps, takes keys, opens a folder by its dialog, and paints every page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import snapshot, write_images

# One thing after the other, each when the one before is seen: no wait is longer than it takes.
CODE = """
import json, sys
from PySide6.QtCore import QTimer, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog, QLineEdit
from studio.gui import app as studio_app
from studio.gui.pages import PAGES
app = studio_app.make_application()
window = studio_app.open_window()
seen = {"platform": app.platformName(), "pages": {}}

def shown():
    # what the X server shows, not what Qt thinks
    place = window.geometry()
    picture = app.primaryScreen().grabWindow(0, place.x(), place.y(), place.width(), place.height()).toImage()
    return len({picture.pixel(x, y) for x in range(0, picture.width(), 7) for y in range(0, picture.height(), 7)})

def steps():
    while window.context is None or not window.isActiveWindow() or window.frameGeometry().height() <= window.geometry().height():
        yield
    seen["frame_px"] = window.frameGeometry().height() - window.geometry().height()
    QTest.keyClick(window, Qt.Key.Key_O, Qt.KeyboardModifier.ControlModifier)
    while not isinstance(app.activeWindow(), QFileDialog):
        yield
    field = app.activeWindow().findChild(QLineEdit)
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, sys.argv[1])
    QTest.keyClick(field, Qt.Key.Key_Return)
    while window.context.store.dataset is None or not window.isActiveWindow():
        yield
    seen["classes"] = window.context.store.dataset.classes
    while not window.top_bar.train.main.isEnabled():
        yield
    for number, slot in enumerate(PAGES):
        QTest.keyClick(window, Qt.Key(Qt.Key.Key_1 + number), Qt.KeyboardModifier.ControlModifier)
        while window.current_page != slot.key or shown() <= 30:
            yield
        seen["pages"][window.current_page] = shown()
    seen["heavy"] = [m for m in ("torch", "torchvision", "timm", "albumentations", "cv2", "sklearn", "onnx") if m in sys.modules]

def go_on(work=steps()):
    try:
        next(work)
    except StopIteration:
        print(json.dumps(seen), flush=True)
        window.close()
        app.quit()
        return
    QTimer.singleShot(50, go_on)
go_on()
studio_app.leave(app.exec(), window)
"""


def test_under_a_window_manager_a_folder_is_opened_by_its_dialog_and_every_page_is_painted_without_a_heavy_module(
    screen, studio_home, tmp_path
):
    if not screen:
        pytest.skip("needs Xvfb and openbox: packaging/install-system-libraries.sh installs them")
    images = write_images(tmp_path / "shapes")
    before = snapshot(images)
    env = os.environ | screen | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", CODE, str(images)], env=env, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["platform"] == "xcb" and shown["frame_px"] > 0
    assert shown["classes"] == ["blue square", "red disc"] and len(shown["pages"]) == 7
    assert shown["heavy"] == [] and snapshot(images) == before
