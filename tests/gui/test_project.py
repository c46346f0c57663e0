"""Drafts on disk: none is lost when it cannot be written, and none is written by two windows."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace

from studio.core.experiment import Experiment
from studio.core.experiment_file import read_experiment
from studio.gui import project as project_module
from studio.gui.context import make_context
from studio.gui.recorded import held_alive
from studio.gui.scan import ScanState
from studio.gui.testing import FakeEngines, FakeWorker


def test_a_draft_that_cannot_be_saved_stays_open_when_another_is_chosen(context, monkeypatch, tmp_path):
    context.scan.hold(ScanState())
    context.store.set({"schedule.epochs": 41, "name": "Precious"})
    told = []
    context.projects.noticed.connect(told.append)

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(project_module, "write_atomically", full)
    before = context.projects.path
    context.projects.create()
    assert context.store.experiment.schedule.epochs == 41 and context.projects.path == before
    assert "No space left on device" in told[0] and "stays open" in told[0]
    monkeypatch.undo()
    context.projects.create()
    assert context.store.experiment == Experiment()
    assert read_experiment(before).schedule.epochs == 41


def test_a_project_that_is_open_in_another_window_is_opened_as_a_copy(context, qtbot):
    context.store.set({"schedule.epochs": 23, "name": "Shared"})
    context.projects.save_now()
    theirs = context.projects.path
    context.projects.create()
    told = []
    context.projects.noticed.connect(told.append)
    with held_alive(SimpleNamespace(lock_path=theirs.with_suffix(".lock"))):
        context.projects.open(theirs)
        assert context.projects.path != theirs
        assert context.store.experiment.name == "Shared copy" and context.store.experiment.schedule.epochs == 23
        assert told == ["“Shared” is open in another window. This is a copy of it."]
        context.store.set({"schedule.epochs": 24})
        context.projects.save_now()
        assert read_experiment(theirs).schedule.epochs == 23
    context.projects.open(theirs)
    assert context.projects.path == theirs and context.store.experiment.name == "Shared"


def test_a_draft_that_was_cut_is_kept_and_the_copy_from_before_its_last_change_is_opened(context):
    for epochs in (5, 6):
        context.store.set({"schedule.epochs": epochs})
        context.projects.save_now()
    path = context.projects.path
    path.write_bytes(path.read_bytes()[:2000])
    next_start = make_context(preview=FakeWorker(), probe=FakeWorker(), engines=FakeEngines())
    told = []
    next_start.projects.noticed.connect(told.append)
    try:
        assert next_start.projects.recover() and next_start.store.experiment.schedule.epochs == 5
        assert "cut short" in told[0] and "the copy from before its last change" in told[0]
        assert path.stat().st_size == 2000 and next_start.projects.path != path
    finally:
        next_start.close()


def test_the_draft_being_edited_is_held_against_other_windows(context):
    import subprocess
    import sys

    context.store.set({"schedule.epochs": 23})
    context.projects.save()

    def is_held() -> bool:
        code = f"from studio.core.file_lock import is_locked; print(is_locked({str(context.projects.path.with_suffix('.lock'))!r}))"
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stdout.strip() == "True"

    assert is_held()
    context.projects.close()
    assert not is_held()


def test_the_time_of_saving_names_the_day_unless_it_is_today():
    now = datetime(2026, 3, 1, 0, 5)
    said = [
        project_module.saved_words(datetime(*at), now)
        for at in ((2026, 3, 1, 0, 2), (2026, 2, 28, 14, 2), (2026, 2, 3, 9, 30), (2025, 12, 31, 8))
    ]
    assert said == ["Saved 00:02", "Saved yesterday 14:02", "Saved 3 Feb 09:30", "Saved 31 Dec 2025"]
