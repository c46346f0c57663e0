"""Checkpoints that are whole or absent.

A checkpoint is a folder: `model.safetensors`, `optimizer.safetensors`, where weights are averaged `ema.safetensors`, `state.json`, and last
`manifest.json` with the SHA-256 of each. It is written under a temporary name on the same volume, synced, renamed and read back; only then are older ones removed. The last two and
the best are kept. Importing this module does not import torch: finding and judging checkpoints needs none.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from studio.catalog.optimisers import kind_of
from studio.core.file import fsync_folder, rename, sha256_of
from studio.core.json_text import parse_json
from studio.core.path_text import path_to_text, shown
from studio.core.problem import BadInput
from studio.core.run_folder import RunFolder
from studio.engine.failure import CheckpointUnreadable
from studio.engine.snapshot import NUM_HELD, goes_back

if TYPE_CHECKING:
    import torch
    from torch import nn

    from studio.core.experiment import Optimiser, Training

MODEL, OPTIMISER, AVERAGE = "model.safetensors", "optimizer.safetensors", "ema.safetensors"
STATE, MANIFEST = "state.json", "manifest.json"
NUM_KEPT = 2  # besides the best, and those that whoever goes back needs again
_GROUP_STEP = "group_step"
_FULL = {39: errno.ENOSPC, 112: errno.ENOSPC} if os.name == "nt" else {}  # Windows: ERROR_HANDLE_DISK_FULL, ERROR_DISK_FULL
_NO_FILE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose files have the hashes of its manifest."""

    path: Path
    state: dict[str, Any]
    damaged: tuple[str, ...] = ()  # names of newer or better checkpoints that were found damaged on the way to this one

    @property
    def step(self) -> int:
        return self.state["progress"]["step"]

    @property
    def note(self) -> str:
        """That this is not the one that was asked for, in a sentence; empty where it is."""
        if not self.damaged:
            return ""
        what = f"checkpoint {self.damaged[0]} is" if len(self.damaged) == 1 else f"checkpoints {', '.join(self.damaged)} are"
        return f"The {what} damaged; that of step {self.step:,} is used instead."

    @property
    def average_path(self) -> Path | None:
        """The running mean of the weights; None where the run keeps none."""
        path = self.path / AVERAGE
        return path if path.is_file() else None

    @property
    def weights_path(self) -> Path:
        """The weights that were validated and are to be used: their running mean where there is one."""
        return self.average_path or self.path / MODEL


@dataclass(frozen=True)
class Saved:
    path: Path
    num_bytes: int
    seconds: float


def save_checkpoint(
    folder: RunFolder,
    step: int,
    model: Mapping[str, torch.Tensor],
    optimiser: Mapping[str, torch.Tensor],
    state: dict[str, Any],
    average: Mapping[str, torch.Tensor] | None = None,
    also_kept: Collection[int] = (),
) -> Saved:
    """Write, verify and publish a checkpoint, then remove those no longer needed. OSError leaves all earlier ones as they were.

    `state["best_step"]` names the checkpoint to keep besides the newest two and those of `also_kept`; None when there is no best yet. Newer ones
    are removed: this run went on from an older one, because they were damaged or it went back behind them. Weights are a function of the step,
    so a whole checkpoint of this step with this state is left as it is.
    """
    from safetensors.torch import save_file

    start = time.perf_counter()
    home = folder.checkpoints_path
    home.mkdir(parents=True, exist_ok=True)
    take_back(folder)
    _remove_leftovers(home)
    final = home / f"step-{step:08d}"
    temporary = home / f".{secrets.token_hex(6)}.tmp"
    state_bytes = json.dumps(state, indent=1).encode()
    kept = {state.get("best_step"), *also_kept}
    if _holds(final, state_bytes):
        _prune(home, step, kept)
        return Saved(final, sum(path.stat().st_size for path in final.iterdir()), time.perf_counter() - start)
    try:
        temporary.mkdir()
        tensors = {MODEL: model, OPTIMISER: optimiser} | ({} if average is None else {AVERAGE: average})
        for name, values in tensors.items():
            save_file(_as_saved(values), temporary / name)
        (temporary / STATE).write_bytes(state_bytes)
        files = {name: {"sha256": sha256_of(temporary / name), "bytes": _synced_size(temporary / name)} for name in (*tensors, STATE)}
        (temporary / MANIFEST).write_bytes(json.dumps({"schema": 1, "files": files}, indent=1).encode())
        _synced_size(temporary / MANIFEST)
        fsync_folder(temporary)
        if final.exists():  # saved again at the same step, for instance after validation
            rename(final, home / f".{final.name}.{secrets.token_hex(6)}.old")
        rename(temporary, final)
        fsync_folder(home)
        if not _holds(final, state_bytes):
            shutil.rmtree(final, ignore_errors=True)
            raise OSError(errno.EIO, "what was written to it does not come back", str(home))
    except OSError as exc:
        shutil.rmtree(temporary, ignore_errors=True)
        take_back(folder)
        raise exc
    except Exception as exc:  # safetensors wraps the system's error in its own type
        shutil.rmtree(temporary, ignore_errors=True)
        if found := re.search(r"([^:]*) \(os error (\d+)\)", str(exc)):
            number = int(found[2])
            raise OSError(_FULL.get(number, number), found[1].strip(), str(home)) from exc
        raise
    _prune(home, step, kept)
    return Saved(final, sum(f["bytes"] for f in files.values()), time.perf_counter() - start)


