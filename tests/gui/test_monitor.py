"""The monitor: batches, no lost points, crashes, and threads that end."""

from __future__ import annotations

import threading
import time

from PySide6.QtCore import QThread

from studio.core.event import RunFailed, RunStarted, StepsReported, encode
from studio.core.experiment import Experiment
from studio.core.journal import JournalWriter
from studio.core.outcome import Status
from studio.core.run_folder import RunFolder, create_run
from studio.core.run_index import read_digests
from studio.gui.monitor import RunMonitor
from studio.gui.recorded import Recording
from studio.gui.run_bin import move_to_bin, take_back
from tests.builders import build_dataset, build_run


def test_a_fast_journal_arrives_whole_in_at_most_20_batches_a_second(qtbot, tmp_path):
    """1,000 events a second for two seconds: every step is there, and signals are few."""
    run = create_run(tmp_path, Experiment())
    writer = JournalWriter(run.journal_path)
    writer.append(RunStarted(wall_time=0.0, pid=1, session=0))
    monitor, arrivals, last = RunMonitor(tmp_path), [], []

    def take(updates) -> None:
        arrivals.append(time.monotonic())
        last[:] = updates

    monitor.updated.connect(take)
    monitor.start()
    num_events = 2000

    def write() -> None:
        for step in range(num_events):
            writer.append(StepsReported(first_step=step, losses=(1.0 / (step + 1),), top1s=(0.5,), lrs=(1e-3,)))
            time.sleep(0.001)

    thread = threading.Thread(target=write)
    started = time.monotonic()
    thread.start()
    try:
        qtbot.waitUntil(lambda: bool(last) and last[0].state.step == num_events, timeout=30_000)
        seconds = time.monotonic() - started
        state = last[0].state
        assert list(state.train_loss.x) == list(range(num_events))
        assert len(arrivals) <= 20 * seconds + 3
    finally:
        thread.join()
        monitor.close()
        writer.close()


def test_a_run_without_an_engine_reads_as_crashed_and_a_finished_one_as_finished(qtbot, tmp_path):
    dataset = build_dataset(tmp_path / "images", num_train=4, num_validation=2)
    build_run(tmp_path / "runs", dataset, status=Status.RUNNING, nickname="lost-lamb")
    build_run(tmp_path / "runs", dataset, status=Status.FINISHED, nickname="calm-otter")
    monitor, found = RunMonitor(tmp_path / "runs"), {}
    monitor.updated.connect(lambda updates: found.update({u.folder.nickname: u.state.status for u in updates}))
    monitor.start()
    try:
        qtbot.waitUntil(lambda: len(found) == 2, timeout=5000)
        assert found == {"lost-lamb": Status.CRASHED, "calm-otter": Status.FINISHED}
    finally:
        monitor.close()


def test_a_run_folder_that_vanishes_is_reported(qtbot, tmp_path):
    import shutil

    run = create_run(tmp_path, Experiment())
    monitor = RunMonitor(tmp_path)
    monitor.start()
    try:
        with qtbot.waitSignal(monitor.updated, timeout=5000):
            pass
        shutil.rmtree(run.path)
        with qtbot.waitSignal(monitor.removed, timeout=5000) as signal:
            monitor.look_now()
        assert signal.args[0] == (run,)
    finally:
        monitor.close()


def test_closing_leaves_no_thread_behind(qtbot, context, tmp_path):
    before = set(threading.enumerate())
    context.runs.start()
    context.projects.open_data(str(tmp_path))
    qtbot.waitUntil(lambda: context.runs.monitor._thread.isRunning())
    context.close()
    assert not context.runs.monitor._thread.isRunning()
    assert not context.scan.is_running
    assert QThread.currentThread().isRunning()
    left = {t.name for t in set(threading.enumerate()) - before if "Dummy" not in t.name}
    assert not left


def test_many_runs_are_told_newest_first_with_their_place_among_all(qtbot, tmp_path, monkeypatch):
    import shutil

    from studio.gui import monitor as monitor_module
    from tests.builders import build_dataset, build_run

    runs = tmp_path / "runs"
    first = build_run(runs, build_dataset(tmp_path / "images", num_train=2, num_validation=1))
    for number in range(1, 6):
        shutil.copytree(first.path, runs / f"2026-11-24_00000{number}_calm-otter")
    monkeypatch.setattr(monitor_module, "FIRST_SLICE_S", 0.0)  # a slice ends after the run that crosses it
    monkeypatch.setattr(monitor_module, "SLICE_S", 1e-9)
    monkeypatch.setattr(monitor_module, "BETWEEN_SLICES_MS", 0)
    monitor, told = monitor_module.RunMonitor(runs), []
    monitor.updated.connect(lambda updates: told.append([update.number for update in updates]))
    monitor.start()
    qtbot.waitUntil(lambda: sum(map(len, told)) == 6, timeout=20_000)
    monitor.close()
    assert [number for part in told for number in part] == [6, 5, 4, 3, 2, 1] and len(told) > 1


