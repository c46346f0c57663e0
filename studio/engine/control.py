"""What the user wants of a running engine: commands from the run folder and signals, looked at between two steps."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any, Literal

from studio.core.file_lock import FileLock
from studio.core.run_folder import read_commands
from studio.engine.failure import RunFolderGone


class StopAsked(Exception):
    """Leave the loop. `keep` says whether a checkpoint is wanted first."""

    def __init__(self, keep: bool = True):
        super().__init__()
        self.keep = keep


class Control:
    """Wishes, in the order they were made, from a byte of their file on: what stands before it was meant for an earlier session. `lock`: that of
    the run, held by this process or its launcher."""

    def __init__(self, path: Path, commands_from: int = 0, lock: FileLock | None = None):
        self._path, self._lock = path, lock
        self.num_read = commands_from  # bytes of the file
        self.num_answered = 0  # bytes in which an earlier process of this session has answered all edits
        self.is_paused = False
        self.is_save_wanted = False
        self.stops_after_epoch = False
        self.stop: Literal["", "stop", "discard", "release"] = ""  # release: a pause for which the engine ends
        self.edits: list[dict[str, Any]] = []  # settings that are to change at the next step, not looked at yet

    def catch_signals(self) -> None:
        """From now on SIGTERM and SIGINT mean: save a checkpoint and stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, *_) -> None:
        self.stop = self.stop or "stop"

    def poll(self) -> None:
        """Read new commands. Costs microseconds when there are none. Raises RunFolderGone where none can come any more."""
        if self._lock and not self._lock.is_in_place():
            raise RunFolderGone
        try:
            if self._path.stat().st_size <= self.num_read:
                return
            commands, self.num_read = read_commands(self._path, self.num_read)
        except OSError:
            return
        for command in commands:
            match command.kind:
                case "pause":
                    self.is_paused = True
                case "resume":
                    self.is_paused = self.stops_after_epoch = False
                case "edit":
                    if command.end > self.num_answered:
                        self.edits.append(command.values)
                case "save":
                    self.is_save_wanted = True
                case "stop_after_epoch":
                    self.stops_after_epoch = True
                case "stop" | "discard" | "release":
                    self.stop = command.kind

    def take_edits(self) -> list[dict[str, Any]]:
        """The changes that wait, in the order in which they were asked for; each is given once."""
        taken, self.edits = self.edits, []
        return taken

    def raise_if_stopped(self) -> None:
        """Poll; raises StopAsked when the run is to end."""
        self.poll()
        self.obey_stop()

    def obey_stop(self) -> None:
        """Raises StopAsked where the last look has found that the run is to end."""
        if self.stop:
            raise StopAsked(keep=self.stop != "discard")
