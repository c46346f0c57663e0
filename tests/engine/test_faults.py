"""Each fault is made to happen, is said in plain words with a way out, and costs no more than it must. docs/faults.md is the table."""

from __future__ import annotations

import errno
import math
import os
import shutil
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from engine_runs import STEPS_PER_EPOCH, events, fork_engine, metrics, of_kind, small_run, train_here, wait_until
from safetensors import SafetensorError

from studio.core import event as ev
from studio.core.outcome import Status
from studio.core.reading import DECODING
from studio.core.run_folder import RunFolder
from studio.dataset import header
from studio.dataset.dataset import Dataset, Sample
from studio.dataset.image import ImageRefused
from studio.engine.checkpoint import find_checkpoint, save_checkpoint
from studio.engine.control import Control
from studio.engine.drive import NUM_TRIED
from studio.engine.failure import NO_SPACE, describe
from studio.engine.origin import origin_of, other_decoding
from studio.engine.recovery import POLL_S, STEADY_S
from studio.engine.reporter import Reporter
from studio.engine.watch import GradientWatch, Waiting

pytestmark = pytest.mark.usefixtures("measured")


@pytest.fixture
def whole(undisturbed) -> str:
    """The hash of a run that nothing disturbed."""
    return metrics(undisturbed)["state_sha256"]


def warned(folder, code: str) -> list[ev.WarningRaised]:
    return [w for w in of_kind(folder, ev.WarningRaised) if w.code == code]


def test_save_now_saves_after_the_step_and_stop_after_this_epoch_stops_at_its_end_and_resumes_to_the_same_bits(tmp_path, whole):
    folder = small_run(tmp_path)
    folder.command("save")
    folder.command("stop_after_epoch")
    assert train_here(folder) == 3
    state = folder.read_state()
    assert [c.step for c in of_kind(folder, ev.CheckpointSaved)][0] == 1
    assert (state.stopped.step, len(state.epochs)) == (STEPS_PER_EPOCH, 1) and find_checkpoint(folder).step == STEPS_PER_EPOCH
    assert train_here(folder, resume=True) == 0
    assert metrics(folder)["state_sha256"] == whole


# --- a loss that is no number --------------------------------------------------------------------


def test_a_step_without_a_number_is_left_out_and_leaves_no_trace_when_the_rate_is_to_be_lowered(tmp_path, bad_step, monkeypatch):
    from studio.engine import loop

    seen = []
    real = loop.train_step

    def watched(s, batches):
        state = {name: t.clone() for name, t in s.network.module.state_dict().items()}
        try:
            return real(s, batches)
        except Exception:
            seen.append((state, {name: t.clone() for name, t in s.network.module.state_dict().items()}))
            raise

    monkeypatch.setattr(loop, "train_step", watched)
    bad_step(8)
    folder = small_run(tmp_path, training__not_finite="lower the rate")
    assert train_here(folder) == 0
    (before, after), *more = seen
    assert not more and all(torch.equal(before[name], after[name]) for name in before), "weights and batch norm are untouched"
    (warning,) = warned(folder, "loss-not-finite")
    assert "step 9; that step was left out and goes on at half the rate, 5.0e-04" in warning.sentence and "clip" in warning.fix
    (edit,) = of_kind(folder, ev.ExperimentEdited)
    assert (edit.step, edit.values) == (9, {"schedule.peak_lr": 5e-4})
    state = folder.read_state()
    assert state.status is Status.FINISHED and 8 not in state.train_loss.x and state.step == 2 * STEPS_PER_EPOCH


