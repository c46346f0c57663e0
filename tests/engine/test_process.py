"""The engine as the window meets it: a process, a folder, commands and signals."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from engine_runs import STEPS_PER_EPOCH, fork_engine, held_at_step, kill, metrics, of_kind, small_run, start_engine, train_here, wait_until

from studio.core import event as ev
from studio.core.outcome import Status
from studio.core.run_folder import RunFolder
from studio.dataset.dataset import Dataset
from studio.dataset.first_batch import first_samples
from studio.engine import standby
from studio.engine.checkpoint import AVERAGE, find_checkpoint
from studio.supervise.engine import LOG, StandbyEngine, end_by_force
from studio.supervise.log import log_path

pytestmark = pytest.mark.usefixtures("measured")


def test_the_first_sign_of_life_comes_before_torch(tmp_path):
    """The engine ends as soon as anything asks for a heavy library; what it has said by then stands in the journal."""
    folder = small_run(tmp_path)
    program = """
import os, sys
class Ending:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "cv2", "albumentations"):
            os.write(1, name.encode())
            os._exit(7)
sys.meta_path.insert(0, Ending())
from studio.engine.main import main
main([sys.argv[1]])
"""
    done = subprocess.run([sys.executable, "-c", program, str(folder.path)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (7, "torch"), done.stderr
    assert [e.phase for e in of_kind(folder, ev.PhaseStarted)] == ["loading torch"]


_PLAIN = {"augment__preset": "medium", "model__train_stages": 3}
_WITH_ALL = {
    "training__batch_size": 4,
    "training__accumulation": 2,
    "optimiser__ema_decay": 0.95,
    "augment__preset": "light",
    "model__train_stages": 1,
    "model__thaw": {"stem": 1},
}


@pytest.mark.parametrize("settings", [_PLAIN, _WITH_ALL], ids=["plain", "thaw, accumulation and average"])
def test_a_killed_run_resumes_to_the_same_bits_as_an_undisturbed_one(tmp_path, settings):
    undisturbed, killed = (small_run(tmp_path / name, schedule__epochs=3, **settings) for name in "ab")
    assert train_here(undisturbed) == 0

    # two steps after a checkpoint in the middle of the second epoch
    at, reached = STEPS_PER_EPOCH + 2, tmp_path / "reached"
    often = f"import studio.engine.loop as loop\nloop.is_save_due = lambda s: s.progress.step == {at}"
    process = fork_engine(killed, often + held_at_step(at + 2, reached))
    wait_until(reached.exists)
    assert [c.step for c in of_kind(killed, ev.CheckpointSaved)][-1] == at
    kill(process)
    assert killed.read_state().status is Status.CRASHED

    assert fork_engine(killed, resume=True).wait(120) == 0
    started = of_kind(killed, ev.RunStarted)
    assert (started[-1].session, started[-1].resumed_step) == (1, at)
    assert of_kind(undisturbed, ev.StagesThawed) == [] or [e.step for e in of_kind(killed, ev.StagesThawed)] == [STEPS_PER_EPOCH]
    assert metrics(killed)["state_sha256"] == metrics(undisturbed)["state_sha256"]
    last = {which: find_checkpoint(folder) for which, folder in (("whole", undisturbed), ("killed", killed))}
    names = {path.name for path in last["whole"].path.iterdir() if path.suffix == ".safetensors"}
    assert (AVERAGE in names) == ("optimiser__ema_decay" in settings)
    assert all((last["whole"].path / name).read_bytes() == (last["killed"].path / name).read_bytes() for name in names)
    assert [e.train_loss for e in killed.read_state().epochs] == [e.train_loss for e in undisturbed.read_state().epochs]
    assert [e.validation_loss for e in killed.read_state().epochs] == [e.validation_loss for e in undisturbed.read_state().epochs]


def test_a_run_paused_twice_in_an_epoch_with_its_memory_released_resumes_with_any_loader_processes_to_the_same_bits(tmp_path):
    whole = small_run(tmp_path / "a", augment__preset="light")
    assert train_here(whole) == 0
    stopped = small_run(tmp_path / "b", augment__preset="light")
    process = fork_engine(stopped, _at_step(8, "release"))
    assert process.wait(60) == 3  # the process has ended: no memory of it is left
    assert stopped.read_state().is_released and stopped.read_state().stopped.step == 8
    text = stopped.experiment_path.read_text()
    assert "workers = 0" in text
    stopped.experiment_path.write_text(text.replace("workers = 0", "workers = 2"))
    assert fork_engine(stopped, _at_step(10, "release"), resume=True).wait(120) == 3
    assert stopped.read_state().stopped.step == 10 < 2 * STEPS_PER_EPOCH, "in the same epoch"
    stopped.experiment_path.write_text(text.replace("workers = 0", "workers = 1"))
    assert fork_engine(stopped, resume=True).wait(120) == 0
    assert [e.resumed_step for e in of_kind(stopped, ev.RunStarted)] == [None, 8, 10]
    assert metrics(stopped)["state_sha256"] == metrics(whole)["state_sha256"]
    ours, theirs = stopped.read_state(), whole.read_state()
    assert list(ours.train_loss.y) == list(theirs.train_loss.y) and [e.train_loss for e in ours.epochs] == [
        e.train_loss for e in theirs.epochs
    ]


def _at_step(step: int, command: str) -> str:
    return f"""
