"""Several processes give the run that one gives: the same weights, the same figures, one journal."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass

import numpy as np
import psutil
import pytest
import torch
from engine_runs import (
    NUM_VALIDATION,
    STEPS_PER_EPOCH,
    fork_two,
    free_port,
    held_at_step,
    metrics,
    of_kind,
    small_run,
    start_beside,
    train_here,
    wait_until,
)
from safetensors.torch import load_file

from studio.core import event as ev
from studio.core.file_lock import is_locked
from studio.core.outcome import Status
from studio.core.run_folder import RunFolder
from studio.engine.checkpoint import find_checkpoint
from studio.engine.evaluate import Answers, joined
from studio.engine.feature_cache import CacheSize, FeatureCache
from studio.engine.loader import Request
from studio.engine.main import STOPPED
from studio.engine.plan import training_requests
from studio.engine.ranks import ELSEWHERE, HERE, LOCK_HELD, Ranks
from studio.engine.shared_cache import keep_together, open_together
from studio.supervise.engine import command_elsewhere, launcher_of, start_engine

pytestmark = pytest.mark.usefixtures("measured")

STILL = {  # nothing looks at a batch as a whole: no batch norm, no dropout; the last batch has 2 images
    "model__backbone": "test_convnext", "model__train_stages": -1, "augment__preset": "none", "model__dropout": 0.0, "optimiser__kind": "sgd", "schedule__epochs": 3,
    "training__feature_cache": "off",
}  # fmt: skip


def weights(folder):
    return load_file(find_checkpoint(folder, "last").path / "model.safetensors")


def test_two_processes_with_a_feature_cache_give_the_weights_and_figures_of_one_without_and_resume(tmp_path):
    head = STILL | {"model__train_stages": 1, "model__input_size": 64}
    alone = small_run(tmp_path / "a", **head)
    together = small_run(tmp_path / "b", **head | {"training__processes": 2, "training__feature_cache": "exact"})
    assert train_here(alone) == 0
    process = start_engine(together)
    wait_until(lambda: of_kind(together, ev.EpochFinished) or process.poll() is not None)
    trainers = psutil.Process(process.pid).children()
    os.kill(process.pid, signal.SIGTERM)  # as when the system shuts down
    assert process.wait(240) == STOPPED or of_kind(together, ev.RunFinished), together.log_path.read_text()[-2000:]
    assert not any(child.is_running() for child in trainers)
    for stopped in of_kind(together, ev.RunStopped):
        assert stopped.checkpoint and find_checkpoint(together, "last").step == stopped.step > 0
    if not of_kind(together, ev.RunFinished):  # one process goes on with what two have begun
        assert train_here(together, resume=True) == 0
    filled = [event for event in of_kind(together, ev.PhaseStarted) if event.phase == "caching features"]
    resumed = of_kind(together, ev.RunStarted)[-1].seq if of_kind(together, ev.RunStopped) else filled[-1].seq + 1
    assert [f.detail for f in filled if f.seq > resumed] == ["42 images, 0.1 MB, 42 of 42 from earlier"] * sum(
        f.seq > resumed for f in filled
    )
    assert filled[0].detail == "42 images, 0.1 MB"
    assert not list(together.path.glob("cache*"))
    ours, theirs = weights(together), weights(alone)
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-4, atol=1e-6)
    for a, b in zip(of_kind(alone, ev.EpochFinished), of_kind(together, ev.EpochFinished), strict=True):
        assert (a.validation_top1, a.train_top1, a.class_recalls) == (b.validation_top1, b.train_top1, b.class_recalls)
        assert b.validation_loss == pytest.approx(a.validation_loss, rel=1e-4) and b.train_loss == pytest.approx(a.train_loss, rel=1e-4)
    assert metrics(together)["best_epoch"] == metrics(alone)["best_epoch"]


# Of an engine that is started as any other: it waits before a step until a file is there.
HOLDING = """
import importlib.machinery, os, sys, time
class Holding:
    def find_spec(self, name, path=None, target=None):
        if name != "studio.engine.loop":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module
        def exec_module(loop):
            execute(loop)
            step = loop.train_step
            def held(s, batches):
                while s.progress.step == {step} and not os.path.exists({until!r}):
                    time.sleep(0.01)
                return step(s, batches)
            loop.train_step = held
        spec.loader.exec_module = exec_module
        return spec
