"""A run that ends is told on the desktop, in words, and only to somebody who looks elsewhere."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from studio.core.outcome import Status
from studio.core.place import runs_dir
from studio.gui.notify import Notifier, notice_of
from studio.gui.run_entry import RunEntry
from tests.builders import build_dataset, build_run


def entry_of(folder) -> RunEntry:
    return RunEntry(folder, 4, folder.experiment(), folder.read_state())


def test_the_notice_says_how_it_ended(tmp_path):
    dataset = build_dataset(tmp_path / "images", num_train=2, num_validation=1)
    title, words = notice_of(entry_of(build_run(runs_dir(), dataset, Status.FINISHED)))
    assert title == "Studio: run 4 finished" and words.startswith("Top-1 ")
    title, words = notice_of(entry_of(build_run(runs_dir(), dataset, Status.CRASHED, nickname="swift-fox")))
    assert title == "Studio: run 4 stopped unexpectedly" and "ended without a word" in words


def test_nobody_is_told_while_the_window_is_active(qtbot, tmp_path):
    dataset = build_dataset(tmp_path / "images", num_train=2, num_validation=1)
    entry = entry_of(build_run(runs_dir(), dataset, Status.FINISHED))
    window = QWidget()
    qtbot.addWidget(window)
    notifier = Notifier(window)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    assert not notifier.run_ended(entry)
    window.hide()
    qtbot.waitUntil(lambda: not window.isActiveWindow())
    assert notifier.run_ended(entry)
    notifier.window_activated()