import studio.engine.loop as loop
real = loop.train_step
def stopping(s, batch):
    if s.progress.step == {step} - 1:
        s.folder.command({command!r})
    return real(s, batch)
loop.train_step = stopping
"""


def test_pause_resume_and_stop_act_between_steps_and_stop_saves_a_checkpoint_before_the_engine_exits(tmp_path):
    folder = small_run(tmp_path, schedule__epochs=10_000)
    process = fork_engine(folder)
    wait_until(lambda: folder.read_state().step > 2)

    folder.command("pause")
    wait_until(lambda: folder.read_state().status is Status.PAUSED)
    step = folder.read_state().step
    assert any(c.step == step for c in of_kind(folder, ev.CheckpointSaved)), "a pause is safe"
    time.sleep(0.5)
    assert folder.read_state().step == step

    folder.command("resume")
    wait_until(lambda: folder.read_state().step > step)

    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(60) == 3
    state = folder.read_state()
    assert state.status is Status.STOPPED
    assert (folder.path / state.stopped.checkpoint / "manifest.json").is_file()
    assert state.checkpoints[-1].step == state.stopped.step == state.step
    assert folder.outcome(state).can_resume


def test_a_pause_during_validation_is_safe_too(tmp_path, undisturbed):
    folder = small_run(tmp_path)
    pausing = """
import studio.engine.loop as loop
real = loop.evaluate
def evaluate(s, part):
    if s.progress.epoch == 0:
        s.folder.command("pause")
    return real(s, part)
loop.evaluate = evaluate
"""
    process = fork_engine(folder, pausing)
    wait_until(lambda: folder.read_state().status is Status.PAUSED)
    kill(process)
    assert [c.step for c in of_kind(folder, ev.CheckpointSaved)] == [STEPS_PER_EPOCH]
    assert train_here(folder, resume=True) == 0
    assert metrics(folder)["state_sha256"] == metrics(undisturbed)["state_sha256"]


def test_discard_ends_the_run_without_a_checkpoint(tmp_path):
    folder = small_run(tmp_path, schedule__epochs=10_000, training__batch_size=2)
    process = fork_engine(folder, _at_step(3, "discard"))
    assert process.wait(60) == 3
    assert folder.read_state().stopped.checkpoint == ""
    assert not folder.has_checkpoint()


def test_an_engine_that_hangs_is_ended_by_force_although_the_clock_was_set_back_as_it_began(tmp_path):
    folder, reached = small_run(tmp_path), tmp_path / "reached"
    back = "import itertools, time\nseconds = itertools.count(1e9, -1)\ntime.time = lambda: float(next(seconds))\n"
    process = fork_engine(folder, back + held_at_step(2, reached))
    wait_until(reached.exists)
    assert end_by_force(folder, grace_s=0.1)
    assert process.wait(60) == -signal.SIGKILL


def test_a_second_engine_leaves_a_running_run_alone(tmp_path):
    folder = small_run(tmp_path, schedule__epochs=10_000)
    process = fork_engine(folder)
    wait_until(lambda: folder.read_state().step > 0)
    assert fork_engine(folder).wait(60) == 2
    assert len(of_kind(folder, ev.RunStarted)) == 1
    kill(process)
    wait_until(lambda: not folder.is_alive())


def test_a_full_disk_pauses_the_run_which_says_so_and_goes_on_when_there_is_room(tmp_path):
    folder = small_run(tmp_path, schedule__epochs=2)
    flag = tmp_path / "disk-is-full"
    flag.touch()
    full = f"""
