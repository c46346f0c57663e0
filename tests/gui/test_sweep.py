"""The sheet that queues a draft with several values, and the queue: one run per device, and on after a failed one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtWidgets import QWidget

from studio.core.outcome import Status
from studio.gui import runs as runs_module
from studio.gui.run_entry import RunEntry
from studio.gui.scan import ScanState
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
    assert not ready.runs.is_free("cuda") and not ready.runs.is_free("cpu")
    assert all(isinstance(e, RunEntry) for e in ready.runs.queued)
