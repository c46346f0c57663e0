"""The Schedule page finds a learning rate: the curve grows beside the plot, a suggestion becomes the peak in one step, and is kept."""

from __future__ import annotations

import os

import numpy as np
import pytest
from builders import build_dataset
from PySide6.QtCore import Qt

from studio.core.experiment import Experiment
from studio.core.rate_test import RULES, RateTest
from studio.gui.pages.schedule.finder_strip import stale_words
from studio.gui.recorded import recorded_rate_test
from studio.supervise.worker import WorkerError
from tests.gui.finder_place import Place, shown_place


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return build_dataset(tmp_path_factory.mktemp("images"), num_train=30, num_validation=4)


@pytest.fixture
def place(qtbot, context, dataset) -> Place:
    return shown_place(qtbot, context, dataset)


def answer_of(test: RateTest) -> dict:
    return {"test": test.to_json().decode()}


def begin(qtbot, place: Place, context) -> None:
    """Press the button and wait for the worker's request."""
    qtbot.mouseClick(place.finder.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(context.finder.calls))


def finish(qtbot, place: Place, context, test: RateTest | None = None) -> RateTest:
    test = test or recorded_rate_test(context.store.experiment)
    context.finder.answer("find_rate", answer_of(test))
    begin(qtbot, place, context)
    qtbot.waitUntil(lambda: place.finder.run.state == "done")
    return test


def test_nothing_is_shown_before_the_first_test(place):
    assert not place.has_curve and place.finder.strip.isHidden() and place.finder.button.text() == "Find learning rate"


def test_the_worker_is_asked_with_the_draft_and_its_images(qtbot, place, context, dataset):
    from studio.dataset.dataset import Dataset

    seen = []

    def answer(params):
        with open(params["dataset"], "rb") as file:
            seen.append((params["experiment"], Dataset.from_json(file.read()), params["dataset"]))
        return answer_of(recorded_rate_test(context.store.experiment))

    context.finder.answer("find_rate", answer)
    begin(qtbot, place, context)
    qtbot.waitUntil(lambda: place.finder.run.state == "done")
    ((experiment, images, path),) = seen
    assert Experiment(**experiment) == context.store.experiment
    assert images.fingerprint() == dataset.fingerprint()
    assert not os.path.exists(path), "the list is gone with the test"


def test_the_curve_grows_while_the_test_runs(qtbot, place, context):
    begin(qtbot, place, context)
    test = recorded_rate_test(context.store.experiment)
    assert place.finder.button.text() == "Cancel the test" and place.finder.strip.isVisible()
    context.finder.on_progress(0, None, "Loading torch")
    assert place.finder.strip.words_label.text() == "Loading torch…"
    for i in range(30):
        context.finder.on_part({"first": i, "rates": [test.rates[i]], "losses": [test.losses[i]]})
    context.finder.on_progress(30, 100, "Testing rates")
    assert place.has_curve
    losses, positions = place.finder._raw.getData()
    assert losses == pytest.approx(test.losses[:30]) and positions == pytest.approx(np.log10(test.rates[:30]))
    assert "Step 30 of 100" in place.finder.strip.words_label.text()
    assert not any(cell.isVisible() for cell in place.finder.strip.cells.values()), "nothing is suggested before the end"


def test_a_worker_that_begins_again_begins_the_curve_again(qtbot, place, context):
    begin(qtbot, place, context)
    context.finder.on_part({"first": 0, "rates": [1e-7, 2e-7, 3e-7], "losses": [1, 2, 3]})
    context.finder.on_part({"first": 0, "rates": [1e-7], "losses": [5]})
    assert place.finder.run.losses == [5]


def test_cancelling_stops_the_worker_and_what_still_comes_is_not_heard(qtbot, place, context):
    begin(qtbot, place, context)
    on_part, on_progress = context.finder.on_part, context.finder.on_progress
    qtbot.mouseClick(place.finder.strip.cancel_button, Qt.MouseButton.LeftButton)
    assert context.finder.cancelled and place.finder.run.state == "idle" and place.finder.strip.isHidden() and not place.has_curve
    on_part({"first": 0, "rates": [1e-7], "losses": [2.3]})
    on_progress(50, 100, "Testing rates")
    assert place.finder.run.state == "idle" and not place.has_curve


