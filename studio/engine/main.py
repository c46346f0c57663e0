"""The engine process: first sign of life in milliseconds, then torch, then the run, then one last word. Imports no torch itself."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import faulthandler
import json
import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from studio.core import event as ev
from studio.core.device import num_cores
from studio.core.experiment import Experiment
from studio.core.file import write_atomically
from studio.core.file_lock import FileLock
from studio.core.problem import BadInput
from studio.core.process_space import process_space
from studio.core.run_folder import RunFolder
from studio.engine.ahead import ahead
from studio.engine.awake import kept_awake
from studio.engine.calibration import counts, kept, set_waiting
from studio.engine.checkpoint import checkpoint_names, find_checkpoint, take_back
from studio.engine.control import Control, StopAsked
from studio.engine.failure import KNOWN_TO_ALL, CheckpointUnreadable, DataGone, NoReadableImages, RunFolderGone, describe
from studio.engine.heap import keep_freed_memory
from studio.engine.loading import begin_loading, end_loading
from studio.engine.no_compiler import load_torch
from studio.engine.origin import package_versions
from studio.engine.ranks import JOURNAL_AT_START, LOCK_HELD, Ranks, SharedControl, Silence
from studio.engine.reporter import Reporter

if TYPE_CHECKING:
    from studio.engine.beginning import Beginning
    from studio.engine.setup import Setup
    from studio.engine.standby import Prebuilt

FINISHED, FAILED, BUSY, STOPPED, AGAIN = 0, 1, 2, 3, 4  # exit codes
AGAIN_WORDS = "All are started again and go on from the last checkpoint."
ENDED_BEFORE = "The change was not made: the run ended before it could count."
NICENESS = 5  # the window comes first
BESIDE_GPU = 4  # threads of the processor's own work while a GPU trains
_PR_SET_PDEATHSIG = 1  # of Linux's sys/prctl.h


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What the arguments of an engine say."""
    parser = argparse.ArgumentParser(prog="python -m studio.engine", description="Train a run in this process.")
    parser.add_argument("run", nargs="?", help="run folder")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument(
        "--commands-from", type=int, metavar="BYTE", help="with --resume: what was wished before was meant for an earlier session"
    )
    parser.add_argument("--standby", action="store_true", help="load everything and wait for a run on standard input")
    options = parser.parse_args(arguments)
    if not options.run and not options.standby:
        parser.error("a run folder is needed")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = options_of(arguments)
    be_a_good_neighbour()
    begin_loading()
    if options.standby:
        return wait_for_run()
    return run(RunFolder(options.run), resume=options.resume, commands_from=options.commands_from)


def be_a_good_neighbour() -> None:
    """Before torch is loaded: OpenMP threads wait for one another as was measured on this computer, and do not spin where nothing was measured
    (with one busy neighbour spinning cost a factor of 12)."""
    keep_freed_memory()
    set_waiting()
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):
            os.nice(max(0, NICENESS - os.nice(0)))


def wait_for_run() -> int:
    from studio.engine.standby import move_output_to, serve

    faulthandler.enable()
    _engine_facts()  # most of it is looked up once
    wanted = serve(sys.stdin, sys.stdout)
    if wanted is None:
        return FINISHED
    if wanted.resume and wanted.prebuilt and wanted.prebuilt.first:
        wanted.prebuilt.first.close()  # the run does not begin at its beginning
    move_output_to(wanted.folder.log_path)
    return run(wanted.folder, resume=wanted.resume, commands_from=wanted.commands_from, prebuilt=wanted.prebuilt)


def listens_from(folder: RunFolder, resume: bool, commands_from: int | None) -> int:
    """The byte of commands.jsonl on from which wishes are meant for this session."""
    return commands_from if commands_from is not None else folder.commands_size() if resume else 0


