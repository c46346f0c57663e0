"""What the window shows of a run without validation: what it learnt, and plainly that nothing was measured."""

from __future__ import annotations

import pytest
from builders import build_dataset, build_run
from PySide6.QtWidgets import QLabel

from studio.core.outcome import Status
from studio.core.place import runs_dir
from studio.core.run_digest import RunDigest
from studio.gui.monitor import RunUpdate
from studio.gui.notify import notice_of
from studio.gui.pages.results.details import facts
from studio.gui.pages.results.page import ResultsPage
from studio.gui.pages.train.epochs import cells
from studio.gui.pages.train.figures import run_figures
from studio.gui.pages.train.page import TrainPage
from studio.gui.pages.use.page import UsePage
from studio.gui.shell.runbar import _subtitle


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return build_dataset(tmp_path_factory.mktemp("images"))


@pytest.fixture
def entry(context, dataset):
    """A finished run that was trained without validation images."""
    folder = build_run(runs_dir(), dataset, Status.FINISHED, is_measured=False)
    context.runs.take((RunUpdate(folder, folder.read_state(), folder.experiment(), False),))
    return context.runs.entries[0]


def shown_on(qtbot, page) -> str:
    qtbot.addWidget(page)
    page.resize(1120, 800)
    page.show()
    page.activate()
    qtbot.wait(0)
    return " | ".join(label.text() for label in page.findChildren(QLabel) if label.isVisible())


def test_the_pages_show_it_without_a_score(qtbot, context, entry):
    train = TrainPage(context)
    words = shown_on(qtbot, train)
    assert "no images held back" in words and "not finite" not in words
    assert train.charts.loss.accessibleDescription().startswith("No images are held back")
    assert len(train.charts.loss.curve_data("train.raw")[0])
    assert not {"validation", "top5"} & {*train.charts.loss.legend_keys(), *train.charts.accuracy.legend_keys()}, (
        "nothing in a legend that is not there"
    )
    results = ResultsPage(context)
    qtbot.addWidget(results)
    results.resize(1120, 800)
    results.show()
    results.activate()
    qtbot.waitUntil(lambda: "what it confuses" in results.confusion.message.text())
    for place in (results.compare.message, results.confusion.message, results.mistakes.empty):
        assert place.isVisible() and "without" in place.text() and "Hold some back with the split bar" in place.text()
    assert "not measured" in " ".join(combo for combo in _choices(qtbot, UsePage(context)))


def _choices(qtbot, page) -> list[str]:
    from PySide6.QtWidgets import QComboBox

    shown_on(qtbot, page)
    return [box.itemText(i) for box in page.findChildren(QComboBox) for i in range(box.count())]


def test_among_measured_runs_it_is_left_out_of_compare_and_named(qtbot, context, entry, dataset):
    measured = build_run(runs_dir(), dataset, Status.FINISHED, "keen-finch")
    context.runs.take((RunUpdate(measured, measured.read_state(), measured.experiment(), False),))
    results = ResultsPage(context)
    qtbot.addWidget(results)
    results.model.checked = {e.folder.name for e in context.runs.entries}
    results.activate()
    assert results.compare.plot.isVisibleTo(results) and results.compare.plot.legend_keys() == [measured.name]
    assert results.compare.subtitle_label.text() == "1 without" and entry.name in results.compare.subtitle_label.toolTip()
    results.clear_checks()
    assert results.compare.message.text().startswith("No run is checked")


def test_figures_tables_and_notices_have_words_for_it(entry):
    state = entry.state
    epoch = state.epochs[-1]
    assert cells(epoch)[2:6] == ("–", "–", "–", "–") and "not finite" not in cells(epoch)
    figures = {figure.label: figure for figure in run_figures(state, entry.experiment)}
    assert figures["Validation top-1"].value == "–" and figures["Validation top-1"].note == "no images held back"
    assert figures["Train loss"].value not in ("…", "–")
    assert notice_of(entry)[1].startswith("Done after") and "train loss" in _subtitle(entry)
    digest = RunDigest.of(entry.experiment, state)
    assert digest.summary.top1 is None and not digest.state().is_measured and digest.state().best.epoch == epoch.epoch
    from studio.gui.pages.results.notes import Notes
    from studio.gui.pages.results.rows import RunRow

    told = dict(facts(RunRow(entry, Notes())))
    assert told["Kept epoch"].startswith(f"{epoch.epoch + 1} of") and "Top-1" not in told and float(told["Train loss"]) > 0
