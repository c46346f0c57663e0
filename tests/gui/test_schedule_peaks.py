"""The Schedule page compares peaks of a new head: where the head alone trains, with every peak to look at and the best one marked."""

from __future__ import annotations

import numpy as np
import pytest
from builders import build_dataset
from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QAbstractButton

from studio.core.experiment import Model
from studio.core.head_sweep import HeadSweep
from studio.gui.pages.model.network import Network, StageFacts
from studio.gui.pages.schedule.page import SchedulePage
from studio.gui.pages.schedule.sweep_check import obstacle
from studio.gui.recorded import recorded_head_sweep, recorded_rate_test
from studio.supervise.worker import WorkerError
from tests.gui.finder_place import Place, shown_place


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return build_dataset(tmp_path_factory.mktemp("images"), num_train=30, num_validation=4)


@pytest.fixture
def place(qtbot, context, dataset) -> Place:
    """Of a draft in which the head alone trains."""
    context.store.set({"model.train_stages": 0})
    return shown_place(qtbot, context, dataset)


def choices(place: Place) -> dict[str, bool]:
    """The lines of the menu, and whether they can be chosen."""
    place.finder._fill_menu()
    return {action.text(): action.isEnabled() for action in place.finder.menu.actions() if action.text()}


def compare(qtbot, place: Place, context) -> None:
    place.finder._fill_menu()
    next(action for action in place.finder.menu.actions() if action.text() == "Compare 32 peaks").trigger()
    qtbot.waitUntil(lambda: bool(context.finder.calls) or place.finder.run.state == "failed")


def finish(qtbot, place: Place, context) -> HeadSweep:
    sweep = recorded_head_sweep(context.store.experiment)
    context.finder.answer("sweep_head", {"sweep": sweep.to_json().decode()})
    compare(qtbot, place, context)
    qtbot.waitUntil(lambda: place.finder.run.state == "done")
    return sweep


def click(qtbot, graphics, plot, x: float, y: float) -> None:
    at = graphics.mapFromScene(plot.getViewBox().mapViewToScene(QPointF(x, y)))
    qtbot.mouseClick(graphics.viewport(), Qt.MouseButton.LeftButton, pos=at)


def test_it_is_offered_where_the_head_alone_trains_and_else_it_is_said_why_not(place, context):
    assert choices(place) == {
        "Range test": True,
        "Tries rising rates for some steps and shows where the loss falls.": False,
        "Compare 32 peaks": True,
        "Trains 32 heads at once on the kept features, 8 epochs; without augmentation.": False,
    }
    context.store.set({"model.train_stages": 2})
    assert not choices(place)["Compare 32 peaks"] and any(words.startswith("More than the head trains") for words in choices(place))
    said = []
    context.shell.toast_requested.connect(lambda sentence, *_: said.append(sentence))
    place.finder.compare_or_cancel()
    assert place.finder.run.state == "idle" and "Head only" in said[0]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"train_stages": 0}, ""),
        ({"train_stages": 1, "thaw": {"stage 1": -1}}, ""),
        ({"train_stages": 1}, "1 stage before the head trains too"),
        ({"train_stages": 0, "thaw": {"stem": 3, "stage 1": 2}}, "2 stages before the head train too"),
        ({"train_stages": 0, "batch_norm": {"stem": "adapt"}}, "Batch normalisation adapts"),
        ({"train_stages": 0, "layers": {"head": "frozen"}}, "The head is frozen"),
        ({"train_stages": 0, "head": ({"kind": "hidden", "width": 8},)}, "a head of one layer"),
    ],
)
def test_what_stands_in_the_way_of_a_comparison_is_named(values, words):
    names = ("stem", "stage 1", "head")
    network = Network(tuple(StageFacts(name, 10) for name in names))
    found = obstacle(Model(**values), network)
    assert words in found and bool(found) == bool(words)


def test_while_it_runs_it_says_how_far_it_is_and_can_be_given_up(qtbot, place, context):
    compare(qtbot, place, context)
    strip = place.finder.strip
    assert place.finder.button.text() == "Cancel the comparison" and not place.finder.more_button.isEnabled()
    context.finder.on_progress(64, 3_025, "Making features")
    assert strip.words_label.text() == "Making features: 64 of 3,025" and not place.has_curve
    qtbot.mouseClick(strip.cancel_button, Qt.MouseButton.LeftButton)
    assert context.finder.cancelled and place.finder.run.state == "idle" and strip.isHidden()


