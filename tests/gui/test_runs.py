"""Starting, queueing and ending runs: one after the other, in the order given, and nothing that cannot work."""

from __future__ import annotations

import os
from dataclasses import replace
from threading import Event, Timer

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from studio.core.event import RunStarted
from studio.core.experiment import Data
from studio.core.file_lock import is_locked
from studio.core.journal import JournalWriter
from studio.core.outcome import Status
from studio.core.problem import errors_in
from studio.core.run_digest import RunDigest
from studio.core.run_folder import RunFolder
from studio.dataset.dataset import Dataset
from studio.dataset.plan_check import check_run
from studio.gui import attention as attention_module
from studio.gui import monitor as monitor_module
from studio.gui import run_entry as run_entry_module
from studio.gui import run_list as run_list_module
from studio.gui import runs as runs_module
from studio.gui.attention import Attention
from studio.gui.context import make_context
from studio.gui.monitor import RunMonitor, RunUpdate
from studio.gui.pages.results.run_menu import run_menu
from studio.gui.readiness import ASK_AFTER_MS
from studio.gui.recorded import held_alive
from studio.gui.removal import remove_from_queue
from studio.gui.scan import ScanState
from studio.gui.testing import FakeEngines, FakeWorker
from studio.gui.window import Window
from tests.builders import build_dataset, build_run


@pytest.fixture
def ready(context, tmp_path):
    """A context with images: six classes of six training images."""
    dataset = build_dataset(tmp_path / "images", num_train=6, num_validation=2)
    context.scan.hold(ScanState(is_complete=True))
    context.store.set({"data.source": dataset.root})
    context.store.set_dataset(dataset)
    assert context.runs.reason_not_to_train() == ""
    return context


@pytest.fixture
def window(ready, qtbot) -> Window:
    made = Window()
    qtbot.addWidget(made)
    made.attach(ready)
    made.show()
    return made


def dataset_of(folder) -> Dataset:
    return Dataset.from_json(folder.dataset_path.read_bytes())


def test_train_goes_off_at_once_when_nothing_trains_any_more_and_on_again(ready, window, qtbot):
    main, page = window.top_bar.train.main, window.page("model")
    page.layers.presets.value_changed.emit("none")
    assert ready.runs.reason_not_to_train().startswith("Nothing trains"), "Ctrl Enter starts nothing in the same moment"
    qtbot.waitUntil(lambda: not main.isEnabled())
    assert "Nothing trains" in main.toolTip()
    page.layers.presets.value_changed.emit("head")
    qtbot.waitUntil(main.isEnabled)
    page.layers.presets.value_changed.emit("none")
    ready.store.set({"model.batch_norm": {"stem": "train"}}, "a stage whose batch norms train")
    assert ready.runs.reason_not_to_train() == "", "whether it has any is for the worker to say"


def test_an_engine_that_holds_its_lock_before_its_first_word_is_still_starting(ready, qtbot):
    runs, ended = ready.runs, []
    runs.ended.connect(ended.append)
    runs.train()
    qtbot.waitUntil(lambda: len(ready.engines.started) == 1)
    runs.train()
    qtbot.waitUntil(lambda: len(runs.queued) == 1)
    entry = runs.active
    runs.take((RunUpdate(entry.folder, entry.folder.read_state(), None, True),))
    assert entry.status is Status.STARTING
    assert ended == [] and len(ready.engines.started) == 1
    journal = JournalWriter(entry.folder.journal_path)
    journal.append(RunStarted(wall_time=5.0, pid=1, session=0))
    journal.close()
    runs.take((RunUpdate(entry.folder, replace(entry.folder.read_state(), status=Status.RUNNING), None, True),))
    assert entry.status is Status.RUNNING and not entry.is_launching


def test_a_resumed_run_is_not_taken_for_the_stopped_one_it_was(ready, qtbot, tmp_path):
    runs, ended = ready.runs, []
    run = build_run(tmp_path / "runs", ready.store.dataset, status=Status.STOPPED)
    stopped = run.read_state()
    runs.take((RunUpdate(run, stopped, run.experiment(), False),))
    entry = runs.entries[0]
    runs.ended.connect(ended.append)
    runs.continue_run(entry)
    runs.take((RunUpdate(run, stopped, None, True),))
    assert entry.status is Status.STARTING and ended == []
    runs.take((RunUpdate(run, replace(stopped, status=Status.RUNNING, stopped=None, wall_time=stopped.wall_time - 100), None, True),))
    assert entry.status is Status.RUNNING  # also where the clock was set back