def test_the_run_goes_back_to_its_last_checkpoint_and_repeats_from_there_at_half_the_rate(tmp_path, bad_step):
    bad_step(9, limit=6e-4)
    folder = small_run(tmp_path, training__not_finite="go back", training__roll_back_steps=0, optimiser__ema_decay=0.9)
    assert train_here(folder) == 0
    (warning,) = warned(folder, "loss-not-finite")
    assert f"went back to step {STEPS_PER_EPOCH}" in warning.sentence
    starts = [e.first_step for e in of_kind(folder, ev.StepsReported)]
    assert STEPS_PER_EPOCH in starts[1:], "the steps since the checkpoint are done again"
    state = folder.read_state()
    assert state.status is Status.FINISHED and list(state.train_loss.x) == list(range(2 * STEPS_PER_EPOCH))
    # the same bits as a run whose rate was halved at that step by hand
    other = small_run(tmp_path / "other", optimiser__ema_decay=0.9)
    assert train_here(other, before=lambda control: setattr(control, "stops_after_epoch", True)) == 3
    other.command("edit", {"schedule.peak_lr": 5e-4})

    def heard(control):
        control.num_read = 0
        control.poll()

    assert train_here(other, resume=True, before=heard) == 0
    assert metrics(other)["state_sha256"] == metrics(folder)["state_sha256"]


def test_a_loss_that_stays_without_a_number_ends_the_run_after_three_tries(tmp_path, bad_step):
    bad_step(9)
    folder = small_run(tmp_path, training__not_finite="go back", training__roll_back_steps=0)
    assert train_here(folder) == 1
    assert len(warned(folder, "loss-not-finite")) == 3
    assert "stopped being a number" in folder.read_state().failed.sentence


def test_a_gradient_a_hundred_times_that_of_the_steps_before_is_said_once_in_a_while():
    watch = GradientWatch()
    assert watch.look(0, [1.0] * 30) is None
    assert watch.look(30, [1.1, 150.0, 0.9]) == (31, 150.0, 1.0)
    assert watch.look(33, [150.0, float("nan")]) is None, "once is enough"
    assert watch.look(35, [1.0] * 600) is None
    assert watch.look(635, [150.0])[0] == 635


def test_an_exploding_gradient_is_a_warning_with_a_clip_that_fits(tmp_path, monkeypatch):
    monkeypatch.setattr("studio.engine.watch._LEAST_BEFORE", 3)
    from studio.engine import update

    real = update._add_gradient

    def exploding(s, batch, num_images):
        found = real(s, batch, num_images)
        if s.progress.step == 7:
            for weight in s.network.trainable():
                weight.grad *= 1e4
        return found

    monkeypatch.setattr(update, "_add_gradient", exploding)
    folder = small_run(tmp_path, optimiser__clip_norm=1.0)
    assert train_here(folder) == 0
    (warning,) = warned(folder, "gradient-exploding")
    assert "exploded at step 8" in warning.sentence and "Clip gradients at" in warning.fix


# --- loader processes ------------------------------------------------------------------------------


def test_a_loader_process_that_is_killed_is_started_again_and_the_bits_are_the_same(tmp_path, whole):
    folder = small_run(tmp_path, training__workers=1)
    killing = """
import os, signal, studio.engine.loop as loop
step = loop.train_step
def killed(s, batches):
    if s.progress.step == 7 and not os.environ.get("DONE"):
        os.environ["DONE"] = "1"
        os.kill(s.loader._pool._processes[0].pid, signal.SIGKILL)
        s.loader._pool._processes[0].join()
    return step(s, batches)
loop.train_step = killed
"""
    assert fork_engine(folder, killing).wait(120) == 0
    (warning,) = warned(folder, "loader-died")
    assert "started again" in warning.sentence and "fewer loader workers" in warning.fix
    assert metrics(folder)["state_sha256"] == whole


def test_a_hanging_loader_is_said_and_stop_works_meanwhile(tmp_path):
    folder = small_run(tmp_path, training__workers=1)
    hanging = """
import os, signal, studio.engine.loop as loop, studio.engine.watch as watch
step = loop.train_step
def hung(s, batches):
    if s.progress.step == 3:
        watch.HANGS_AFTER_S = 0.5
        for process in s.loader._pool._processes:
            os.kill(process.pid, signal.SIGSTOP)
    return step(s, batches)
loop.train_step = hung
"""
    process = fork_engine(folder, hanging)
    wait_until(lambda: warned(folder, "loader-hangs"))
    (warning,) = warned(folder, "loader-hangs")
    assert "No image has come for" in warning.sentence and "goes on by itself" in warning.fix
    folder.command("stop")
    assert process.wait(60) == 3
    state = folder.read_state()
    assert state.status is Status.STOPPED and find_checkpoint(folder).step == state.stopped.step == state.step > 0