sys.meta_path.insert(0, Holding())
"""


def test_when_a_process_on_one_of_two_machines_is_killed_all_start_again_by_themselves_and_the_weights_are_those_of_an_undisturbed_run(
    tmp_path, monkeypatch
):
    alone = small_run(tmp_path / "a", **STILL)
    together = small_run(tmp_path / "b", **STILL, training__machines=2, training__rendezvous=f"127.0.0.1:{free_port()}")
    assert train_here(alone) == 0
    killed = tmp_path / "killed"
    (tmp_path / "sitecustomize.py").write_text(HOLDING.format(step=STEPS_PER_EPOCH + 1, until=str(killed)))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")])))
    process = start_engine(together)  # holds the run, whoever of the two comes first
    wait_until(lambda: is_locked(together.lock_path) or process.poll() is not None)
    elsewhere = start_as_told(together)
    ends = [process, elsewhere]
    wait_until(lambda: of_kind(together, ev.CheckpointSaved) or any(p.poll() is not None for p in ends))
    (trainer,) = (child for child in psutil.Process(elsewhere.pid).children() if "LOCAL_RANK" in child.environ())
    trainer.kill()
    killed.touch()
    assert [p.wait(240) for p in ends] == [0, 0], together.log_path.read_text()[-3000:]
    assert not of_kind(together, ev.RunFailed) and len(of_kind(together, ev.RunStarted)) == 2
    (warning,) = (w for w in of_kind(together, ev.WarningRaised) if w.code == "ranks-restarted")
    assert "started again" in warning.sentence and of_kind(together, ev.RunStarted)[1].resumed_step > 0
    for name, tensor in weights(alone).items():
        torch.testing.assert_close(weights(together)[name], tensor, rtol=1e-4, atol=1e-6)
    assert metrics(together)["best_epoch"] == metrics(alone)["best_epoch"]


def test_a_stop_is_heard_while_a_run_waits_for_another_machine(tmp_path):
    folder = small_run(tmp_path, **STILL, training__machines=2, training__rendezvous=f"127.0.0.1:{free_port()}")
    process = start_engine(folder)
    folder.command("stop")
    assert process.wait(60) == STOPPED, folder.log_tail()
    state = folder.read_state()
    assert state.status is Status.STOPPED and folder.outcome(state).sentence == "Stopped at step 0"


FULL = """
import studio.core.event as ev, studio.core.journal as j, studio.engine.checkpoint as checkpoint, studio.engine.scoring as scoring
def full(*_):
    raise OSError(28, "No space left on device")
real = j.JournalWriter.append
def append(self, event):
    return full() if is_full(event) else real(self, event)
"""
WHERE_THE_FIRST_WAITS = {
    "before they have met": FULL
    + "is_full = lambda event: getattr(event, 'phase', '') == 'loading torch'; j.JournalWriter.append = append",
    "in the journal": FULL + "is_full = lambda event: getattr(event, 'first_step', 0) > 3; j.JournalWriter.append = append",
    "for a checkpoint": FULL + "checkpoint._synced_size = full",
    "for results": FULL + "scoring.write_results = full",
    "for the list of images": """
import time, studio.engine.setup as setup
def scan(data, is_cancelled):
    while not is_cancelled():
        time.sleep(0.05)
    raise setup.Cancelled
