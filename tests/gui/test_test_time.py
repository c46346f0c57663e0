"""Test-time augmentation as a choice of the Use page and, with its gain, of the Results page."""

from __future__ import annotations

import pytest

from studio.core.experiment import Experiment
from studio.core.run_folder import RunFolder
from studio.gui.monitor import RunUpdate
from studio.gui.pages.results.rows import RunRow
from studio.gui.pages.results.score_again import ScoreAgain
from studio.gui.pages.use.page import UsePage
from studio.supervise.worker import WorkerError
from tests.builders import build_dataset, build_run


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return build_dataset(tmp_path_factory.mktemp("images"), num_train=4, num_validation=3)


@pytest.fixture
def entry(context, dataset, tmp_path):
    folder = build_run(tmp_path / "runs", dataset, nickname="keen-finch", experiment=Experiment().changed({"data.source": dataset.root}))
    folder = folder if isinstance(folder, RunFolder) else RunFolder(folder)
    context.runs.take((RunUpdate(folder, folder.read_state(), folder.experiment(), folder.is_alive()),))
    return context.runs.entries[0]


def test_the_use_page_asks_with_the_chosen_views_and_remembers_them(context, entry, dataset, qtbot):
    page = UsePage(context)
    qtbot.addWidget(page)
    picture = dataset.path_of(dataset.samples[0])
    page.try_panel.try_path(picture)
    assert context.probe.calls[-1][1]["test_time"] == "off"
    page.views.set_value("five crops")
    page.views.value_changed.emit("five crops")
    assert [call[1]["test_time"] for call in context.probe.calls if call[0] == "predict"] == ["off", "five crops"]
    other = UsePage(context)
    qtbot.addWidget(other)
    assert other.views.value == "five crops"


def row_of(entry) -> RunRow:
    from studio.gui.pages.results.notes import Notes

    return RunRow(entry, Notes())


def test_the_results_page_scores_again_and_says_what_was_gained(context, entry, qtbot):
    again = ScoreAgain(context)
    qtbot.addWidget(again)
    again.show()
    again.show_row(row_of(entry))
    best = entry.state.best.validation_top1
    context.probe.answer("evaluate", {"top1": best + 0.01, "num_images": 30, "test_time": "mirror"})
    again.button.click()
    assert again.button.text() == "Stop"
    qtbot.waitUntil(lambda: "+1.0 points" in again.words.text(), timeout=3000)
    params = context.probe.calls[-1][1]
    assert (params["test_time"], params["part"]) == ("mirror", "validation") and again.button.text() == "Score"


def test_scoring_again_can_be_stopped_and_says_why_it_failed(context, entry, qtbot):
    again = ScoreAgain(context)
    qtbot.addWidget(again)
    again.show_row(row_of(entry))
    again.button.click()
    again.button.click()
    assert len(context.probe.cancelled) == 1 and again.button.text() == "Score"
    context.probe.answer("evaluate", WorkerError("The folder is gone.", "Locate it."))
    again.button.click()
    qtbot.waitUntil(lambda: again.words.text() == "The folder is gone. Locate it.", timeout=3000)