def test_cancelling_before_the_images_are_listed_asks_nothing(qtbot, place, context):
    place.finder.run.start()
    place.finder.run.cancel()
    context.background.close()
    qtbot.wait(20)
    assert not context.finder.calls and place.finder.run.state == "idle"


def test_the_suggestions_are_marked_and_the_band_lies_over_both_plots(qtbot, place, context):
    bands = []
    place.finder.band_changed.connect(lambda *band: bands.append(band))
    test = finish(qtbot, place, context)
    (low, high) = bands[-1]
    turn = test.rates[int(np.argmin(test.smoothed))]
    assert low == test.band[0] < test.band[1] and high > turn, "the band and the turn of the loss are in sight"
    for region in place.finder._bands:
        assert region.isVisible() and region.getRegion() == pytest.approx(np.log10(test.band))
    marks = sorted(point.pos().y() for point in place.finder._marks.points())
    assert marks == pytest.approx(sorted(np.log10(list(test.suggestions.values()))))
    assert all(name.isVisible() for name in place.finder._names.values())


def test_names_of_marks_that_lie_together_do_not_cover_each_other(qtbot, place, context):
    finish(qtbot, place, context)
    place.finder._places = dict.fromkeys(place.finder._places, (2.0, -3.0))
    place.finder._place_names()
    view = place.finder.item.getViewBox()
    heights = sorted(view.mapViewToScene(name.pos()).y() for name in place.finder._names.values())
    assert min(np.diff(heights)) >= 12


def test_on_a_linear_axis_the_curve_and_the_band_are_linear_too(qtbot, place, context):
    test = finish(qtbot, place, context)
    place.finder.set_scale("lin")
    assert place.finder._raw.getData()[1] == pytest.approx(test.rates)
    assert place.finder._bands[0].getRegion() == pytest.approx(test.band)
    assert place.finder._sight == test.band, "a run-away rate would flatten the schedule"


@pytest.mark.parametrize("rule", [rule.key for rule in RULES])
def test_use_this_sets_the_peak_in_one_undo_step(qtbot, place, context, rule):
    test = finish(qtbot, place, context)
    before = context.store.experiment
    cell = place.finder.strip.cells[rule]
    qtbot.mouseClick(cell.use_button, Qt.MouseButton.LeftButton)
    assert context.store.experiment == before.changed({"schedule.peak_lr": test.suggestions[rule]})
    assert cell.use_button.text() == "In use" and not cell.use_button.isEnabled()
    context.store.undo()
    assert context.store.experiment == before and cell.use_button.isEnabled()


def test_space_takes_one_suggestion_and_a_second_one_takes_or_starts_nothing(qtbot, place, context):
    def press(button) -> None:
        button.setFocus()
        qtbot.waitUntil(button.hasFocus)
        qtbot.keyClick(button, Qt.Key.Key_Space)

    place.activateWindow()
    test, strip = finish(qtbot, place, context), place.finder.strip
    first = RULES[0].key
    press(strip.cells[first].use_button)
    assert context.store.value("schedule.peak_lr") == test.suggestions[first] and strip.large_button.hasFocus()
    context.store.set({"training.batch_size": 16})
    context.finder.answer("find_rate", None)
    press(strip.again_button)
    assert place.finder.run.state == "running" and strip.cancel_button.hasFocus()
    press(strip.cancel_button)
    assert place.finder.run.state == "done" and strip.large_button.hasFocus()
    press(strip.close_button)
    assert strip.isHidden() and place.plot.hasFocus()
    place.finder.run.start()
    press(strip.cancel_button)
    assert place.finder.run.state == "idle" and place.plot.hasFocus()


def test_every_suggestion_says_its_rule_and_what_its_button_does(qtbot, place, context):
    test = finish(qtbot, place, context)
    for rule in RULES:
        cell = place.finder.strip.cells[rule.key]
        assert cell.title_label.text() == rule.title and rule.words in cell.use_button.accessibleDescription()
        assert rule.title in cell.use_button.accessibleName() and cell.rate_label.text() in cell.use_button.accessibleName()
        assert float(cell.rate_label.text()) == pytest.approx(test.suggestions[rule.key])


