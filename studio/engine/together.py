"""The processes of one computer that train a run: `python -m studio.engine.together TORCHRUN-OPTIONS -m studio.engine RUN`. With several computers
each is given the same command.

This process is torchrun. On one of the computers it holds the run's lock, and the processes there come first. When one of the processes dies or
fails, on whichever computer, all are started again and go on from the last checkpoint; for those who look, the run goes on all the while.

Until all computers have met there are no processes that could hear the user, so this one listens for them.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence

from studio.core import event as ev
from studio.core.file_lock import FileLock
from studio.core.journal import JournalWriter
from studio.core.outcome import Status
from studio.core.run_folder import RunFolder
from studio.engine.control import Control
from studio.engine.main import BUSY, FAILED, FINISHED, STOPPED, listens_from, options_of
from studio.engine.ranks import ELSEWHERE, HERE, JOURNAL_AT_START, LOCK_HELD

POLL_S = 0.2


def main(arguments: Sequence[str]) -> int:
    """`arguments` are torchrun's; those of the engine, which it starts as a module, come last."""
    options = options_of(arguments[arguments.index("studio.engine") + 1 :])
    folder = RunFolder(options.run)
    try:
        lock = FileLock(folder.lock_path)
        is_holder = lock.acquire()
    except OSError as exc:
        print(f"The run cannot begin: {folder.path} cannot be written ({exc.strerror}).", file=sys.stderr)  # noqa: T201
        return FAILED
    if not is_holder and "--nnodes" not in arguments:
        print(f"{folder.path} is already being trained by another process.", file=sys.stderr)  # noqa: T201
        return BUSY
    size_at_start = folder.journal_size()
    control = Control(folder.commands_path, listens_from(folder, options.resume, options.commands_from))
    os.environ[LOCK_HELD] = HERE if is_holder else ELSEWHERE
    os.environ[JOURNAL_AT_START] = str(size_at_start)
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"  # a start after a fault must not find what the one before has left there
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.run import main as torchrun

    def leave(number: int, _frame) -> None:  # as torchrun's own, which it sets when it starts processes
        raise SignalException(f"got signal {number}", signal.Signals(number))

    signal.signal(signal.SIGTERM, leave)
    try:
        with _listening(folder, control, size_at_start):
            torchrun(list(arguments))
    except (ChildFailedError, RendezvousError) as exc:  # failed once more than they are started again; or the other computers did not come
        print(f"{type(exc).__name__}: {exc}", file=sys.stderr)  # noqa: T201
    except SignalException:  # it has told all of them, and they have ended
        control.stop = control.stop or "stop"
    if control.stop and not _is_told(folder, size_at_start):
        if is_holder:
            _tell_stopped(folder, control, size_at_start, is_resumed=options.resume)
        return STOPPED
    return {Status.FINISHED: FINISHED, Status.STOPPED: STOPPED}.get(folder.read_journal().status, FAILED)


@contextlib.contextmanager
def _listening(folder: RunFolder, control: Control, size_at_start: int) -> Iterator[None]:
    """Ends torchrun when the user stops the run and none of its processes is there to hear it: it waits for the other computers, up to an hour. By a
    signal, so that torchrun ends processes that it may start at that moment."""
    import psutil

    is_over = threading.Event()

    def listen() -> None:
        while not is_over.wait(POLL_S):
            control.poll()
            if control.stop and not psutil.Process().children():
                if not _is_told(folder, size_at_start):
                    _thread.interrupt_main(signal.SIGTERM)
                return

    listener = threading.Thread(target=listen, name="commands", daemon=True)
    listener.start()
    try:
        yield
    finally:
        is_over.set()
        listener.join()


def _is_told(folder: RunFolder, size_at_start: int) -> bool:
    """Whether a process of the run has said since the start how it ended."""
    return folder.journal_size() > size_at_start and not folder.read_journal().status.is_active


def _tell_stopped(folder: RunFolder, control: Control, size_at_start: int, is_resumed: bool) -> None:
    """What an engine says that is stopped before it trains."""
    saved = folder.read_journal().checkpoints
    step = saved[-1].step if saved else 0
    with contextlib.suppress(OSError), contextlib.closing(JournalWriter(folder.journal_path)) as journal:
        if folder.journal_size() == size_at_start:
            started = {"session": journal.num_sessions, "resumed_step": step if is_resumed else None}
            journal.append(ev.RunStarted(wall_time=time.time(), pid=os.getpid(), **started))
        journal.append(ev.RunStopped(step=step, is_pause=control.stop == "release" and step > 0))
        journal.sync()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