def test_an_engine_that_starts_while_its_run_is_read_is_not_crashed(qtbot, tmp_path, monkeypatch):
    """The lock was free when the monitor looked at it, and taken when the journal was read."""
    dataset = build_dataset(tmp_path / "images", num_train=6, num_validation=2)
    run = build_run(tmp_path / "runs", dataset, status=Status.RUNNING)
    looks = []

    def look(path) -> bool:
        looks.append(path)
        return len(looks) > 1 and is_locked(path)

    monkeypatch.setattr(monitor_module, "is_locked", look)
    monitor, found = RunMonitor(tmp_path / "runs"), []
    monitor.updated.connect(lambda updates: found.extend(u.state.status for u in updates))
    with held_alive(run):
        monitor.start()
        qtbot.waitUntil(lambda: bool(found), timeout=5000)
        monitor.close()
    assert found[0] is Status.RUNNING


def test_a_quick_test_can_be_trained_though_its_images_are_fewer_than_the_batch(ready, qtbot):
    assert ready.store.experiment.training.batch_size == 32
    ready.runs.quick_test()
    qtbot.waitUntil(lambda: len(ready.engines.started) == 1)
    folder = ready.engines.started[0][0]
    few = dataset_of(folder)
    assert len(few.part("train")) < 32
    assert errors_in(check_run(folder.experiment(), few)) == []
    assert folder.experiment().schedule.epochs == 1


def test_runs_that_were_queued_as_the_window_closed_wait_in_the_next_one(ready, qtbot):
    draft, gate = ready.store.experiment, Event()
    for _ in range(2):
        ready.background.run(lambda: gate.wait(60))  # the pool is busy
    ready.runs.sweep([draft.changed({"schedule.epochs": epochs}) for epochs in (1, 2, 3)])
    Timer(0.2, gate.set).start()
    ready.close()
    assert not ready.engines.started
    again = make_context(preview=FakeWorker(), probe=FakeWorker(), finder=FakeWorker(), engines=FakeEngines())
    again.runs.start()
    qtbot.waitUntil(lambda: len(again.runs.queued) == 3)
    assert [e.experiment.schedule.epochs for e in again.runs.queued] == [1, 2, 3]
    again.close()


def test_a_run_that_neither_began_nor_waits_is_listed_and_can_be_queued(ready, window, qtbot, tmp_path):
    build_run(ready.runs._folder, ready.store.dataset, status=Status.QUEUED)
    ready.runs.start()
    qtbot.waitUntil(lambda: len(ready.runs.left_over) == 1)
    (entry,) = ready.runs.left_over
    page = window.page("results")
    window.show_page("results")
    qtbot.waitUntil(lambda: page.model.row_of(entry) is not None)
    page.table.choose(entry)
    actions = {action.text(): action for action in run_menu(page).actions()}
    actions["Edit as draft"].trigger()  # as in the rail
    assert ready.store.experiment == entry.experiment.changed({"name": ready.store.experiment.name})
    actions["Put into the queue"].trigger()
    qtbot.waitUntil(lambda: [folder for folder, _ in ready.engines.started] == [entry.folder])
    assert ready.runs.left_over == ()


def test_a_run_on_another_device_neither_queues_the_draft_nor_says_so(ready, window, qtbot, monkeypatch):
    monkeypatch.setattr(runs_module, "usable_gpus", lambda: ("one",))
    monkeypatch.setattr("studio.core.device.device_problem", lambda device: None)
    ready.store.set({"training.device": "cuda:0"})
    ready.runs.train()
    qtbot.waitUntil(lambda: len(ready.engines.started) == 1)
    button, told = window.top_bar.train.main, []
    ready.shell.toast_requested.connect(lambda *words: told.append(words[0]))
    qtbot.waitUntil(lambda: button.text() == "Train next")
    ready.store.set({"training.device": "cpu"})
    qtbot.waitUntil(lambda: button.text() == "Train" and "Start training" in button.toolTip())
    window.train()
    qtbot.waitUntil(lambda: len(ready.engines.started) == 2)
    assert not any("Queued" in words for words in told)
    window.train()
    qtbot.waitUntil(lambda: len(ready.runs.queued) == 1)
    assert "Queued after run 2." in told


