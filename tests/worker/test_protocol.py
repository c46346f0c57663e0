"""The line between the window and its helpers."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time

import pytest

from studio.supervise.log import log_path
from studio.supervise.worker import Worker
from tests.worker.conftest import Asker


def wait_until(condition, timeout_s=60.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_a_call_is_answered(toy):
    assert toy.ask("echo", value="grün")["value"] == "grün"


def test_the_newest_request_of_a_method_wins_and_the_older_one_is_never_heard_of_again(toy):
    toy.ask("echo", value=0)
    _, first = toy.start("slow", value=1, held=True)
    wait_until(lambda: toy.progress)
    _, second = toy.start("slow", value=2)
    _, third = toy.start("slow", value=3, steps=2)
    toy.ask("let_go")
    assert third.get(timeout=60) == ("result", {"value": 3})
    assert toy.ask("seen")["values"] == [1, 3], "the one in the middle was never begun"
    with pytest.raises(queue.Empty):
        first.get(timeout=0.05)
    with pytest.raises(queue.Empty):
        second.get(timeout=0.05)


def test_requests_with_keys_of_their_own_do_not_replace_each_other(toy):
    _, first = toy.start("slow", value=1, steps=2, key="a")
    _, second = toy.start("slow", value=2, steps=2, key="b")
    assert first.get(timeout=60) == ("result", {"value": 1})
    assert second.get(timeout=60) == ("result", {"value": 2})


def test_a_cancelled_request_stops_working_and_stays_silent(toy):
    number, answers = toy.start("slow", value=1, steps=100_000)
    wait_until(lambda: toy.progress)
    toy.worker.cancel(number)
    _, after = toy.start("slow", value=2, steps=1, key="other")
    assert after.get(timeout=60) == ("result", {"value": 2}), "the lane is free again"
    assert answers.empty()


def test_a_quick_request_does_not_wait_behind_a_long_one(toy):
    toy.start("slow", value=1, held=True)
    assert toy.ask("echo", value=7)["value"] == 7


def test_progress_arrives_with_its_words(toy):
    toy.ask("slow", value=1, steps=5)
    assert toy.progress[0] == (0, 5, "counting")


def test_bad_input_comes_back_as_its_sentence(toy):
    error = toy.fail("bad")
    assert (error.sentence, error.trace) == ("The folder is empty.", "")


def test_an_unforeseen_failure_comes_back_with_its_trace_and_the_worker_lives_on(toy):
    error = toy.fail("broken")
    assert "division by zero" in error.sentence
    assert "ZeroDivisionError" in error.trace
    assert toy.ask("echo", value=1)["value"] == 1


def test_an_unknown_method_is_an_error(toy):
    assert "no method" in toy.fail("nonsense").sentence


def test_a_picture_comes_with_the_result_that_names_it(toy):
    image = toy.ask("picture")["image"]
    assert image == {"width": 4, "height": 2, "content": bytes(range(24))}


def test_pictures_that_nobody_waits_for_any_more_do_not_disturb_the_answers_after_them(toy):
    number, answers = toy.start("pictures", count=100_000)
    wait_until(lambda: toy.progress)
    toy.worker.cancel(number)
    assert toy.ask("picture")["image"]["content"] == bytes(range(24))
    assert answers.empty()


def test_a_killed_worker_is_started_again_by_the_next_call(toy):
    pid = toy.ask("echo", value=1)["pid"]
    os.kill(pid, 9)
    answer = toy.ask("echo", value=2)
    assert answer["value"] == 2 and answer["pid"] != pid


def test_a_request_in_the_air_when_the_worker_dies_is_sent_again(toy, tmp_path):
    assert toy.ask("die_once", marker=str(tmp_path / "died"))["value"] == "second life"


def test_a_request_that_is_sent_again_before_the_death_of_the_first_worker_is_dealt_with_is_not_given_up(toy, tmp_path):
    """As on a computer that lets the thread that buries a worker rest for a while."""
    worker, lock = toy.worker, toy.worker._lock

    class Slow:
        def __enter__(self):
            lock.acquire()

        def __exit__(self, *_):
            lock.release()
            if threading.current_thread().name == "probe-reader":
                wait_until(lambda: not worker._num_posted)  # all is sent

    worker._lock = Slow()
    assert toy.ask("die_once", marker=str(tmp_path / "died"))["value"] == "second life"
    worker._lock = lock


def test_a_request_that_kills_the_worker_twice_fails_with_a_sentence(toy):
    error = toy.fail("die")
    assert "SIGKILL" in error.sentence and "worker-probe.log" in error.fix


def test_a_program_that_cannot_start_is_an_error_and_not_an_exception():
    worker = Worker("probe", ["/nonexistent/python"])
    answers = queue.SimpleQueue()
    worker.call("echo", {}, answers.put, answers.put)
    assert "could not be started" in answers.get(timeout=60).sentence
    worker.close(5)


def test_closing_ends_the_process(toy):
    pid = toy.ask("echo", value=1)["pid"]
    toy.worker.close(5)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"))
    with pytest.raises(RuntimeError):
        toy.worker.call("echo", {"value": 1}, print, print)


def test_closing_does_not_wait(toy):
    toy.start("slow", value=1, held=True)
    wait_until(lambda: toy.progress)
    with toy.worker._process.pipe_lock:  # nobody can end the process meanwhile: who waited for that would wait for ever
        toy.worker.close()


def test_the_log_is_kept_in_the_state_folder(toy, studio_home):
    toy.ask("echo", value=1)
    assert log_path("worker-probe").is_file() and studio_home in log_path("worker-probe").parents


def test_two_processes_of_a_kind_write_one_log(toy):
    toy.ask("say", words="first")
    second = Asker(Worker("probe", toy.worker._command))
    try:
        second.ask("say", words="second")
        toy.ask("say", words="third")
    finally:
        second.worker.close(5)
    assert log_path("worker-probe").read_text().split() == ["first", "second", "third"]


@pytest.mark.skipif(os.name == "nt", reason="a process cannot be halted there")
def test_requests_to_a_worker_that_does_not_read_do_not_wait_and_arrive_whole_and_in_order(toy):
    pid = toy.ask("echo", value=0)["pid"]
    words = "x" * 300_000  # eight of them are more than a pipe holds
    os.kill(pid, signal.SIGSTOP)
    try:
        asked = [toy.start("echo", value=f"{i}{words}", key=str(i))[1] for i in range(8)]
    finally:
        os.kill(pid, signal.SIGCONT)
    for i, answers in enumerate(asked):
        assert answers.get(timeout=60) == ("result", {"value": f"{i}{words}", "pid": pid})
