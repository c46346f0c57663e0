"""While a run goes on the plot shows what it has done, and beyond "now" what the draft would make of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from studio.catalog.schedules import lr
from studio.core.edit import Edit
from studio.core.event import ExperimentEdited
from studio.core.experiment import Experiment
from studio.core.fold import fold
from studio.core.outcome import Status
from studio.gui.monitor import RunUpdate
from studio.gui.pages.schedule.curve import Length, make_curves
from studio.gui.pages.schedule.flight import Flight, flight_of, in_flight
from studio.gui.pages.schedule.page import SchedulePage
from studio.gui.scan import ScanState
from tests.builders import build_dataset, build_run

NAMES = ("stem", "stage 1", "stage 2", "head")
STAGES = [{"name": name, "num_parameters": 1000, "output_shape": [8, 28, 28]} for name in NAMES]
ASKED = Experiment().changed({"schedule.epochs": 10, "schedule.shape": "cosine", "model.train_stages": 1})


def test_what_is_done_stays_and_the_rest_is_the_drafts():
    first = ASKED.changed({"schedule.peak_lr": 1e-3})
    draft = first.changed({"schedule.final_factor": 0.1, "model.thaw": {"stage 1": 8}})
    flight = Flight("run 1", 52, ASKED, (Edit(23, first),))
    curves = in_flight(make_curves(draft, Length(10, 10), NAMES), flight, draft, 10, NAMES)
    assert curves.stages == ("stage 1", "stage 2", "head")
    at = curves.steps
    asked, edited, new = (lr(e, at, stages=NAMES, steps_per_epoch=10)[:, -1] for e in (ASKED, first, draft))
    np.testing.assert_array_equal(curves.head, np.where(at < 23, asked, np.where(at < 52, edited, new)))
    assert np.isnan(curves.rates[at < 80, 0]).all() and not np.isnan(curves.rates[at >= 80, 0]).any()
    assert {22, 23, 51, 52} <= set(at.tolist()) and {23, 52} <= set(curves.jumps)


def test_a_stage_that_the_draft_freezes_is_drawn_as_far_as_it_has_trained():
    draft = ASKED.changed({"model.thaw": {"stage 2": -1}})
    curves = in_flight(make_curves(draft, Length(10, 10), NAMES), Flight("run 1", 52, ASKED, ()), draft, 10, NAMES)
    assert curves.stages == ("stage 2", "head") and curves.factors == (0.5, 1.0) and curves.thaws == (0, 0)
    trains = ~np.isnan(curves.rates[:, 0])
    np.testing.assert_array_equal(trains, curves.steps < 60)  # it freezes when the next epoch begins


@pytest.fixture
def page(qtbot, context, tmp_path) -> SchedulePage:
    """On the draft of a run that has done 40 of its 96 steps."""
    dataset = build_dataset(tmp_path / "images", num_train=40, num_validation=2)
    experiment = Experiment().changed({"data.source": dataset.root, "schedule.epochs": 12})
    folder = build_run(tmp_path / "runs", dataset, status=Status.RUNNING, experiment=experiment)
    context.probe.answer("describe_model", {"stages": STAGES, "num_parameters": 4000, "num_trainable": 4000})
    context.scan.hold(ScanState(is_complete=True))
    context.store.replace(experiment, "as the run")
    context.store.set_dataset(dataset)
    state = replace(folder.read_state(), status=Status.RUNNING, step=40)
    context.runs.take((RunUpdate(folder, state, experiment, True),))
    made = SchedulePage(context)
    qtbot.addWidget(made)
    made.resize(1000, 900)
    made.show()
    made.activate()
    context.estimates.refresh()
    qtbot.waitUntil(lambda: context.estimates.model is not None)
    assert context.runs.active.state.description.steps_per_epoch == 8
    return made


def test_the_steps_that_are_done_are_shaded_up_to_now(page):
    assert page.flight_marks.trained_steps == 40
    entry = page.context.runs.active
    page.context.runs.take((RunUpdate(entry.folder, replace(entry.state, step=48), None, True),))
    assert page.flight_marks.trained_steps == 48


def test_the_first_epoch_of_the_run_gives_the_time_that_the_draft_would_take(page):
    entry = page.context.runs.active
    epochs, state = entry.state.epochs, replace(entry.state, epochs=())
    page.context.runs.take((RunUpdate(entry.folder, state, None, True),))
    assert epochs and " · about " not in page.subtitle_label.text()
    page.context.runs.take((RunUpdate(entry.folder, replace(state, epochs=epochs[:1]), None, True),))
    assert " · about " in page.subtitle_label.text()


def test_a_page_that_comes_to_the_front_shows_what_the_run_has_done_meanwhile(page):
    page.store.set({"schedule.peak_lr": 1e-3})
    page.deactivate()
    entry = page.context.runs.active
    page.context.runs.take((RunUpdate(entry.folder, replace(entry.state, step=60), None, True),))
    assert page.flight_marks.trained_steps == 40
    page.activate()
    drawn = dict(zip(page._curves.steps.tolist(), page._curves.head.tolist(), strict=True))
    assert page.flight_marks.trained_steps == 60 and drawn[59] > 1.5 * drawn[60]


def test_an_edit_leaves_the_past_as_it_was_and_is_marked(page):
    head = page._curves.head.copy()
    page.store.set({"schedule.peak_lr": 1e-3})
    drawn = dict(zip(page._curves.steps.tolist(), page._curves.head.tolist(), strict=True))
    assert drawn[39] == pytest.approx(head[39]) and drawn[40] == pytest.approx(head[40] / 2)
    entry = page.context.runs.active
    state = fold(entry.state, [ExperimentEdited(step=40, values={"schedule.peak_lr": 1e-3})])
    page.context.runs.take((RunUpdate(entry.folder, replace(state, step=44), None, True),))
    assert page.flight_marks.edit_steps == (40,)
    drawn = dict(zip(page._curves.steps.tolist(), page._curves.head.tolist(), strict=True))
    assert drawn[39] == pytest.approx(head[39]) and drawn[41] == pytest.approx(head[41] / 2)


def test_a_draft_that_the_run_cannot_take_is_drawn_alone(page):
    before = page.flight_marks.trained_steps
    assert before is not None
    for values in ({"optimiser.kind": "sgd"}, {"training.batch_size": 16}, {"model.input_size": 128}):
        page.store.set(values)
        assert page.flight_marks.trained_steps is None, values
        assert flight_of(page.context.runs.active, page.store.experiment, 8) is None, values
        page.store.undo()
        assert page.flight_marks.trained_steps == before


def test_without_a_run_nothing_is_shaded(page):
    entry = page.context.runs.active
    page.context.runs.take((RunUpdate(entry.folder, replace(entry.state, status=Status.STOPPED), None, False),))
    assert page.flight_marks.trained_steps is None


def test_both_themes_draw_the_marks(page, theme):
    for choice in ("light", "dark"):
        theme.set_choice(choice)
        assert not page.grab().isNull()


def test_the_legend_keeps_off_the_words_beside_the_line_of_the_run(page):
    plot = page.plot
    places = set()
    for step in range(0, plot.shown.length.num_steps, 5):
        plot.show_now(step, "run 1, step 5")
        share = plot.grips.legend_size[0] / plot.plot.getViewBox().width()
        left = plot.grips.corner[0] * (1 - share)
        at = step / plot.shown.length.num_steps
        assert not plot.grips.names or plot.grips.corner[1] < 1 or not left < at < left + share
        places.add(plot.grips.corner)
    assert len(places) > 1
