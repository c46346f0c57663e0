"""The Schedule page used by keyboard alone: shape, handles, points, table, repair, undo."""

from __future__ import annotations

import pytest
from keys import press
from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import QApplication

from studio.gui import store
from studio.gui.pages.schedule import plot as schedule_plot
from studio.gui.pages.schedule.page import SchedulePage

Key, Mod = Qt.Key, Qt.KeyboardModifier


@pytest.fixture
def page(qtbot, context) -> SchedulePage:
    made = SchedulePage(context)
    qtbot.addWidget(made)
    made.resize(1100, 900)
    made.show()
    made.activateWindow()
    qtbot.waitUntil(lambda: QApplication.activeWindow() is made)
    return made


def tab_to(qtbot, wanted) -> None:
    """Press Tab until `wanted()`, at most as often as there are places to go."""
    for _ in range(150):
        if QApplication.focusWidget() is not None and wanted():
            return
        press(qtbot, Key.Key_Tab)
    raise AssertionError("Tab does not get there")


def in_plot(page) -> bool:
    return QApplication.focusWidget() is page.plot


def test_a_schedule_is_made_by_keyboard_alone(qtbot, page):
    page.reset_button.setFocus(Qt.FocusReason.TabFocusReason)
    schedule = lambda: page.store.experiment.schedule  # noqa: E731 - reads as a word
    # a shape
    tab_to(qtbot, lambda: QApplication.focusWidget() is page.shapes.tiles["one_cycle"])
    press(qtbot, Key.Key_Right)
    assert schedule().shape == "cosine"
    # the peak, higher and later, on the start of an epoch
    tab_to(qtbot, lambda: in_plot(page) and page.plot.active_handle.key == "peak")
    before = schedule()
    press(qtbot, Key.Key_Up, times=3)
    assert schedule().peak_lr > before.peak_lr * 1.2
    press(qtbot, Key.Key_Right, Mod.ControlModifier)
    assert page.plot.active_handle.step == 300
    press(qtbot, Key.Key_Left, Mod.ShiftModifier)
    assert page.plot.active_handle.step == pytest.approx(220, abs=1)
    press(qtbot, Key.Key_Right, Mod.AltModifier)
    assert page.plot.active_handle.step == pytest.approx(221, abs=0.5)
    # a cool-down and two epochs more
    tab_to(qtbot, lambda: page.plot.active_handle.key == "cooldown")
    press(qtbot, Key.Key_Left, Mod.ShiftModifier)
    assert schedule().cooldown_fraction == pytest.approx(0.1, abs=0.01)
    press(qtbot, Key.Key_End)
    assert page.plot.active_handle.key == "end"
    press(qtbot, Key.Key_Right, times=2)
    assert schedule().epochs == 10
    # a number typed into its field
    tab_to(qtbot, lambda: QApplication.focusWidget() is page.numbers.rows["final_factor"].editor.number_field)
    qtbot.keyClicks(QApplication.focusWidget(), "0.01")
    press(qtbot, Key.Key_Return)
    assert schedule().final_factor == 0.01


def test_a_free_curve_is_drawn_by_keyboard_alone(qtbot, page):
    page.store.set({"schedule.shape": "points"})
    points = lambda: page.store.experiment.schedule.points  # noqa: E731 - reads as a word
    tab_to(qtbot, lambda: in_plot(page) and page.plot.active_handle.key == "point 2")
    press(qtbot, Key.Key_Insert)
    assert len(points()) == 5 and page.plot.active_handle.key == "point 3"
    press(qtbot, Key.Key_Down, Mod.ShiftModifier)
    assert points()[2][1] < 0.5
    press(qtbot, Key.Key_Delete)
    assert len(points()) == 4
    tab_to(qtbot, lambda: QApplication.focusWidget() is page.numbers.list_editor.table)
    table = page.numbers.list_editor.table
    press(qtbot, Key.Key_Home, Mod.ControlModifier)
    press(qtbot, Key.Key_Down)
    press(qtbot, Key.Key_Return)
    editor = QApplication.focusWidget()
    assert editor is not table and "Epoch" in editor.accessibleName()
    editor.selectAll()
    qtbot.keyClicks(editor, "2")
    press(qtbot, Key.Key_Return)
    qtbot.waitUntil(lambda: points()[1][0] == pytest.approx(0.25, abs=0.001))
    qtbot.waitUntil(lambda: QApplication.focusWidget() is table)
    press(qtbot, Key.Key_Delete)
    assert len(points()) == 3


def test_a_problem_is_mended_by_keyboard_alone(qtbot, page):
    page.store.set({"schedule.shape": "cosine", "schedule.warmup_fraction": 1.0})
    page.plot.setFocus(Qt.FocusReason.TabFocusReason)
    tab_to(qtbot, lambda: QApplication.focusWidget() is page.problems.lines[0].repair_button)
    press(qtbot, Key.Key_Space)
    assert page.store.experiment.schedule.warmup_fraction == 0.1
    assert not page.problems.isVisible()