def test_a_test_that_no_longer_fits_says_what_changed_and_offers_another(qtbot, place, context):
    finish(qtbot, place, context)
    strip = place.finder.strip
    assert strip.again_button.isHidden()
    context.store.set({"training.batch_size": 16})
    assert strip.note_label.text() == "Changed since: batch size" and strip.again_button.isVisible()
    context.store.set({"schedule.epochs": 3})
    context.store.undo()
    context.store.undo()
    assert "Changed" not in strip.note_label.text() and strip.again_button.isHidden()


def test_many_changes_are_named_in_short():
    assert stale_words(()) == ""
    assert (
        stale_words(("optimiser.kind", "training.batch_size", "augment.preset", "model.dropout"))
        == "Changed since: optimiser, batch size and 2 more"
    )
    assert stale_words(("optimiser.not_there",)) == "Changed since: optimiser.not_there"


def test_a_diverged_test_shows_its_curve_and_says_where_it_stopped(qtbot, place, context):
    test = finish(qtbot, place, context)
    assert test.has_diverged and place.has_curve
    assert len(place.finder._raw.getData()[0]) == len(test.rates) < test.num_steps
    assert place.finder.strip.note_label.text().endswith(f"stopped at {test.rates[-1]:.3g}, where the loss ran away")


def test_a_loss_that_fell_nowhere_is_shown_with_a_sentence_and_no_suggestion(qtbot, place, context):
    finish(qtbot, place, context, recorded_rate_test(context.store.experiment, falls=False))
    assert place.has_curve and "fell at no rate" in place.finder.strip.words_label.text()
    assert not any(cell.isVisible() for cell in place.finder.strip.cells.values())
    assert not any(band.isVisible() for band in place.finder._bands)


def test_a_failure_is_a_sentence_with_a_way_to_try_again(qtbot, place, context):
    context.finder.answer("find_rate", WorkerError("The memory is not enough for this.", "Choose a smaller batch."))
    begin(qtbot, place, context)
    strip = place.finder.strip
    qtbot.waitUntil(lambda: place.finder.run.state == "failed")
    assert (
        strip.words_label.text() == "The memory is not enough for this. Choose a smaller batch."
        and strip.words_label.property("tone") == "bad"
    )
    context.finder.answer("find_rate", answer_of(recorded_rate_test(context.store.experiment)))
    qtbot.mouseClick(strip.again_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: place.finder.run.state == "done")


def test_without_images_it_says_where_to_get_them(qtbot, place, context):
    context.store.set_dataset(None)
    qtbot.mouseClick(place.finder.button, Qt.MouseButton.LeftButton)
    assert "Data page" in place.finder.strip.words_label.text() and not context.finder.calls
    qtbot.mouseClick(place.finder.strip.close_button, Qt.MouseButton.LeftButton)
    assert place.finder.strip.isHidden()


def test_while_the_images_are_read_anew_it_waits_for_them(qtbot, place, context):
    context.store.set({"data.validation_fraction": 0.3})
    qtbot.mouseClick(place.finder.button, Qt.MouseButton.LeftButton)
    assert "still being read" in place.finder.strip.words_label.text() and not context.finder.calls


def test_a_failed_second_test_leaves_the_first_one(qtbot, place, context):
    test = finish(qtbot, place, context)
    context.finder.answer("find_rate", WorkerError("It broke."))
    place.finder.run.start()
    qtbot.waitUntil(lambda: place.finder.run.state == "failed")
    qtbot.mouseClick(place.finder.strip.close_button, Qt.MouseButton.LeftButton)
    assert place.finder.run.state == "done" and place.finder.run.test == test and place.has_curve


def test_a_test_is_kept_with_its_draft_and_goes_with_it(qtbot, place, context):
    test = finish(qtbot, place, context)
    kept = context.projects.path.with_suffix(".rates.json")
    qtbot.waitUntil(kept.is_file)
    context.projects.save_now()
    first = context.projects.path
    context.projects.create()
    assert place.finder.run.test is None and not place.has_curve, "another draft has no test"
    context.projects.open(first)
    assert place.finder.run.test == test and place.has_curve


def test_a_kept_test_that_is_damaged_is_as_none(qtbot, place, context):
    context.projects.save_now()
    first = context.projects.path
    context.projects.create()
    first.with_suffix(".rates.json").write_text('{"version": 1')
    context.projects.open(first)
    assert place.finder.run.state == "idle" and place.finder.run.test is None