setup.scan = scan
""",
}


LAUNCHED = {LOCK_HELD: HERE, "TORCHELASTIC_MAX_RESTARTS": 3}  # by a launcher that starts them again


@pytest.mark.parametrize("where", WHERE_THE_FIRST_WAITS)
def test_a_stop_while_the_first_process_waits_ends_all_of_them_and_none_asks_to_be_started_again(tmp_path, where):
    folder = small_run(tmp_path, **STILL)
    if where == "for the list of images":
        folder.dataset_path.unlink()
    processes = fork_two(folder, WHERE_THE_FIRST_WAITS[where], **LAUNCHED)
    wait_until(lambda: folder.read_journal().phase in ("waiting for disk", "scanning images"))
    folder.command("stop")
    assert [process.wait(60) for process in processes] == [0, 0], folder.log_tail()
    assert folder.read_journal().status is Status.STOPPED


def test_a_run_of_several_processes_whose_folder_is_moved_ends_in_words_and_none_asks_to_be_started_again(tmp_path):
    folder, moved = small_run(tmp_path, **STILL), tmp_path / "elsewhere"
    code = held_at_step(STEPS_PER_EPOCH + 2, tmp_path / "reached", f"__import__('os').path.isdir({str(moved)!r})")
    processes = fork_two(folder, code, **LAUNCHED)
    wait_until((tmp_path / "reached").exists)
    folder.path.rename(moved)
    assert [process.wait(60) for process in processes] == [0, 0]
    assert not folder.path.exists()
    state = RunFolder(moved).read_journal()
    assert state.status is Status.FAILED and state.failed.can_resume
    assert state.failed.sentence == "The folder of this run was moved or deleted while it trained."


def start_as_told(folder) -> subprocess.Popen:
    """As a person does on the other machine: the line that the first one gives out."""
    program, *arguments = shlex.split(command_elsewhere(folder))
    assert program == "python"
    with open(folder.path.parent / "elsewhere.log", "wb") as log:
        return start_beside([sys.executable, *arguments], log)


def test_each_image_of_a_batch_goes_to_one_process_with_its_own_seed():
    whole = list(training_requests(0, 1, 42, 8))
    shares = [list(Ranks(rank, 3).share(whole)) for rank in range(3)]
    for request, *mine in zip(whole, *shares, strict=True):
        pairs = {pair for r in mine for pair in zip(r.indices, r.seeds, strict=True)}
        assert pairs == set(zip(request.indices, request.seeds, strict=True))
        assert sum(len(r.indices) for r in mine) == len(request.indices)
    assert list(Ranks(2, 3).share([Request((5, 6))])) == [Request(())]  # nothing is seen twice to fill up


def test_no_process_gets_a_single_image_where_batch_norm_trains():
    for size in range(2, 20):
        shares = [list(Ranks(rank, 3).share([Request(tuple(range(size)))], least=2))[0].indices for rank in range(3)]
        assert sorted(i for share in shares for i in share) == list(range(size)) and all(len(share) != 1 for share in shares)


@dataclass(frozen=True)
class Threads(Ranks):
    """Processes of a run as threads of this one: they hand one another what `gather` sends."""

    barrier: threading.Barrier | None = None
    box: dict | None = None

    def gather(self, value):
        self.box[self.rank] = value
        self.barrier.wait(60)
        found = [self.box[rank] for rank in range(self.count)]
        self.barrier.wait(60)
        return found


def in_threads(work, count: int, local_count: int) -> list:
    shared, found = {"barrier": threading.Barrier(count), "box": {}}, {}
    all_ranks = [Threads(rank, count, rank % local_count, local_count, **shared) for rank in range(count)]
    threads = [threading.Thread(target=lambda ranks=ranks: found.update({ranks.rank: work(ranks)})) for ranks in all_ranks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [found[rank] for rank in range(count)]


def test_computers_send_each_other_the_features_they_have_run_and_those_of_a_computer_share_a_file(tmp_path):
    size, names, rows = CacheSize(1, 8, (3,), torch.float32), [bytes([i + 1]) * 16 for i in range(8)], torch.arange(24.0).reshape(8, 3)

    def work(ranks):
        cache = open_together(ranks, lambda: FeatureCache(tmp_path / str(ranks.first_here), size, names))
        mine = np.arange(8)[ranks.rank :: 4] if ranks.rank else np.empty(0, np.int64)  # the first has none in this round
        keep_together(ranks, cache, 0, mine, mine, np.ones(len(mine), bool), rows[mine] if len(mine) else None)
        ranks.gather(None)
        features, shown = cache.get(0, np.array([i for i in range(8) if i % 4]))
        is_all = cache.has_all(0, np.arange(8))
        cache.save()
        ranks.gather(None)
        cache.close()
        return features.clone(), shown.tolist(), is_all

    for features, shown, is_all in in_threads(work, 4, 2):
        assert shown == [1, 2, 3, 5, 6, 7] and not is_all and torch.equal(features, rows[shown])
    for computer in "02":
        later = FeatureCache(tmp_path / computer, size, names)
        assert later.num_found == 6
        later.close()


def test_a_picture_that_was_replaced_never_takes_the_row_that_another_process_computes_by_the_same_content(tmp_path):
    size, name, kept = CacheSize(1, 2, (1,), torch.float32), b"n" * 16, {}

    def work(ranks):
        kept[ranks.rank] = cache = open_together(ranks, lambda: FeatureCache(tmp_path, size, [name, name]))
        if ranks.rank == 1:
            wait_until(lambda: 0 in kept and kept[0].get(0, np.array([0]))[0] == 1, 20)
        mine = np.array([ranks.rank])
        keep_together(ranks, cache, 0, mine, mine, mine == 0, torch.ones(1, 1) + ranks.rank)
        cache.save()
        ranks.gather(None)
        cache.close()

    in_threads(work, 2, 2)
    later = FeatureCache(tmp_path, size, [name, name])
    assert later.get(0, np.array([0, 1]))[0].tolist() == [[1], [1]]
    later.close()


def test_where_one_computer_has_no_room_none_reads_features(tmp_path):
    def make(ranks):
        return FeatureCache(tmp_path / str(ranks.rank), CacheSize(1, 1, (3,), torch.float32), [bytes(16)]) if ranks.rank == 0 else None

    assert in_threads(lambda ranks: open_together(ranks, lambda: make(ranks)), 2, 1) == [None, None]
    FeatureCache(tmp_path / "0", CacheSize(1, 1, (3,), torch.float32), [bytes(16)]).close()  # nobody holds it


def test_the_machine_that_holds_the_run_comes_first_whatever_torchrun_says(monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "4", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2", LOCK_HELD: ELSEWHERE}.items():
        monkeypatch.setenv(name, value)
    assert not Ranks.from_environment().is_first
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv(LOCK_HELD, HERE)
    ranks = Ranks.from_environment()
    assert ranks.is_first and list(ranks.firsts) == [0, 2] and ranks.is_here(1) and not ranks.is_here(2)


def test_answers_of_several_processes_come_in_the_order_of_the_images():
    def part(indices):
        n = np.array(indices, np.int64)
        return Answers(n, n % 3, np.repeat(n[:, None], 3, 1).astype(np.float32), n.astype(np.float32))

    empty = Answers(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 0), np.float32), np.empty(0, np.float32))
    got = joined([part([0, 2, 4]), part([1, 3]), empty])
    assert got.indices_N.tolist() == [0, 1, 2, 3, 4] and got.losses_N.tolist() == [0, 1, 2, 3, 4]
    assert NUM_VALIDATION and len(joined([empty]).labels_N) == 0


def test_several_machines_meet_where_they_are_told(tmp_path):
    folder = small_run(tmp_path, training__processes=4, training__machines=2, training__rendezvous="big.example:29500")
    line = " ".join(launcher_of(folder))
    assert "--nnodes 2" in line and "--rdzv-endpoint big.example:29500" in line and line.endswith("--nproc-per-node 4")