def test_a_quick_test_without_images_says_what_is_missing(context):
    told = []
    context.runs.failed_to_start.connect(told.append)
    context.runs.quick_test()
    assert told == ["Open a folder of images first (Ctrl O)."]


def test_five_seeds_start_in_their_order(ready, qtbot):
    ready.runs.train_seeds(5)
    qtbot.waitUntil(lambda: len(ready.runs.queued) == 4)
    started = ready.engines.started[0][0].experiment().training.seed
    assert [started, *(e.experiment.training.seed for e in ready.runs.queued)] == [started + i for i in range(5)]


def test_a_batch_larger_than_the_training_images_keeps_train_off(ready):
    ready.store.set({"training.batch_size": 64})
    assert ready.runs.reason_not_to_train() == "Batch size 64 is larger than the 36 training images. Try 32."
    ready.store.undo()
    assert ready.runs.reason_not_to_train() == ""


def test_a_transform_that_there_is_not_keeps_train_off(ready):
    ready.store.set({"augment.preset": "custom", "augment.transforms": ({"name": "Blurr"},)})
    assert "Did you mean Blur" in ready.runs.reason_not_to_train()


def test_a_weights_file_on_a_disk_that_does_not_answer_keeps_train_off_and_the_newest_one_counts(ready, qtbot, tmp_path, monkeypatch):
    slow, here, gone = (str(tmp_path / f"{name}.safetensors") for name in ("slow", "here", "gone"))
    (tmp_path / "here.safetensors").touch()
    may_answer, asked, is_file = Event(), [], os.path.isfile

    def isfile(path):
        asked.append(path)
        return bool(path == slow and may_answer.wait(10)) or is_file(path)

    monkeypatch.setattr("os.path.isfile", isfile)
    reason, waits = ready.runs.reason_not_to_train, "The weights file is still being looked for."
    ready.store.set({"model.weights_file": here})
    qtbot.waitUntil(lambda: reason() == "")
    ready.store.set({"model.weights_file": slow})
    assert reason() == waits, "the answer about another file does not count"
    for _ in range(3):
        ready.runs.readiness.ask_again()
    assert not may_answer.is_set(), "nobody waited for it"
    ready.store.set({"model.weights_file": gone})
    assert reason() == waits
    qtbot.waitUntil(lambda: reason().startswith(f"There is no weights file “{gone}”"))
    may_answer.set()
    qtbot.waitUntil(lambda: not ready.runs.readiness._looked_for)
    assert "gone" in reason() and asked.count(slow) == 1
    (tmp_path / "gone.safetensors").touch()
    ready.store.set({"schedule.epochs": 7})
    qtbot.waitUntil(lambda: reason() == "", timeout=ASK_AFTER_MS * 10)


def test_a_network_that_cannot_be_made_keeps_train_off_until_its_weights_are_there(ready, qtbot):
    problem = {"field": "model.pretrained", "severity": "error", "sentence": "The weights are not on this computer. Download them."}
    ready.probe.answer("check_model", {"problems": [problem]})
    ready.store.set({"model.source": "torchvision", "model.backbone": "resnet18"})
    qtbot.waitUntil(lambda: ready.runs.reason_not_to_train() == problem["sentence"], timeout=ASK_AFTER_MS * 10)
    ready.probe.answer("check_model", {"problems": [problem | {"severity": "warning"}]})
    ready.runs.readiness.ask_again()  # as the Model page does after a download
    qtbot.waitUntil(lambda: ready.runs.reason_not_to_train() == "")


def test_a_pipeline_that_only_its_library_refuses_keeps_train_off(ready, qtbot):
    sentence = "PadIfNeeded cannot be made: min_height and pad_height_divisor exclude each other."
    ready.preview.answer("check_pipeline", {"problems": [{"field": "augment.transforms.0", "sentence": sentence}]})
    step = {"name": "PadIfNeeded", "params": {"pad_height_divisor": 8}}
    ready.store.set({"augment.preset": "custom", "augment.transforms": (step,)})
    qtbot.waitUntil(lambda: ready.runs.reason_not_to_train() == sentence)
    ready.store.undo()
    assert ready.runs.reason_not_to_train() == ""