@pytest.mark.parametrize("is_hashing", [False, True], ids=["while it trains", "while files are hashed for cached features"])
def test_a_drive_that_hangs_without_loader_processes_is_said_and_stop_works_meanwhile(tmp_path, is_hashing):
    frozen = {"model__train_stages": 1, "augment__preset": "none"} if is_hashing else {}
    folder = small_run(tmp_path, training__workers=0, **frozen)
    hanging = f"""
import threading, studio.engine.loader as loader, studio.engine.prefix as prefix, studio.engine.watch as watch
read, count, contents_of = loader.read_bytes, [0], prefix.Prefix._contents_of
def hashed(*given):
    count[0] = 11
    return contents_of(*given)
prefix.Prefix._contents_of = hashed
def hung(path):
    count[0] += 0 if {is_hashing} and count[0] < 11 else 1
    if count[0] == 12:
        watch.HANGS_AFTER_S = 0.5  # from here on: the start of a busy computer is no hang
        threading.Event().wait()  # as a read from a network drive that does not answer
    return read(path)
loader.read_bytes = hung
"""
    process = fork_engine(folder, hanging)
    wait_until(lambda: warned(folder, "loader-hangs"))
    folder.command("stop")
    assert process.wait(60) == 3
    state = folder.read_state()
    assert state.status is Status.STOPPED and find_checkpoint(folder).step == state.stopped.step == state.step


@pytest.fixture
def full_at(monkeypatch):
    """The disk is full when an event of this kind is first to be written, and for a moment only."""

    def fill(kind: type[ev.Event]) -> None:
        from studio.core.journal import JournalWriter

        append, refused = JournalWriter.append, []

        def full(self, event):
            if isinstance(event, kind) and not refused:
                refused.append(event)
                raise OSError(28, "No space left on device")
            return append(self, event)

        monkeypatch.setattr(JournalWriter, "append", full)
        monkeypatch.setattr("studio.engine.reporter.RETRY_S", 0.0)

    return fill


@pytest.mark.parametrize(
    ("phase", "is_paused", "status"),
    [("validating", True, Status.PAUSED), ("validating", False, Status.RUNNING), ("scanning images", False, Status.STARTING)],
)
def test_when_there_is_room_again_a_run_is_in_the_phase_it_was_in_and_paused_if_it_was(tmp_path, full_at, phase, is_paused, status):
    folder = RunFolder(tmp_path)
    reporter = Reporter(folder, Control(folder.commands_path))
    reporter.tell(ev.RunStarted(wall_time=0.0, pid=7, session=0))
    reporter.phase(phase, "of 12")
    if is_paused:
        reporter.tell(ev.PauseChanged(is_paused=True, step=3))
    full_at(ev.SystemReported)
    reporter.system()
    reporter.close()
    state = folder.read_journal()
    assert "Paused: disk full, safe at step 0" in [notice.sentence for notice in state.notices] and state.system
    assert (state.status, state.phase, state.phase_detail, state.waits_for) == (status, phase, "of 12", None)


@pytest.mark.parametrize(
    "late",
    [ev.PhaseStarted(phase="validating"), ev.PauseChanged(is_paused=True, step=3), ev.PauseChanged(is_paused=False, step=3)],
    ids=["phase", "pause", "end of a pause"],
)
def test_a_phase_or_a_pause_that_had_to_wait_for_room_is_told_once(tmp_path, full_at, late):
    folder = RunFolder(tmp_path)
    reporter = Reporter(folder, Control(folder.commands_path))
    reporter.phase("training")
    full_at(type(late))
    reporter.tell(late)
    reporter.close()
    told = events(folder)
    waited = next(i for i, event in enumerate(told) if getattr(event, "phase", "") == "waiting for disk")
    phase, pause = told[waited + 1 :]
    assert phase.phase == (late.phase if isinstance(late, ev.PhaseStarted) else "training")
    assert pause.is_paused == getattr(late, "is_paused", False)


