"""Several processes of this computer that train one run: `python -m studio.engine.together TORCHRUN-OPTIONS -m studio.engine RUN`.

This process is torchrun and holds the run's lock. When one of the processes dies or fails, all are started again and go on from the last
checkpoint; for those who look, the run goes on all the while.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from studio.core.outcome import Status
from studio.core.run_folder import EngineLock, RunFolder
from studio.engine.main import BUSY, FAILED, FINISHED, STOPPED
from studio.engine.ranks import LOCK_HELD


def main(arguments: Sequence[str]) -> int:
    """`arguments` end with the engine's own: the run folder, and --resume where it goes on."""
    folder = RunFolder(next(text for text in reversed(arguments) if not text.startswith("--")))
    lock = EngineLock(folder.lock_path)
    if not lock.acquire():
        print(f"{folder.path} is already being trained by another process.", file=sys.stderr)  # noqa: T201
        return BUSY
    os.environ[LOCK_HELD] = "1"
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    try:
        torchrun(list(arguments))
    except ChildFailedError as exc:  # a process failed once more than they are started again
        print(exc, file=sys.stderr)  # noqa: T201
        return FAILED
    except SignalException:  # it has told all of them, and they have ended
        pass
    return {Status.FINISHED: FINISHED, Status.STOPPED: STOPPED}.get(folder.read_journal().status, FAILED)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
