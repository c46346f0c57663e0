"""The sheet that queues a draft with several values, and the queue: one run per device, and on after a failed one."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QWidget

from studio.core.outcome import Status
from studio.core.problem import error
from studio.gui import runs as runs_module
from studio.gui.removal import remove_from_queue
from studio.gui.run_entry import RunEntry
from studio.gui.scan import ScanState
from studio.gui.shell.queue import QueueSheet
from studio.gui.shell.sweep import SweepSheet, sweepable
from tests.builders import build_dataset


@pytest.fixture
def ready(context, tmp_path):
    dataset = build_dataset(tmp_path / "images", num_train=6, num_validation=2)
    context.scan.hold(ScanState(is_complete=True))
    context.store.set({"data.source": dataset.root})
    context.store.set_dataset(dataset)
    return context


@pytest.fixture
def sheet(ready, qtbot) -> Iterator[SweepSheet]:
    host = QWidget()
    host.resize(1100, 660)
    qtbot.addWidget(host)
    made = SweepSheet(host, ready)
    host.show()
    made.open()
    yield made


def test_the_sheet_says_how_many_runs_it_makes_and_what_is_wrong(sheet):
    assert "4 runs" in sheet.summary.text() and "Peak learning rate" in sheet.listing.text()
    second, values = sheet.rows[1]
    second.set_value("optimiser.kind")
    second.value_changed.emit("optimiser.kind")
    assert values.text().startswith("adamw, adam, sgd") and sheet.queue_button.text() == "Queue 24 runs"
    values.setText("sgd, speedy")
    assert not sheet.queue_button.isEnabled() and "speedy" in sheet.summary.text()
    assert {"schedule.peak_lr", "training.batch_size", "optimiser.kind", "model.dropout"} <= set(sweepable())
    assert not any(path.startswith("data.") for path in sweepable())


def test_queueing_starts_the_first_and_lets_the_others_wait_in_order(sheet, ready, qtbot):
    draft = ready.store.experiment
    sheet.rows[0][1].setText("1e-4, 1e-3, 1e-2")
    sheet.queue()
    qtbot.waitUntil(lambda: len(ready.engines.started) == 1)
    assert ready.runs.active.experiment.schedule.peak_lr == 1e-4
    assert [e.experiment.schedule.peak_lr for e in ready.runs.queued] == [1e-3, 1e-2]
    assert ready.store.experiment == draft, "the draft is left alone"


def test_a_sweep_is_filled_and_queued_by_keys_alone_and_enter_on_cancel_cancels(sheet, ready, qtbot):
    def press(key) -> None:
        qtbot.keyClick(QApplication.focusWidget(), key)

    sheet.window().activateWindow()
    qtbot.waitUntil(sheet.rows[0][1].hasFocus)
    for _ in range(20):
        if QApplication.focusWidget().objectName() != "sweep.cancel":
            press(Qt.Key.Key_Tab)
    press(Qt.Key.Key_Return)
    assert sheet.isHidden() and not ready.runs.never_begun
    again = SweepSheet(sheet.parentWidget(), ready)
    again.open()
    reached = []
    while (name := QApplication.focusWidget().objectName()) not in reached:
        reached.append(name)
        press(Qt.Key.Key_Tab)
    assert reached == [
        "sweep.values0", "sweep.setting1", "sweep.way.0", "sweep.seeds", "sweep.cancel", "sweep.queue", "shell.sweep.close",
        "sweep.setting0",
    ]  # fmt: skip
    qtbot.keyClicks(QApplication.focusWidget(), "1e-4, 1e-3")
    press(Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: len(ready.engines.started) == 1 and len(ready.runs.queued) == 1)


def test_a_value_that_cannot_run_is_said_before_anything_is_queued(sheet, ready, qtbot):
    setting, values = sheet.rows[0]
    setting.set_value("training.batch_size")
    setting.value_changed.emit("training.batch_size")
    assert values.text() == "16, 32, 64"  # of 36 training images
    sheet.queue()  # at once, before that is known
    qtbot.waitUntil(lambda: "Batch size 64 cannot run: " in sheet.summary.text())
    assert not sheet.queue_button.isEnabled() and sheet.isVisible() and not ready.runs.never_begun
    values.setText("16, 32")
    assert sheet.queue_button.text() == "Queue 2 runs" and sheet.queue_button.isEnabled()


def test_while_a_disk_does_not_answer_one_plan_is_asked_about_and_then_the_newest(sheet, ready, qtbot, monkeypatch):
    may_answer, asked = threading.Event(), []

    def check_run(experiment, dataset):
        asked.append(experiment.schedule.peak_lr)
        may_answer.wait(10)
        return [error("", "Not there.")] if experiment.schedule.peak_lr == 0.3 else []

    qtbot.waitUntil(lambda: sheet._check is None)
    monkeypatch.setattr("studio.dataset.plan_check.check_run", check_run)
    for text in ("0.1", "0.12", "0.123", "0.2", "0.3"):
        sheet.rows[0][1].setText(text)
    assert sheet.queue_button.isEnabled(), "typing goes on meanwhile"
    may_answer.set()
    qtbot.waitUntil(lambda: "0.3 cannot run: Not there." in sheet.summary.text())
    draft = ready.store.experiment.schedule.peak_lr
    assert asked == [draft, 0.1, draft, 0.3]


def test_a_press_while_the_plan_is_checked_is_shown_and_where_another_plan_drops_it_that_is_said(sheet, ready, qtbot, monkeypatch):
    may_answer = threading.Event()

    def check_run(experiment, dataset):
        may_answer.wait(10)
        return []

    qtbot.waitUntil(lambda: sheet._check is None)
    monkeypatch.setattr("studio.dataset.plan_check.check_run", check_run)
    sheet.window().activateWindow()
    qtbot.waitUntil(sheet.rows[0][1].hasFocus)
    sheet.rows[0][1].setText("0.1, 0.2")
    sheet.queue_button.setFocus()
    qtbot.keyClick(sheet.queue_button, Qt.Key.Key_Return)
    assert "Checking" in sheet.summary.text() and not sheet.queue_button.isEnabled()
    assert sheet.rows[0][1].hasFocus(), "not Close, which a second press would press"
    ready.store.set_dataset(ready.store.dataset)
    ready.store.set({"schedule.epochs": 7})
    assert "2 runs" in sheet.summary.text() and "queue them again" in sheet.summary.text() and sheet.queue_button.isEnabled()
    sheet.queue()
    assert "Checking" in sheet.summary.text()
    may_answer.set()
    qtbot.waitUntil(lambda: len(ready.engines.started) == 1 and len(ready.runs.queued) == 1)
    assert ready.runs.active.experiment.schedule.epochs == 7


def test_a_disk_that_hangs_keeps_none_of_the_windows_threads_and_a_sheet_that_is_left_asks_no_further(sheet, ready, qtbot, monkeypatch):
    may_answer, asked, ended = threading.Event(), [], threading.Event()

    def check_run(experiment, dataset):
        asked.append(experiment.schedule.peak_lr)
        may_answer.wait(10)
        return []

    qtbot.waitUntil(lambda: sheet._check is None)
    monkeypatch.setattr("studio.dataset.plan_check.check_run", check_run)
    sheet.rows[0][1].setText("0.1, 0.2")
    sheet.queue()
    sheet.dismiss()
    again = SweepSheet(sheet.parentWidget(), ready)
    again.open()
    ready.background.run(lambda: None, lambda _: ended.set())
    qtbot.waitUntil(ended.is_set)
    again.dismiss()
    may_answer.set()
    qtbot.waitUntil(lambda: not any(thread.name == "background beside" for thread in threading.enumerate()))
    assert len(asked) == 2 and not ready.runs.never_begun, "the draft alone, by each sheet"


def test_a_check_that_fails_queues_nothing_and_says_so(sheet, ready, qtbot, monkeypatch, capsys):
    def check_run(experiment, dataset):
        raise RuntimeError("out of luck")

    qtbot.waitUntil(lambda: sheet._check is None)
    monkeypatch.setattr("studio.dataset.plan_check.check_run", check_run)
    sheet.rows[0][1].setText("0.1, 0.2")
    sheet.queue()
    qtbot.waitUntil(lambda: "out of luck" in sheet.summary.text())
    assert not sheet.queue_button.isEnabled() and not ready.runs.never_begun and "Traceback" in capsys.readouterr().err


def test_the_sheet_follows_the_draft_behind_it(sheet, ready, qtbot):
    ready.store.set({"schedule.epochs": 7})
    assert {e.schedule.epochs for e in sheet.experiments} == {7}
    sheet.queue()
    qtbot.waitUntil(lambda: len(ready.engines.started) == 1)
    ready.store.set({"schedule.epochs": 8})  # nobody follows any more
    assert ready.runs.active.experiment.schedule.epochs == 7


def test_what_cannot_be_queued_now_keeps_the_sheet_and_says_why(sheet, ready, qtbot):
    told = []
    ready.shell.toast_requested.connect(lambda *words: told.append(words[0]))
    ready.store.set_dataset(None)
    sheet.queue()
    assert sheet.isVisible() and sheet.summary.text() == ready.runs.reason_not_to_train() != ""
    assert told == [] and not ready.runs.never_begun


def test_the_queue_goes_on_after_a_run_that_failed(sheet, ready, qtbot):
    sheet.rows[0][1].setText("1e-4, 1e-3, 1e-2")
    sheet.queue()
    qtbot.waitUntil(lambda: len(ready.engines.started) == 1)
    failed = ready.runs.active
    ready.engines.codes[failed.folder] = 1
    qtbot.waitUntil(lambda: len(ready.engines.started) == 2)
    assert failed.status is Status.FAILED
    assert ready.runs.active.experiment.schedule.peak_lr == 1e-3 and len(ready.runs.queued) == 1


def test_each_device_has_a_queue_of_its_own(ready, qtbot, monkeypatch):
    monkeypatch.setattr(runs_module, "usable_gpus", lambda: ("one",))
    monkeypatch.setattr("studio.core.device.device_problem", lambda device: None)
    draft = ready.store.experiment
    wanted = ["cpu", "cpu", "cuda:0", "auto"]
    ready.runs.sweep([draft.changed({"training.device": device}) for device in wanted])
    qtbot.waitUntil(lambda: len(ready.engines.started) == 2)
    devices = [folder.experiment().training.device for folder, _ in ready.engines.started]
    assert devices == ["cpu", "cuda:0"]
    assert [e.experiment.training.device for e in ready.runs.queued] == ["cpu", "auto"], "auto is the GPU, which is taken"
    on_cpu, on_gpu = (ready.runs.in_the_way(draft.changed({"training.device": device}).training) for device in ("cpu", "cuda"))
    assert (on_cpu.experiment.training.device, on_gpu.experiment.training.device) == ("cpu", "cuda:0")
    assert all(isinstance(e, RunEntry) for e in ready.runs.queued)


def test_a_run_on_all_gpus_waits_for_each_of_them_and_nothing_behind_it_overtakes_it(ready, qtbot, monkeypatch):
    monkeypatch.setattr(runs_module, "usable_gpus", lambda: ("one", "two"))
    monkeypatch.setattr("studio.core.device.device_problem", lambda device: None)
    draft = ready.store.experiment.changed({"training.device": "cuda:1"})
    both = draft.changed({"training.device": "cuda", "training.processes": 2})
    ready.runs.sweep([draft, both, draft.changed({"training.device": "cuda:0"}), draft])
    qtbot.waitUntil(lambda: len(ready.engines.started) == 1)
    assert [e.experiment.training.device for e in ready.runs.queued] == ["cuda", "cuda:0", "cuda:1"]
    ready.engines.codes[ready.engines.started[0][0]] = 1
    qtbot.waitUntil(lambda: len(ready.engines.started) == 2)
    assert ready.runs.active.experiment.training.processes == 2 and len(ready.runs.queued) == 2
    assert ready.runs.in_the_way(draft.training) is ready.runs.active, "the second process is on cuda:1"
    ready.engines.codes[ready.engines.started[1][0]] = 1
    qtbot.waitUntil(lambda: len(ready.engines.started) == 4)


def test_a_run_whose_process_cannot_be_started_stays_first_and_is_tried_again(ready, qtbot, monkeypatch):
    monkeypatch.setattr(runs_module, "START_AGAIN_MS", 1)
    real, told = ready.engines.start, []
    ready.runs.failed_to_start.connect(told.append)

    def out_of_memory(folder, resume, on_started, on_failed):
        ready.engines.start = real
        on_failed("The training process could not be started: Cannot allocate memory.")

    ready.engines.start = out_of_memory
    draft = ready.store.experiment
    ready.runs.sweep([draft.changed({"schedule.epochs": epochs}) for epochs in (2, 3)])
    qtbot.waitUntil(lambda: len(ready.engines.started) == 1)
    assert "Cannot allocate memory" in told[0] and "tried again" in told[0]
    assert ready.runs.active.experiment.schedule.epochs == 2 and len(ready.runs.queued) == 1


@pytest.fixture
def queue(ready, qtbot) -> Iterator[QueueSheet]:
    """Run 1 trains; runs 2 to 7 wait."""
    host = QWidget()
    host.resize(1100, 660)
    qtbot.addWidget(host)
    draft = ready.store.experiment
    ready.runs.sweep([draft.changed({"schedule.epochs": epochs}) for epochs in range(1, 8)])
    qtbot.waitUntil(lambda: len(ready.runs.queued) == 6)
    made = QueueSheet(host, ready)
    host.show()
    made.open()
    made.listing.setFocus()
    yield made


def shown_in(queue: QueueSheet) -> list[int]:
    return [queue.listing.item(row).data(Qt.ItemDataRole.UserRole + 1).number for row in range(queue.listing.count())]


def test_the_queue_is_put_in_order_by_keys(queue, ready, qtbot):
    assert shown_in(queue) == [2, 3, 4, 5, 6, 7] and "6 runs waiting" in queue.words.text() and "run 1" in queue.words.text()
    assert "epochs to 3" in queue.listing.item(1).text()
    assert queue.listing.item(1).text().endswith("device chosen at start") and "auto" not in queue.words.text()
    qtbot.keyClick(queue.listing, Qt.Key.Key_Down)
    qtbot.keyClick(queue.listing, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
    qtbot.keyClick(queue.listing, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
    assert [e.number for e in ready.runs.queued] == shown_in(queue) == [2, 4, 5, 3, 6, 7]
    assert [e.number for e in queue.chosen] == [3], "the run that was moved stays the chosen one"


def test_the_keyboard_is_seen_in_the_queue_and_no_button_hands_it_to_the_one_that_does_the_opposite(queue, ready, qtbot):
    queue.window().activateWindow()
    qtbot.waitUntil(queue.listing.hasFocus)
    with_keys = queue.listing.grab().toImage()
    queue.later.setFocus(Qt.FocusReason.TabFocusReason)
    assert queue.listing.grab().toImage() != with_keys
    queue.listing.setCurrentRow(1)
    queue.earlier.setFocus(Qt.FocusReason.TabFocusReason)
    for _ in range(3):
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Space)
    assert shown_in(queue) == [3, 2, 4, 5, 6, 7] and queue.listing.hasFocus()


def test_a_run_dragged_to_another_place_starts_there(queue, ready):
    assert not queue.listing.item(0).flags() & Qt.ItemFlag.ItemIsDropEnabled, "each place of the pointer is one between two runs"
    queue.listing.insertItem(5, queue.listing.takeItem(0))  # as a drop does
    queue.listing.moved.emit()
    assert [e.number for e in ready.runs.queued] == shown_in(queue) == [3, 4, 5, 6, 7, 2]


def test_an_empty_queue_says_how_to_fill_it_and_is_closed_by_esc(ready, qtbot):
    host = QWidget()
    host.resize(1100, 660)
    qtbot.addWidget(host)
    host.show()
    host.activateWindow()
    sheet = QueueSheet(host, ready)
    sheet.open()
    assert "Nothing waits" in sheet.words.text() and not sheet.listing.isVisible()
    qtbot.waitUntil(sheet.hasFocus)
    qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Escape)
    assert sheet.isHidden()


def test_runs_leave_the_queue_by_del_and_when_they_start(queue, ready, qtbot):
    qtbot.keyClick(queue.listing, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    assert [e.number for e in queue.chosen] == [2, 3]
    qtbot.keyClick(queue.listing, Qt.Key.Key_Delete)
    assert [e.number for e in ready.runs.queued] == shown_in(queue) == [4, 5, 6, 7]
    ready.engines.codes[ready.runs.active.folder] = 1
    qtbot.waitUntil(lambda: shown_in(queue) == [5, 6, 7])


def test_runs_taken_out_of_the_queue_are_said_to_be_in_the_bin_when_they_are_and_undo_puts_them_at_their_places(
    queue, ready, qtbot, monkeypatch
):
    said, gone = [], [entry.folder for entry in ready.runs.queued[1:3]]
    ready.shell.toast_requested.connect(lambda *args: said.append(args))
    queue.listing.clearSelection()
    for row in (1, 2):
        queue.listing.item(row).setSelected(True)
    queue.remove.click()
    assert not said and [e.number for e in ready.runs.queued] == [2, 5, 6, 7]
    qtbot.waitUntil(lambda: bool(said))
    assert said[0][:2] == ("2 runs moved from the queue to the bin.", "Undo") and not any(folder.path.exists() for folder in gone)
    said[0][2]()
    qtbot.waitUntil(lambda: [e.number for e in ready.runs.queued] == shown_in(queue) == [2, 3, 4, 5, 6, 7])
    assert all(folder.experiment_path.is_file() for folder in gone)

    def move_to_bin(folder):
        raise PermissionError("it is read-only")

    monkeypatch.setattr(runs_module, "move_to_bin", move_to_bin)
    remove_from_queue(ready, ready.runs.queued[1:2])
    qtbot.waitUntil(lambda: len(said) == 2)
    assert said[1][0] == "Run 3 could not be moved to the bin: it is read-only." and not said[1][1]
    assert [e.number for e in ready.runs.queued] == [2, 3, 4, 5, 6, 7]
    remove_from_queue(ready, [ready.runs.active])  # its menu was open when it started
    assert ready.runs.active.folder.path.is_dir()


def test_a_run_that_waits_outside_the_queue_is_put_back_into_it(queue, ready):
    lost = ready.runs.queued[0]
    ready.runs._change_queue(lambda names: names[1:])
    assert lost not in ready.runs.queued
    ready.runs.enqueue(lost)
    assert ready.runs.queued[-1] is lost and shown_in(queue)[-1] == lost.number