def test_a_run_whose_last_word_has_to_wait_for_room_is_finished(tmp_path, full_at):
    folder = small_run(tmp_path, schedule__epochs=1)
    full_at(ev.RunFinished)
    assert train_here(folder) == 0
    assert warned(folder, "disk-full") and folder.read_journal().status is Status.FINISHED


@pytest.mark.parametrize(
    ("number", "is_full"), [(112 if os.name == "nt" else errno.EDQUOT, True), (errno.ENOSPC, os.name != "nt"), (errno.EIO, False)]
)
def test_what_the_system_said_to_safetensors_while_it_saved_is_told_from_a_bug(tmp_path, monkeypatch, number, is_full):
    def refused(tensors, path):
        raise SafetensorError(f"Error while serializing: I/O error: {os.strerror(number)} (os error {number})")

    monkeypatch.setattr("safetensors.torch.save_file", refused)
    with pytest.raises(OSError) as raised:
        save_checkpoint(RunFolder(tmp_path), 3, {}, {}, {})
    failure = describe(raised.value, None)
    assert (raised.value.errno in NO_SPACE) == is_full, "for that a run waits"
    assert failure.sentence == f"{tmp_path / 'checkpoints'} cannot be used: {os.strerror(number)}." and not failure.is_bug


@pytest.mark.parametrize("workers", [0, 1])
def test_a_drive_that_stalls_pauses_the_run_which_goes_on_to_the_same_bits_when_it_answers(tmp_path, whole, workers):
    folder = small_run(tmp_path, training__workers=workers)
    answers = tmp_path / "the drive answers"
    process = fork_engine(
        folder,
        f"""
import os, signal, threading, time, studio.engine.loader as loader, studio.engine.loop as loop, studio.engine.watch as watch
read, count, step = loader.read_bytes, [0], loop.train_step
def stalled(path):
    count[0] += 1
    if count[0] == 12:
        watch.HANGS_AFTER_S = 0.5  # from here on: the start of a busy computer is no stall
    while count[0] == 12 and not os.path.exists({str(answers)!r}):
        time.sleep(0.05)  # in a thread of its own: without loader processes
    return read(path)
def hung(s, batches):
    if s.progress.step == 3:
        watch.HANGS_AFTER_S = 0.5
        processes = [process.pid for process in s.loader._pool._processes]
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        def go_on():
            while not os.path.exists({str(answers)!r}):
                time.sleep(0.05)
            for pid in processes:
                os.kill(pid, signal.SIGCONT)
        threading.Thread(target=go_on, daemon=True).start()
    return step(s, batches)
if {workers}:
    loop.train_step = hung
else:
    loader.read_bytes = stalled
""",
    )
    wait_until(lambda: folder.read_state().status is Status.PAUSED)
    state = folder.read_state()
    assert state.waits_for.code == "loader-hangs" and state.notices[-1].sentence.startswith("Paused: no image comes, safe at step")
    answers.touch()
    assert process.wait(60) == 0
    assert [event.is_paused for event in of_kind(folder, ev.PauseChanged)][-1] is False
    assert metrics(folder)["state_sha256"] == whole


def test_waiting_is_said_again_only_after_images_have_come(tmp_path):
    said = []
    control = SimpleNamespace(raise_if_stopped=lambda: None)
    tell = lambda event: said.append((event.is_paused, event.step))  # noqa: E731
    reporter = SimpleNamespace(system=lambda device: None, warn=lambda code, *words: said.append(code), tell=tell, step=9, saved_step=4)
    waiting = Waiting(control, reporter, None)
    for seconds in (10, 26, 40, 0, 1, 24, 35):
        waiting(seconds)
    assert said == ["loader-hangs", (True, 4), (False, 9), "loader-hangs", (True, 4)]


def test_a_run_whose_loader_finds_no_shared_memory_goes_on_in_the_temporary_folder(tmp_path, whole, monkeypatch):
    real, tried = os.posix_fallocate, []

    def full(fd, start, length):
        path = os.readlink(f"/proc/self/fd/{fd}")
        if "studio-batches" in path:
            tried.append(path)
        if path.startswith("/dev/shm/"):
            raise OSError(28, "No space left on device")
        return real(fd, start, length)

    monkeypatch.setattr(os, "posix_fallocate", full)
    folder = small_run(tmp_path, training__workers=1)
    assert train_here(folder) == 0
    assert metrics(folder)["state_sha256"] == whole
    refused, used = tried
    assert refused.startswith("/dev/shm/") and not used.startswith("/dev/shm/")
    assert not os.path.exists(refused) and not os.path.exists(used), "nothing is left behind"


