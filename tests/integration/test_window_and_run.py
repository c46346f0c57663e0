"""Real windows and a real run, as processes: the window may die, the run goes on, and the next window shows every point of it.

On a real X display under a window manager where there is one: Train is pressed in a window as a person has it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from studio.core.experiment import Experiment
from studio.core.experiment_file import write_experiment
from studio.core.outcome import Status
from studio.core.run_folder import RunFolder, find_runs
from tests.cli.conftest import snapshot, write_images

# Opens the window as `studio` does, then does what `act(window)` says; every line it prints is one JSON value.
WINDOW = """
import json, sys
from PySide6.QtCore import QTimer, Qt
from PySide6.QtTest import QTest
from studio.gui import app as studio_app
app = studio_app.make_application()
window = studio_app.open_window(sys.argv[1])
def say(**values):
    print(json.dumps(values), flush=True)
def look():
    if window.context is not None and act(window):
        return
    QTimer.singleShot(50, look)
"""

PRESS_TRAIN = """
def act(window):
    runs = window.context.runs
    if runs.active is not None:
        if runs.active.state.step >= 3:
            say(step=runs.active.state.step, folder=str(runs.active.folder.path), page=window.current_page, platform=app.platformName())
            return True
        return False
    train = window.top_bar.train.main
    if train.isEnabled() and not runs.entries and not state.get("pressed"):
        state["pressed"] = True
        QTest.mouseClick(train, Qt.MouseButton.LeftButton)
    return False
state = {}
"""

LOOK_AT_RUN = """
def act(window):
    entries = window.context.runs.entries
    if not entries or not entries[0].is_whole or entries[0].state.stopped is None:
        return False
    window.show_page("train", entries[0])
    if "shown" not in state:
        state["shown"] = True
        return False
    s = entries[0].state
    say(points=len(s.train_loss), epochs=len(s.epochs), status=s.status, losses=s.train_loss.y.tolist())
    window.close()
    app.quit()
    return True
state = {}
"""


def open_window(act: str, path: str, home: Path, screen: dict[str, str]) -> subprocess.Popen:
    env = os.environ | screen | {"STUDIO_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])}
    code = WINDOW + act + "\nlook()\nstudio_app.leave(app.exec(), window)\n"
    return subprocess.Popen([sys.executable, "-c", code, path], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def read_line(window: subprocess.Popen) -> dict:
    line = window.stdout.readline()
    if not line:
        pytest.fail(f"the window ended: {window.communicate()[1]}")
    return json.loads(line)


def wait_for(condition, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


@pytest.fixture
def images(tmp_path) -> Path:
    return write_images(tmp_path / "shapes")


@pytest.fixture
def experiment(tmp_path, images) -> Path:
    path = tmp_path / "experiment.toml"
    quick = {
        "data.source": str(images),
        "data.validation_fraction": 0.4,
        "model.source": "timm",
        "model.backbone": "test_resnet",
        "model.pretrained": False,
        "model.input_size": 64,
        "model.train_stages": 1,
        "augment.preset": "none",
        "schedule.epochs": 10_000,  # it does not end by itself
        "training.batch_size": 4,
        "training.precision": "fp32",
        "training.workers": 0,
    }
    write_experiment(Experiment().changed(quick), path)
    return path


@pytest.mark.usefixtures("no_run_is_left")
def test_a_killed_window_does_not_touch_the_run_and_the_next_one_shows_every_point(experiment, images, studio_home, screen):
    before = snapshot(images)
    window = open_window(PRESS_TRAIN, str(experiment), studio_home, screen)
    try:
        seen = read_line(window)
    finally:
        window.send_signal(signal.SIGKILL)
        window.communicate()
    assert seen["page"] == "train" and seen["platform"] == ("xcb" if screen else "offscreen")
    run = RunFolder(seen["folder"])
    num_epochs = len(run.read_state().epochs)
    wait_for(lambda: len(run.read_state().epochs) > num_epochs + 1 or not run.is_alive(), 120)
    assert run.is_alive(), run.log_tail()
    run.command("stop")
    wait_for(lambda: not run.is_alive(), 120)
    state = run.read_state()
    assert state.status is Status.STOPPED, run.log_tail()
    assert state.step > seen["step"]
    assert find_runs(studio_home / "runs") == [run]

    window = open_window(LOOK_AT_RUN, "", studio_home, screen)
    shown = read_line(window)
    assert window.wait(60) == 0, window.communicate()[1]
    window.communicate()
    assert shown["status"] == "stopped" and shown["points"] == state.step and shown["epochs"] == len(state.epochs)
    assert shown["losses"] == state.train_loss.y.tolist()
    assert snapshot(images) == before
