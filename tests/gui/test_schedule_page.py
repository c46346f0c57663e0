"""The Schedule page draws the very curve that is applied, and every number on it can be typed, dragged and taken back."""

from __future__ import annotations

import numpy as np
import pytest
from builders import build_dataset
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QAbstractButton, QAbstractSlider, QLineEdit

from studio.catalog.schedules import SHAPES, learning_rates
from studio.core.experiment import Experiment
from studio.gui.pages.schedule import SchedulePage
from studio.gui.pages.schedule_curve import MAX_POINTS, length_of, make_curves, notes_on, steps_per_epoch, trained_factors

STAGES = [
    {"name": name, "num_parameters": 1000 * (i + 1), "output_shape": [8, 28, 28], "num_blocks": 1, "has_batch_norm": True}
    for i, name in enumerate(("stem", "stage 1", "stage 2", "stage 3", "stage 4"))
] + [{"name": "head", "num_parameters": 60, "output_shape": [6], "num_blocks": 1, "has_batch_norm": False}]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return build_dataset(tmp_path_factory.mktemp("images"), num_train=30, num_validation=4)


@pytest.fixture
def page(qtbot, context) -> SchedulePage:
    context.probe.answer("describe_model", {"stages": STAGES, "num_parameters": 21_060, "num_trainable": 10_000})
    made = SchedulePage(context)
    qtbot.addWidget(made)
    made.resize(900, 780)
    made.show()
    qtbot.waitExposed(made)
    return made


def drag_handle(qtbot, page: SchedulePage, key: str, by: QPoint) -> None:
    """Press, move in steps and release on the plot, as a hand does."""
    plot = page.plot
    x, rate = plot.handle_positions()[key]
    y = np.log10(rate) if page.scale_choice.value == "log" else rate
    scene = plot.plot.getViewBox().mapViewToScene(_point(x, y))
    start = plot.graphics.mapFromScene(scene)
    viewport = plot.graphics.viewport()
    qtbot.mouseMove(viewport, start)
    qtbot.mousePress(viewport, Qt.MouseButton.LeftButton, pos=start)
    for part in (0.4, 0.7, 1.0):
        at = start + QPoint(round(by.x() * part), round(by.y() * part))
        _move(viewport, at)
        qtbot.wait(30)  # pyqtgraph merges moves within a frame
    qtbot.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=start + by)


def _point(x: float, y: float):
    import pyqtgraph as pg

    return pg.Point(x, y)