# --- images ------------------------------------------------------------------------------------------


def test_a_drive_that_fails_while_its_folder_stays_is_waited_for_and_costs_no_image(tmp_path, whole, monkeypatch):
    opened, num_opened, failing, clock = header.open_regular, [0], [], [0.0]

    def pulled_out(path):
        clock[0] += 0.05
        num_opened[0] += 1
        if num_opened[0] == 20:
            failing.append(True)
        if failing:
            raise ImageRefused("cannot be read (Input/output error)", errno.EIO)
        return opened(path)

    for module in ("studio.dataset.image", "studio.engine.drive"):
        monkeypatch.setattr(f"{module}.open_regular", pulled_out)
    monkeypatch.setattr("studio.engine.loader.RETRIES_S", (0.0,))
    slept = []

    def sleep(seconds):
        """It answers, is gone once more, and is back."""
        slept.append(seconds)
        clock[0] += seconds
        failing[:] = [True] if len(slept) == 5 else []

    monkeypatch.setattr("studio.engine.recovery.time", SimpleNamespace(sleep=sleep, monotonic=lambda: clock[0]))
    folder = small_run(tmp_path)
    assert train_here(folder) == 0
    (warning,) = warned(folder, "images-gone")
    assert warning.sentence == f"The images in {tmp_path / 'images'} cannot be read (Input/output error); the run waits for the drive."
    assert not warned(folder, "unreadable-image")
    num_after_first = math.ceil(STEADY_S / (POLL_S + NUM_TRIED * 0.05))
    assert len(slept) == 5 + 1 + num_after_first, "it has to answer for a while on end, and what the reads take counts"
    assert metrics(folder)["state_sha256"] == whole


def test_a_run_that_ends_for_want_of_images_says_why_they_cannot_be_read(tmp_path):
    folder = small_run(tmp_path)
    for path in (tmp_path / "images").rglob("*.png"):
        path.write_bytes(b"")
    assert train_here(folder) == 1
    assert folder.read_state().failed.sentence.startswith("Not one training image")
    assert "(empty file)" in warned(folder, "unreadable-image")[0].sentence


def test_an_image_replaced_in_mid_run_is_said_once(tmp_path):
    folder = small_run(tmp_path)
    path = tmp_path / "images" / "class-1" / "0003.png"
    path.write_bytes((tmp_path / "images" / "class-2" / "0001.png").read_bytes())
    os.utime(path, ns=(1, 1))
    assert train_here(folder) == 0
    (warning,) = warned(folder, "image-changed")
    assert warning.sentence.startswith("class-1/0003.png was changed since the run began")
    assert not warned(folder, "unreadable-image")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every name is text")
def test_a_run_in_a_folder_whose_name_is_no_text_says_why_it_waits_and_why_it_fails(tmp_path, monkeypatch):
    folder = RunFolder(small_run(tmp_path).path.rename(tmp_path / os.fsdecode(b"caf\xe9")))
    faults = [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EIO, "Input/output error", os.fspath(folder.path))]

    def broken(*args, **kwargs):
        raise faults.pop(0)

    monkeypatch.setattr("studio.engine.saving.save_checkpoint", broken)
    monkeypatch.setattr("studio.engine.reporter.RETRY_S", 0.01)
    assert train_here(folder) == 1
    name = str(tmp_path / r"caf\xE9")
    assert [w.sentence for w in warned(folder, "disk-full")] == [f"The disk with {name} is full; the run waits."]
    assert folder.read_state().failed.sentence == f"{name} cannot be used: Input/output error."


# --- memory, devices, the system ---------------------------------------------------------------------