def test_runs_of_the_index_are_told_without_reading_their_journals_and_whole_when_asked_for(qtbot, tmp_path):
    """The journal is hidden behind blank lines of its size and time: what is told can come from the index alone."""
    import os

    runs = tmp_path / "runs"
    folder = build_run(runs, build_dataset(tmp_path / "images", num_train=2, num_validation=1))
    state, content, info = folder.read_state(), folder.journal_path.read_bytes(), folder.journal_path.stat()

    def put(journal: bytes) -> None:
        """In one go, so that nobody sees another size or time."""
        (tmp_path / "journal").write_bytes(journal)
        os.utime(tmp_path / "journal", ns=(info.st_atime_ns, info.st_mtime_ns))
        os.replace(tmp_path / "journal", folder.journal_path)

    for content_now in (content, b"\n" * len(content)):
        put(content_now)
        monitor, told = RunMonitor(runs), []
        monitor.updated.connect(told.extend)
        monitor.start()
        qtbot.waitUntil(lambda told=told: bool(told), timeout=20_000)
        if content_now is content:
            monitor.close()
    try:
        assert told[0].state is None and told[0].digest.summary.top1 == state.best.validation_top1
        put(content)
        monitor.read_whole(folder)
        qtbot.waitUntil(lambda: len(told) == 2, timeout=20_000)
        assert told[1].state.is_whole and len(told[1].state.train_loss) == state.step
    finally:
        monitor.close()


def test_older_runs_are_told_as_the_index_has_them_and_again_where_they_have_changed_since(qtbot, tmp_path, monkeypatch):
    from studio.gui import monitor as monitor_module

    dataset, told = build_dataset(tmp_path / "images", num_train=2, num_validation=1), []
    older = build_run(tmp_path / "runs", dataset, status=Status.STOPPED, nickname="keen-finch")
    newer = build_run(tmp_path / "runs", dataset, nickname="calm-otter", started=Recording().started.replace(hour=23))
    read_digests(tmp_path / "runs")
    with open(older.journal_path, "ab") as journal:  # resumed while no window was open
        journal.write(encode(RunFailed(t=1e6, step=9, sentence="The disk is gone.")))
    monkeypatch.setattr(monitor_module, "AT_ONCE", 1)
    monitor = RunMonitor(tmp_path / "runs")
    monitor.updated.connect(lambda updates: told.extend((u.folder, u.digest.summary.status) for u in updates))
    with qtbot.waitSignal(monitor.listed):
        monitor.start()
    try:
        qtbot.waitUntil(lambda: len(told) == 3)
        assert told == [(newer, Status.FINISHED), (older, Status.STOPPED), (older, Status.FAILED)]
    finally:
        monitor.close()


