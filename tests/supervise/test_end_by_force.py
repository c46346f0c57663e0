"""An engine that hangs can be ended by a window that did not start it, and nothing else is."""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from studio.core.event import RunStarted
from studio.core.experiment import Experiment
from studio.core.journal import JournalWriter
from studio.core.outcome import Status
from studio.core.process_space import process_space
from studio.core.run_folder import create_run, read_commands
from studio.supervise.engine import end_by_force

HANGING = """
import json, os, signal, sys, time
from studio.core.event import RunStarted
from studio.core.journal import JournalWriter
from studio.core.process_space import process_space
from studio.core.file_lock import FileLock
from studio.core.run_folder import RunFolder
signal.signal(signal.SIGTERM, signal.SIG_IGN)
run = RunFolder(sys.argv[1])
lock = FileLock(run.lock_path)
assert lock.acquire()
JournalWriter(run.journal_path).append(RunStarted(wall_time=1.0, pid=os.getpid(), session=0))
run.engine_path.write_text(json.dumps({"started": 0.5, "session": 0, "process_space": process_space()}))  # the clock was set back at the start
print("hangs", flush=True)
time.sleep(600)
"""


@pytest.fixture
def start_hanging():
    started = []

    def start(run, *, leads_a_group: bool) -> subprocess.Popen:
        env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        process = subprocess.Popen(
            [sys.executable, "-c", HANGING, str(run.path)], env=env, stdout=subprocess.PIPE, start_new_session=leads_a_group
        )
        started.append(process)
        assert process.stdout.readline() == b"hangs\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("leads_a_group", [True, False])
def test_a_hanging_engine_of_another_window_is_asked_then_ended(tmp_path, start_hanging, leads_a_group):
    run = create_run(tmp_path, Experiment())
    process = start_hanging(run, leads_a_group=leads_a_group)
    assert end_by_force(run, grace_s=0.3)
    assert process.wait(60) != 0
    assert [c.kind for c in read_commands(run.commands_path, 0)[0]] == ["stop"]
    assert run.read_state().status is Status.CRASHED


def test_a_process_that_has_the_number_of_an_engine_long_gone_is_left_alone(tmp_path):
    run = create_run(tmp_path, Experiment())
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        JournalWriter(run.journal_path).append(RunStarted(wall_time=1.0, pid=bystander.pid, session=0))
        assert end_by_force(run, grace_s=0.1)
        time.sleep(0.2)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_an_engine_of_this_machine_is_ended_although_the_machine_has_another_name_by_now(tmp_path, start_hanging):
    """Macs change their name with the network."""
    run = create_run(tmp_path, Experiment())
    process = start_hanging(run, leads_a_group=True)
    run.engine_path.write_text(json.dumps({"started": 2.0, "host": "in-the-office.example", "process_space": process_space()}))
    assert end_by_force(run, grace_s=0.3)
    assert process.wait(60) != 0


def test_another_process_of_this_machine_sees_the_same_numbers_of_processes():
    program = "from studio.core.process_space import process_space; print(process_space())"
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    found = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True).stdout.strip()
    assert found == process_space() and len(found) >= 12


@pytest.mark.parametrize(
    "facts",
    [
        json.dumps({"started": 2.0, "host": "another-machine.example"}),
        json.dumps({"started": 2.0, "host": platform.node(), "process_space": "of another machine"}),
        json.dumps({"started": 0.5, "host": platform.node(), "process_space": process_space()}),
        json.dumps({"started": 2.0, "session": 1, "process_space": process_space()}),
        "{",
        None,
    ],
    ids=[
        "named otherwise",
        "with other processes",
        "after a session here",
        "of another session",
        "of which nothing is readable",
        "of which nothing is known",
    ],
)
def test_an_engine_on_another_machine_is_asked_and_no_process_of_this_one_is_ended_for_it(tmp_path, start_hanging, facts):
    run = create_run(tmp_path, Experiment())
    process = start_hanging(run, leads_a_group=True)
    run.engine_path.unlink() if facts is None else run.engine_path.write_text(facts)
    assert not end_by_force(run, grace_s=0.1)
    assert process.poll() is None
    assert [c.kind for c in read_commands(run.commands_path, 0)[0]] == ["stop"]