def run(folder: RunFolder, *, resume: bool = False, commands_from: int | None = None, prebuilt: Prebuilt | None = None) -> int:
    """One engine session of a run, from the lock to the exit code. `commands_from`: the size of commands.jsonl when the resume was asked for; what
    it is now, where nobody says."""
    faulthandler.enable()  # standard error is the run's log
    ranks = Ranks.from_environment()
    end_with_launcher()
    if not ranks.is_first:
        for number in (signal.SIGTERM, signal.SIGINT):  # the first process tells the others that they are to stop
            signal.signal(number, signal.SIG_IGN)
        return _exit_code(_session(folder, SharedControl(ranks, None), Silence(folder), resume, None, ranks))
    try:
        lock = FileLock(folder.lock_path)
        if LOCK_HELD not in os.environ and not lock.acquire():
            print(f"{folder.path} is already being trained by another process.", file=sys.stderr)  # noqa: T201
            return BUSY
        is_restart = folder.journal_size() > int(os.environ.get(JOURNAL_AT_START, sys.maxsize))  # written since the launcher started
        first_wish = listens_from(folder, resume, commands_from)
        resume |= is_restart  # goes on listening where the process before began to: a wish it had heard may not be fulfilled
        control = Control(folder.commands_path, first_wish, lock)
        control.catch_signals()
        reporter = Reporter(folder, control, ranks.is_alone)
        control.num_answered = reporter.num_answered
    except OSError as exc:  # without a journal there is only the log; who started the engine says that it never began
        print(f"The run cannot begin: {folder.path} cannot be written ({exc.strerror}).", file=sys.stderr)  # noqa: T201
        return FAILED
    try:
        with kept_awake():
            return _exit_code(_session(folder, control, reporter, resume, prebuilt, ranks, is_restart))
    finally:
        reporter.close()


def end_with_launcher() -> None:
    """One of several processes must not train on without the one that holds the lock. On Linux the system sees to it; elsewhere
    `SharedControl` looks."""
    if LOCK_HELD in os.environ and sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _exit_code(code: int) -> int:
    """What torchrun is told: that a process failed means to it to start all again, so only what may be tried again counts as failed."""
    return code if LOCK_HELD not in os.environ or code == AGAIN else FINISHED


def _session(
    folder: RunFolder,
    control: Control,
    reporter: Reporter | Silence,
    resume: bool,
    prebuilt: Prebuilt | None,
    ranks: Ranks | None = None,
    is_restart: bool = False,
) -> int:
    ranks, own = ranks or Ranks(), control
    experiment: Experiment | None = None
    setup: Setup | None = None
    beginning: Beginning | None = None
    try:
        if ranks.is_first:
            take_back(folder)
        pid = os.getppid() if LOCK_HELD in os.environ else os.getpid()
        started = partial(ev.RunStarted, wall_time=time.time(), pid=pid, session=reporter.num_sessions)
        try:
            checkpoint = find_checkpoint(folder) if resume and ranks.is_first else None
        except CheckpointUnreadable:
            reporter.tell(started())
            raise
        step = checkpoint.step if checkpoint else 0 if resume else None
        reporter.tell(started(resumed_step=step))
        if is_restart:
            reporter.warn("ranks-restarted", f"A process of the run ended; all {ranks.count} were started again, from step {step or 0:,}.")
        reporter.phase("loading torch")
        if ranks.is_first:
            facts = json.dumps(_engine_facts() | {"session": reporter.num_sessions}, indent=1).encode()
            try:
                reporter.with_room(
                    lambda: write_atomically(folder.engine_path, facts, is_durable=False)
                )  # of a process that a power cut ends
            except StopAsked:
                if ranks.is_alone:
                    raise  # else the others, which wait for this one, have to hear of it first
        if checkpoint:
            reporter.step = reporter.saved_step = checkpoint.step
            reporter.damaged(checkpoint.damaged, f"the run goes on from step {checkpoint.step:,}")
        if resume and ranks.is_first and checkpoint is None and (damaged := checkpoint_names(folder)):
            reporter.warn(
                "checkpoint-damaged",
                f"All checkpoints of this run are damaged ({', '.join(damaged)}); it starts again from the beginning.",
                "Check the drive.",
            )
        experiment = folder.experiment()
        ahead.begin(experiment, ranks.count)
        if not resume and ranks.is_alone:
            from studio.engine.beginning import begin

            beginning = begin(folder, experiment, prebuilt and prebuilt.first)

        torch = load_torch()
        from studio.engine.loop import train
        from studio.engine.saving import save, save_held
        from studio.engine.setup import prepare

        set_up_torch(torch, experiment, checkpoint.state.get("origin", {}).get("threads", 0) if checkpoint else 0)
        if not ranks.is_alone:
            ranks = ranks.join("cuda" if experiment.training.device != "cpu" and torch.cuda.is_available() else "cpu")
            edits, checkpoint = ranks.from_first(lambda: (reporter.earlier_edits, checkpoint))
            if ranks.is_first:
                control = SharedControl(ranks, control)
            else:
                reporter.earlier_edits = edits
        control.raise_if_stopped()
        setup = prepare(folder, experiment, control, reporter, checkpoint, prebuilt, ranks, beginning)
        with setup.loader, contextlib.closing(setup.prefix):  # features can be computed again; only a killed session leaves them
            end_loading()
            try:
                train(setup)
                refuse_left(reporter, own, control)
                return FINISHED
            except StopAsked as wish:
                path = save(setup) if wish.keep else ""
                is_pause = bool(path) and control.stop == "release"
                refuse_left(reporter, own, control)
                reporter.tell_last(ev.RunStopped(step=setup.progress.step, checkpoint=path, is_pause=is_pause))
                return STOPPED
            except (DataGone, NoReadableImages) as exc:
                with contextlib.suppress(OSError):  # the run may lie on the drive that went away
                    if isinstance(exc, NoReadableImages):
                        reporter.unreadable({setup.ids[i]: reason for i, reason in exc.refused.items()})
                    if ranks.is_alone:  # the others are in the middle of a step
                        save(setup)
                raise
            except Exception as exc:
                if not isinstance(exc, RunFolderGone) and (ranks.is_alone or isinstance(exc, KNOWN_TO_ALL)):
                    with contextlib.suppress(Exception):  # what ended the run is what counts
                        save_held(setup)
                raise
    except StopAsked:
        is_pause = control.stop == "release" and reporter.saved_step == reporter.step
        refuse_left(reporter, own, control)
        reporter.tell_last(ev.RunStopped(step=reporter.step, is_pause=is_pause))
        return STOPPED
    except BaseException as exc:  # the user must never have to look at a console: whatever it is, it becomes a sentence
        traceback.print_exc()
        failure = describe(exc, experiment)
        if ranks.may_restart and not isinstance(exc, KNOWN_TO_ALL):
            with contextlib.suppress(OSError, StopAsked):
                reporter.warn("rank-failed", f"One of {ranks.count} processes failed: {failure.sentence}", AGAIN_WORDS)
            return AGAIN
        trace = traceback.format_exc()[-20_000:] if failure.is_bug or not isinstance(exc, BadInput) else ""
        # Also where an input is bad: the device or the images may come back.
        can_resume = isinstance(exc, CheckpointUnreadable) or folder.has_checkpoint()
        if isinstance(exc, RunFolderGone):
            can_resume = reporter.saved_step > 0
        refuse_left(reporter, own, control)
        facts = {"sentence": failure.sentence, "fix": failure.fix, "is_device": failure.is_device}
        reporter.tell_last(ev.RunFailed(step=reporter.step, trace=trace, can_resume=can_resume, **facts))
        return FAILED
    finally:
        if beginning is not None:
            beginning.close()


