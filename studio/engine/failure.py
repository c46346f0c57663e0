"""Why a run failed, in words, with what to do about it."""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass

from studio.core.experiment import Experiment
from studio.core.path_text import path_to_text, shown
from studio.core.problem import BadInput, Problem

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
CHANGED = "changed"  # said of an image that was replaced since the data set was listed: it is used all the same


class LossNotFinite(Exception):
    """The loss or its gradient became infinite or not a number at `step`; that step was not applied."""

    def __init__(self, step: int):
        super().__init__(f"loss not finite at step {step}")
        self.step = step


class OutOfMemory(Exception):
    """A step did not fit into memory and left nothing behind. The cause is what torch raised; of several processes that of those whose memory it
    was, and all of them raise this."""


class DataGone(Exception):
    """The folder with the images, `root` as the operating system names it, is not there any more, or its drive fails, with `reason`."""

    def __init__(self, root: str, reason: str = ""):
        super().__init__(root, reason)
        self.root, self.reason = root, reason

    @property
    def what(self) -> str:
        """In words, without a full stop."""
        name = shown(path_to_text(self.root))
        return f"The images in {name} cannot be read ({self.reason})" if self.reason else f"The folder {name} is not there any more"


class CheckpointUnreadable(OSError):
    """A checkpoint, or the folder with all of them, is there and cannot be read now. Always with strerror and filename."""


class RunFolderGone(Exception):
    """The folder of the run was moved or deleted: what is written now would lie where nobody looks for it."""


class DeviceGone(BadInput):
    """The device that a run was begun on is not there now. `fix` says how it goes on all the same."""

    def __init__(self, problem: Problem, fix: str):
        super().__init__(problem)
        self.fix = fix


class NoReadableImages(Exception):
    """Not one image of `part` ("training", "validation", "test") can be read any more."""

    def __init__(self, part: str):
        super().__init__(part)
        self.part = part
        self.refused: dict[int, str] = {}  # as of a batch: files found unreadable on the way to it


KNOWN_TO_ALL = (BadInput, LossNotFinite, OutOfMemory, RunFolderGone)  # faults that all processes of a run meet together


@dataclass(frozen=True)
class Failure:
    sentence: str
    fix: str = ""
    is_bug: bool = False  # the trace is worth showing
    is_device: bool = False  # another device may go on


def describe(exc: BaseException, experiment: Experiment | None) -> Failure:
    """The failure behind an exception. `experiment` gives the numbers to change; None when it could not be read."""
    name, text = type(exc).__name__, str(exc)
    if isinstance(exc, DeviceGone):
        return Failure(exc.problems[0].sentence, exc.fix, is_device=True)
    if isinstance(exc, BadInput):
        return Failure(" ".join(p.sentence for p in exc.problems))
    if isinstance(exc, CheckpointUnreadable):
        return Failure(
            f"{shown(path_to_text(exc.filename))} cannot be read now ({exc.strerror}).",
            "Check the drive and its permissions, then resume: nothing of the run is lost. Where a checkpoint stays so, move its folder away; the "
            "run then goes on from the one before.",
        )
    if isinstance(exc, OutOfMemory):
        return _out_of_memory(str(exc.__cause__ or ""), experiment)
    if isinstance(exc, LossNotFinite):
        return Failure(f"The loss stopped being a number at step {exc.step + 1:,}; that step was not applied.", _calmer(experiment))
    if (
        isinstance(exc, MemoryError)
        or name == "OutOfMemoryError"
        or re.search(r"out of memory|can't allocate memory|not enough memory", text)
    ):
        return _out_of_memory(text, experiment)
    if isinstance(exc, RunFolderGone):
        return Failure(
            "The folder of this run was moved or deleted while it trained.", "Resume it where it lies now, or bring its drive back."
        )
    if isinstance(exc, DataGone):
        return Failure(f"{exc.what}.", "Check the drive or the network, then resume." if exc.reason else "Bring it back, then resume.")
    if isinstance(exc, NoReadableImages):
        return Failure(f"Not one {exc.part} image can be read any more.", "Check that the folder or drive is still there, then resume.")
    if name == "WorkerDied":
        return Failure(
            "A process that loads images ended by itself, most often because the memory ran out.",
            "Resume with fewer loader workers or a smaller batch.",
        )
    if re.search(r"driver version is insufficient|driver on your system is too old|no kernel image is available", text):
        return Failure(
            "The GPU's driver and the installed torch do not fit together.",
            "Update the driver, or run `studio doctor` for the torch that fits. The device cpu works meanwhile.",
            is_device=True,
        )
    if re.search(
        r"no CUDA-capable device|No CUDA GPUs|device.*(?:lost|not available|unavailable)|fallen off the bus|unknown error", text
    ) and ("CUDA" in text or "GPU" in text):
        return Failure(
            "The GPU is not there any more.",
            "Resume when it is back, after a restart of the computer if need be. Its checkpoints are whole.",
            is_device=True,
        )
    if "CUDA error" in text or "device-side assert" in text or name == "AcceleratorError":
        return Failure(
            "The GPU reported an error and cannot go on.",
            "Resume. If it happens again, restart the computer or update the driver.",
            is_device=True,
        )
    if found := re.search(r"(\S+) does not have a deterministic implementation", text):
        return Failure(
            f"This network uses an operation that has no exact form on a GPU ({found[1]}).",
            "Turn “Exact on a GPU” off, or train on the CPU.",
        )
    if re.search(r"gloo/|NCCL|Connection (?:reset|closed) by peer", text):
        return Failure("Another process of this run ended, or cannot be reached.", "Resume. Its part of the log says why.")
    if isinstance(exc, OSError) and exc.filename is not None:
        name = shown(path_to_text(str(exc.filename)))
        return Failure(f"{name} cannot be used: {exc.strerror}.", "Check the drive and its permissions, then resume.")
    return Failure(
        f"Training stopped by an unexpected error: {name}: {_first_line(text)}", "Details has the trace for a report.", is_bug=True
    )


def _out_of_memory(text: str, experiment: Experiment | None) -> Failure:
    asked = re.search(r"(?:allocate|tried to allocate) ([\d.]+ ?[KMGT]?i?B|\d+ bytes)", text)
    size = experiment.training.batch_size if experiment else 0
    words = f"Batch size {size} does not fit into memory" if size else "The memory ran out"
    words += f" ({asked[1]} more were needed)." if asked else "."
    return Failure(words, f"Try {size // 2}." if size > 1 else "Choose a smaller backbone or input size.")


def _calmer(experiment: Experiment | None) -> str:
    if experiment is None:
        return "Lower the learning rate."
    fix = f"Lower the peak learning rate, for example to {experiment.schedule.peak_lr / 5:.1g}"
    return f"{fix}, or clip gradients at 1." if experiment.optimiser.clip_norm == 0 else f"{fix}."


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[0][:300]
