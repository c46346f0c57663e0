"""`studio tell RUN WISH` says what came of it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from studio.cli import BAD_INPUT, DONE, FAILED, main
from studio.command.follow import _Interrupts
from studio.core.experiment import Experiment
from studio.core.run_folder import create_run, read_commands

# Holds the run and answers wishes as an engine does between two steps; needs no torch.
ENGINE = """
import os, sys, time
from studio.core import event as ev
from studio.core.journal import JournalWriter
from studio.core.file_lock import FileLock
from studio.core.run_folder import RunFolder
from studio.engine.control import Control
run = RunFolder(sys.argv[1])
lock = FileLock(run.lock_path)
assert lock.acquire()
journal, control, was_paused = JournalWriter(run.journal_path), Control(run.commands_path), False
journal.append(ev.RunStarted(wall_time=time.time(), pid=os.getpid(), session=0))
print("trains", flush=True)
while not control.stop:
    control.poll()
    if control.is_save_wanted:
        control.is_save_wanted = False
        journal.append(ev.CheckpointSaved(step=5, path="checkpoints/5", num_bytes=1, is_best=False, seconds=0.1))
    if control.is_paused != was_paused:
        was_paused = control.is_paused
        journal.append(ev.PauseChanged(is_paused=was_paused, step=6))
    time.sleep(0.01)
journal.append(ev.RunStopped(step=7, checkpoint="", is_pause=control.stop == "release"))
"""


@pytest.fixture
def start(tmp_path, studio_home):
    started = []

    def make():
        run = create_run(tmp_path / "runs", Experiment())
        process = subprocess.Popen([sys.executable, "-c", ENGINE, str(run.path)], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout.readline() == b"trains\n"
        return run, process

    yield make
    for process in started:
        process.kill()
        process.communicate()


def tell(run, wish: str) -> int:
    return main(["tell", run.nickname, wish, "--runs", str(run.path.parent)])


def test_a_run_is_paused_goes_on_is_saved_and_stopped_from_the_command_line(start, capsys):
    run, process = start()
    said = []
    for wish in ("pause", "resume", "save", "stop-after-epoch", "stop"):
        assert tell(run, wish) == DONE
        said.append(capsys.readouterr().out.strip())
    assert said == [
        "Paused, safe at step 6.", "Going on.", "Saved at step 5.", "It stops when this epoch is done.", "Stopped at step 7.",
    ]  # fmt: skip
    assert process.wait(60) == 0
    assert [c.kind for c in read_commands(run.commands_path, 0)[0]] == ["pause", "resume", "save", "stop_after_epoch", "stop"]
    assert tell(run, "pause") == BAD_INPUT
    assert "is not running" in capsys.readouterr().err


def test_a_pause_with_memory_released_says_so(start, capsys):
    run, process = start()
    assert tell(run, "release") == DONE
    assert process.wait(60) == 0 and capsys.readouterr().out.strip() == "Paused, its memory released, at step 7."


def test_a_command_that_cannot_be_written_is_said_to_have_failed(start, capsys, monkeypatch):
    run, _ = start()
    monkeypatch.setattr("studio.core.run_folder.os.write", lambda fd, data: len(data) - 1)
    assert tell(run, "pause") == FAILED
    assert capsys.readouterr().err.strip() == f"Error: The command did not reach {run.nickname}: No space left on device."
    assert main(["edit", run.nickname, "--set", "schedule.epochs=12", "--runs", str(run.path.parent)]) == FAILED
    assert "did not reach" in capsys.readouterr().err
    with _Interrupts(run, None) as interrupts:
        signal.raise_signal(signal.SIGINT)
    assert "No space left on device. Press Ctrl-C again" in capsys.readouterr().err and not interrupts.has_forced