def test_nothing_is_trained_on_images_read_before_the_last_edit(ready):
    dataset = ready.store.dataset
    ready.store.set({"data.left_out": [dataset.samples[0].id]})
    assert ready.runs.reason_not_to_train() == "The images are still being read."
    told = []
    ready.runs.failed_to_start.connect(told.append)
    ready.runs.train()
    assert told == ["The images are still being read."]
    ready.store.set_dataset(dataset, (), Data(source=dataset.root))  # a late report of the scan before the edit
    assert ready.runs.reason_not_to_train() == "The images are still being read."
    ready.store.set_dataset(replace(dataset, samples=dataset.samples[1:]), (), ready.store.experiment.data)
    assert "still being read" not in ready.runs.reason_not_to_train()


def test_queue_starts_at_once_where_nothing_is_active(ready, qtbot):
    ready.runs.queue()
    qtbot.waitUntil(lambda: len(ready.engines.started) == 1)
    assert ready.runs.queued == ()


def test_what_waits_can_be_put_in_another_order_and_starts_in_it(ready, qtbot):
    ready.runs.train()
    qtbot.waitUntil(lambda: len(ready.engines.started) == 1)
    for _ in range(3):
        ready.runs.queue()
        qtbot.waitUntil(lambda: not ready.runs._is_creating)
    first, second, third = ready.runs.queued
    ready.runs.move_in_queue(third, -1)
    ready.runs.move_in_queue(first, 5)
    assert ready.runs.queued == (third, second, first)
    running = ready.engines.started[0][0]
    ready.runs.take((RunUpdate(running, replace(running.read_state(), status=Status.STOPPED, wall_time=1.0), None, False),))
    qtbot.waitUntil(lambda: ready.engines.started[1:] == [(third.folder, False)])


def test_runs_that_waited_when_the_window_closed_are_offered_at_the_next_start(ready, qtbot):
    ready.runs.train()
    qtbot.waitUntil(lambda: len(ready.engines.started) == 1)
    for _ in range(2):
        ready.runs.queue()
        qtbot.waitUntil(lambda: not ready.runs._is_creating)
    waiting = [e.folder for e in ready.runs.queued]
    ready.close()

    later = make_context(preview=FakeWorker(), probe=FakeWorker(), engines=FakeEngines())
    window = Window()
    qtbot.addWidget(window)
    window.attach(later)
    window.show()
    try:
        window.start_background()
        later.store.set({"schedule.epochs": 3})
        later.runs.entries_changed.emit()  # anything may change before the runs were read
        qtbot.waitUntil(lambda: "2 runs wait" in window.toast.text, timeout=5000)
        assert later.engines.started == []
        window.toast._action.click()
        assert later.engines.started == [(waiting[0], False)]
    finally:
        later.close()


def test_a_touch_of_the_window_after_a_while_looks_at_the_runs_at_once(ready, qtbot, monkeypatch):
    monkeypatch.setattr(attention_module, "ATTENDED_S", 0.0)  # nobody is there
    window, looks, monitor = Window(), [], ready.runs.monitor
    qtbot.addWidget(window)
    window.attach(ready)
    with qtbot.waitExposed(window):
        window.show()
    window.start_background()
    monitor.look_now()
    assert not monitor._watcher._is_watched()
    came = iter([False])
    monkeypatch.setattr(Attention, "is_there", property(lambda attention: next(came, True)))
    monitor._poke.connect(looks.append)
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_Shift)
    assert looks == [None] and monitor._watcher._is_watched()


def test_a_stop_that_is_not_answered_offers_to_end_the_run(window, ready, tmp_path, monkeypatch, qtbot):
    monkeypatch.setattr(run_entry_module, "STOP_ANSWER_S", 0.1)
    run = build_run(tmp_path / "runs", ready.store.dataset, status=Status.RUNNING)
    state = replace(run.read_state(), status=Status.RUNNING)
    ready.runs.take((RunUpdate(run, state, run.experiment(), True),))
    stop = window.run_bar._stop
    stop.click()
    assert stop.text() == "Stop" and ready.engines.forced == []
    qtbot.waitUntil(lambda: stop.text() == "End now")
    stop.click()
    assert ready.engines.forced == [run]
    ready.runs.take((RunUpdate(run, replace(state, status=Status.CRASHED), None, False),))
    assert ready.runs.entries[0].stop_asked_at is None


def test_an_engine_of_an_earlier_window_is_ended_by_force(qtbot, context, tmp_path, monkeypatch):
    from studio.gui.engine import Engines

    ended = []
    monkeypatch.setattr("studio.supervise.engine.end_by_force", ended.append)
    run = build_run(tmp_path / "runs", build_dataset(tmp_path / "images", num_train=6, num_validation=2), status=Status.RUNNING)
    engines = Engines(context.background)
    engines.end_by_force(run)
    qtbot.waitUntil(lambda: ended == [run])
    engines.close()