def test_the_best_is_marked_and_chosen_and_becomes_the_peak_in_one_undo_step(qtbot, place, context):
    sweep = finish(qtbot, place, context)
    before, cell, best = context.store.experiment, place.finder.strip.peak_cell, sweep.best
    assert place.has_curve and place.finder.peaks._best.getData()[1] == pytest.approx([np.log10(best.peak)])
    assert place.finder.peaks._now.value() == pytest.approx(np.log10(before.schedule.peak_lr))
    assert cell.title_label.text() == "Best of 32" and cell.use_button.text() == f"Use {cell.rate_label.text()}"
    assert f"{best.loss:.3f}" == cell.loss_label.text() and f"{best.top1 * 100:.1f}" in cell.top1_label.text()
    qtbot.mouseClick(cell.use_button, Qt.MouseButton.LeftButton)
    assert context.store.experiment == before.changed({"schedule.peak_lr": best.peak})
    assert cell.use_button.text() == "In use" and place.finder.peaks._now.value() == pytest.approx(np.log10(best.peak))
    assert "Changed" not in place.finder.strip.note_label.text(), "the peak itself is what was compared"
    context.store.undo()
    assert context.store.experiment == before and cell.use_button.isEnabled()


def test_another_peak_is_chosen_by_a_click_or_by_the_steps_beside_it(qtbot, place, context):
    sweep = finish(qtbot, place, context)
    run, cell = place.finder.run, place.finder.strip.peak_cell
    head = sweep.heads[3]
    place.plot.plot.setYRange(-5, 0)  # the page keeps them in sight
    qtbot.waitUntil(lambda: place.finder.item.getViewBox().height() > 100)
    click(qtbot, place.plot.graphics, place.finder.item, sweep.best.top1, np.log10(head.peak))
    assert run.chosen == 3 and float(cell.rate_label.text()) == pytest.approx(head.peak)
    for button, index in ((cell.higher_button, 4), (cell.lower_button, 3)):
        button.setFocus()
        qtbot.keyClick(button, Qt.Key.Key_Space)
        assert run.chosen == index
    qtbot.mouseClick(cell.use_button, Qt.MouseButton.LeftButton)
    assert context.store.value("schedule.peak_lr") == head.peak
    run.choose(99)
    assert run.chosen == 31 and cell.loss_label.text() == "no\N{NO-BREAK SPACE}number"
    cell.higher_button.setFocus()
    qtbot.keyClick(cell.higher_button, Qt.Key.Key_Space)
    assert run.chosen == 31 and cell.higher_button.hasFocus(), "the next Space does not take the peak"
    assert context.store.value("schedule.peak_lr") == head.peak


def test_the_large_view_is_worked_by_keys_and_shows_every_head(qtbot, place, context):
    sweep = finish(qtbot, place, context)
    qtbot.mouseClick(place.finder.strip.large_button, Qt.MouseButton.LeftButton)
    large, best = place.finder._covers["sweep"], sweep.heads.index(sweep.best)
    assert large.isVisible() and large.table.rowCount() == 32 and large.table.currentRow() == best
    qtbot.keyClick(large, Qt.Key.Key_Left)
    assert place.finder.run.chosen == best - 1 == large.table.currentRow()
    large.table.selectRow(5)
    assert place.finder.run.chosen == 5
    click(qtbot, large.graphics, large.plot, np.log10(sweep.heads[9].peak), sweep.best.top1)
    assert place.finder.run.chosen == 9
    qtbot.keyClick(large, Qt.Key.Key_Return)
    assert context.store.value("schedule.peak_lr") == sweep.heads[9].peak and not large.isVisible()


def test_enter_on_the_close_button_of_the_large_view_takes_no_peak(qtbot, place, context):
    finish(qtbot, place, context)
    before = context.store.experiment
    place.finder.open_large()
    large = place.finder._covers["sweep"]
    close = large.findChild(QAbstractButton, "schedule.finder.peaks.close")
    close.setFocus()
    qtbot.keyClick(close, Qt.Key.Key_Return)
    assert context.store.experiment == before and not large.isVisible()
    assert large.table.accessibleName() == "Values of the comparison"


