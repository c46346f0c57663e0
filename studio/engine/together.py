"""The processes of one computer that train a run: `python -m studio.engine.together TORCHRUN-OPTIONS -m studio.engine RUN`. With several computers
each is given the same command.

This process is torchrun. On one of the computers it holds the run's lock, and the processes there come first. When one of the processes dies or
fails, on whichever computer, all are started again and go on from the last checkpoint; for those who look, the run goes on all the while.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from studio.core.file_lock import FileLock
from studio.core.outcome import Status
from studio.core.run_folder import RunFolder
from studio.engine.main import BUSY, FAILED, FINISHED, STOPPED
from studio.engine.ranks import ELSEWHERE, HERE, JOURNAL_AT_START, LOCK_HELD


def main(arguments: Sequence[str]) -> int:
    """`arguments` end with the engine's own: the run folder, and --resume where it goes on."""
    folder = RunFolder(next(text for text in reversed(arguments) if not text.startswith("--")))
    try:
        lock = FileLock(folder.lock_path)
        is_holder = lock.acquire()
    except OSError as exc:
        print(f"The run cannot begin: {folder.path} cannot be written ({exc.strerror}).", file=sys.stderr)  # noqa: T201
        return FAILED
    if not is_holder and "--nnodes" not in arguments:
        print(f"{folder.path} is already being trained by another process.", file=sys.stderr)  # noqa: T201
        return BUSY
    os.environ[LOCK_HELD] = HERE if is_holder else ELSEWHERE
    os.environ[JOURNAL_AT_START] = str(folder.journal_size())
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"  # a start after a fault must not find what the one before has left there
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.run import main as torchrun

    try:
        torchrun(list(arguments))
    except (ChildFailedError, RendezvousError) as exc:  # failed once more than they are started again; or the other computers did not come
        print(f"{type(exc).__name__}: {exc}", file=sys.stderr)  # noqa: T201
    except SignalException:  # it has told all of them, and they have ended
        pass
    return {Status.FINISHED: FINISHED, Status.STOPPED: STOPPED}.get(folder.read_journal().status, FAILED)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
