"""When a run is saved, and what of it."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import nn

from studio.core import event as ev
from studio.engine.checkpoint import optimiser_tensors, save_checkpoint
from studio.engine.freezing import has_statistics
from studio.engine.setup import Setup, checkpoint_state
from studio.engine.snapshot import Held, goes_back

SAVE_SHARE = 0.02  # of the time goes into checkpoints, at most; the first one, the last and those before a thaw come all the same


def is_save_due(s: Setup) -> bool:
    """Whether as much training is at risk as was asked for, over the ends of epochs that were not saved too; but never so often that saving takes
    more than its share of the time."""
    return time.monotonic() - s.saved_at > max(s.experiment.training.checkpoint_seconds, s.save_seconds / SAVE_SHARE)


def keep_epoch(s: Setup, is_best: bool, is_last: bool) -> None:
    """Save at the end of an epoch, unless epochs are so short that saving would take more than its share of the time: then what is best is held
    in memory, and written with the next checkpoint, at the latest before the run ends or other layers train."""
    is_due = time.monotonic() - s.saved_at >= s.save_seconds / SAVE_SHARE
    is_due |= is_last or s.control.stops_after_epoch or s.control.is_save_wanted
    if s.ranks.from_first(lambda: is_due):
        save(s, is_best)
    elif is_best:
        hold_best(s)


def hold_best(s: Setup) -> None:
    """Keep this state in the computer's memory as that of the best epoch; engine.footprint counts it."""
    s.held = Held(s.progress.step, _copied(s, tensors_of(s)), checkpoint_state(s))


def save(s: Setup, is_best: bool = False) -> str:
    """Save a checkpoint, waiting for room on a full disk; returns its path relative to the run folder."""
    s.control.is_save_wanted = False
    agree_on_statistics(s)
    if is_best or (s.held is not None and s.held.step == s.progress.step):
        s.held = None  # another is the best now; or nothing has changed since, and it is this checkpoint
    s.save_seconds = 0.0
    save_held(s)
    return s.ranks.from_first(lambda: _save(s, is_best))  # the others read it later, so they wait until it is there


def save_held(s: Setup) -> None:
    """Write the best epoch where it is held in memory only."""
    held, s.held = s.held, None
    if held is not None:
        s.ranks.from_first(lambda: _save(s, True, held))


def _save(s: Setup, is_best: bool, held: Held | None = None) -> str:
    held = held or Held(s.progress.step, tensors_of(s), checkpoint_state(s))
    kept = s.snapshots.best_steps
    saved = s.reporter.with_room(lambda: save_checkpoint(s.folder, held.step, **held.tensors, state=held.state, also_kept=kept))
    s.save_seconds += saved.seconds
    s.reporter.saved_step = held.step
    if held.step == s.progress.step:  # what was done since an earlier one that was held is still at risk
        s.saved_at = time.monotonic()
    path = saved.path.relative_to(s.folder.path).as_posix()
    s.reporter.tell(
        ev.CheckpointSaved(step=held.step, path=path, num_bytes=saved.num_bytes, is_best=is_best, seconds=round(saved.seconds, 3))
    )
    return path


def hold(s: Setup, report: Callable[[], None]) -> None:
    """Between two steps: hold this state where the user may want the run to go back to it. `report` books the steps so far, and raises
    LossNotFinite where one of them was none to go back to."""
    t = s.experiment.training
    if not goes_back(t):
        return s.snapshots.clear()
    if not s.ranks.from_first(lambda: s.snapshots.is_due(s.progress.step, t.roll_back_steps)):
        return
    report()
    s.snapshots.make_room()
    start = time.perf_counter()
    agree_on_statistics(s)
    state = {"progress": s.progress.to_json(), "scaler": s.scaler.state_dict(), "micro_batch": s.micro_batch}
    held = Held(s.progress.step, _copied(s, tensors_of(s)), state, s.held)
    s.snapshots.add(held, time.perf_counter() - start)


def tensors_of(s: Setup) -> dict[str, dict[str, torch.Tensor]]:
    """All that the run has learnt: weights and buffers, the optimiser's memory, and the running mean where there is one."""
    module = s.network.module
    found = {"model": module.state_dict(), "optimiser": optimiser_tensors(s.optimiser, module)}
    return found | ({"average": s.average.finished(module).state_dict()} if s.average else {})


def _copied(s: Setup, tensors: dict[str, dict[str, torch.Tensor]]) -> dict[str, dict[str, torch.Tensor]]:
    """Copies in the computer's memory of what steps change; weights that are frozen stay the same until other layers train."""
    frozen = {name for name, weight in s.network.module.named_parameters() if not weight.requires_grad}
    return {
        kind: {name: t if kind == "model" and name in frozen else t.to("cpu", copy=True) for name, t in values.items()}
        for kind, values in tensors.items()
    }


def norms_that_count(module: nn.Module) -> list[nn.Module]:
    """The normalisations whose statistics follow the data now."""
    return [part for part in module.modules() if part.training and has_statistics(part)]


def agree_on_statistics(s: Setup) -> None:
    """Batch norms have counted their own process's images: all go on with the mean of what they found, as after a resume."""
    if not s.ranks.is_alone:
        counting = norms_that_count(s.network.module)
        floats = [buffer for part in counting for buffer in part.buffers(recurse=False) if buffer.is_floating_point()]
        s.ranks.add(floats)
        for buffer in floats:
            buffer.div_(s.ranks.count)