def test_memory_that_cannot_be_had_names_the_batch_and_a_smaller_one(tmp_path, monkeypatch):
    from studio.engine import update

    real = update._add_gradient

    def hungry(s, batch, num_images):
        if s.progress.step == 7:
            torch.empty(1 << 50, dtype=torch.uint8)
        return real(s, batch, num_images)

    monkeypatch.setattr(update, "_add_gradient", hungry)
    folder = small_run(tmp_path)
    assert train_here(folder) == 1
    failed = folder.read_state().failed
    assert failed.sentence.startswith("Batch size 8 does not fit into memory (1125899906842624 bytes more were needed).")
    assert failed.fix == "Try 4." and failed.can_resume and "Traceback" in failed.trace
    monkeypatch.setattr(update, "_add_gradient", real)
    assert train_here(folder, resume=True) == 0


@pytest.mark.parametrize(
    ("text", "sentence", "fix"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has", "(2.00 GiB more were needed)", "Try 8"),
        ("CUDA error: unspecified launch failure", "The GPU reported an error", "Resume"),
        ("No CUDA GPUs are available", "The GPU is not there any more", "Resume when it is back"),
        ("CUDA error: no CUDA-capable device is detected", "The GPU is not there any more", "Resume when it is back"),
        ("CUDA unknown error - this may be due to an incorrectly set up environment", "The GPU is not there any more", "restart"),
        ("The NVIDIA driver on your system is too old (found version 11040)", "do not fit together", "Update the driver"),
        (
            "upsample_bilinear2d_backward_out_cuda does not have a deterministic implementation, but you set",
            "no exact form",
            "Exact on a GPU",
        ),
        ("CUDA error: CUDA driver version is insufficient for CUDA runtime version", "do not fit together", "Update the driver"),
        ("CUDA error: no kernel image is available for execution on the device", "do not fit together", "studio doctor"),
    ],
)
def test_what_a_gpu_says_is_put_into_words(text, sentence, fix):
    from studio.core.experiment import Experiment

    found = describe(RuntimeError(text), Experiment().changed({"training.batch_size": 16}))
    assert sentence in found.sentence and fix in found.fix and not found.is_bug


def test_an_error_of_the_gpu_in_mid_step_ends_the_process_with_a_sentence_and_the_run_resumes_to_the_same_bits(tmp_path, whole):
    folder = small_run(tmp_path)
    broken = """
import studio.engine.update as update
real = update._add_gradient
def failing(s, batch, num_images):
    if s.progress.step == 7:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\\nCUDA kernel errors might be reported asynchronously")
    return real(s, batch, num_images)
update._add_gradient = failing
"""
    assert fork_engine(folder, broken).wait(60) == 1
    state = folder.read_state()  # as the window reads it, which lives on in a process of its own
    outcome = folder.outcome(state, 1)
    assert state.status is Status.FAILED and outcome.sentence == "The GPU reported an error and cannot go on."
    assert outcome.fix.startswith("Resume.") and outcome.can_resume and outcome.can_move and "illegal memory access" in outcome.log_tail
    assert fork_engine(folder, resume=True).wait(60) == 0
    assert metrics(folder)["state_sha256"] == whole


def test_sleep_and_a_clock_set_back_change_neither_bits_nor_the_order_of_events(tmp_path, whole):
    """What a sleeping computer does to a process: nothing moves, then everything does, and one clock has gone on."""
    folder = small_run(tmp_path)
    slept = """
import os, signal, subprocess, sys, time
import studio.engine.loop as loop, studio.engine.reporter as reporter, studio.engine.sleep as sleep
reporter.SYSTEM_EVERY_S = 0
asleep_s, clock, step = sleep.SleepWatch._asleep_s, time.time, loop.train_step
def stepped(s, batches):
    if s.progress.step == 5:
        waker = f"import os, signal, time\\nwhile True:\\n    time.sleep(0.5)\\n    os.kill({os.getpid()}, signal.SIGCONT)"
        with subprocess.Popen([sys.executable, "-c", waker]) as waking:  # again and again: the first call may come before the sleep
            os.kill(os.getpid(), signal.SIGSTOP)
            waking.kill()
        sleep.SleepWatch._asleep_s = staticmethod(lambda: asleep_s() + 7200)
        time.time = lambda: clock() - 1e6
    return step(s, batches)
loop.train_step = stepped
"""
    assert fork_engine(folder, slept).wait(60) == 0
    assert [w.sentence for w in warned(folder, "slept")] == ["The computer slept for 120 min; the run went on where it was."]
    told = events(folder)
    assert [e.t for e in told] == sorted(e.t for e in told) and [e.seq for e in told] == list(range(len(told)))
    assert metrics(folder)["state_sha256"] == whole


