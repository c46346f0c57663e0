"""A run is a folder. Creating, finding, commanding and judging one; see the architecture page for the files in it."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import time
from collections.abc import Container
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from studio.core.experiment import Experiment
from studio.core.experiment_file import experiment_to_toml, read_experiment
from studio.core.file import write_atomically
from studio.core.file_lock import is_locked
from studio.core.fold import RunState, fold
from studio.core.journal import JournalReader, ends_torn
from studio.core.json_text import parse_json
from studio.core.outcome import Outcome, Status, describe_exit_code
from studio.core.problem import BadInput

CommandKind = Literal["pause", "resume", "stop", "stop_after_epoch", "discard", "release", "save", "edit"]


@dataclass(frozen=True)
class Command:
    """A wish written into the run folder. `values` are the settings of an edit: "section.field" to plain data; `end` is the byte behind it."""

    kind: CommandKind
    values: dict[str, Any] = field(default_factory=dict)
    end: int = field(default=0, compare=False)


_ADJECTIVES = "amber brave bright calm clear clever cosy daring eager early fair fleet gentle glad golden happy keen kind light lively lucky mellow merry neat nimble noble patient proud quick quiet rapid sage sharp silver smart snug steady sunny swift tidy vivid warm wise witty".split()
_ANIMALS = "badger bat bear beaver bee bison crane crow deer dove eagle elk falcon ferret finch fox gecko goose hare hawk heron horse ibis jay koala lark lemur lion lynx marten mole moose newt otter owl panda puffin quail raven robin seal stork swan tern tiger toad trout viper vole whale wolf wren yak".split()


class RunFolder:
    """One run on disk. Cheap to construct; every property reads the files anew."""

    __slots__ = ("_parent", "name")

    def __init__(self, path: str | os.PathLike):
        path = Path(path).absolute()
        self._parent, self.name = str(path.parent), path.name

    @classmethod
    def below(cls, runs: str, name: str) -> RunFolder:
        """As `RunFolder(runs/name)` for an absolute `runs`, without a Path of its own: there may be ten thousand."""
        made = cls.__new__(cls)
        made._parent, made.name = runs, name
        return made

    @property
    def path(self) -> Path:
        return Path(self._parent, self.name)

    def __fspath__(self) -> str:
        return os.path.join(self._parent, self.name)

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunFolder) and self.name == other.name and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def nickname(self) -> str:
        """The part people say: "calm-otter"."""
        return self.name.rpartition("_")[2]

    @property
    def experiment_path(self) -> Path:
        return self.path / "experiment.toml"

    @property
    def dataset_path(self) -> Path:
        return self.path / "dataset.json"

    @property
    def journal_path(self) -> Path:
        return self.path / "journal.jsonl"

    @property
    def commands_path(self) -> Path:
        return self.path / "commands.jsonl"

    @property
    def engine_path(self) -> Path:
        return self.path / "engine.json"

    @property
    def lock_path(self) -> Path:
        return self.path / "engine.lock"

    @property
    def log_path(self) -> Path:
        return self.path / "engine.log"

    @property
    def checkpoints_path(self) -> Path:
        return self.path / "checkpoints"

    @property
    def results_path(self) -> Path:
        return self.path / "results"

    def experiment(self) -> Experiment:
        return read_experiment(self.experiment_path)

    def is_alive(self) -> bool:
        """True while an engine holds the lock. Never call from the process that holds it."""
        return is_locked(self.lock_path)

    def command(self, kind: CommandKind, values: dict[str, Any] | None = None) -> None:
        """Append one command; the engine acts on it between two steps. An edit carries its settings. OSError where it was not written."""
        with_values = {"values": values} if values else {}
        line = json.dumps({"command": kind, "wall_time": time.time(), **with_values}, default=_plain).encode() + b"\n"
        fd = os.open(self.commands_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            if ends_torn(self.commands_path):  # one that a full disk cut short must not swallow this one
                line = b"\n" + line
            if os.write(fd, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(self.commands_path))
        finally:
            os.close(fd)

    def read_journal(self) -> RunState:
        """The whole journal folded, as it stands: also for the process that holds the lock."""
        return fold(RunState(), JournalReader(self.journal_path).read())

    def read_state(self) -> RunState:
        """The whole journal folded, with the status corrected when the engine is gone without a word."""
        reader = JournalReader(self.journal_path)
        state = fold(RunState(), reader.read_columns())
        if not state.status.is_active or self.is_alive():
            return state
        state = fold(state, reader.read_columns())  # its last words may have come between reading and looking
        return settled(state, is_alive=self.is_alive())

    def log_tail(self, num_bytes: int = 4000) -> str:
        try:
            with open(self.log_path, "rb") as f:
                f.seek(max(0, f.seek(0, os.SEEK_END) - num_bytes))
                return f.read().decode(errors="replace")
        except OSError:
            return ""

    def journal_size(self) -> int:
        """Bytes; 0 where there is none yet."""
        return _size(self.journal_path)

    def commands_size(self) -> int:
        """Likewise. What stands in it when a resume is asked for was meant for an earlier session, what follows for the coming one."""
        return _size(self.commands_path)

    def has_checkpoint(self) -> bool:
        """True also where that cannot be looked up now: who needs one then says why."""
        try:
            with os.scandir(self.checkpoints_path) as entries:
                return any(os.path.isfile(os.path.join(entry.path, "manifest.json")) for entry in entries)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True

    def move_to(self, device: str) -> Experiment:
        """Let the run go on on another device; nothing else of it changes. Not while it goes on. Raises BadInput, OSError."""
        experiment = self.experiment().changed({"training.device": device})
        write_atomically(self.experiment_path, experiment_to_toml(experiment).encode())
        return experiment

    def outcome(self, state: RunState, exit_code: int | None = None) -> Outcome | None:
        """How the run ended, in words; None while it is active or queued."""
        at = f"step {state.checkpoints[-1].step:,}" if state.checkpoints else "the beginning"
        resume = f"Resume goes on from {at}."
        match state.status:
            case Status.FINISHED if state.finished:
                return Outcome(state.status, f"Finished, {state.finished.words}")
            case Status.STOPPED if state.stopped:
                how = "Paused, its memory released," if state.is_released else "Stopped"
                can_resume = self.has_checkpoint()
                fix = resume if can_resume else "Nothing was saved before; its settings can be trained anew."
                return Outcome(state.status, f"{how} at step {state.stopped.step:,}", fix, can_resume=can_resume)
            case Status.FAILED if state.failed:
                failed = state.failed
                can_move = failed.can_resume and failed.is_device
                return Outcome(state.status, failed.sentence, failed.fix, failed.trace or self.log_tail(), failed.can_resume, can_move)
            case Status.CRASHED:
                words = f"At step {state.step:,} the training process {describe_exit_code(exit_code)}."
                return Outcome(state.status, words, resume, self.log_tail(), can_resume=True)
        return None


def settled(state: RunState, *, is_alive: bool) -> RunState:
    """`state` with "crashed" concluded where the journal says active and no engine is alive."""
    return replace(state, status=Status.CRASHED) if state.status.is_active and not is_alive else state


def create_run(runs: str | os.PathLike, experiment: Experiment, dataset_json: bytes | None = None) -> RunFolder:
    """A new run folder under `runs`, ready to be started. Raises BadInput when it cannot be written."""
    runs, made = Path(runs), None
    try:
        runs.mkdir(parents=True, exist_ok=True)
        for _ in range(100):
            nickname = f"{secrets.choice(_ADJECTIVES)}-{secrets.choice(_ANIMALS)}"
            folder = RunFolder(runs / f"{datetime.now():%Y-%m-%d_%H%M%S}_{nickname}")
            try:
                folder.path.mkdir()
                made = folder.path
                break
            except FileExistsError:
                continue
        folder.checkpoints_path.mkdir()
        folder.results_path.mkdir()
        if dataset_json is not None:
            write_atomically(folder.dataset_path, dataset_json)
        write_atomically(folder.experiment_path, experiment_to_toml(experiment).encode())  # last: a folder with it is a run
    except OSError as exc:
        if made:
            shutil.rmtree(made, ignore_errors=True)
        raise BadInput(
            f"The run folder cannot be made in {runs}: {exc.strerror}. Choose another place for runs, or free some space."
        ) from None
    return folder


def run_names(runs: str | os.PathLike, known: Container[str] = ()) -> set[str]:
    """Names of the folders in `runs` that are runs; `known` ones are not looked into again. Raises OSError when `runs` cannot be read."""
    with os.scandir(runs) as entries:
        return {
            e.name
            for e in entries
            if e.is_dir() and not e.name.startswith(".") and (e.name in known or os.path.isfile(os.path.join(e.path, "experiment.toml")))
        }


def find_runs(runs: str | os.PathLike) -> list[RunFolder]:
    """All runs under `runs`, oldest first."""
    try:
        parent = str(Path(runs).absolute())
        return [RunFolder.below(parent, name) for name in sorted(run_names(runs))]
    except OSError:
        return []


def find_run(runs: str | os.PathLike, name: str | os.PathLike) -> RunFolder:
    """A run by path, folder name, nickname or "last". Raises BadInput naming what there is."""
    direct = RunFolder(name)
    if os.path.isfile(direct.experiment_path):  # false also of a name too long and of a folder that may not be entered
        return direct
    all_runs = find_runs(runs)
    if str(name) == "last" and all_runs:
        return all_runs[-1]
    matches = [f for f in all_runs if str(name) in (f.name, f.nickname)]
    if matches:
        return matches[-1]
    known = ", ".join(f.nickname for f in all_runs[-5:])
    there = f"The latest are: {known}." if known else "There are no runs there yet; `studio train --data DIR` starts one."
    raise BadInput(f"There is no run “{name}” in {runs}. {there}")


def _plain(value: Any) -> Any:
    """The parts of an experiment that are models themselves (a schedule's segments), as plain data."""
    return value.model_dump(mode="json")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def read_commands(path: Path, offset: int) -> tuple[list[Command], int]:
    """Commands appended after byte `offset`, and the new offset. Lines that are not commands are skipped."""
    try:
        with open(path, "rb") as f:
            f.seek(offset)
            data = f.read()
    except FileNotFoundError:
        return [], offset
    end = data.rfind(b"\n") + 1
    commands, place = [], offset
    for line in data[:end].splitlines(keepends=True):
        place += len(line)
        try:
            raw = parse_json(line)
            values = raw.get("values", {})
            if isinstance(raw["command"], str) and isinstance(values, dict):
                commands.append(Command(raw["command"], values, place))
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return commands, offset + end
