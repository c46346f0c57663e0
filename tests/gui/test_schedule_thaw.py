"""The thaw timeline: rows on the plot's own time axis, marks that are dragged or moved by keys, and one state behind all pages."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QEnterEvent, QMouseEvent
from PySide6.QtWidgets import QApplication

from studio.catalog.schedules import thaw_epochs
from studio.core.experiment import Experiment, Model
from studio.gui import store
from studio.gui.pages.schedule.curve import Length, make_curves
from studio.gui.pages.schedule.page import SchedulePage
from studio.gui.pages.schedule.stroke import Points
from studio.gui.pages.schedule.thaw_plan import PRESETS, num_frozen_before, num_trainable_at, thaw_with

NAMES = ["stem", "stage 1", "stage 2", "stage 3", "stage 4", "head"]
STAGES = [
    {"name": name, "num_parameters": 1000 * (i + 1), "output_shape": [8, 28, 28], "num_blocks": 1, "has_batch_norm": True}
    for i, name in enumerate(NAMES)
]


@pytest.fixture
def page(qtbot, context) -> SchedulePage:
    context.probe.answer("describe_model", {"stages": STAGES, "num_parameters": 21_000, "num_trainable": 10_000})
    made = SchedulePage(context)
    qtbot.addWidget(made)
    made.resize(1000, 900)
    made.show()
    qtbot.waitExposed(made)
    context.estimates.refresh()
    qtbot.waitUntil(lambda: len(made.thaw.rows) == 6)
    made.store.set({"schedule.epochs": 10, "model.train_stages": 2})
    qtbot.waitUntil(lambda: made.thaw.rows[-1].bar.width() > 300)
    return made


def bar_of(page: SchedulePage, name: str):
    return next(row.bar for row in page.thaw.rows if row.bar.row.name == name)


def epochs_of(page: SchedulePage) -> tuple:
    return thaw_epochs(page.store.experiment.model, NAMES)


def hand(bar, kind: QEvent.Type, x: float) -> None:
    local = QPointF(x, bar.height() / 2)
    button = Qt.MouseButton.NoButton if kind is QEvent.Type.MouseMove else Qt.MouseButton.LeftButton
    held = Qt.MouseButton.NoButton if kind is QEvent.Type.MouseButtonRelease else Qt.MouseButton.LeftButton
    QApplication.sendEvent(bar, QMouseEvent(kind, local, bar.mapToGlobal(local), button, held, Qt.KeyboardModifier.NoModifier))


def drag(bar, xs: list[float]) -> None:
    hand(bar, QEvent.Type.MouseButtonPress, xs[0])
    for x in xs[1:]:
        hand(bar, QEvent.Type.MouseMove, x)
    hand(bar, QEvent.Type.MouseButtonRelease, xs[-1])


def test_a_row_per_stage_in_execution_order_with_the_head_last(page):
    assert [row.bar.row.name for row in page.thaw.rows] == NAMES
    assert [row.bar.epoch for row in page.thaw.rows] == [None, None, None, 0, 0, 0]


def test_the_marks_stand_on_the_epochs_of_the_plot(page):
    box, view = page.plot.plot.getViewBox(), page.plot.graphics
    bar = bar_of(page, "stage 2")
    for epoch in (0, 3, 9):
        scene = box.mapViewToScene(QPointF(epoch * 100, 0))
        on_plot = view.viewport().mapToGlobal(view.mapFromScene(scene)).x()
        assert abs(bar.mapToGlobal(QPoint(round(bar.x_of(epoch)), 0)).x() - on_plot) <= 1


def test_the_axis_is_followed_when_the_window_changes(qtbot, page):
    bar = bar_of(page, "stage 2")
    before = bar.x_of(5)
    page.resize(1200, 900)
    qtbot.waitUntil(lambda: bar.x_of(5) > before + 40)


def test_dragging_a_mark_snaps_to_epochs_and_is_one_undo_step(page):
    before, bar = page.store.experiment, bar_of(page, "stage 2")
    drag(bar, [bar.x_of(None), bar.x_of(9), bar.x_of(7) - 9, bar.x_of(4) + 6])
    assert epochs_of(page) == (None, None, 4, 0, 0, 0)
    assert page.store.experiment == before.changed({"model.thaw": {"stage 2": 4}})
    assert page.store.undo_label == "thaw stage 2 at epoch 4"
    page.store.undo()
    assert page.store.experiment == before


def test_while_a_mark_is_dragged_a_bubble_says_what_trains_from_then_on(page):
    bar = bar_of(page, "stage 2")
    hand(bar, QEvent.Type.MouseButtonPress, bar.x_of(None))
    hand(bar, QEvent.Type.MouseMove, bar.x_of(6))
    bubble = page.thaw._bubble
    assert bubble.isVisible()
    assert bubble.words[0] == "Stage 2 thaws at epoch 6"
    assert bubble.words[1].replace("\N{NO-BREAK SPACE}", " ") == "+3.0 K: 18.0 K of 21.0 K train from then on"
    hand(bar, QEvent.Type.MouseButtonRelease, bar.x_of(6))
    assert not bubble.isVisible()


def test_a_mark_at_the_end_means_never_and_at_the_start_from_the_start(page):
    bar = bar_of(page, "stage 4")
    drag(bar, [bar.x_of(0), bar.x_of(5), bar.x_of(None) + 40])
    assert page.store.experiment.model.thaw == {"stage 4": -1}
    drag(bar, [bar.x_of(None), bar.x_of(0) - 30])
    assert page.store.experiment.model.thaw == {}  # as “Stages that train” has it


def test_escape_takes_a_drag_back(qtbot, page):
    bar = bar_of(page, "stage 2")
    bar.setFocus()
    hand(bar, QEvent.Type.MouseButtonPress, bar.x_of(None))
    hand(bar, QEvent.Type.MouseMove, bar.x_of(3))
    qtbot.keyClick(bar, Qt.Key.Key_Escape)
    hand(bar, QEvent.Type.MouseMove, bar.x_of(5))
    assert page.store.experiment.model.thaw == {}


def test_a_double_click_switches_between_the_start_and_never(qtbot, page):
    bar = bar_of(page, "stage 3")
    at = QPoint(round(bar.x_of(5)), bar.height() // 2)
    qtbot.mouseDClick(bar, Qt.MouseButton.LeftButton, pos=at)
    assert bar.epoch is None
    qtbot.mouseDClick(bar, Qt.MouseButton.LeftButton, pos=at)
    assert bar.epoch == 0


def test_keys_move_marks_and_walk_through_the_rows(qtbot, page):
    bar = bar_of(page, "stage 2")
    bar.setFocus(Qt.FocusReason.TabFocusReason)
    for key, modifier, epoch in (
        (Qt.Key.Key_Home, Qt.KeyboardModifier.NoModifier, 0),
        (Qt.Key.Key_Right, Qt.KeyboardModifier.NoModifier, 1),
        (Qt.Key.Key_Right, Qt.KeyboardModifier.NoModifier, 2),
        (Qt.Key.Key_Left, Qt.KeyboardModifier.NoModifier, 1),
        (Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier, None),
        (Qt.Key.Key_Left, Qt.KeyboardModifier.NoModifier, 9),
        (Qt.Key.Key_End, Qt.KeyboardModifier.NoModifier, None),
    ):
        qtbot.keyClick(bar, key, modifier)
        assert bar.epoch == epoch, (key, modifier)
    qtbot.keyClick(bar, Qt.Key.Key_Down)
    assert bar_of(page, "stage 3").hasFocus()
    qtbot.keyClick(bar_of(page, "stage 3"), Qt.Key.Key_Up)
    assert bar.hasFocus()


def test_every_row_has_a_name_and_a_value_for_screen_readers(page):
    page.store.set({"model.thaw": {"stage 2": 3}})
    bar = bar_of(page, "stage 2")
    assert bar.accessibleName() == "stage 2, thaws at epoch 3, × 0.12"
    assert (bar.minimum(), bar.value(), bar.maximum()) == (0, 3, 10)
    assert bar_of(page, "stem").accessibleName() == "stem, never trains, × 0.031"
    assert bar_of(page, "head").accessibleName() == "head, trains from the start, × 1"


def test_the_wheel_moves_no_mark_and_the_head_has_none(qtbot, page):
    head = bar_of(page, "head")
    drag(head, [head.x_of(0), head.x_of(5)])
    qtbot.keyClick(head, Qt.Key.Key_End)
    assert epochs_of(page)[-1] == 0 and page.store.experiment.model.thaw == {}


def test_a_typed_multiplier_belongs_to_its_stage_and_can_be_reset(qtbot, page):
    field = page.thaw.rows[3].field
    assert not page.thaw.reset_button.isVisible()
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, "0.7")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert page.store.experiment.optimiser.stage_lr_factors == {"stage 3": 0.7}
    assert bar_of(page, "stage 3").accessibleName().endswith("× 0.7")
    qtbot.mouseClick(page.thaw.reset_button, Qt.MouseButton.LeftButton)
    assert page.store.experiment.optimiser.stage_lr_factors == {}
    assert field.value == 0.25


def test_presets_set_all_stages_in_one_step(page):
    expected = {
        "head": (None, None, None, None, None, 0),
        "last_two": (None, None, None, 0, 0, 0),
        "one_per_epoch": (5, 4, 3, 2, 1, 0),
        "all": (0, 0, 0, 0, 0, 0),
    }
    assert {preset.key for preset in PRESETS} >= expected.keys()
    before = page.store.experiment
    for key, epochs in expected.items():
        page.store.set({"model.thaw": {"stem": 7}})
        action = next(a for a in page.thaw.presets_button.menu().actions() if a.text() == next(p.title for p in PRESETS if p.key == key))
        action.trigger()
        assert epochs_of(page) == epochs, key
        page.store.undo()
        page.store.undo()
        assert page.store.experiment == before, key


def test_a_mark_after_the_end_of_the_run_is_told(page):
    page.store.set({"model.thaw": {"stage 2": 30}})
    assert bar_of(page, "stage 2").x_of(30) == bar_of(page, "stage 2").x_of(None)
    assert bar_of(page, "stage 2").accessibleName() == "stage 2, thaws at epoch 30, after the end of the run, × 0.12"


def test_without_a_network_a_sentence_stands_there(qtbot, context):
    page = SchedulePage(context)
    qtbot.addWidget(page)
    page.resize(1000, 900)
    page.show()
    assert page.thaw.empty_label.isVisible() and not page.thaw.rows


def test_a_low_page_folds_the_rows_away_and_a_button_opens_them(qtbot, page):
    assert not page.thaw.is_folded
    page.resize(1000, 660)
    qtbot.waitUntil(lambda: page.thaw.is_folded)
    qtbot.mouseClick(page.thaw.fold_button, Qt.MouseButton.LeftButton)
    assert not page.thaw.is_folded and page.thaw.fold_button.accessibleName() == "Fold the thaw timeline"


def test_the_row_under_the_pointer_is_drawn_strongly_in_the_plot(qtbot, page):
    QApplication.sendEvent(bar_of(page, "stage 3"), QEnterEvent(QPointF(9, 9), QPointF(9, 9), QPointF(9, 9)))
    assert page.plot.strong_stage == "stage 3"
    QApplication.sendEvent(bar_of(page, "stage 3"), QEvent(QEvent.Type.Leave))
    assert page.plot.strong_stage is None


def test_while_a_mark_is_dragged_the_curve_follows_before_the_draft(qtbot, page):
    bar, before = bar_of(page, "stage 2"), page.store.experiment
    hand(bar, QEvent.Type.MouseButtonPress, bar.x_of(None))
    hand(bar, QEvent.Type.MouseMove, bar.x_of(4))
    assert page.store.experiment == before
    assert dict(zip(page._curves.stages, page._curves.thaws, strict=True))["stage 2"] == 4
    page.context.estimates.changed.emit()  # a figure that comes in meanwhile
    qtbot.waitUntil(lambda: page.store.experiment.model.thaw == {"stage 2": 4})  # the hand rests
    hand(bar, QEvent.Type.MouseButtonRelease, bar.x_of(4))
    page.store.undo()
    assert page.store.experiment == before


def test_a_curve_whose_thaw_moves_is_painted_anew_between_the_two_places_alone():
    """From the last step before the earlier thaw to the first of the later one; the other curves stay as they are."""
    of = {
        epoch: make_curves(
            Experiment().changed({"schedule.epochs": 10, "model.train_stages": 0, "model.thaw": {"stage 3": epoch, "stage 4": 1}}),
            Length(10, 500),
            NAMES,
        )
        for epoch in (3, 8)
    }
    early, late = ({name: Points(c.steps, c.rates[:, i]) for i, name in enumerate(c.stages)} for c in of.values())
    spans = {name: early[name].span_of_change(late[name]) for name in early}
    assert spans == {"stage 3": (3 * 500 - 1, 8 * 500), "stage 4": None, "head": None}


# The plan


def test_only_what_differs_from_the_stages_that_train_is_named():
    model = Model(train_stages=2, thaw={"stem": 4})
    assert thaw_with(model, NAMES, {"stem": None}) == {}
    assert thaw_with(model, NAMES, {"stage 4": 0}) == {"stem": 4}
    assert thaw_with(model, NAMES, {"stage 4": None, "stage 1": 0}) == {"stem": 4, "stage 1": 0, "stage 4": -1}


def test_more_stages_than_epochs_leave_the_first_ones_frozen():
    one_each = next(p for p in PRESETS if p.key == "one_per_epoch")
    assert one_each.plan(6, 4) == (None, None, None, 3, 2, 1)


def test_what_trains_is_counted_by_epoch():
    epochs = (None, 3, 0, 0)
    assert [num_trainable_at((1, 10, 100, 1000), epochs, epoch) for epoch in (0, 2, 3, 9)] == [1100, 1100, 1110, 1110]
    assert num_frozen_before(epochs) == 1 and num_frozen_before((0, None, 0)) == 0


def test_arrow_presses_on_a_mark_are_undone_as_one(qtbot, page, monkeypatch):
    monkeypatch.setattr(store, "BURST_S", 1000.0)
    before = page.store.experiment
    bar = bar_of(page, "stage 4")
    qtbot.keyClick(bar, Qt.Key.Key_Right)
    qtbot.keyClick(bar, Qt.Key.Key_Right)
    qtbot.keyClick(bar, Qt.Key.Key_Left)
    assert bar.epoch == 1 and page.store.undo_label == "thaw stage 4 at epoch 1"
    page.store.undo()
    assert page.store.experiment == before


def test_a_frozen_stage_in_which_single_layers_train_says_so_and_has_its_curve(qtbot, page, context):
    context.probe.answer("describe_model", {"stages": [s | {"parameters": [f"backbone.{s['name']}.0.conv1.weight"]} for s in STAGES]})
    page.store.set({"model.layers": {"backbone.stage 1.0.conv1": "train"}, "optimiser.stage_lr_factor": 0.5})
    qtbot.waitUntil(lambda: bar_of(page, "stage 1").row.is_partly)
    assert bar_of(page, "stage 1").accessibleName() == "stage 1, never trains as a whole, single layers do, × 0.062"
    curves = page._curves
    assert curves.stages == ("stage 1", "stage 3", "stage 4", "head")
    assert np.array_equal(curves.rates[:, 0], curves.head * 0.5**4)
    assert list(page.plot.strokes) == list(curves.stages)
    page.store.set({"model.thaw": {"stage 1": 3}})
    assert "single layers do" in bar_of(page, "stage 1").accessibleName() and np.isfinite(page._curves.rates).all()


def test_another_network_has_no_stages_until_it_is_described_and_keeps_the_plan_it_came_with(qtbot, page, context):
    probe = context.probe
    probe.answer("describe_model", None)  # from now on the test answers
    plan = {"layer 2": 4, "layer 3": 2}

    def choose(backbone: str):
        """Its answer, as soon as it is asked about."""
        page.store.reset_to(Experiment().changed({"model.backbone": backbone, "model.thaw": plan, "schedule.epochs": 10}))
        qtbot.waitUntil(lambda: probe.calls[-1][0] == "describe_model" and probe.calls[-1][1]["model"]["backbone"] == backbone)
        return probe.on_result

    def is_unknown() -> bool:
        page.thaw.apply_preset(PRESETS[0])  # writes nothing
        return not page.thaw.rows and not page.problems.isVisible() and page.store.experiment.model.thaw == plan

    answer_early = choose("early")
    assert is_unknown()
    page.store.set({"model.backbone": "late"})
    answer_early({"stages": STAGES})
    assert is_unknown() and context.estimates.is_stale, "what comes late is of the network before"
    answer_late = choose("late")
    answer_late({"stages": [s | {"name": s["name"].replace("stage", "layer")} for s in STAGES]})
    assert [row.bar.epoch for row in page.thaw.rows] == [None, None, 4, 2, 0, 0] and not page.problems.isVisible()
    page.store.set({"model.train_stages": 1})
    assert context.estimates.is_stale and len(page.thaw.rows) == 6, "what trains changes no stage"