def test_a_disk_with_little_room_is_said_before_the_first_step(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000_000))
    folder = small_run(tmp_path)
    assert train_here(folder) == 0
    (warning,) = warned(folder, "disk-small")
    assert "1.0\u00a0MB are free" in warning.sentence and str(tmp_path / "runs") in warning.sentence
    assert "goes on by itself" in warning.fix
    first_step = next(e.seq for e in events(folder) if isinstance(e, ev.StepsReported))
    assert warning.seq < first_step


def test_a_run_writes_no_more_than_was_told_and_not_much_less(tmp_path, monkeypatch):
    """Checkpoints with running means, features of the frozen start for training and validation, decoded images."""
    from studio.core.place import cache_dir
    from studio.dataset.dataset import Dataset
    from studio.dataset.decoded import clear
    from studio.dataset.disk_use import NetworkUse, disk_use
    from studio.engine import checkpoint
    from studio.engine.describe import describe_model

    def size(folder):
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    folder = small_run(tmp_path, optimiser__ema_decay=0.9, model__train_stages=1, augment__preset="none", schedule__epochs=4)
    clear()  # what other runs have decoded
    most, prune = [], checkpoint._prune
    monkeypatch.setattr(checkpoint, "_prune", lambda *given: (most.append(size(folder.path)), prune(*given)))
    assert train_here(folder) == 0

    experiment, dataset = folder.experiment(), Dataset.from_json(folder.dataset_path.read_bytes())
    told = describe_model(experiment.model, experiment.training, experiment.optimiser, len(dataset.classes))["disk"]
    saved = of_kind(folder, ev.CheckpointSaved)[-1].num_bytes
    assert np.isclose(told["checkpoints"], 4 * saved, rtol=0.05)  # the last two, the best, the one being written
    use = disk_use(experiment, dataset, NetworkUse.of(told), free=10**12)
    assert 0.6 * use.in_runs < max(most) <= use.in_runs
    rows = sum(path.stat().st_size for path in (cache_dir() / "features").rglob("rows.bin"))
    assert rows == use.features > 0
    assert 0.9 * use.images < size(cache_dir() / "decoded") <= use.images


# --- resuming under other circumstances ---------------------------------------------------------------


def test_a_resume_that_cannot_be_exact_says_what_changed(tmp_path, monkeypatch):
    folder = small_run(tmp_path)
    assert train_here(folder, before=lambda control: setattr(control, "stops_after_epoch", True)) == 3
    os.utime(tmp_path / "images" / "class-0" / "0000.png", ns=(1, 1))
    torch.set_num_threads(2)
    monkeypatch.setattr("studio.engine.origin.package_versions", lambda: {"torch": "1.2.3"})
    monkeypatch.setattr("studio.engine.origin.DECODING", DECODING + 1)
    try:
        assert train_here(folder, resume=True) == 0
    finally:
        torch.set_num_threads(1)
    (warning,) = warned(folder, "resume-inexact")
    assert f"torch {torch.__version__.split('+')[0]}" in warning.sentence and "is now 1.2.3" in warning.sentence
    assert "1 threads are now 2" in warning.sentence
    assert "1 image was changed (class-0/0000.png)" in warning.sentence
    assert "files of 16 bits per colour" in warning.sentence


def test_a_resume_says_that_files_may_become_other_pixels_only_where_they_may():
    photos, scans = (Dataset("/", "", ("a",), (Sample(f"a.{kind}", "a", "train", 8, 8, 1, 0),)) for kind in ("jpg", "PNG"))
    assert "16 bits per colour" in other_decoding(scans, {"threads": 1}), "rules 1 kept no number"
    assert not other_decoding(photos, {"threads": 1}) and not other_decoding(scans, origin_of("cpu", 1))