def test_forgetting_a_test_deletes_it(qtbot, place, context):
    finish(qtbot, place, context)
    kept = context.projects.path.with_suffix(".rates.json")
    qtbot.waitUntil(kept.is_file)
    qtbot.mouseClick(place.finder.strip.close_button, Qt.MouseButton.LeftButton)
    assert not kept.exists() and not place.has_curve and place.finder.strip.isHidden()


def test_another_draft_ends_a_running_test(qtbot, place, context):
    begin(qtbot, place, context)
    context.projects.create()
    assert context.finder.cancelled and place.finder.run.state == "idle"


def test_whoever_is_on_another_page_hears_that_it_is_done(qtbot, place, context):
    said = []
    context.shell.toast_requested.connect(lambda sentence, *_: said.append(sentence))
    begin(qtbot, place, context)
    place.hide()
    place.finder.run._on_result(place.finder.run._turn, answer_of(recorded_rate_test(context.store.experiment)))
    assert said and "suggests" in said[0]


def test_the_large_view_shows_loss_over_the_rate_and_every_value(qtbot, place, context):
    test = finish(qtbot, place, context)
    qtbot.mouseClick(place.finder.strip.large_button, Qt.MouseButton.LeftButton)
    large = place.finder._covers["test"]
    assert large.isVisible() and large.geometry() == place.rect()
    x, y = large._raw.getData()
    assert x == pytest.approx(np.log10(test.rates)) and y == pytest.approx(test.losses)
    assert large._smooth.getData()[1] == pytest.approx(test.smoothed)
    assert large.table.rowCount() == len(test.rates)
    assert float(large.table.item(5, 1).text()) == pytest.approx(test.losses[5], abs=1e-4)
    for rule in RULES:
        assert large._lines[rule.key].value() == pytest.approx(np.log10(test.suggestions[rule.key]))
    place.resize(700, 400)
    assert large.geometry() == place.rect(), "it keeps covering the page"


def test_a_suggestion_can_be_taken_in_the_large_view_and_escape_closes_it(qtbot, place, context):
    test = finish(qtbot, place, context)
    place.finder.open_large()
    large = place.finder._covers["test"]
    qtbot.mouseClick(large.use_buttons["minimum"], Qt.MouseButton.LeftButton)
    assert context.store.value("schedule.peak_lr") == test.suggestions["minimum"] and not large.isVisible()
    place.finder.open_large()
    qtbot.keyClick(large, Qt.Key.Key_Escape)
    assert not large.isVisible()


def test_the_large_view_grows_with_the_test(qtbot, place, context):
    begin(qtbot, place, context)
    place.finder.open_large()
    large = place.finder._covers["test"]
    test = recorded_rate_test(context.store.experiment)
    for i in range(10):
        context.finder.on_part({"first": i, "rates": [test.rates[i]], "losses": [test.losses[i]]})
    assert large.table.rowCount() == 10 and len(large._raw.getData()[0]) == 10
    assert [large.table.item(i, 1).text() for i in range(10)] == [f"{loss:.4f}" for loss in test.losses[:10]]
    assert not any(button.isEnabled() for button in large.use_buttons.values())


def test_the_train_menu_leads_to_the_page_and_starts_a_test(qtbot, context, dataset):
    from studio.gui.pages.schedule.page import SchedulePage
    from studio.gui.shell.topbar import TrainButton

    context.store.set({"data.source": dataset.root})
    context.store.set_dataset(dataset)
    page, train = SchedulePage(context), TrainButton()
    qtbot.addWidget(page)
    qtbot.addWidget(train)
    train.attach(context)
    context.shell.page_requested.connect(lambda key, argument: page.show_argument(argument))
    train._fill_menu()
    next(action for action in train._menu.actions() if action.text() == "Find learning rate").trigger()
    assert page.finder.run.state == "running"
    qtbot.waitUntil(lambda: bool(context.finder.calls))


def test_every_control_has_a_name(place, qtbot, context):
    finish(qtbot, place, context)
    place.finder.open_large()
    from PySide6.QtWidgets import QAbstractButton

    controls = [
        c for c in place.findChildren(QAbstractButton) if c.parent() is not None and c.metaObject().className() != "QTableCornerButton"
    ]
    assert controls and all(c.accessibleName() and c.objectName().startswith("schedule.") for c in controls)