import os, studio.engine.checkpoint as c
real = c._synced_size
def synced(path):
    if os.path.exists({str(flag)!r}):
        raise OSError(28, "No space left on device")
    return real(path)
c._synced_size = synced
"""
    process = fork_engine(folder, full)
    wait_until(lambda: folder.read_state().phase == "waiting for disk")
    state = folder.read_state()
    assert state.status is Status.PAUSED
    assert state.warnings[-1].code == "disk-full" and "Free some space" in state.warnings[-1].fix
    wait_until(
        lambda: not list(folder.checkpoints_path.glob(".*.tmp"))
    )  # nothing half-written is left to fill the disk, but while it tries again
    flag.unlink()
    assert process.wait(60) == 0
    assert folder.read_state().status is Status.FINISHED


def _reading_every_image_anew_and_held_until_gone(images: Path, reached: Path) -> str:
    no_memory = "import studio.engine.setup as setup\nsetup.cache_bytes = lambda: 0"
    return no_memory + held_at_step(2, reached, f"not os.path.isdir({str(images)!r})")


def test_a_data_folder_that_vanishes_pauses_the_run_which_goes_on_to_the_same_bits_when_it_is_back(tmp_path, undisturbed):
    folder = small_run(tmp_path / "b")
    images, away = tmp_path / "b" / "images", tmp_path / "b" / "elsewhere"
    process = fork_engine(folder, _reading_every_image_anew_and_held_until_gone(images, tmp_path / "reached"))
    wait_until((tmp_path / "reached").exists)
    images.rename(away)
    wait_until(lambda: folder.read_state().status is Status.PAUSED)
    state = folder.read_state()
    assert state.warnings[-1].sentence == f"The folder {images} is not there any more; the run waits for it."
    assert "goes on by itself" in state.warnings[-1].fix
    assert state.checkpoints[-1].step == state.step < STEPS_PER_EPOCH * 2, "what was learnt is saved"
    folder.command("edit", {"training.batch_size": 1})
    wait_until(lambda: of_kind(folder, ev.EditsAnswered))
    state = folder.read_state()
    assert state.status is Status.PAUSED and state.warnings[-1].code == "edit-refused", "a wish is answered while it waits"

    away.rename(images)
    assert process.wait(60) == 0
    assert metrics(folder)["state_sha256"] == metrics(undisturbed)["state_sha256"]


def test_a_run_whose_folder_is_moved_ends_in_words_writes_nothing_at_the_old_place_and_resumes_at_the_new_one_to_the_same_bits(
    tmp_path, undisturbed
):
    folder = small_run(tmp_path / "b")
    moved = tmp_path / "b" / "elsewhere"
    process = fork_engine(folder, held_at_step(STEPS_PER_EPOCH + 2, tmp_path / "reached", f"__import__('os').path.isdir({str(moved)!r})"))
    wait_until((tmp_path / "reached").exists)
    folder.path.rename(moved)
    assert process.wait(60) == 1
    assert not folder.path.exists()
    state = RunFolder(moved).read_state()
    assert state.status is Status.FAILED and state.failed.can_resume
    assert state.failed.sentence == "The folder of this run was moved or deleted while it trained."

    assert fork_engine(RunFolder(moved), resume=True).wait(60) == 0
    assert metrics(RunFolder(moved))["state_sha256"] == metrics(undisturbed)["state_sha256"]


def test_a_run_that_waits_for_its_images_can_be_stopped(tmp_path):
    folder = small_run(tmp_path)
    process = fork_engine(folder, _reading_every_image_anew_and_held_until_gone(tmp_path / "images", tmp_path / "reached"))
    wait_until((tmp_path / "reached").exists)
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    wait_until(lambda: folder.read_state().status is Status.PAUSED)
    folder.command("stop")
    assert process.wait(60) == 3
    assert folder.read_state().status is Status.STOPPED and folder.has_checkpoint()


def test_a_full_journal_is_waited_for_and_stop_works_meanwhile(tmp_path):
    folder = small_run(tmp_path, schedule__epochs=10_000)
    full = """