def test_a_long_journal_is_read_after_those_of_the_others(qtbot, tmp_path, monkeypatch):
    import shutil

    from studio.gui import monitor as monitor_module

    runs = tmp_path / "runs"
    longest = build_run(runs, build_dataset(tmp_path / "images", num_train=2, num_validation=1))
    for number in range(1, 3):
        older = runs / f"2020-01-01_00000{number}_calm-otter"
        shutil.copytree(longest.path, older)
        (older / "journal.jsonl").unlink()
    monkeypatch.setattr(monitor_module, "MAX_BYTES_PER_TICK", longest.journal_path.stat().st_size // 4)
    monkeypatch.setattr(monitor_module, "FIRST_SLICE_S", 0.0)
    monkeypatch.setattr(monitor_module, "SLICE_S", 0.0)
    monkeypatch.setattr(monitor_module, "BETWEEN_SLICES_MS", 0)
    monitor, told = monitor_module.RunMonitor(runs), []
    monitor.updated.connect(lambda updates: told.extend(update.number for update in updates))
    monitor.start()
    try:
        qtbot.waitUntil(lambda: len(told) == 3, timeout=20_000)
        assert told == [2, 1, 3]
    finally:
        monitor.close()


def test_runs_keep_their_numbers_while_their_folder_is_out_of_reach(qtbot, tmp_path, monkeypatch):
    from studio.gui import monitor as monitor_module

    runs, away, failed = tmp_path / "runs", tmp_path / "away", threading.Event()

    def run_names(*args):
        try:
            return real(*args)
        except OSError:
            failed.set()
            raise

    real = monitor_module.run_names
    monkeypatch.setattr(monitor_module, "run_names", run_names)
    build_run(runs, build_dataset(tmp_path / "images", num_train=2, num_validation=1))
    monitor, told, removed = monitor_module.RunMonitor(runs), {}, []
    monitor.updated.connect(lambda updates: told.update({update.number: update.digest for update in updates}))
    monitor.removed.connect(removed.extend)
    monitor.start()
    try:
        qtbot.waitUntil(lambda: bool(told), timeout=20_000)
        runs.rename(away)
        monitor.look_now()
        qtbot.waitUntil(failed.is_set, timeout=20_000)
        away.rename(runs)
        create_run(runs, Experiment())
        qtbot.waitUntil(lambda: len(told) == 2, timeout=20_000)
        assert sorted(told) == [1, 2] and told[1].summary.status is Status.FINISHED and not removed
    finally:
        monitor.close()


def test_a_run_that_is_taken_back_has_its_number_again(qtbot, tmp_path):
    first, second = (create_run(tmp_path / "runs", Experiment()) for _ in range(2))
    monitor, told, removed = RunMonitor(first.path.parent), [], []
    monitor.updated.connect(lambda updates: told.extend((update.folder, update.number) for update in updates))
    monitor.removed.connect(removed.extend)
    monitor.start()
    try:
        qtbot.waitUntil(lambda: len(told) == 2, timeout=20_000)
        (number,) = (number for folder, number in told if folder == first)
        binned = move_to_bin(first)
        monitor.look_now()
        qtbot.waitUntil(lambda: removed == [first], timeout=20_000)
        take_back(binned, first)
        third = create_run(tmp_path / "runs", Experiment())
        monitor.look_now()
        qtbot.waitUntil(lambda: len(told) == 4, timeout=20_000)
        assert dict(told[2:]) == {first: number, third: 3}
    finally:
        monitor.close()


def test_a_run_that_ended_soon_after_its_start_is_told_whole_when_asked_for(qtbot, tmp_path):
    """Its journal is still followed then, since it may be resumed at any moment."""
    made = build_run(tmp_path / "made", build_dataset(tmp_path / "images", num_train=2, num_validation=1))
    folder = RunFolder(tmp_path / "runs" / made.name)
    create_run(folder.path.parent, Experiment())
    monitor, told = RunMonitor(folder.path.parent), []
    monitor.updated.connect(told.extend)
    monitor.start()
    try:
        qtbot.waitUntil(lambda: len(told) == 1, timeout=20_000)
        monitor.look_now(folder)  # as when it is started
        made.path.rename(folder.path)
        qtbot.waitUntil(lambda: len(told) == 2, timeout=20_000)
        monitor.read_whole(folder)
        qtbot.waitUntil(lambda: len(told) == 3, timeout=20_000)
        assert told[2].state.is_whole and len(told[2].state.train_loss) == told[2].state.step > 0
    finally:
        monitor.close()


def test_reading_that_was_broken_off_goes_on_where_it_was(qtbot, tmp_path, monkeypatch):
    """What a closed window had read is in the index: the next one asks no journal of it."""
    import shutil

    from studio.core.run_index import RunIndex
    from studio.gui import monitor as monitor_module

    runs = tmp_path / "runs"
    first = build_run(runs, build_dataset(tmp_path / "images", num_train=2, num_validation=1))
    for number in (1, 2):
        shutil.copytree(first.path, runs / f"2026-11-24_00000{number}_calm-otter")
    monkeypatch.setattr(monitor_module, "FIRST_SLICE_S", 0.0)  # one run
    monkeypatch.setattr(monitor_module, "BETWEEN_SLICES_MS", 10**6)
    monitor, told = monitor_module.RunMonitor(runs), []
    monitor.updated.connect(told.extend)
    monitor.start()
    qtbot.waitUntil(lambda: len(told) == 1)
    monitor.close()
    index = RunIndex(runs)
    assert list(index.load()) == ["2026-11-24_000002_calm-otter"]
    index.close()
    monkeypatch.setattr(monitor_module, "BETWEEN_SLICES_MS", 0)
    monitor, told = monitor_module.RunMonitor(runs), []
    monitor.updated.connect(told.extend)
    monitor.start()
    qtbot.waitUntil(lambda: len(told) == 3)
    monitor.close()
    assert [update.number for update in told] == [3, 2, 1] and told[0].state is None and told[1].state is not None


def test_beside_a_run_on_the_same_cores_an_unwatched_window_rests_and_somebody_who_comes_sees_what_is_new(qtbot, tmp_path, monkeypatch):
    from studio.gui import monitor as monitor_module

    monkeypatch.setattr(monitor_module, "is_locked", lambda path: True)  # its engine lives
    monkeypatch.setattr(monitor_module, "MOST_TICK_MS", 10**7)
    monkeypatch.setattr(monitor_module, "UNWATCHED_SHARE", 1e-9)
    run = build_run(tmp_path / "runs", build_dataset(tmp_path / "images", num_train=2, num_validation=1), status=Status.RUNNING)
    is_watched, told = False, []
    monitor = RunMonitor(run.path.parent, is_watched=lambda: is_watched)
    monitor.updated.connect(told.extend)
    monitor.start()
    try:
        qtbot.waitUntil(lambda: len(told) == 1 and monitor._watcher._timer.interval() == 10**7, timeout=20_000)
        before = told[0].state.step
        assert told[0].state.shares_cores
        with open(run.journal_path, "ab") as journal:
            journal.write(encode(StepsReported(t=1e6, first_step=before, losses=(1.0,), top1s=(0.5,), lrs=(1e-3,))))
        is_watched = True
        monitor.look_now()
        qtbot.waitUntil(lambda: len(told) == 2 and told[1].state.step == before + 1, timeout=20_000)
        qtbot.waitUntil(lambda: monitor._watcher._timer.interval() == monitor_module.TICK_BESIDE_MS)
    finally:
        monitor.close()