def test_a_run_taken_out_of_the_queue_lies_in_the_bin(ready, qtbot, studio_home):
    ready.runs.train()
    qtbot.waitUntil(lambda: len(ready.engines.started) == 1)
    ready.runs.queue()
    qtbot.waitUntil(lambda: len(ready.runs.queued) == 1)
    folder = ready.runs.queued[0].folder
    remove_from_queue(ready, ready.runs.queued)
    qtbot.waitUntil(lambda: not folder.path.exists())
    assert [path for path in studio_home.rglob(folder.name) if path.is_dir()]


def test_a_missing_gpu_is_told_with_a_way_to_use_the_cpu(window, ready, qtbot, monkeypatch):
    from studio.core.problem import error

    sentence = "A GPU was asked for and none was found."
    monkeypatch.setattr("studio.core.device.device_problem", lambda device: error("training.device", sentence))
    ready.store.set({"training.device": "cuda:0"})
    qtbot.waitUntil(lambda: window.toast.text == sentence)
    assert ready.runs.reason_not_to_train() == sentence
    window.toast.hide()
    window.train()
    assert window.toast.text == sentence and window.toast.isVisible()
    window.toast._action.click()
    assert ready.store.experiment.training.device == "cpu"
    assert ready.runs.reason_not_to_train() == ""


def test_the_device_menu_asks_the_driver_again(window, ready, qtbot, monkeypatch):
    from studio.core import device

    picker = window.top_bar.device
    monkeypatch.setattr(device, "usable_gpus", lambda: (device.Gpu("Test GPU", 8 << 30),))
    picker._menu.aboutToShow.emit()
    qtbot.waitUntil(lambda: [d["key"] for d in picker.devices] == ["cuda:0", "cpu"])


def test_an_engine_that_dies_before_its_first_word_has_failed_and_shows_its_log(ready, qtbot):
    ready.runs.train()
    qtbot.waitUntil(lambda: len(ready.engines.started) == 1)
    entry = ready.runs.active
    entry.folder.log_path.write_text("ImportError: libcudart.so.12: cannot open shared object file\n")
    ready.engines.codes[entry.folder] = -11
    with qtbot.waitSignal(ready.runs.ended):
        pass
    assert entry.status is Status.FAILED
    assert entry.outcome.sentence == "The training process was ended by SIGSEGV, a fault in a library or a driver before it began."
    assert "libcudart" in entry.outcome.log_tail


def test_pages_are_made_ahead_only_when_no_more_runs_come_in(window, ready, qtbot, tmp_path, monkeypatch):
    run = build_run(tmp_path / "runs", ready.store.dataset, status=Status.FINISHED)
    monkeypatch.setattr(run_list_module, "COMING_S", 1e6)
    ready.runs.take((RunUpdate(run, run.read_state(), run.experiment(), False, 1),))
    before = set(window._pages)
    window.make_pages_ahead()
    assert set(window._pages) == before
    monkeypatch.setattr(run_list_module, "COMING_S", 0.0)
    qtbot.waitUntil(lambda: set(window._pages) > before)  # by the timer that was set meanwhile


def test_that_many_runs_came_is_told_once_when_all_of_the_index_are_there(ready, tmp_path, monkeypatch):
    run = build_run(tmp_path / "runs", ready.store.dataset, status=Status.FINISHED)
    digest = RunDigest.of(run.experiment(), run.read_state())
    monkeypatch.setattr(run_list_module, "MANY", 3)
    told = []
    ready.runs.entries_changed.connect(lambda: told.append(len(ready.runs.entries)))
    for part in range(3):
        folders = [RunFolder(tmp_path / "runs" / f"2026-11-24_0000{part}{i}_calm-otter") for i in range(4)]
        ready.runs.take(tuple(RunUpdate(folder, None, None, False, 4 * part + i + 1, digest) for i, folder in enumerate(folders)))
    assert told == [4] and len(ready.runs.entries) == 12
    ready.runs.monitor.listed.emit()
    assert told == [4, 12]
    assert len(ready.runs.finished) == 12 and ready.runs.best is ready.runs.entries[0] and ready.runs.num_ended_well == 12
