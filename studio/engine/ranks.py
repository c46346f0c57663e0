"""One run trained by several processes (torchrun): who takes which images, and what they tell each other. See docs/decisions/0003-several-processes.md.

Rank 0 owns the run folder: lock, journal, checkpoints, commands. The others compute the same run on their share of every batch and are
silent. All sums are taken over single images, never over means of ranks, so figures are exact. With one process nothing is ever sent.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from studio.core import event as ev
from studio.core.problem import BadInput
from studio.engine.control import Control, StopAsked
from studio.engine.failure import RunFolderGone

if TYPE_CHECKING:
    import torch

    from studio.engine.loader import Request

T = TypeVar("T")
LOCK_HELD = "STUDIO_LOCK_HELD"  # set for processes whose launcher holds the lock of the run, or works with one that does:
HERE, ELSEWHERE = "here", "on another computer"
JOURNAL_AT_START = "STUDIO_JOURNAL_AT_START"  # its bytes when the launcher started
HOLDER_WITHIN = timedelta(minutes=5)
PATIENCE = timedelta(days=2)  # a paused run or one that waits for a disk keeps the others waiting


@dataclass(frozen=True)
class Ranks:
    """The processes of a run; this one is number `rank` of `count`, and number `local_rank` of `local_count` (0: of all) on its computer. Those of
    a computer have numbers in a row."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 0

    @classmethod
    def from_environment(cls) -> Ranks:
        """As torchrun says; one process where it was not used."""
        names = (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0), ("LOCAL_WORLD_SIZE", 0))
        ranks = cls(*(int(os.environ.get(name, default)) for name, default in names))
        if ranks.is_one_computer or LOCK_HELD not in os.environ:
            return ranks
        # until they have met: those beside the lock are the first, the others are not
        return replace(ranks, rank=ranks.local_rank if os.environ[LOCK_HELD] == HERE else max(1, ranks.rank))

    @property
    def may_restart(self) -> bool:
        """Whether a process that fails is started again, with all others. Two numbers of torchrun."""
        count, most = (int(os.environ.get(f"TORCHELASTIC_{name}", 0)) for name in ("RESTART_COUNT", "MAX_RESTARTS"))
        return not self.is_alone and count < most

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        return self.count == 1

    @property
    def firsts(self) -> range:
        """The first process of each computer."""
        return range(0, self.count, self.local_count or self.count)

    @property
    def first_here(self) -> int:
        return self.rank - self.local_rank

    @property
    def is_first_here(self) -> bool:
        return self.local_rank == 0

    @property
    def is_one_computer(self) -> bool:
        return len(self.firsts) == 1

    def is_here(self, rank: int) -> bool:
        return self.first_here <= rank < self.first_here + (self.local_count or self.count)

    def join(self, device_type: str) -> Ranks:
        """Find the others; the numbers that count from then on: torchrun's, turned so that the computer that holds the run comes first.
        Call once, before anything is sent."""
        if self.is_alone:
            return self
        import torch.distributed as dist

        store, rank, count = next(dist.rendezvous("env://", timeout=PATIENCE))
        if not self.is_one_computer:
            if self.is_first:
                if store.add("holders", 1) > 1:
                    raise RuntimeError("Two computers hold this run: the drive that it lies on locks no files between computers.")
                store.set("first", str(rank))
            store.wait(["first"], HOLDER_WITHIN)
            rank = (rank - int(store.get("first"))) % count
        backend = "cpu:gloo,cuda:nccl" if device_type == "cuda" else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=PATIENCE)
        return replace(self, rank=rank)

    def device(self, asked: str) -> str:
        """The device of this process where a GPU is asked for: one each."""
        return f"cuda:{self.local_rank}" if not self.is_alone and asked in ("auto", "cuda") and _has_cuda() else asked

    def share(self, requests: Iterable[Request], least: int = 1) -> Iterator[Request]:
        """This process's part of each batch, by position; may be empty in a last batch. With `least` no process gets fewer than that, but for
        none, where the batch has as many: batch norm cannot train on one image."""
        if self.is_alone:
            yield from requests
        else:
            for r in requests:
                count = min(self.count, max(1, len(r.indices) // least))
                mine = slice(self.rank if self.rank < count else len(r.indices), None, count)
                yield replace(r, indices=r.indices[mine], seeds=r.seeds and r.seeds[mine])

    def add(self, tensors: list[torch.Tensor]) -> None:
        """Replace each tensor by its sum over all processes, in place. All have the same shapes in the same order."""
        if self.is_alone or not tensors:
            return
        import torch
        import torch.distributed as dist

        groups: dict[tuple, list[torch.Tensor]] = {}
        for tensor in tensors:
            groups.setdefault((tensor.device, tensor.dtype), []).append(tensor)
        for group in groups.values():
            flat = torch.cat([tensor.reshape(-1) for tensor in group])
            dist.all_reduce(flat)
            for tensor, part in zip(group, flat.split([t.numel() for t in group]), strict=True):
                tensor.copy_(part.view(tensor.shape))

    def any(self, is_so: bool) -> bool:
        """Whether it is so in one of the processes, for all of them. One number over the processors: cheap enough for every step, and no GPU is
        waited for."""
        if self.is_alone:
            return is_so
        import torch

        count = torch.tensor([float(is_so)])
        self.add([count])
        return count.item() > 0

    def gather(self, value: T) -> list[T]:
        """The values of all processes, in order, for all of them."""
        if self.is_alone:
            return [value]
        import torch.distributed as dist

        found: list[Any] = [None] * self.count
        dist.all_gather_object(found, value)
        return found

    def from_first(self, make: Callable[[], T]) -> T:
        """What the first process makes, for all of them; the others wait and make nothing. A stop, bad input and a run folder that is
        gone are raised in all of them: one that went alone would leave the others with a broken connection, for which torchrun starts all again."""
        if self.is_alone:
            return make()
        import torch.distributed as dist

        box: list[Any] = [None, None]
        if self.is_first:
            try:
                box[0] = make()
            except (StopAsked, BadInput, RunFolderGone) as exc:
                box[1] = exc
        dist.broadcast_object_list(box, src=0)
        made, fault = box
        if fault is not None:
            raise fault
        return made


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


class SharedControl(Control):
    """The wishes of the first process, known to all at the same moment: every look at them is one word from the first to the others."""

    def __init__(self, ranks: Ranks, own: Control | None):
        self._ranks, self.own = ranks, own
        self._parent = os.getppid()
        self.is_paused = self.is_save_wanted = self.stops_after_epoch = False
        self.stop = ""
        self.num_read = 0
        self.edits: list[dict[str, Any]] = []

    def catch_signals(self) -> None:
        raise AssertionError("the first process's own control catches them")

    def poll(self) -> None:
        def look() -> tuple:
            if LOCK_HELD in os.environ and os.getppid() != self._parent:
                os._exit(1)  # the launcher and with it the lock are gone: the run may be somebody else's by now
            own = self.own
            own.is_save_wanted |= self.is_save_wanted
            own.poll()
            wants_save, own.is_save_wanted = own.is_save_wanted, False
            return own.is_paused, wants_save, own.stops_after_epoch, own.stop, own.num_read, own.take_edits()

        self.is_paused, self.is_save_wanted, self.stops_after_epoch, self.stop, self.num_read, edits = self._ranks.from_first(look)
        self.edits += edits


class Silence:
    """The reporter of a process that is not the first: it computes along and says nothing."""

    def __init__(self, folder):
        self.folder = folder
        self.step, self.saved_step = 0, -1
        self.earlier_edits: tuple[ev.ExperimentEdited, ...] = ()
        self.num_sessions = 0

    def tell(self, event: ev.Event) -> ev.Event:
        return event

    def with_room(self, write: Callable[[], T]) -> T:
        return write()

    def running_seconds(self) -> float:
        return 0.0

    def wants_samples(self, _every_s: float = 0.0) -> bool:
        return False

    def _nothing(self, *_args, **_options) -> None:
        pass

    tell_last = warn = damaged = unreadable = unreadable_in_all = phase = close = system = samples = _nothing