@pytest.mark.parametrize("kind", ["sweep", "test"])
def test_a_large_view_goes_with_the_page_and_shows_no_finding_of_another_draft(qtbot, context, kind):
    context.store.set({"model.train_stages": 0})
    page = SchedulePage(context)
    qtbot.addWidget(page)
    page.show()
    recorded = recorded_head_sweep if kind == "sweep" else recorded_rate_test
    page.finder.run.hold("done", recorded(context.store.experiment))
    page.finder.open_large()
    page.hide()
    page.deactivate()
    context.projects.create()
    page.show()
    page.activate()
    assert page.finder.run.found is None and not page.finder._covers[kind].isVisible()
    context.store.set({"schedule.peak_lr": 0.02})


def test_the_keyboard_goes_to_what_gives_up_the_search_as_the_menu_beside_it_is_shut(qtbot, place, context):
    place.finder.more_button.setFocus()
    compare(qtbot, place, context)
    assert not place.finder.more_button.isEnabled() and place.finder.button.hasFocus()


def test_it_is_outdated_with_what_it_depends_on_and_cannot_be_run_again_where_more_trains(qtbot, place, context):
    finish(qtbot, place, context)
    strip = place.finder.strip
    assert strip.again_button.isHidden()
    context.store.set({"schedule.epochs": 3})
    assert strip.note_label.text() == "Changed since: epochs" and strip.again_button.isVisible() and strip.again_button.isEnabled()
    context.store.set({"model.train_stages": 2})
    assert not strip.again_button.isEnabled() and "Head only" in strip.again_button.accessibleDescription()
    stages = [{"name": name, "title": name, "num_parameters": 10} for name in ("stem", "head")]
    context.store.set({"model.train_stages": 0, "model.batch_norm": {"stem": "adapt"}})
    assert strip.again_button.isEnabled(), "which stages there are is not known yet"
    context.probe.answer("describe_model", {"stages": stages, "num_parameters": 20, "num_trainable": 10})
    qtbot.waitUntil(lambda: not strip.again_button.isEnabled())
    assert "Batch normalisation adapts" in strip.again_button.accessibleDescription()
    context.store.undo()
    context.store.undo()
    context.store.undo()
    assert strip.again_button.isHidden()


def test_a_failure_is_a_sentence_and_another_try_is_a_comparison_again(qtbot, place, context):
    test = recorded_rate_test(context.store.experiment)
    place.finder.run.hold("done", test)
    context.finder.answer("sweep_head", WorkerError("None are held back.", "Choose a validation share."))
    compare(qtbot, place, context)
    strip = place.finder.strip
    qtbot.waitUntil(lambda: place.finder.run.state == "failed")
    assert strip.words_label.text() == "None are held back. Choose a validation share." and strip.again_button.text() == "Try again"
    sweep = recorded_head_sweep(context.store.experiment)
    context.finder.answer("sweep_head", {"sweep": sweep.to_json().decode()})
    qtbot.mouseClick(strip.again_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: place.finder.run.state == "done")
    assert place.finder.run.sweep == sweep and place.finder.run.test is None


def test_the_draft_s_peak_is_marked_beside_a_failure_too(qtbot, place, context):
    finish(qtbot, place, context)
    context.finder.answer("sweep_head", WorkerError("None are held back."))
    place.finder.run.start_again()
    qtbot.waitUntil(lambda: place.finder.run.state == "failed")
    context.store.set({"schedule.peak_lr": 0.02})
    assert place.has_curve and place.finder.peaks._now.value() == pytest.approx(np.log10(0.02))


def test_a_comparison_is_kept_with_its_draft(qtbot, place, context):
    sweep = finish(qtbot, place, context)
    qtbot.waitUntil(context.projects.path.with_suffix(".rates.json").is_file)
    context.projects.save_now()
    first = context.projects.path
    context.projects.create()
    assert place.finder.run.found is None and not place.has_curve
    context.projects.open(first)
    assert place.finder.run.sweep == sweep and place.finder.strip.peak_cell.isVisible()
    qtbot.mouseClick(place.finder.strip.close_button, Qt.MouseButton.LeftButton)
    assert not first.with_suffix(".rates.json").exists() and not place.has_curve
