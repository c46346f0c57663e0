"""What makes one step of undo: a drag, and the presses of a key on one setting."""

from __future__ import annotations

import pytest

from studio.core.experiment import Experiment
from studio.gui.pages.schedule.wish import HandWish
from studio.gui.store import ExperimentStore


@pytest.fixture
def store(qapp, monkeypatch) -> ExperimentStore:
    """Its presses of a key all come at one instant."""
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    return ExperimentStore()


def press(store: ExperimentStore, epochs: int) -> None:
    store.set({"schedule.epochs": epochs}, burst="epochs")


def test_a_drag_soon_after_presses_of_a_key_is_a_step_of_its_own(store):
    press(store, 13)
    press(store, 14)
    store.begin_drag()
    press(store, 20)
    press(store, 30)
    store.end_drag()
    press(store, 31)
    for epochs in (30, 14, Experiment().schedule.epochs):
        store.undo()
        assert store.experiment.schedule.epochs == epochs
    assert not store.undo_label


def test_a_drag_that_is_dropped_after_an_undo_takes_no_second_step_with_it(store, qapp):
    store.set({"training.seed": 3})
    store.set({"training.seed": 4})
    wish = HandWish(store, qapp)
    wish.begin()
    store.undo()
    wish.end(False)
    assert store.experiment.training.seed == 3 and store.redo_label
    wish.begin()
    store.undo()
    wish.set({"training.seed": 9})  # the hand goes on
    wish._grant()
    wish.end(True)
    assert store.experiment.training.seed == Experiment().training.seed and store.redo_label
    store.redo()
    wish.begin()
    store.set({"training.seed": 5})
    wish.end(False)
    assert store.experiment.training.seed == 3 and store.redo_label, "as if nothing had been"


def test_whether_a_change_changed_anything_is_said(store):
    assert store.set({"training.seed": 3}) and not store.set({"training.seed": 3})
    assert not store.replace(store.experiment.changed({}), "nothing")


def test_presses_that_come_back_to_where_they_began_leave_nothing_to_undo(store):
    start = store.experiment.schedule.epochs
    store.set({"training.seed": 3})
    press(store, start + 1)
    press(store, start)
    assert store.undo_label == "seed to 3"
    press(store, start - 1)
    store.undo()
    assert store.experiment.schedule.epochs == start and store.undo_label == "seed to 3"


@pytest.mark.parametrize("how", ["drag", "keys"])
def test_what_comes_back_to_where_it_began_leaves_no_step_and_keeps_redo(store, how):
    store.set({"training.seed": 3})
    store.set({"schedule.epochs": 40})
    store.undo()
    start = store.experiment.schedule.epochs
    if how == "drag":
        store.begin_drag()
    press(store, start + 1)
    press(store, start + 2)
    assert store.undo_label.startswith("epochs to") and not store.redo_label
    press(store, start)
    assert store.undo_label == "seed to 3" and store.redo_label == "epochs to 40"
    press(store, start + 5)
    assert store.undo_label.startswith("epochs to") and not store.redo_label
    press(store, start)
    store.end_drag()
    assert store.undo_label == "seed to 3"
    store.redo()
    assert store.experiment.schedule.epochs == 40 and store.experiment.training.seed == 3
    store.undo()
    store.undo()
    assert store.experiment == Experiment() and not store.undo_label