def checkpoints_bytes(module: nn.Module, trained: Collection[str], training: Training, optimiser: Optimiser) -> int:
    """What all checkpoints that are there at once take when everything of `trained` has trained: those that are kept, and one being written. The
    module may be without values."""
    weights = sum(tensor.nbytes for tensor in module.state_dict().values())
    memory = sum(weight.nbytes for name, weight in module.named_parameters() if name in trained) * kind_of(optimiser.kind).num_values
    one = weights * (2 if optimiser.ema_decay else 1) + memory
    return one * (NUM_KEPT + 2 + (NUM_HELD if goes_back(training) else 0))


def take_back(folder: RunFolder) -> None:
    """Give a checkpoint its name again whose place was to be taken by one that never came. For the process that holds the run."""
    with contextlib.suppress(OSError):
        for aside in folder.checkpoints_path.glob(".step-*.old"):
            final = aside.with_name(aside.name.split(".")[1])
            if not final.exists():
                rename(aside, final)


def find_checkpoint(folder: RunFolder, which: Literal["best", "last"] = "last", until: int | None = None) -> Checkpoint | None:
    """The newest whole checkpoint (of at most `until` steps), or the best one; None when there is none. One that is wanted and damaged is passed
    over and named; where that is the best, the newest is taken. Which is the best the newest tells, also where its weights are damaged.

    Raises CheckpointUnreadable where a wanted one may be whole and cannot be read now: it must not be passed over, since a run that goes on from
    an older one removes it.
    """
    damaged: dict[str, None] = {}  # in the order in which they were met
    for path in _newest_first(folder.checkpoints_path):
        if until is not None and path.name > f"step-{until:08d}":
            continue
        with _reading(path):
            state = _sure_state(path)
        best_step = state.get("best_step") if state and which == "best" else None
        best = path if best_step is None else folder.checkpoints_path / f"step-{best_step:08d}"
        for wanted in dict.fromkeys((best, path)):
            with _reading(wanted):
                if is_whole(wanted):
                    return Checkpoint(wanted, _read_state(wanted), tuple(damaged))
            damaged[wanted.name] = None
    return None


def require_checkpoint(folder: RunFolder, which: Literal["best", "last"]) -> Checkpoint:
    """As `find_checkpoint`, also right after a kill; raises BadInput when there is none."""
    if not folder.is_alive():
        take_back(folder)
    try:
        found = find_checkpoint(folder, which)
    except CheckpointUnreadable as exc:
        where = shown(path_to_text(exc.filename))
        raise BadInput(
            f"The run “{folder.nickname}” cannot be used now: {where} cannot be read ({exc.strerror}). Check the drive and its permissions."
        ) from None
    if found is None:
        damaged = any(_newest_first(folder.checkpoints_path))
        why = "its checkpoints are damaged" if damaged else "it has no checkpoint yet"
        raise BadInput(f"The run “{folder.nickname}” cannot be used: {why}.")
    return found


def is_whole(path: Path) -> bool:
    """Whether every file of a checkpoint has the hash its manifest names. OSError where a file that is there cannot be read."""
    try:
        files = parse_json((path / MANIFEST).read_bytes())["files"]
        is_complete = {MODEL, OPTIMISER, STATE} <= set(files) <= {MODEL, OPTIMISER, AVERAGE, STATE}
        return is_complete and all(sha256_of(path / name) == entry["sha256"] for name, entry in files.items())
    except (*_NO_FILE, ValueError, KeyError, TypeError):
        return False