import studio.core.event as ev, studio.core.journal as j
real = j.JournalWriter.append
def append(self, event):
    if isinstance(event, ev.StepsReported) and event.first_step > 3:
        raise OSError(28, "No space left on device")
    return real(self, event)
j.JournalWriter.append = append
"""
    process = fork_engine(folder, full)
    wait_until(lambda: folder.read_state().status is Status.PAUSED)
    folder.command("stop")
    assert process.wait(60) == 3
    assert folder.read_state().status is Status.STOPPED


def test_a_run_folder_that_cannot_be_written_is_said_in_the_log_without_a_trace(tmp_path):
    folder = small_run(tmp_path)
    folder.journal_path.mkdir()  # so that it cannot be opened, as on a full disk
    assert start_engine(folder).wait(60) == 1
    log = folder.log_tail()
    assert f"The run cannot begin: {folder.path} cannot be written" in log and "Traceback" not in log


def test_a_warm_engine_takes_a_run_and_ends_with_its_window_otherwise(tmp_path, undisturbed):
    idle = StandbyEngine()
    idle.close()
    assert idle._process.poll() == 0 or idle._process.poll() == -signal.SIGKILL

    folder = small_run(tmp_path)
    warm = StandbyEngine()
    warm._send({"prepare": {}})
    assert warm.wait_prepared(120)
    assert "standby: KeyError" in log_path(LOG).read_text(), "what goes wrong while it waits can be found"
    warm.prepare(folder.experiment(), 3, first_samples(folder.experiment(), Dataset.from_json(folder.dataset_path.read_bytes())))
    assert warm.wait_prepared(120, 2)
    process = warm.start(folder)
    assert process.wait(60) == 0
    assert folder.read_state().status is Status.FINISHED
    assert metrics(folder)["state_sha256"] == metrics(undisturbed)["state_sha256"], "warm or cold, the run is the same"


def test_a_warm_engine_reads_what_it_is_told_while_its_libraries_load(tmp_path, monkeypatch):
    """A pipe holds 64 KB: the window would wait for torch with the first batch of a large run."""
    told = threading.Event()

    def lines():
        told.set()
        yield json.dumps({"run": str(tmp_path)}) + "\n"

    def load():
        assert told.wait(60)
        return torch

    monkeypatch.setattr(standby, "load_torch", load)
    wanted = standby.serve(lines(), io.StringIO())
    assert wanted.folder.path == tmp_path and not wanted.resume and wanted.prebuilt is None


def test_the_engine_outlives_the_process_that_started_it(tmp_path):
    folder = small_run(tmp_path)
    starter = (
        "import sys; from studio.core.run_folder import RunFolder; from studio.supervise.engine import start_engine;"
        "start_engine(RunFolder(sys.argv[1])); import os; os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", starter, str(folder.path)], check=True)
    wait_until(lambda: folder.read_state().status is Status.FINISHED)


def test_a_gpu_that_is_not_there_fails_with_a_way_out_and_never_trains_on_the_processor(tmp_path):
    folder = small_run(tmp_path, training__device="cuda:7")
    assert train_here(folder) == 1
    state = folder.read_state()
    assert state.status is Status.FAILED
    assert "cuda:7" in state.failed.sentence and "auto or cpu" in state.failed.sentence or "cuda:0" in state.failed.sentence
    assert state.step == 0 and not state.failed.trace