def _move(viewport, at: QPoint) -> None:
    from PySide6.QtCore import QEvent, QPointF
    from PySide6.QtGui import QMouseEvent
    from PySide6.QtWidgets import QApplication

    local = QPointF(at)
    event = QMouseEvent(
        QEvent.Type.MouseMove,
        local,
        viewport.mapToGlobal(local),
        Qt.MouseButton.NoButton,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(viewport, event)


# The curve


def test_every_point_that_is_drawn_is_the_rate_that_is_applied(page):
    page.store.set({"schedule.epochs": 5})
    for shape in (s.key for s in SHAPES):
        for scale in ("log", "lin"):
            page.store.set({"schedule.shape": shape})
            page.plot.set_scale(scale)
            steps, rates = page.plot.head_points()
            applied = learning_rates(page.store.experiment.schedule, 500, 100)
            assert steps[0] == 0 and steps[-1] == 499
            is_edge = np.append(np.diff(steps) == 0, False)  # the rate before a jump, held until its step
            np.testing.assert_allclose(rates[~is_edge], applied[steps[~is_edge].astype(int)], rtol=1e-9)
            np.testing.assert_allclose(rates[is_edge], applied[steps[is_edge].astype(int) - 1], rtol=1e-9)
            assert is_edge.sum() == {"step": 1, "warm_restarts": 1}.get(shape, 0)


def test_a_rate_of_zero_is_drawn_at_the_floor_of_a_logarithmic_axis(page):
    page.store.set({"schedule.start_factor": 0.0, "schedule.final_factor": 0.0})
    _, rates = page.plot.head_points()
    assert np.isfinite(rates).all() and rates.min() > 0


def test_a_long_plan_is_drawn_with_few_points_and_keeps_its_restarts():
    experiment = Experiment().changed({"schedule.shape": "warm_restarts", "schedule.epochs": 1000, "schedule.cycle_epochs": 100})
    curves = make_curves(experiment, length_of(experiment, None))
    assert len(curves.steps) < MAX_POINTS + 500
    peak = experiment.schedule.peak_lr
    after = [curves.head[np.searchsorted(curves.steps, r)] for r in curves.jumps]
    assert len(after) == 2 and np.allclose(after, peak)


def test_steps_per_epoch_agree_with_the_engine():
    from studio.engine.plan import steps_per_epoch as engine_counts

    for num_train in (1, 2, 31, 32, 33, 34, 64, 65, 1000):
        for batch in (1, 2, 32, 64, 2000):
            assert steps_per_epoch(num_train, batch) == engine_counts(num_train, batch), (num_train, batch)


def test_without_images_the_assumed_number_of_steps_is_said_and_with_them_it_is_counted(page, dataset):
    assert "assuming 100 steps per epoch" in page.subtitle_label.text()
    page.store.set_dataset(dataset)
    assert page.subtitle_label.text().startswith("8 epochs · 6 steps each · 48 steps")


def test_stages_that_train_have_curves_of_their_own_and_frozen_ones_are_named(qtbot, page):
    page.context.estimates.refresh()
    qtbot.waitUntil(lambda: page.context.estimates.model is not None)
    page.store.set({"model.train_stages": 2, "optimiser.stage_lr_factor": 0.5})
    view = page.plot._view
    assert view.names == ("stage 3", "stage 4", "head")
    assert view.curves.factors == (0.25, 0.5, 1.0)
    rows = [page.depth_rates._rows.itemAt(i).widget().accessibleName() for i in range(page.depth_rates._rows.count())]
    assert rows[0] == "Head: 1.00 times the peak rate" and rows[-1] == "Stem to stage 2: frozen"


def test_training_everything_gives_every_stage_a_factor_and_an_unknown_network_shows_what_is_known():
    assert trained_factors(-1, 0.5, 4) == (0.125, 0.25, 0.5, 1.0)
    assert trained_factors(9, 0.5, 3) == (0.25, 0.5, 1.0)
    assert trained_factors(2, 0.5, None) == (0.25, 0.5, 1.0)
    assert trained_factors(-1, 0.5, None) == (1.0,)


# The hand


def test_a_click_on_a_tile_chooses_the_shape_and_only_its_settings_are_shown(qtbot, page):
    qtbot.mouseClick(page.shapes.tiles["warm_restarts"], Qt.MouseButton.LeftButton)
    assert page.store.experiment.schedule.shape == "warm_restarts"
    shown = {name for name, row in page.rows.items() if row.isVisible()}
    assert shown == set(next(s for s in SHAPES if s.key == "warm_restarts").fields)
    assert "SGDR" in page.numbers_panel.subtitle_label.text()


def test_arrow_keys_walk_through_the_shapes(qtbot, page):
    tile = page.shapes.tiles["one_cycle"]
    tile.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.keyClick(tile, Qt.Key.Key_Left)
    assert page.store.experiment.schedule.shape == "warm_restarts"
    assert page.shapes.tiles["warm_restarts"].isChecked()


@pytest.mark.parametrize("scale", ["log", "lin"])
def test_dragging_the_peak_changes_level_and_warm_up_in_one_undo_step(qtbot, page, scale):
    page.scale_choice.set_value(scale)
    page.plot.set_scale(scale)
    before = page.store.experiment
    drag_handle(qtbot, page, "peak", QPoint(60, 40))
    after = page.store.experiment.schedule
    assert after.peak_lr < before.schedule.peak_lr * 0.97
    assert after.warmup_fraction > before.schedule.warmup_fraction + 0.03
    page.store.undo()
    assert page.store.experiment == before
    assert page.store.undo_label == ""


def test_dragging_the_end_of_the_curve_changes_only_the_final_rate(qtbot, page):
    before = page.store.experiment
    drag_handle(qtbot, page, "final", QPoint(0, -60))
    after = page.store.experiment
    assert after.schedule.final_factor > before.schedule.final_factor * 2
    assert after == before.changed({"schedule.final_factor": after.schedule.final_factor})


def test_a_handle_dragged_out_of_range_stops_at_the_bound(page):
    page.plot.move_handle("start", 0, 1e3)
    assert page.store.experiment.schedule.start_factor == 1.0
    page.plot.move_handle("peak", 1e9, 1e9)
    assert page.store.experiment.schedule.warmup_fraction == 0.9
    assert page.store.experiment.schedule.peak_lr == 10.0


def test_handles_move_by_keyboard(qtbot, page):
    page.plot.setFocus(Qt.FocusReason.TabFocusReason)
    page.plot._active = None
    qtbot.keyClick(page.plot, Qt.Key.Key_Space)
    qtbot.keyClick(page.plot, Qt.Key.Key_Space)
    assert page.plot._active == "peak"
    before = page.store.experiment.schedule
    qtbot.keyClick(page.plot, Qt.Key.Key_Up)
    qtbot.keyClick(page.plot, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    after = page.store.experiment.schedule
    assert after.peak_lr > before.peak_lr and after.warmup_fraction > before.warmup_fraction + 0.05


def test_a_number_typed_into_a_field_moves_the_curve(qtbot, page):
    field = page.rows["peak_lr"].editor.number_field
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, "5e-4")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert page.store.experiment.schedule.peak_lr == 5e-4
    assert page.plot.head_points()[1].max() == pytest.approx(5e-4)


def test_the_optimiser_shows_the_settings_of_its_kind(qtbot, page):
    assert page.optimiser_form.rows["beta1"].isVisibleTo(page) and not page.optimiser_form.rows["momentum"].isVisibleTo(page)
    qtbot.mouseClick(page.optimiser_form.chips["sgd"], Qt.MouseButton.LeftButton)
    assert page.store.experiment.optimiser.kind == "sgd"
    assert page.optimiser_form.rows["momentum"].isVisibleTo(page) and not page.optimiser_form.rows["beta1"].isVisibleTo(page)


def test_momentum_is_offered_where_the_shape_moves_it(qtbot, page):
    assert page.momentum_toggle.isEnabled()
    page.momentum_toggle.click()
    assert page.plot.momentum_plot in page.plot.graphics.ci.items
    page.store.set({"schedule.shape": "cosine"})
    assert not page.momentum_toggle.isEnabled()
    assert page.plot.momentum_plot not in page.plot.graphics.ci.items


def test_batch_cells_say_the_steps_and_mark_a_batch_that_is_too_large(qtbot, page, dataset):
    page.store.set_dataset(dataset)
    cells = page.batch_row.cells
    assert "23 steps per epoch" in cells[8].accessibleDescription()
    qtbot.mouseClick(cells[256], Qt.MouseButton.LeftButton)
    assert page.store.experiment.training.batch_size == 256
    assert "more than the 180 training images" in page.banner.title_label.text()
    page.store.undo()
    assert not page.banner.isVisibleTo(page)


def test_settings_without_effect_are_named():
    experiment = Experiment().changed({"schedule.shape": "step", "schedule.step_epochs": 20, "training.early_stop_epochs": 30})
    fields = [p.field for p in notes_on(experiment, length_of(experiment, None), 1000)]
    assert fields == ["schedule.step_epochs", "training.early_stop_epochs"]
    assert notes_on(Experiment(), length_of(Experiment(), None), 1000) == ()


def test_reset_returns_to_the_defaults_in_one_step_and_keeps_the_device(page):
    page.store.set({"schedule.epochs": 40, "optimiser.kind": "sgd", "training.device": "cpu", "model.train_stages": 1})
    changed = page.store.experiment
    page.reset_button.click()
    after = page.store.experiment
    assert after.schedule == Experiment().schedule and after.optimiser == Experiment().optimiser
    assert after.training.device == "cpu" and after.model.train_stages == 1
    page.store.undo()
    assert page.store.experiment == changed


# The frame


def test_the_page_fits_the_least_window_and_every_control_has_a_name(qtbot, page):
    page.resize(798, 556)  # what a window of 1100 x 660 leaves, with the run bar
    qtbot.waitUntil(lambda: page.minimumSizeHint().width() <= 798 and page.minimumSizeHint().height() <= 556)
    page.resize(798, 556)
    assert page.size().toTuple() == (798, 556)
    for kind in (QAbstractButton, QAbstractSlider, QLineEdit):
        for control in page.findChildren(kind):
            if control.isVisibleTo(page) and type(control).__name__ != "QScrollBar":
                assert control.accessibleName(), (control.objectName(), type(control))


def test_both_themes_draw(page, theme, qtbot):
    for choice in ("light", "dark"):
        theme.set_choice(choice)
        assert not page.grab().isNull()