def optimiser_tensors(optimiser: torch.optim.Optimizer, module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The optimiser's memory by parameter name: "head.linear.weight/exp_avg"."""
    import torch

    names = {parameter: name for name, parameter in module.named_parameters()}
    tensors = {
        f"{names[parameter]}/{key}": value
        for parameter, memory in optimiser.state.items()
        for key, value in memory.items()
        if isinstance(value, torch.Tensor)
    }
    for group in optimiser.param_groups:  # timm's LAMB counts steps by group; stored with its first parameter
        if isinstance(group.get("step"), torch.Tensor):
            tensors[f"{names[group['params'][0]]}/{_GROUP_STEP}"] = group["step"]
    return tensors


def restore_optimiser(optimiser: torch.optim.Optimizer, module: torch.nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Inverse of `optimiser_tensors`, in the memory layout of each parameter. What is not among `tensors` is forgotten."""
    import torch

    optimiser.state.clear()
    for group in optimiser.param_groups:
        group.pop("step", None)
    parameters = dict(module.named_parameters())
    for key, value in tensors.items():
        name, _, field = key.rpartition("/")
        parameter = parameters[name]
        if field == _GROUP_STEP:
            group = next(g for g in optimiser.param_groups if g["params"][0] is parameter)
            group["step"] = value.clone()
            continue
        if value.shape == parameter.shape:
            value = torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)
        else:
            value = value.to(parameter.device, copy=True)
        optimiser.state[parameter][field] = value


def state_sha256(*parts: Mapping[str, torch.Tensor]) -> str:
    """One hash over every weight, buffer, optimiser value and running mean, with names, types and shapes."""
    digest = hashlib.sha256()
    for tensors in parts:
        for name, tensor in sorted(_as_saved(tensors).items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.reshape(-1).view(_BYTE()).numpy())
    return digest.hexdigest()


def _BYTE():
    import torch

    return torch.uint8


def _as_saved(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    import torch

    return {name: t.detach().to("cpu").contiguous(memory_format=torch.contiguous_format) for name, t in tensors.items()}


def checkpoint_names(folder: RunFolder) -> list[str]:
    """Names of all checkpoints, whole or damaged, newest first."""
    return [path.name for path in _newest_first(folder.checkpoints_path)]


def _newest_first(home: Path) -> list[Path]:
    with _reading(home):
        try:
            names = os.listdir(home)  # to glob a folder that cannot be read is an empty one
        except _NO_FILE:
            return []
    return [home / name for name in sorted(names, reverse=True) if name.startswith("step-")]


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise CheckpointUnreadable(exc.errno, exc.strerror or str(exc), str(path)) from exc


def _holds(path: Path, state_bytes: bytes) -> bool:
    """Whether a checkpoint is whole, with this state, as far as it can be read now."""
    with contextlib.suppress(OSError):
        return (path / STATE).read_bytes() == state_bytes and is_whole(path)
    return False


def _sure_state(path: Path) -> dict[str, Any] | None:
    """The state of a checkpoint whose weights may be damaged; None where it is itself."""
    try:
        expected = parse_json((path / MANIFEST).read_bytes())["files"][STATE]["sha256"]
        return _read_state(path) if sha256_of(path / STATE) == expected else None
    except (*_NO_FILE, ValueError, KeyError, TypeError):
        return None


def _read_state(path: Path) -> dict[str, Any]:
    return parse_json((path / STATE).read_bytes())


def _synced_size(path: Path) -> int:
    fd = os.open(path, os.O_RDWR)
    try:
        os.fsync(fd)
        return os.fstat(fd).st_size
    finally:
        os.close(fd)


def _prune(home: Path, step: int, more: Collection[int | None]) -> None:
    """Keep the checkpoint of `step`, those just before it, and `more`, the best. What cannot be removed now, because it is read, goes next time."""
    with contextlib.suppress(CheckpointUnreadable):
        there = _newest_first(home)
        until_now = [p.name for p in there if p.name <= f"step-{step:08d}"]
        kept = {*until_now[:NUM_KEPT], *(f"step-{other:08d}" for other in more if other is not None)}
        for path in there:
            if path.name not in kept:
                hidden = path.with_name(f".{secrets.token_hex(6)}.old")  # a reader never sees half of it
                with contextlib.suppress(OSError):
                    path.rename(hidden)
    _remove_leftovers(home)


def _remove_leftovers(home: Path) -> None:
    for path in (*home.glob(".*.tmp"), *home.glob(".*.old")):
        shutil.rmtree(path, ignore_errors=True)