def test_tab_goes_through_all_handles_and_leaves_after_the_last_in_both_directions(qtbot, page):
    page.store.set({"schedule.shape": "cosine"})
    page.plot.setFocus(Qt.FocusReason.TabFocusReason)
    keys = []
    while in_plot(page):
        keys.append(page.plot.active_handle.key)
        press(qtbot, Key.Key_Tab)
    assert keys == ["start", "peak", "final", "cooldown", "end"]
    press(qtbot, Key.Key_Backtab)
    assert in_plot(page)
    back = []
    while in_plot(page):
        back.append(page.plot.active_handle.key)
        press(qtbot, Key.Key_Backtab)
    assert back == keys[::-1]


@pytest.mark.parametrize("scale", ["log", "lin"])
def test_every_key_press_moves_the_handle_however_fine(qtbot, page, scale):
    page.store.set({"schedule.shape": "cosine", "schedule.peak_lr": 1e-3, "schedule.warmup_fraction": 0.2})
    page._set_scale(scale)
    page.plot.setFocus(Qt.FocusReason.TabFocusReason)
    for key in ("start", "peak", "final", "cooldown"):
        tab_to(qtbot, lambda key=key: page.plot.active_handle.key == key)
        axes = page.plot.active_handle.axes
        pairs = ((Key.Key_Right, Key.Key_Left),) * (axes != "rate") + ((Key.Key_Up, Key.Key_Down),) * (axes != "time")
        for there, back in pairs:
            for mod in (Mod.NoModifier, Mod.ShiftModifier, Mod.AltModifier):
                for direction in (back, there):
                    before = page.store.experiment
                    press(qtbot, direction, mod)
                    at_bound = key == "cooldown" and direction == there and before.schedule.cooldown_fraction == 0
                    assert page.store.experiment != before or at_bound, (key, direction, mod)


def test_the_value_is_said_where_it_is_read_and_to_screen_readers(qtbot, page, monkeypatch):
    said = []
    monkeypatch.setattr(QAccessible, "isActive", lambda: True)
    monkeypatch.setattr(schedule_plot, "QAccessibleAnnouncementEvent", lambda widget, words: said.append(words) or words)
    monkeypatch.setattr(QAccessible, "updateAccessibility", lambda event: None)
    page.store.set({"schedule.shape": "cosine", "schedule.peak_lr": 1e-3})
    page.plot.setFocus(Qt.FocusReason.TabFocusReason)
    press(qtbot, Key.Key_Tab)
    assert page.reading_label.text().startswith("Peak 1e-3 at epoch 2.4")
    assert page.plot.accessibleDescription().startswith("Peak 1e-3 at epoch 2.4")
    press(qtbot, Key.Key_Up)
    assert said[-1].startswith("Peak 1.1e-3 at epoch 2.4") and page.reading_label.text().startswith(said[-1])


def test_presses_in_a_row_on_one_handle_are_undone_as_one_as_a_drag_is(qtbot, page, monkeypatch):
    monkeypatch.setattr(store, "BURST_S", 1000.0)
    page.store.set({"schedule.shape": "cosine", "schedule.warmup_fraction": 0.2})
    first = page.store.experiment
    tab_to(qtbot, lambda: in_plot(page) and page.plot.active_handle.key == "peak")
    press(qtbot, Key.Key_Up, times=3)
    press(qtbot, Key.Key_Right, times=2)
    second = page.store.experiment
    assert second.schedule.peak_lr > first.schedule.peak_lr and second.schedule.warmup_fraction > first.schedule.warmup_fraction
    press(qtbot, Key.Key_Tab)  # another handle
    press(qtbot, Key.Key_Up)
    third = page.store.experiment
    press(qtbot, Key.Key_Backtab)
    press(qtbot, Key.Key_Up)  # and back
    page.store.undo()
    assert page.store.experiment == third
    page.store.undo()
    assert page.store.experiment == second
    page.store.undo()
    assert page.store.experiment == first
    page.store.redo()
    assert page.store.experiment == second
    press(qtbot, Key.Key_Up)  # does not run on into what was redone
    page.store.undo()
    assert page.store.experiment == second


def test_presses_with_a_pause_between_them_are_undone_on_their_own(qtbot, page, monkeypatch):
    monkeypatch.setattr(store, "BURST_S", -1.0)
    page.store.set({"schedule.shape": "cosine"})
    tab_to(qtbot, lambda: in_plot(page) and page.plot.active_handle.key == "peak")
    press(qtbot, Key.Key_Up)
    first = page.store.experiment
    press(qtbot, Key.Key_Up)
    page.store.undo()
    assert page.store.experiment == first


def test_steps_of_a_field_by_key_are_undone_as_one_and_what_is_typed_on_its_own(qtbot, page, monkeypatch):
    monkeypatch.setattr(store, "BURST_S", 1000.0)
    first = page.store.experiment
    field = page.numbers.rows["peak_lr"].editor.number_field
    tab_to(qtbot, lambda: QApplication.focusWidget() is field)
    press(qtbot, Key.Key_Up, times=4)
    stepped = page.store.experiment
    for typed in ("2e-4", "3e-4"):
        field.selectAll()
        qtbot.keyClicks(field, typed)
        press(qtbot, Key.Key_Return)
    page.store.undo()
    assert page.store.experiment.schedule.peak_lr == 2e-4
    page.store.undo()
    assert page.store.experiment == stepped
    page.store.undo()
    assert page.store.experiment == first
