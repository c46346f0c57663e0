"""One run as the window knows it, from the moment it is asked for to its place in a list of thousands."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from studio.core.edit import Edit, edited
from studio.core.experiment import Experiment
from studio.core.fold import RunState
from studio.core.outcome import Outcome, Status
from studio.core.problem import BadInput
from studio.core.run_digest import RunDigest, RunSummary, summarise
from studio.core.run_folder import RunFolder
from studio.core.run_index import unpacked

STOP_ANSWER_S = 10.0
UNREADABLE = "Unreadable"
_NO_WISHES: Mapping[str, Any] = MappingProxyType({})


class RunEntry:
    """One run. The object stays the same while the window is open; `state` is replaced as the run goes on.

    Of runs that are over and that nobody looks at only the digest is held: `summary` costs nothing, `experiment` and `state` are unpacked when
    they are asked for, and the state has its curves once `RunList.read_whole` was called.
    """

    __slots__ = (
        "folder", "number", "is_alive", "is_launching", "exit_code", "stop_asked_at", "wishes", "standing", "_experiment", "_digest", "_state", "_summary",
    )  # fmt: skip

    def __init__(
        self, folder: RunFolder, number: int, experiment: Experiment | None = None, state: RunState | None = None,
        digest: RunDigest | None = None, *, is_launching: bool = False,
    ):  # fmt: skip
        self.folder, self.number = folder, number
        self.is_alive = False
        self.is_launching = is_launching  # asked for; no word from the engine yet
        self.exit_code: int | None = None
        self.stop_asked_at: float | None = None  # time.monotonic(); None when no stop is under way
        self.wishes: Mapping[str, Any] = _NO_WISHES  # settings asked for in flight that the run has not answered yet
        self._experiment, self._digest = experiment, digest
        self._state = state if digest is not None else state or RunState()
        self._summary: RunSummary | None = None
        self.standing: tuple | None = None  # what answers over all runs rest on; see RunList

    @property
    def experiment(self) -> Experiment:
        if self._experiment is None:
            try:
                self._experiment = self._unpacked().experiment() if self._digest is not None else self.folder.experiment()
            except (BadInput, ValueError, OSError):  # of another version, or damaged
                self._experiment = _experiment_of(self.folder)
        return self._experiment

    def move_to(self, device: str) -> None:
        """Let the run go on on another device. Raises BadInput, OSError."""
        self._experiment = self.folder.move_to(device)
        self.state = self.state  # what was counted with the old device is counted again

    @property
    def state(self) -> RunState:
        if self._state is None:
            try:
                self._state = self._unpacked().state()
            except (BadInput, ValueError, OSError):
                self._state = RunState(status=self._digest.summary.status, is_whole=False)
        return self._state

    @state.setter
    def state(self, state: RunState) -> None:
        self._state, self._digest, self._summary = state, None, None

    def _unpacked(self) -> RunDigest:
        self._digest = unpacked(self.folder, self._digest)
        return self._digest

    @property
    def summary(self) -> RunSummary:
        """What stands in a list."""
        if self._summary is None:
            self._summary = self._digest.summary if self._digest is not None else summarise(self.experiment, self.state)
        return self._summary

    @property
    def is_whole(self) -> bool:
        """Whether the state has its curves over steps."""
        return self._state is not None and self._state.is_whole

    def take(self, state: RunState | None, digest: RunDigest | None) -> None:
        """What the monitor found; at least one of the two."""
        self._state, self._digest, self._summary = state, digest, None

    def let_go(self) -> None:
        """Hold the digest alone."""
        if self._digest is not None:
            self._state = None

    @property
    def name(self) -> str:
        """ "run 4"."""
        return f"run {self.number}"

    @property
    def title(self) -> str:
        """ "Run 4 · calm-otter"."""
        return f"Run {self.number} · {self.folder.nickname}"

    @property
    def status(self) -> Status:
        return Status.STARTING if self.is_launching else self.summary.status

    def answer(self, before: RunState) -> str:
        """What became of `wishes`, in a sentence: they count, were refused, or came too late; empty while that is not known. `before` is the
        state before the last one."""
        state = self.state
        told = [n.sentence for n in state.notices if n.kind == "edit"] if len(state.edits) > len(before.edits) else []
        refused = [w.sentence for w in state.warnings if w.code == "edit-refused" and w not in before.warnings]
        if told or refused or not self.is_active:
            self.wishes = _NO_WISHES
            return (refused or told or ["it ended before the change could count."])[-1]
        return ""

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The changes in flight that the run has taken, as `core.edit` counts them."""
        try:
            return edited(self.experiment, self.state.edits)
        except BadInput:  # of a newer version, with settings that are not known here
            return ()

    @property
    def in_force(self) -> Experiment:
        """The experiment with all changes that were made in flight."""
        edits = self.edits
        return edits[-1].experiment if edits else self.experiment

    @property
    def is_active(self) -> bool:
        return self.is_launching or self.summary.status.is_active

    @property
    def awaits_machines(self) -> bool:
        """Whether its engine waits for other machines to join, or is about to: it says no word before all are there."""
        is_silent = self.is_launching or (self.is_alive and self.summary.status is Status.QUEUED)
        return is_silent and self.experiment.training.machines > 1

    @property
    def is_deaf(self) -> bool:
        """Whether it was asked to stop and still goes on, so that only force is left."""
        return self.is_active and self.stop_asked_at is not None and time.monotonic() - self.stop_asked_at >= STOP_ANSWER_S

    @property
    def outcome(self) -> Outcome | None:
        """How it ended, in words; None while active or queued. Reads the end of the log of a crashed run."""
        return None if self.is_active else self.folder.outcome(self.state, self.exit_code)


def _experiment_of(folder: RunFolder) -> Experiment:
    try:
        return folder.experiment()
    except BadInput:
        return Experiment(name=UNREADABLE)
