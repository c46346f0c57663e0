"""The Schedule page draws the very curve that is applied, and every number on it can be typed, dragged and taken back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import build_dataset
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QAbstractButton, QAbstractSlider, QApplication, QLineEdit

from studio.catalog.schedules import SHAPES, body_of, head_lr, lr
from studio.core.experiment import Experiment
from studio.gui.pages.schedule.curve import MAX_JUMPS, MAX_POINTS, Length, length_of, make_curves, stage_names, steps_per_epoch
from studio.gui.pages.schedule.page import SchedulePage
from studio.gui.recorded import recorded_rate_test

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


def drag_handle(qtbot, page: SchedulePage, key: str, by: QPoint, modifiers=Qt.KeyboardModifier.NoModifier, *, release: bool = True) -> None:
    """Press, move in steps and release on the plot, as a hand does."""
    plot = page.plot
    start = plot.place_of(key).toPoint()
    viewport = plot.graphics.viewport()
    qtbot.mouseMove(viewport, start)
    qtbot.mousePress(viewport, Qt.MouseButton.LeftButton, pos=start)
    for part in (0.4, 0.7, 1.0):
        at = start + QPoint(round(by.x() * part), round(by.y() * part))
        _move(viewport, at, modifiers)
    if release:
        qtbot.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=start + by)


def handle(page: SchedulePage, key: str):
    return next(h for h in page.plot.handles if h.key == key)


def _move(viewport, at: QPoint, modifiers=Qt.KeyboardModifier.NoModifier) -> None:
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
        modifiers,
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
            applied = head_lr(page.store.experiment.schedule, range(500), 100)
            assert steps[0] == 0 and steps[-1] == 499
            is_edge = np.append(np.diff(steps) == 0, False)  # the rate before a jump, held until its step
            np.testing.assert_allclose(rates[~is_edge], applied[steps[~is_edge].astype(int)], rtol=1e-9)
            np.testing.assert_allclose(rates[is_edge], applied[steps[is_edge].astype(int) - 1], rtol=1e-9)
            assert is_edge.sum() == {"step": 1, "multi_step": 1, "warm_restarts": 1}.get(shape, 0)


def test_a_rate_of_zero_is_drawn_at_the_floor_of_a_logarithmic_axis(page):
    page.store.set({"schedule.start_factor": 0.0, "schedule.final_factor": 0.0})
    _, rates = page.plot.head_points()
    assert np.isfinite(rates).all() and rates.min() > 0


@pytest.mark.parametrize("shape", [s.key for s in SHAPES])
@pytest.mark.parametrize("length", [Length(1, 1), Length(3, 7), Length(10_000, 1000)])
def test_the_points_that_matter_are_always_drawn(shape, length):
    e = Experiment().changed(
        {"schedule.shape": shape, "schedule.epochs": length.epochs, "schedule.cycle_growth": 1, "schedule.cooldown_fraction": 0.1}
    )
    curves = make_curves(e, length)
    body = body_of(e.schedule, length.steps_per_epoch)
    wanted = {0, length.num_steps - 1, curves.peak_step, body.first, *curves.jumps, *(step - 1 for step in curves.jumps)}
    wanted |= {body.first + body.num_steps}
    assert {step for step in wanted if 0 <= step < length.num_steps} <= set(curves.steps.tolist())
    assert len(curves.steps) <= MAX_POINTS + 2 * MAX_JUMPS + 10
    assert np.isfinite(curves.rates).all() and (curves.rates >= 0).all()
    np.testing.assert_array_equal(curves.head, head_lr(e.schedule, curves.steps, length.steps_per_epoch))
    around = np.clip(np.arange(curves.peak_step - 500, curves.peak_step + 500), 0, length.num_steps - 1)
    assert curves.head.max() == head_lr(e.schedule, around, length.steps_per_epoch).max()


def test_a_long_plan_keeps_its_restarts():
    experiment = Experiment().changed({"schedule.shape": "warm_restarts", "schedule.epochs": 1000, "schedule.cycle_epochs": 100})
    curves = make_curves(experiment, length_of(experiment, None))
    peak = experiment.schedule.peak_lr
    after = [curves.head[np.searchsorted(curves.steps, r)] for r in curves.jumps]
    assert len(after) == 2 and np.allclose(after, peak)


def test_a_restart_at_every_step_of_ten_million_is_drawn_from_top_to_bottom():
    e = Experiment().changed(
        {"schedule.shape": "warm_restarts", "schedule.epochs": 10_000, "schedule.cycle_epochs": 0.002, "schedule.cycle_growth": 1}
    )
    curves = make_curves(e, Length(10_000, 1000))
    assert len(curves.jumps) <= MAX_JUMPS
    in_body = curves.steps > 4_000_000
    assert curves.head[in_body].max() == e.schedule.peak_lr and curves.head[in_body].min() < 0.6 * e.schedule.peak_lr


def test_the_curve_of_a_plateau_is_certain_until_the_losses_can_change_it(page):
    page.store.set({"schedule.shape": "plateau", "schedule.patience_epochs": 2, "schedule.warmup_fraction": 0.0, "schedule.epochs": 10})
    curves = make_curves(page.store.experiment, Length(10, 100))
    flat = head_lr(page.store.experiment.schedule, range(1000), 100, (1.0,) * 10)
    assert curves.certain_steps == 400 and flat[399] == flat[0] > flat[400]
    assert page.plot.grips.note[0] == 400 and "validation loss decides" in page.plot.grips.note[1]


def test_steps_per_epoch_agree_with_the_engine():
    from studio.engine.plan import steps_per_epoch as engine_counts

    for num_train in (1, 2, 31, 32, 33, 34, 64, 65, 1000):
        for batch in (1, 2, 32, 64, 2000):
            for times in (1, 3, 4):
                assert steps_per_epoch(num_train, batch, times) == engine_counts(num_train, batch, times), (num_train, batch, times)


def test_without_images_the_assumed_number_of_steps_is_said_and_with_them_it_is_counted(page, dataset):
    assert "assuming 100 steps per epoch" in page.subtitle_label.text()
    page.store.set_dataset(dataset)
    assert page.subtitle_label.text().startswith("8 epochs · 6 steps each · 48 steps")


def test_stages_that_train_have_curves_of_their_own_and_frozen_ones_are_named(qtbot, page):
    page.resize(1100, 1000)
    page.context.estimates.refresh()
    qtbot.waitUntil(lambda: page.context.estimates.model is not None)
    page.store.set({"model.train_stages": 2, "optimiser.stage_lr_factor": 0.5})
    curves = make_curves(page.store.experiment, length_of(page.store.experiment, None), [s["name"] for s in STAGES])
    assert curves.stages == ("stage 3", "stage 4", "head")
    assert curves.factors == (0.25, 0.5, 1.0)
    assert page.plot.names_shown == ("head × 1", "stage 4 × 0.5", "stage 3 × 0.25")


def test_a_stage_that_thaws_is_drawn_from_that_epoch_on_and_one_that_never_does_not_at_all():
    names = tuple(s["name"] for s in STAGES)
    e = Experiment().changed({"model.train_stages": 1, "model.thaw": {"stage 3": 3, "stage 1": 40}, "schedule.epochs": 8})
    curves = make_curves(e, Length(8, 100), names)
    assert curves.stages == ("stage 3", "stage 4", "head") and curves.thaws == (3, 0, 0)
    is_frozen = np.isnan(curves.rates[:, 0])
    assert curves.steps[is_frozen].max() == 299 and curves.steps[~is_frozen].min() == 300
    applied = lr(e, curves.steps, stages=names, steps_per_epoch=100)
    np.testing.assert_array_equal(np.nan_to_num(curves.rates), applied[:, [3, 4, 5]])


def test_an_unknown_network_shows_what_is_known():
    assert stage_names(Experiment().changed({"model.train_stages": 2})) == ("2 before head", "1 before head", "head")
    assert stage_names(Experiment().changed({"model.train_stages": -1})) == ("head",)


# The hand


def test_a_click_on_a_tile_chooses_the_shape_and_only_its_settings_are_shown(qtbot, page):
    qtbot.mouseClick(page.shapes.tiles["warm_restarts"], Qt.MouseButton.LeftButton)
    assert page.store.experiment.schedule.shape == "warm_restarts"
    shown = {name for name, row in page.numbers.rows.items() if row.isVisible()}
    assert shown == set(next(s for s in SHAPES if s.key == "warm_restarts").fields) - {"milestones", "segments", "points"}
    assert "SGDR" in page.numbers.subtitle_label.text()


def test_arrow_keys_walk_through_the_shapes(qtbot, page):
    tile = page.shapes.tiles["one_cycle"]
    tile.setFocus(Qt.FocusReason.TabFocusReason)
    for _ in range(2):
        qtbot.keyClick(page.shapes.tiles[page.store.experiment.schedule.shape], Qt.Key.Key_Right)
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
    assert page.store.experiment.schedule.warmup_fraction == 1.0
    assert page.store.experiment.schedule.peak_lr == 10.0


def test_while_a_handle_is_dragged_the_plot_follows_at_once_and_the_draft_when_the_hand_rests(qtbot, page):
    before = page.store.experiment
    drag_handle(qtbot, page, "peak", QPoint(60, 40), release=False)
    assert page.plot.head_points()[1].max() < before.schedule.peak_lr * 0.97
    assert page.store.experiment == before
    qtbot.waitUntil(lambda: page.store.experiment != before)
    assert page.plot.pointer.is_bubble_shown
    assert page.numbers.rows["peak_lr"].editor.number_field.value == page.store.experiment.schedule.peak_lr


def test_an_estimate_that_comes_in_mid_drag_leaves_the_curve_in_the_hand(qtbot, page):
    drag_handle(qtbot, page, "peak", QPoint(60, 40), release=False)
    in_hand = page.plot.head_points()[1].max()
    page.context.estimates.changed.emit()
    assert page.plot.head_points()[1].max() == in_hand
    qtbot.waitUntil(lambda: page.store.experiment.schedule.peak_lr == pytest.approx(in_hand, rel=0.01))


def test_escape_drops_a_drag(qtbot, page):
    before = page.store.experiment
    drag_handle(qtbot, page, "peak", QPoint(60, 40), release=False)
    qtbot.waitUntil(lambda: page.store.experiment != before)
    qtbot.keyClick(page.plot, Qt.Key.Key_Escape)
    assert page.store.experiment == before and not page.plot.pointer.is_bubble_shown
    assert page.plot.head_points()[1].max() == pytest.approx(before.schedule.peak_lr)
    assert page.store.undo_label == ""


def test_control_snaps_a_drag_to_the_start_of_an_epoch(qtbot, page):
    page.store.set({"schedule.shape": "cosine"})
    drag_handle(qtbot, page, "peak", QPoint(57, 0), Qt.KeyboardModifier.ControlModifier)
    assert handle(page, "peak").step % 100 == 0 and handle(page, "peak").step > 240


def test_shift_locks_the_other_axis_and_alt_moves_finely(qtbot, page):
    before = page.store.experiment.schedule
    drag_handle(qtbot, page, "peak", QPoint(60, 25), Qt.KeyboardModifier.ShiftModifier)
    after = page.store.experiment.schedule
    assert after.peak_lr == before.peak_lr and after.warmup_fraction > before.warmup_fraction + 0.05
    page.store.undo()
    drag_handle(qtbot, page, "peak", QPoint(60, 0), Qt.KeyboardModifier.AltModifier)
    fine = page.store.experiment.schedule.warmup_fraction - before.warmup_fraction
    assert 0 < fine < 0.2 * (after.warmup_fraction - before.warmup_fraction)


def test_the_right_end_sets_the_epochs(qtbot, page):
    drag_handle(qtbot, page, "end", QPoint(-150, 0))
    assert 3 < page.store.experiment.schedule.epochs < 8
    assert page.store.undo_label and (page.store.undo() or page.store.experiment.schedule.epochs == 8)


def test_end_and_cool_down_can_be_taken_apart_where_they_are_at_the_same_time(page):
    page.store.set({"schedule.shape": "cosine"})
    assert handle(page, "end").step == handle(page, "cooldown").step
    for key in ("end", "cooldown"):
        assert page.plot.grips.handle_at(page.plot.grips.place(handle(page, key))).key == key


def test_a_final_rate_that_the_curve_does_not_reach_is_in_sight(page):
    page.store.set({"schedule.shape": "linear", "schedule.final_factor": 1e-5})
    assert page.plot.graphics.viewport().rect().contains(page.plot.place_of("final").toPoint())
    low = page.plot.plot.getViewBox().viewRange()[1][0]
    assert low < np.log10(handle(page, "final").rate)


def test_a_cool_down_is_pulled_out_of_the_right_end(qtbot, page):
    page.store.set({"schedule.shape": "constant"})
    assert "final" not in {h.key for h in page.plot.handles}
    page.plot.move_handle("cooldown", 600, 0)
    assert page.store.experiment.schedule.cooldown_fraction == 0.25
    assert "final" in {h.key for h in page.plot.handles}


def test_a_double_click_adds_a_point_and_delete_takes_it_away(qtbot, page):
    page.store.set({"schedule.shape": "points"})
    viewport, at = page.plot.graphics.viewport(), page.plot.place_of("point 2").toPoint() + QPoint(60, 70)
    qtbot.mouseDClick(viewport, Qt.MouseButton.LeftButton, pos=at)
    assert len(page.store.experiment.schedule.points) == 5
    assert page.plot.active_handle.key == "point 3"
    assert abs(page.plot.place_of("point 3").x() - at.x()) <= 2 and abs(page.plot.place_of("point 3").y() - at.y()) <= 2
    qtbot.keyClick(page.plot, Qt.Key.Key_Delete)
    assert len(page.store.experiment.schedule.points) == 4


def test_a_double_click_beside_the_plot_adds_no_point(qtbot, page):
    page.store.set({"schedule.shape": "points", "schedule.points": [[0.0, 0.1], [0.6, 1.0]]})
    page.finder.run.hold("done", recorded_rate_test(page.store.experiment))
    viewport, box = page.plot.graphics.viewport(), page.finder.item.getViewBox()
    qtbot.waitUntil(lambda: box.width() > 50)
    before = page.store.experiment
    at = page.plot.graphics.mapFromScene(box.sceneBoundingRect().center())
    qtbot.mouseDClick(viewport, Qt.MouseButton.LeftButton, pos=at)
    assert page.store.experiment == before
    inside = page.plot.graphics.mapFromScene(page.plot.plot.getViewBox().sceneBoundingRect().center()) + QPoint(40, 20)
    qtbot.mouseDClick(viewport, Qt.MouseButton.LeftButton, pos=inside)
    assert len(page.store.experiment.schedule.points) == 3


def test_a_stage_under_the_pointer_in_the_timeline_is_drawn_strongly(qtbot, page):
    page.context.estimates.refresh()
    qtbot.waitUntil(lambda: page.context.estimates.model is not None)
    page.thaw.stage_hovered.emit("stage 4")
    assert page.plot.strokes["stage 4"].width > page.plot.strokes["stage 3"].width
    page.thaw.stage_hovered.emit(None)
    assert page.plot.strokes["stage 4"] == replace(page.plot.strokes["stage 3"], token=page.plot.strokes["stage 4"].token)


# The table


def table_texts(page) -> list[list[str]]:
    model = page.numbers.list_editor.model
    return [[model.index(r, c).data() for c in range(model.columnCount())] for r in range(model.rowCount())]


def test_only_shapes_with_a_list_have_a_table(page):
    assert not page.numbers.list_editor.isVisible()
    page.store.set({"schedule.shape": "multi_step"})
    assert page.numbers.list_editor.isVisible() and table_texts(page) == [["3"], ["6"]]
    page.store.set({"schedule.shape": "segments"})
    assert [row[0] for row in table_texts(page)] == ["Line", "Hold", "Cosine"]
    assert table_texts(page)[1][2] == "as before"


def test_what_is_typed_into_the_table_moves_the_curve(page):
    page.store.set({"schedule.shape": "multi_step"})
    model = page.numbers.list_editor.model
    assert model.setData(model.index(1, 0), "5.5")
    assert page.store.experiment.schedule.milestones == (3.0, 5.5)
    page.store.set({"schedule.shape": "points"})
    assert model.setData(model.index(2, 1), "1e-3") and model.setData(model.index(2, 0), "4")
    time, level = page.store.experiment.schedule.points[2]
    assert time == pytest.approx(0.5, abs=0.001) and level == pytest.approx(0.5)
    page.store.set({"schedule.shape": "segments"})
    assert model.setData(model.index(0, 0), "cosine")
    assert page.store.experiment.schedule.segments[0].kind == "cosine"


def test_what_cannot_be_used_is_refused_with_a_sentence(qtbot, page):
    page.store.set({"schedule.shape": "points"})
    before, model = page.store.experiment, page.numbers.list_editor.model
    for column, text in ((0, "soon"), (0, "99"), (1, "-1"), (1, "nan"), (1, "1e9")):
        with qtbot.waitSignal(model.refused) as refused:
            assert not model.setData(model.index(1, column), text)
        assert refused.args[0]
    assert page.store.experiment == before


def test_rows_are_added_and_removed_with_keys(qtbot, page):
    page.store.set({"schedule.shape": "points"})
    table = page.numbers.list_editor.table
    table.setCurrentIndex(page.numbers.list_editor.model.index(1, 0))
    qtbot.keyClick(table, Qt.Key.Key_Insert)
    assert len(page.store.experiment.schedule.points) == 5 and table.currentIndex().row() == 2
    qtbot.keyClick(table, Qt.Key.Key_Delete)
    qtbot.keyClick(table, Qt.Key.Key_Delete)
    qtbot.keyClick(table, Qt.Key.Key_Delete)
    assert len(page.store.experiment.schedule.points) == 2
    qtbot.keyClick(table, Qt.Key.Key_Delete)
    assert len(page.store.experiment.schedule.points) == 2 and not page.numbers.list_editor.remove_button.isEnabled()


def test_a_number_typed_into_a_field_moves_the_curve(qtbot, page):
    field = page.numbers.rows["peak_lr"].editor.number_field
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, "5e-4")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert page.store.experiment.schedule.peak_lr == 5e-4
    assert page.plot.head_points()[1].max() == pytest.approx(5e-4)


def test_the_optimiser_shows_the_settings_of_its_kind(qtbot, page):
    assert page.settings.optimiser_form.rows["beta1"].isVisibleTo(page) and not page.settings.optimiser_form.rows["momentum"].isVisibleTo(
        page
    )
    qtbot.mouseClick(page.settings.optimiser_form.chips["sgd"], Qt.MouseButton.LeftButton)
    assert page.store.experiment.optimiser.kind == "sgd"
    assert page.settings.optimiser_form.rows["momentum"].isVisibleTo(page) and not page.settings.optimiser_form.rows["beta1"].isVisibleTo(
        page
    )


def test_how_far_to_go_back_is_asked_where_the_run_is_to_go_back(page):
    row = page.settings.run_rows["roll_back_steps"]
    assert not row.isVisibleTo(page)
    page.store.set({"training.not_finite": "go back"})
    assert row.isVisibleTo(page)
    row.editor.number_field.step(3)
    assert page.store.experiment.training.roll_back_steps > 50


def test_momentum_is_offered_where_the_shape_moves_it(qtbot, page):
    assert page.momentum_toggle.isEnabled()
    page.momentum_toggle.click()
    assert page.plot.momentum_plot in page.plot.graphics.ci.items
    page.store.set({"schedule.shape": "cosine"})
    assert not page.momentum_toggle.isEnabled()
    assert page.plot.momentum_plot not in page.plot.graphics.ci.items


def test_batch_cells_say_the_steps_and_mark_a_batch_that_is_too_large(qtbot, page, dataset):
    page.store.set_dataset(dataset)
    cells = page.settings.batch_row.cells
    assert "23 steps per epoch" in cells[8].accessibleDescription()
    qtbot.mouseClick(cells[256], Qt.MouseButton.LeftButton)
    assert page.store.experiment.training.batch_size == 256
    assert "180 training images" in page.problems.lines[0].sentence_label.text()
    page.store.undo()
    assert not page.problems.isVisibleTo(page)


# Problems


def test_a_problem_is_said_marked_on_plot_and_field_and_mended_by_one_click(qtbot, page):
    page.store.set({"schedule.shape": "cosine", "schedule.warmup_fraction": 0.75, "schedule.cooldown_fraction": 0.5})
    line = page.problems.lines[0]
    assert page.problems.isVisible() and "longer than the run" in line.sentence_label.text()
    assert [mark.step for mark in page.plot.grips.marks] == [600]
    row = page.numbers.rows["cooldown_fraction"]
    assert "longer than the run" in row.editor.toolTip() and "longer than the run" in row.editor.number_field.accessibleDescription()
    assert "longer than the run" not in page.numbers.rows["warmup_fraction"].editor.toolTip()
    qtbot.mouseClick(line.repair_button, Qt.MouseButton.LeftButton)
    assert page.store.experiment.schedule.cooldown_fraction == 0.25
    assert not page.problems.isVisible() and page.plot.grips.marks == ()
    assert "longer than the run" not in row.editor.toolTip()


def test_every_setting_that_cannot_work_has_its_line_and_its_repair(qtbot, page):
    for settings in (
        {"schedule.warmup_fraction": 1.0},
        {"schedule.shape": "warm_restarts", "schedule.cycle_epochs": 6.0},
        {"schedule.shape": "warm_restarts", "schedule.cycle_epochs": 60.0},
        {"schedule.shape": "multi_step", "schedule.milestones": (50.0,)},
        {"model.thaw": {"stage 4": 99}},
        {"schedule.peak_lr": 1.0},
    ):
        page.store.set(settings)
        line = page.problems.lines[0]
        assert line.isVisible() and line.repair_button.isVisible(), settings
        qtbot.mouseClick(line.repair_button, Qt.MouseButton.LeftButton)
        assert not page.problems.isVisible(), (settings, line.sentence_label.text())
        page.store.undo()
        page.store.undo()


@pytest.mark.parametrize(
    ("name", "typed", "words", "mended"),
    [
        ("peak_lr", "0", "0 is out of range", {"schedule.peak_lr": 2e-3}),
        ("peak_lr", "nan", "nan", {"schedule.peak_lr": 2e-3}),
        ("final_factor", "2", "at most 1", {"schedule.final_factor": 1e-4}),
    ],
)
def test_an_entry_that_cannot_be_is_told_on_field_and_plot_with_a_repair_and_changes_nothing(qtbot, page, name, typed, words, mended):
    page.store.set({"schedule.peak_lr": 5e-3, "schedule.final_factor": 1e-2})
    before, field = page.store.experiment, page.numbers.rows[name].editor.number_field
    field.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.keyClicks(field, typed)
    qtbot.keyClick(field, Qt.Key.Key_Return)
    line = page.problems.lines[0]
    assert page.store.experiment == before and line.isVisible() and words in line.sentence_label.text()
    assert words in page.numbers.rows[name].editor.toolTip() and len(page.plot.grips.marks) == 1
    qtbot.mouseClick(line.repair_button, Qt.MouseButton.LeftButton)
    assert page.store.experiment == before.changed(mended)
    assert not page.problems.isVisible()


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


def test_no_shape_squeezes_the_row_of_shapes(qtbot, page):
    page.resize(1137, 830)
    for shape in SHAPES:
        page.store.set({"schedule.shape": shape.key})
        for _ in range(5):  # layouts in layouts, each after the one around it
            QApplication.processEvents()
        assert page.shapes.height() == page.shapes.maximumHeight(), shape.key


def test_both_themes_draw(page, theme, qtbot):
    for choice in ("light", "dark"):
        theme.set_choice(choice)
        assert not page.grab().isNull()