def test_a_resume_where_nothing_changed_says_nothing(tmp_path):
    folder = small_run(tmp_path)
    assert train_here(folder, before=lambda control: setattr(control, "stops_after_epoch", True)) == 3
    assert train_here(folder, resume=True) == 0
    assert not warned(folder, "resume-inexact") and not warned(folder, "disk-small")


def set_pace(monkeypatch, save_seconds: float, step_seconds: float = 10.0) -> None:
    """What a step takes by the clock that is asked when to save, by default so much that an epoch takes a minute."""
    from studio.engine import loop, saving

    counted, took, real = [], saving.save_checkpoint, loop.train_step

    def counting(s, batches):
        if not counted:
            s.saved_at = 0.0  # the session begins
        counted.append(s)
        return real(s, batches)

    monkeypatch.setattr(saving, "SAVE_SHARE", 0.02)
    monkeypatch.setattr(saving, "time", SimpleNamespace(monotonic=lambda: step_seconds * len(counted)))
    monkeypatch.setattr(saving, "save_checkpoint", lambda *a, **k: replace(took(*a, **k), seconds=save_seconds))
    monkeypatch.setattr(loop, "train_step", counting)


@pytest.mark.parametrize(
    ("step_seconds", "seconds", "are_best", "saved"),
    [
        (10.0, 0.05, True, [6, 12, 18, 24]),  # at the ends of epochs
        (10.0, 2.1, True, [6, 12, 17, 24]),  # at most every 105 s; the second epoch was held
        (25.0, 0.05, False, [*range(3, 25, 3), 24]),  # within epochs, which are longer than what may be at risk
        (0.01, 0.002, True, [6, 18, 24]),  # a head on cached features: at most every 0.1 s
        (0.01, 0.02, True, [6, 24]),
    ],
)
def test_no_more_training_is_at_risk_than_was_asked_for_and_saving_takes_no_more_than_its_share(
    tmp_path, monkeypatch, step_seconds, seconds, are_best, saved
):
    """`are_best`: every epoch is the best so far; one that was held is not written when a later one is."""
    from studio.engine import loop, saving

    set_pace(monkeypatch, seconds, step_seconds)
    keep = saving.keep_epoch
    monkeypatch.setattr(loop, "keep_epoch", lambda s, _is_best, is_last: keep(s, are_best, is_last))
    folder = small_run(tmp_path, schedule__epochs=4)
    assert train_here(folder) == 0
    assert [c.step for c in of_kind(folder, ev.CheckpointSaved)] == saved


def test_a_best_epoch_that_was_held_is_written_before_the_run_fails(tmp_path, monkeypatch, bad_step):
    from studio.engine import loop, saving

    set_pace(monkeypatch, 2.5)  # the second epoch is held
    keep = saving.keep_epoch
    monkeypatch.setattr(loop, "keep_epoch", lambda s, _is_best, is_last: keep(s, True, is_last))
    bad_step(14)
    folder = small_run(tmp_path, schedule__epochs=4, training__not_finite="stop")
    assert train_here(folder) == 1
    assert [(c.step, c.is_best) for c in of_kind(folder, ev.CheckpointSaved)] == [(6, True), (12, True)]


def test_what_was_trained_since_an_epoch_that_was_held_is_still_at_risk_when_that_is_written(tmp_path, monkeypatch):
    """The second epoch, which is held, is written before the fourth, in which other layers train; the clock goes on from the first, and counts both
    savings."""
    from studio.engine import loop, saving

    set_pace(monkeypatch, 2.5)  # at most every 125 s
    keep = saving.keep_epoch
    monkeypatch.setattr(loop, "keep_epoch", lambda s, is_best, is_last: keep(s, s.progress.epoch <= 2, is_last))
    thaw = {"stem": 3, "stage 1": -1, "stage 2": -1, "stage 3": -1}
    folder = small_run(tmp_path, schedule__epochs=6, model__train_stages=1, model__thaw=thaw, training__feature_cache="off")
    assert train_here(folder) == 0
    assert [c.step for c in of_kind(folder, ev.CheckpointSaved)] == [6, 12, 32, 36]