def refuse_left(reporter: Reporter | Silence, own: Control, shared: Control) -> None:
    """Answer every change that was read before a session ends and that no step has come to make. `own`: as the reporter listens; `shared`: as all
    processes of the run do, the same where it is alone."""
    if left := shared.take_edits() + own.take_edits():
        for _ in left:
            reporter.tell_last(ev.WarningRaised(code="edit-refused", sentence=ENDED_BEFORE, fix="Make it again when the run goes on."))
        reporter.tell_last(ev.EditsAnswered(num_bytes=own.num_read))


def set_up_torch(torch, experiment: Experiment, num_threads: int = 0) -> None:
    """How torch computes. With `num_threads`, those of a run that goes on, where this computer has them; else as many as were fastest here, or
    as there are physical cores, less one for the window and the system where there are more than two; beside a GPU few, since the loaders need
    the cores. OMP_NUM_THREADS has the last word. On a GPU the same bits every time where that is asked.

    cuDNN's own trial of kernels stays off: for four formats of ResNet-50 it took over a minute on an H100.
    """
    import cv2

    has_gpu = experiment.training.device != "cpu" and torch.cuda.is_available()
    if "OMP_NUM_THREADS" not in os.environ:
        verdict = kept()
        fastest = min(verdict.count if verdict else counts()[0], BESIDE_GPU if has_gpu else num_cores())
        torch.set_num_threads(num_threads if 0 < num_threads <= num_cores() else fastest)
    torch.set_float32_matmul_precision("high")
    is_exact = experiment.training.exact and experiment.training.device != "cpu"
    if is_exact:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # asked for by cuBLAS, before its first use
    if is_exact != torch.are_deterministic_algorithms_enabled():  # the call loads the compiler, which takes seconds
        torch.use_deterministic_algorithms(is_exact)
    cv2.setNumThreads(1)


def _engine_facts() -> dict:
    return {
        "pid": os.getpid(),
        "started": time.time(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "host": platform.node(),
        "process_space": process_space(),
        "versions": package_versions(),
        "argv": sys.argv[1:],
    }
