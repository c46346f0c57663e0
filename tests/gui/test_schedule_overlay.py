"""Earlier runs over the schedule: what they planned, what was applied, and their losses, laid over the draft by epochs."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from builders import build_dataset

from studio.core.event import StepsReported
from studio.core.experiment import Experiment
from studio.core.fold import fold
from studio.core.outcome import Status
from studio.gui.monitor import RunUpdate
from studio.gui.pages.schedule.page import SchedulePage
from studio.gui.recorded import Recording, record_run


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return build_dataset(tmp_path_factory.mktemp("images"), num_train=30, num_validation=4)


@pytest.fixture
def page(qtbot, context, dataset, tmp_path) -> SchedulePage:
    asked = Experiment().changed({"schedule.epochs": 6, "schedule.peak_lr": 5e-3})
    folders = [
        record_run(
            tmp_path / "runs", Recording(asked, seed=i, skill=0.8, started=datetime(2026, 1, 2 + i), status=status, epochs_done=4), dataset
        )
        for i, status in enumerate((Status.FINISHED, Status.STOPPED))
    ]
    context.runs.take(tuple(RunUpdate(f, f.read_state(), f.experiment(), False) for f in folders))
    context.store.set_dataset(dataset)
    made = SchedulePage(context)
    qtbot.addWidget(made)
    made.resize(1100, 1000)
    made.show()
    qtbot.waitExposed(made)
    return made


def names(page) -> list[str]:
    return [entry.folder.name for entry in page.context.runs.entries]


def drawn(page, name: str):
    return page.overlay._runs[name]


def test_the_menu_offers_the_runs_and_a_tick_draws_one(page):
    page.overlay.menu.aboutToShow.emit()
    actions = [a for a in page.overlay.menu.actions() if a.isCheckable()]
    assert len(actions) == 2 and actions[0].text().startswith("Run 2")
    actions[0].trigger()
    assert page.overlay.chosen == (names(page)[1],)
    assert "run 2, applied" in page.plot.names_shown and "run 2, planned" in page.plot.names_shown
    assert page.overlay.button.text() == "Compare · 1" and "run 2" in page.overlay.button.accessibleDescription()


def test_the_rate_that_was_applied_is_drawn_from_the_journal_epoch_over_epoch(page):
    entry = page.context.runs.entries[0]
    page.overlay.set_chosen(entry.folder.name, True)
    run = drawn(page, entry.folder.name)
    own, length = entry.state.description.steps_per_epoch, page.plot.shown.length
    np.testing.assert_allclose(run.applied.trace.y, entry.state.lr.y)
    np.testing.assert_allclose(run.applied.trace.x, entry.state.lr.x * length.steps_per_epoch / own)
    assert run.planned_item.trace.x[-1] <= 6 * length.steps_per_epoch
    assert 10 ** run.planned_item.trace.y.max() == pytest.approx(5e-3, rel=1e-3)  # the peak lies between two steps
    top = page.plot.plot.getViewBox().viewRange()[1][1]
    assert top > np.log10(5e-3)


def test_the_losses_have_a_plot_of_their_own_on_the_same_time_axis(page):
    assert page.overlay.loss_plot not in page.plot.graphics.ci.items
    entry = page.context.runs.entries[0]
    page.overlay.set_chosen(entry.folder.name, True)
    assert page.overlay.loss_plot in page.plot.graphics.ci.items
    run = drawn(page, entry.folder.name)
    np.testing.assert_allclose(run.validation.trace.y, entry.state.validation_loss.y)
    assert page.overlay.loss_plot.getViewBox().linkedView(0) is page.plot.plot.getViewBox()
    page.overlay.clear()
    assert page.overlay.loss_plot not in page.plot.graphics.ci.items and page.plot.names_shown[0].startswith("head")
    assert not any("run" in name for name in page.plot.names_shown)


def test_what_a_run_does_meanwhile_is_added(page):
    entry = page.context.runs.entries[1]
    page.overlay.set_chosen(entry.folder.name, True)
    before = len(drawn(page, entry.folder.name).applied.trace)
    first = entry.state.step
    report = StepsReported(first_step=first, losses=(0.5, 0.4), top1s=(0.5, 0.5), lrs=(1e-3, 9e-4), t=entry.state.t + 1)
    page.context.runs.take((RunUpdate(entry.folder, fold(entry.state, [report]), entry.experiment, True),))
    assert len(drawn(page, entry.folder.name).applied.trace) == before + 2


def test_what_a_run_did_while_another_page_was_in_front_is_drawn_on_the_way_back(page):
    entry = page.context.runs.entries[1]
    page.overlay.set_chosen(entry.folder.name, True)
    before = len(drawn(page, entry.folder.name).applied.trace)
    page.deactivate()
    page.hide()
    report = StepsReported(first_step=entry.state.step, losses=(0.5,), top1s=(0.5,), lrs=(1e-3,), t=entry.state.t + 1)
    page.context.runs.take((RunUpdate(entry.folder, fold(entry.state, [report]), entry.experiment, True),))
    page.activate()
    assert len(drawn(page, entry.folder.name).applied.trace) == before + 1


def test_a_run_that_is_deleted_leaves_the_plot(page):
    entry = page.context.runs.entries[0]
    page.overlay.set_chosen(entry.folder.name, True)
    page.context.runs.monitor.removed.emit((entry.folder,))
    assert page.overlay.chosen == () and page.overlay.button.text() == "Compare"


def test_both_axes_show_the_same_rates(page):
    entry = page.context.runs.entries[0]
    page.overlay.set_chosen(entry.folder.name, True)
    page.scale_choice.set_value("lin")
    page._set_scale("lin")
    run = drawn(page, entry.folder.name)
    assert run.planned_item.trace.y.max() == pytest.approx(5e-3, rel=1e-3)  # the peak lies between two steps
    _, lows, highs = run.applied.trace.seen(0, 1e9, 10_000)
    assert highs.max() == pytest.approx(entry.state.lr.y.max())


def test_the_pointer_reads_what_a_run_had_there(page):
    entry = page.context.runs.entries[0]
    page.overlay.set_chosen(entry.folder.name, True)
    words = page.plot.also_words_at(10.0)
    assert "run 1" in words and "loss" in words
