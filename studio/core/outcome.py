"""How a run stands, as a value that can speak."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    QUEUED = "queued"  # written, never started
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"  # the engine said why
    CRASHED = "crashed"  # the engine ended without a word: concluded by the reader

    @property
    def is_active(self) -> bool:
        return self in (Status.STARTING, Status.RUNNING, Status.PAUSED)


@dataclass(frozen=True)
class Outcome:
    """The end of a run. `sentence` is plain text for people, `fix` what to do, `log_tail` the end of the engine's log."""

    status: Status
    sentence: str
    fix: str = ""
    log_tail: str = ""
    can_resume: bool = False
    can_move: bool = False  # go on on the processor, because the device is gone or broken


def describe_exit_code(code: int | None) -> str:
    """ "ended with exit code 3", "was killed (SIGKILL)"; negative codes are signals, as subprocess gives them."""
    if code is None:
        return "ended without a word"
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = {"SIGKILL": ", often because the memory ran out", "SIGSEGV": ", a fault in a library or a driver"}.get(name, "")
        return f"was ended by {name}{hint}"
    return f"ended with exit code {code}"
