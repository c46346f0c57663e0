"""Changing a run while it goes on, from the inspector: what can be applied, that it reaches the run, and how its answer shows."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from PySide6.QtCore import Qt

from studio.core.event import ExperimentEdited, WarningRaised
from studio.core.fold import fold
from studio.core.outcome import Status
from studio.gui.monitor import RunUpdate
from studio.gui.shell.inspector import Inspector
from tests.builders import build_dataset, build_run


@pytest.fixture
def running(context, tmp_path):
    """A context whose draft is that of an active run of 12 epochs, in its fourth."""
    dataset = build_dataset(tmp_path / "images", num_train=6, num_validation=2)
    folder = build_run(tmp_path / "runs", dataset, status=Status.RUNNING)
    context.store.replace(folder.experiment(), "as the run")
    context.store.set_dataset(dataset)
    context.runs.take((RunUpdate(folder, folder.read_state(), folder.experiment(), True),))
    # a recorded run that nobody holds reads as crashed
    entry = context.runs.entries[0]
    context.runs.take((RunUpdate(folder, replace(entry.state, status=Status.RUNNING), folder.experiment(), True),))
    assert context.runs.active is entry
    return context


@pytest.fixture
def block(qtbot, running):
    inspector = Inspector()
    qtbot.addWidget(inspector)
    inspector.attach(running)
    inspector.show()
    inspector._edits.refresh(running)
    return inspector._edits


def commands(context) -> list[dict]:
    path = context.runs.active.folder.commands_path
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def tell(context, *events) -> None:
    """What the engine writes, as the monitor brings it."""
    entry = context.runs.active
    context.runs.take((RunUpdate(entry.folder, fold(entry.state, events), None, True),))


def test_a_draft_that_is_the_run_has_no_edits(block):
    assert not block.isVisibleTo(block.parentWidget())


def test_live_edits_are_applied_to_the_run_by_a_command_in_its_folder(qtbot, running, block):
    running.store.set({"schedule.peak_lr": 5e-4, "optimiser.clip_norm": 2.0})
    block.refresh(running)
    assert block.title_label.text() == "2 edits not in run 1"
    assert block.apply_button.text() == "Apply to run 1" and block.apply_button.isEnabled()
    qtbot.mouseClick(block.apply_button, Qt.MouseButton.LeftButton)
    (command,) = commands(running)
    assert command["command"] == "edit" and command["values"] == {"schedule.peak_lr": 5e-4, "optimiser.clip_norm": 2.0}


def test_what_the_run_answers_is_said_and_counts_as_in_the_run(qtbot, running, block):
    running.store.set({"schedule.peak_lr": 5e-4})
    block.refresh(running)
    said = []
    running.shell.toast_requested.connect(lambda sentence, *_: said.append(sentence))
    qtbot.mouseClick(block.apply_button, Qt.MouseButton.LeftButton)
    block.refresh(running)
    assert "Asked for" in block.note_label.text()
    tell(running, ExperimentEdited(step=7, values={"schedule.peak_lr": 5e-4}))
    block.refresh(running)
    assert not block.isVisibleTo(block.parentWidget())
    assert said == ["Asked run 1 to take 1 edit at its next step.", "Run 1: Changed from step 8 on: Peak learning rate 5e-4"]
    assert running.runs.active.in_force.schedule.peak_lr == 5e-4


def test_a_refused_change_is_told_with_its_reason_and_stays_an_edit(qtbot, running, block):
    running.store.set({"schedule.peak_lr": 5e-4})
    block.refresh(running)
    said = []
    running.shell.toast_requested.connect(lambda sentence, *_: said.append(sentence))
    qtbot.mouseClick(block.apply_button, Qt.MouseButton.LeftButton)
    tell(running, WarningRaised(code="edit-refused", sentence="The change was not made: too late."))
    block.refresh(running)
    assert said[-1] == "Run 1: The change was not made: too late."
    assert block.isVisibleTo(block.parentWidget()) and block.note_label.text() == ""


def test_edits_that_need_a_new_run_stay_behind_and_are_counted(qtbot, running, block):
    running.store.set({"schedule.peak_lr": 5e-4, "training.batch_size": 16, "optimiser.kind": "sgd"})
    block.refresh(running)
    assert block.apply_button.text() == "Apply 1 to run 1"
    assert block.note_label.text() == "2 edits need a new run."
    qtbot.mouseClick(block.apply_button, Qt.MouseButton.LeftButton)
    assert commands(running)[0]["values"] == {"schedule.peak_lr": 5e-4}


def test_without_an_edit_that_a_run_can_take_there_is_nothing_to_apply(running, block):
    running.store.set({"training.batch_size": 16})
    block.refresh(running)
    assert not block.apply_button.isVisibleTo(block) and block.queue_button.isVisibleTo(block)


def test_the_button_says_which_run_the_draft_would_be_and_whether_it_waits(running, block, tmp_path):
    running.store.set({"training.batch_size": 16})
    block.refresh(running)
    assert block.queue_button.text() == "Queue as run 2"
    other = build_run(tmp_path / "runs", running.store.dataset, nickname="later-otter")
    running.runs.take((RunUpdate(other, other.read_state(), other.experiment(), False),))
    block.refresh(running)
    assert block.queue_button.text() == "Queue as run 3"
    running.store.set({"training.device": "cuda:0"})
    block.refresh(running)
    assert block.queue_button.text() == "Train as run 3"


def test_an_edit_that_the_run_could_not_take_is_refused_before_it_is_sent(qtbot, running, block):
    running.store.set({"schedule.epochs": 1})
    block.refresh(running)
    assert not block.apply_button.isEnabled()
    assert "epochs have begun" in block.note_label.text()
    qtbot.mouseClick(block.apply_button, Qt.MouseButton.LeftButton)
    assert commands(running) == []


def test_a_thaw_of_a_stage_that_the_run_has_not_is_refused(running, block):
    running.store.set({"model.thaw": {"stage 77": 2}})
    block.refresh(running)
    assert not block.apply_button.isEnabled() and "stage 77" in block.note_label.text()


def test_revert_takes_the_draft_back_to_what_counts_in_the_run(qtbot, running, block):
    tell(running, ExperimentEdited(step=7, values={"schedule.peak_lr": 5e-4}))
    running.store.set({"schedule.peak_lr": 1e-3, "training.batch_size": 16})
    block.refresh(running)
    qtbot.mouseClick(block.revert_button, Qt.MouseButton.LeftButton)
    assert running.store.experiment.schedule.peak_lr == 5e-4
    assert running.runs.edits_since(running.runs.active) == {}
    running.store.undo()
    assert running.store.experiment.training.batch_size == 16


def test_segments_and_thaws_travel_as_plain_data(running):
    draft = {"model.thaw": {"stage 2": 3}, "schedule.shape": "segments"}
    running.store.set(draft)
    assert running.runs.edit(running.runs.active)
    assert commands(running)[0]["values"] == draft
