"""The test set is scored when asked, with its interval; looks are counted with the run, and the second one warns."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtWidgets import QWidget

from studio.core.outcome import Status
from studio.core.place import runs_dir
from studio.gui.pages.results.notebook import Notebook
from studio.gui.pages.results.notes import read_notes
from studio.gui.pages.results.rows import RunRow
from studio.gui.pages.results.test import TestScore
from studio.gui.run_entry import RunEntry
from tests.builders import build_dataset, build_run


@pytest.fixture
def shown(qtbot, context, tmp_path):
    """(score, its notebook, a function that shows the run as it is now)"""
    folder = build_run(runs_dir(), build_dataset(tmp_path / "images", num_train=4, num_validation=2), Status.FINISHED)
    state = folder.read_state()
    state = replace(state, description=replace(state.description, num_test=200))
    entry = RunEntry(folder, 1, folder.experiment(), state)
    host = QWidget()
    qtbot.addWidget(host)
    notebook = Notebook(context.background)
    score = TestScore(context, notebook, host)
    host.show()

    def show() -> None:
        score.show_row(RunRow(entry, notebook.of(folder)))

    notebook.changed.connect(show)
    show()
    yield score, notebook, folder
    host.hide()


def test_each_look_is_counted_with_the_run_and_the_second_one_warns(qtbot, context, shown):
    score, notebook, folder = shown
    context.probe.answer("evaluate", {"top1": 0.9, "num_images": 200})
    assert score.words.text() == "200 test images."
    score.button.click()
    qtbot.waitUntil(lambda: notebook.of(folder).num_test_looks == 1)
    assert score.words.text() == "Top-1 90.0\N{NO-BREAK SPACE}% ± 4.2 (95 %) on 200 test images."
    assert context.probe.calls[-1][1]["part"] == "test"
    score.button.click()
    qtbot.waitUntil(lambda: "Looked at 2 times" in score.words.text())
    assert "more hopeful" in score.words.text()
    qtbot.waitUntil(lambda: read_notes(folder).num_test_looks == 2)


def test_a_run_without_test_images_has_no_button_and_a_failure_is_no_look(qtbot, context, shown):
    from studio.supervise.worker import WorkerError

    score, notebook, folder = shown
    context.probe.answer("evaluate", WorkerError("The images are gone.", "Bring them back."))
    score.button.click()
    qtbot.waitUntil(lambda: "The images are gone. Bring them back." in score.words.text())
    assert notebook.of(folder).num_test_looks == 0
    score.show_row(None)
    assert score.isHidden()
