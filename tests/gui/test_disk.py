"""Before Train is pressed the window says what the run will write, and warns where that is more than is free."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest

from studio.dataset.dataset import Dataset
from studio.gui.scan import ScanState
from studio.gui.shell.summary import summaries
from studio.gui.window import Window
from studio.supervise.worker import WorkerError
from tests.builders import build_dataset

GB = 10**9
FEATURES = 32 * 112 * 112 * 4  # of one picture


@pytest.fixture
def free(monkeypatch):
    """Free bytes, as the system tells them."""
    told = SimpleNamespace(free=100 * GB)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=told.free))
    return told


@pytest.fixture
def window(context, qtbot, tmp_path, free) -> Window:
    """With 36 training and 12 validation images, and a network of 0.5 GB of checkpoints with a frozen start."""
    start = {"epoch": 0, "num_values": FEATURES // 4, "share": 0.5}
    stages = [{"name": "head", "num_parameters": 10, "is_frozen": False, "output_shape": [6], "num_trainable": 10}]
    told = {"num_parameters": 10, "num_trainable": 10, "stages": stages, "disk": {"checkpoints": GB // 2, "frozen_starts": [start]}}
    context.probe.answer("describe_model", told)
    made = Window()
    qtbot.addWidget(made)
    made.attach(context)
    made.show()
    dataset = build_dataset(tmp_path / "images", num_train=6, num_validation=2)
    context.scan.hold(ScanState(is_complete=True))
    context.store.set({"data.source": dataset.root})
    context.store.set_dataset(dataset)
    qtbot.waitUntil(lambda: context.disk.use is not None)
    return made


def shorten(window, qtbot, free, num_bytes: int) -> None:
    free.free = num_bytes
    window.context.disk.look_again()
    qtbot.waitUntil(lambda: window.context.disk.rooms[0].free == num_bytes)
    window._refresh()
    window.inspector._refresh()


def test_where_there_is_room_a_calm_line_says_what_is_written_and_what_is_free(window, qtbot, free):
    window.resize(1440, 900)
    shorten(window, qtbot, free, 90 * GB)
    disk = window.context.disk
    assert not disk.is_short and disk.use.features == 12 * FEATURES  # training is augmented: validation alone reads features
    assert window.inspector._disk_figure.text().startswith("up to 5") and "90.0\u00a0GB free" in window.inspector._disk_words.text()
    assert window.inspector._disk_words.property("tone") != "warn" and window.inspector._disk_repair.isHidden()
    assert summaries(window.context)["train"].dot_word == "ready"
    window.show_page("train")
    empty = window.page("train").empty
    assert "The run will write up to" in empty.note_label.text() and empty.note_label.property("tone") != "warn"
    assert "disk" not in window.top_bar.train.main.toolTip()


def test_too_little_room_is_a_warning_with_a_way_out_and_train_still_works(window, qtbot, free, studio_home):
    shorten(window, qtbot, free, GB // 4)
    context = window.context
    words = context.disk.sentence
    assert words.startswith("The run will write up to 5") and "250\u00a0MB are free" in words and str(studio_home / "runs") in words
    assert "Free some space" in words and "another folder for runs" in words
    for shown in (window.inspector._disk_words.text(), window.top_bar.train.main.toolTip()):
        assert words in shown
    assert window.inspector._disk_words.property("tone") == "warn"
    assert summaries(context)["train"].dot_word == "look here"
    window.inspector.set_folded(True)
    assert words in window.inspector._strip._parts["disk"].toolTip()
    window.show_page("train")
    assert words in window.page("train").empty.note_label.text()

    assert window.top_bar.train.main.isEnabled() and context.disk.repair is None  # checkpoints alone are too much
    window.train()
    qtbot.waitUntil(lambda: len(context.engines.started) == 1)


def test_what_only_saves_time_can_be_left_out_and_freed_space_ends_the_warning(window, qtbot, free):
    context = window.context
    context.store.set({"augment.preset": "none"})  # training reads features too
    qtbot.waitUntil(lambda: context.disk.use.features == 48 * FEATURES)
    needed = context.disk.use.in_runs
    shorten(window, qtbot, free, needed + 20 * FEATURES)
    assert context.disk.is_short
    window.inspector._disk_repair.click()
    assert context.store.experiment.training.feature_cache == "off"
    qtbot.waitUntil(lambda: not context.disk.is_short)
    context.store.undo()
    qtbot.waitUntil(lambda: context.disk.is_short)
    context.disk._again.setInterval(10)
    free.free = 100 * GB  # by nobody of ours
    context.disk._again.start()
    qtbot.waitUntil(lambda: not context.disk.is_short)
    assert not context.disk._again.isActive()


def test_a_sweep_counts_what_each_of_its_runs_keeps_and_what_is_cached_once(window, qtbot, free):
    from studio.gui.shell.sweep import SweepSheet

    disk = window.context.disk
    runs, cached = disk.use.in_runs, disk.use.in_cache
    shorten(window, qtbot, free, 4 * runs + cached)
    sheet = SweepSheet(window.centralWidget(), window.context)
    sheet.open()
    assert len(sheet.experiments) == 4
    assert sheet.disk.text().startswith("The 4 runs will write up to 2") and sheet.disk.property("tone") != "warn"
    sheet.seeds.set_value(2)
    sheet.seeds.value_changed.emit(2)
    assert sheet.disk.text().startswith("The 8 runs will write up to 4") and "Free some space" in sheet.disk.text()
    assert sheet.disk.property("tone") == "warn" and sheet.queue_button.isEnabled() and not disk.is_short
    shorten(window, qtbot, free, 100 * GB)  # while the sheet is open
    assert sheet.disk.property("tone") != "warn" and "100\u00a0GB are free" in sheet.disk.text()
    sheet.rows[0][1].setText("")
    assert sheet.disk.isHidden()


def test_runs_that_wait_and_train_are_counted_with_the_sizes_of_their_own_networks(window, qtbot, free):
    context = window.context
    disk, draft, own = context.disk, context.store.experiment, context.disk.use
    large = draft.changed({"model.source": "torchvision", "model.backbone": "resnet18"})
    told = context.estimates.model
    context.probe.answer(
        "describe_model",
        lambda params: told | {"disk": {"checkpoints": 7 * GB, "frozen_starts": []}} if params["model"]["backbone"] == "resnet18" else told,
    )
    context.runs.sweep([draft, draft.changed({"optimiser.weight_decay": 0.5}), large])
    qtbot.waitUntil(lambda: disk.others is not None and (disk.others.num_training, disk.others.num_waiting) == (1, 2))
    others = disk.others
    assert 8 * GB < others.in_runs < 8.1 * GB and disk.use == own
    assert others.in_cache == 0, "they look at the same pictures, and only two keep features, which are the same"
    window.inspector.set_folded(False)
    shorten(window, qtbot, free, 8 * GB)
    assert disk.sentence.startswith("The run, the one that trains and the 2 that wait will write up to 8.5")
    assert "the one that trains and the 2 that wait: 8.0" in window.inspector._disk_words.toolTip()
    assert window.inspector._disk_figure.text().startswith("up to 5"), "the draft alone"

    saved = context.runs.active.folder.checkpoints_path / "step-1"
    saved.mkdir()
    with open(saved / "weights", "wb") as file:
        file.truncate(GB // 2)
    disk.look_again()
    qtbot.waitUntil(lambda: disk.others.in_runs == others.in_runs - GB // 2)
    context.runs.unqueue(context.runs.queued)
    qtbot.waitUntil(lambda: disk.others.num_waiting == 0)
    assert not disk.is_short


def test_runs_that_differ_in_nothing_that_lies_on_a_disk_are_asked_about_and_read_once(window, qtbot, monkeypatch):
    context, read = window.context, []
    monkeypatch.setattr(Dataset, "from_json", lambda content, real=Dataset.from_json: read.append(content) or real(content))
    draft = context.store.experiment.changed({"data.validation_fraction": 0.3})  # so that their own list of images counts
    asked = len(context.probe.calls)
    context.runs.sweep([draft.changed({"model.dropout": value, "optimiser.kind": "sgd"}) for value in (0.1, 0.2, 0.3, 0.4)])
    qtbot.waitUntil(
        lambda: context.disk.others is not None and (context.disk.others.num_training, context.disk.others.num_waiting) == (1, 3)
    )
    assert [method for method, _ in context.probe.calls[asked:]].count("describe_model") == 1 == len(read)


def test_a_run_that_could_not_be_looked_at_is_tried_again_when_the_runs_change_and_one_that_was_refused_is_not(window, qtbot):
    context = window.context
    disk, draft, told = context.disk, context.store.experiment, context.estimates.model
    errors = {"resnet18": WorkerError("A helper process was killed.", "Try again."), "resnet34": WorkerError("There is no such network.")}
    context.probe.answer("describe_model", lambda params: errors.get(params["model"]["backbone"], told))
    others = [draft.changed({"model.source": "torchvision", "model.backbone": name}) for name in errors]
    context.runs.sweep([draft, *others])

    def asked() -> list[str]:
        return [params["model"]["backbone"] for method, params in context.probe.calls if method == "describe_model"]

    qtbot.waitUntil(lambda: "resnet34" in asked() and context.disk._backlog._looked_at is None)
    assert [counted.experiment for counted in disk._backlog.waiting] == []
    errors.pop("resnet18")
    context.runs.entries_changed.emit()
    qtbot.waitUntil(lambda: disk.others is not None and (disk.others.num_training, disk.others.num_waiting) == (1, 1))
    assert asked().count("resnet34") == 1


def test_of_another_backbone_nothing_is_told_before_it_is_described(window, qtbot):
    context = window.context
    described = context.estimates.model
    context.probe.answer("describe_model", None)
    context.store.set({"model.train_stages": 1})
    assert context.disk.use is not None, "stages are the same: what was told stays until the answer"
    context.disk._timer.timeout.emit()  # an answer that is under way
    context.store.set({"model.source": "torchvision", "model.backbone": "resnet18"})
    qtbot.waitUntil(lambda: not context.background._tasks and context.probe.calls[-1][1]["model"]["backbone"] == "resnet18")
    assert context.disk.use is None and context.disk.sentence == "" and context.disk.repair is None
    context.probe.on_result(described | {"disk": {"checkpoints": 3 * GB, "frozen_starts": []}})
    qtbot.waitUntil(lambda: context.disk.use is not None)
    assert context.disk.use.checkpoints == 3 * GB


def test_two_disks_are_told_apart(monkeypatch, tmp_path):
    from pathlib import Path

    from studio.dataset.disk_use import DiskUse, rooms

    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second disk")
    free = {tmp_path: 5 * GB, other: GB}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free[path]))
    runs, cache = rooms(DiskUse(checkpoints=GB, records=1, features=2 * GB, images=3), tmp_path / "runs", other / "cache")
    assert (runs.needed, runs.is_short) == (GB + 1, False)
    assert (cache.needed, cache.is_short) == (2 * GB + 3, True) and str(other / "cache") in cache.sentence
    (both,) = rooms(DiskUse(GB, 1, 2 * GB, 3), tmp_path / "runs", tmp_path / "cache")
    assert both.needed == 3 * GB + 4 and not both.is_short
