"""Going on after a fault, where that is safe: the images went away, a loader process died, the loss stopped being a number."""

from __future__ import annotations

import time

from studio.core import event as ev
from studio.engine.checkpoint import find_checkpoint
from studio.engine.failure import KNOWN_TO_ALL, DataGone, LossNotFinite, OutOfMemory
from studio.engine.heap import suit_step
from studio.engine.loader import WorkerDied
from studio.engine.memory import let_go
from studio.engine.saving import save
from studio.engine.setup import Setup, put_back, restore
from studio.engine.wishes import apply_edit, take_edits

RECOVERABLE = (DataGone, WorkerDied, LossNotFinite, OutOfMemory)
MOST_TIMES = 3  # per kind and session: what comes back again and again needs a person
CALMER = 0.5  # what is left of the rate after a loss that was no number
POLL_S = 0.2
STEADY_S = 2.0  # for which a drive has to answer before the run goes on; each time longer than before, as its contact may be loose
MOST_STEADY_S = 60.0


class Recovery:
    """One per session of a run."""

    def __init__(self, setup: Setup):
        self._s = setup
        self._count: dict[type, int] = {}

    def go_on_after(self, fault: Exception) -> None:
        """Bring everything to where training can go on, and say so. Raises the fault where it cannot, and StopAsked."""
        if not (self._s.ranks.is_alone or isinstance(fault, KNOWN_TO_ALL)):
            raise fault  # the other processes know nothing of it, and wait for this one
        count = self._count[type(fault)] = self._count.get(type(fault), 0) + 1
        if isinstance(fault, DataGone):
            self._wait_for_images(fault, min(count * STEADY_S, MOST_STEADY_S))
        elif isinstance(fault, OutOfMemory):
            self._take_smaller_parts(fault)
        elif count > MOST_TIMES:
            raise fault
        elif isinstance(fault, WorkerDied):
            self._restart_loader()
        else:
            self._calm_down(fault)

    def _wait_for_images(self, fault: DataGone, steady_s: float) -> None:
        """As on a full disk: save, say so, and go on by itself when they have been back for `steady_s`."""
        s = self._s
        try:
            save(s)
        except OSError:  # the run may lie on the drive that went away
            raise fault from None
        s.reporter.warn(
            "images-gone", f"{fault.what}; the run waits for {'the drive' if fault.reason else 'it'}.",
            f"{'Check the drive, its cable or the network.' if fault.reason else 'Bring it back, for instance by plugging the drive in.'} "
            "The run goes on by itself.",
        )  # fmt: skip
        s.reporter.tell(ev.PauseChanged(is_paused=True, step=s.progress.step, reason="the images are gone"))
        good_since = None
        while good_since is None or time.monotonic() - good_since < steady_s:
            self._listen()
            time.sleep(POLL_S)
            if not s.loader.finds_images(self._listen):
                good_since = None
            elif good_since is None:
                good_since = time.monotonic()
        s.loader.restart()  # what was refused shortly before may have been the drive's fault
        s.reporter.tell(ev.PauseChanged(is_paused=False, step=s.progress.step))

    def _listen(self, _seconds: float = 0.0) -> None:
        self._s.control.raise_if_stopped()
        take_edits(self._s)
        self._s.reporter.system(self._s.device)

    def _take_smaller_parts(self, fault: OutOfMemory) -> None:
        """The same step again, with half as many images at once; of several processes each takes its own parts, which may be smaller already."""
        s = self._s
        size = s.asked.training.batch_size
        share = -(-size // s.ranks.count)
        own, is_own = min(s.micro_batch or share, share), fault.__cause__ is not None
        failed = [num for num, is_its in s.ranks.gather((own, is_own)) if is_its]
        if min(failed) <= 1:
            raise fault
        let_go(fault)
        if s.device.type == "cpu":
            suit_step(is_large=True)  # nothing is kept for steps that do not fit
        before = max(failed)
        after = -(-before // 2)
        s.micro_batch = min(-(-own // 2) if is_own else own, after)
        s.reporter.warn(
            "out-of-memory", f"{before} images at once do not fit into memory; from here on {after} go through the network at once. "
            f"A step still sees {size * s.asked.training.accumulation}.",
            "Close other programs, freeze more of the network, or choose a smaller batch.",
        )  # fmt: skip

    def _restart_loader(self) -> None:
        s = self._s
        s.reporter.warn(
            "loader-died", "A process that loads images ended by itself, most often because the memory ran out; it was started again.",
            "If it happens again, use fewer loader workers or a smaller batch.",
        )  # fmt: skip
        s.loader.restart()

    def _calm_down(self, fault: LossNotFinite) -> None:
        """As the user chose: stop, or leave the step out, or go back; then on at half the rate."""
        s, choice = self._s, self._s.experiment.training.not_finite
        rate = s.experiment.schedule.peak_lr * CALMER
        if choice == "go back":
            step, done = self._go_back(fault)
        elif choice == "lower the rate" and fault.step == s.progress.step:
            s.progress.step += 1
            s.progress.step_in_epoch += 1
            step, done = s.progress.step, "that step was left out"
        else:
            raise fault
        s.reporter.warn(
            "loss-not-finite",
            f"The loss stopped being a number at step {fault.step + 1:,}; {done} and goes on at half the rate, {rate:.1e} at its peak.",
            "If it happens again, clip gradients at 1 or start with a lower rate.",
        )
        apply_edit(s, {"schedule.peak_lr": rate}, step)

    def _go_back(self, fault: LossNotFinite) -> tuple[int, str]:
        """To the last checkpoint, or to a state from which the wanted step is reached again to the same bits; returns from which step on the run
        is another, and what was done in words. Raises the fault where there is nothing to go back to."""
        s, num_back = self._s, self._s.experiment.training.roll_back_steps
        newest, best = max(s.ranks.gather(s.reporter.saved_step)), s.progress.best  # the first process alone saves
        step = max(0, fault.step - num_back) if num_back else s.progress.step
        held = s.snapshots.for_step(step) if num_back else None
        checkpoint = None if held else find_checkpoint(s.folder, until=step)
        if num_back and not checkpoint:
            held = held or s.snapshots.oldest
        if held:
            put_back(s, held)
        elif checkpoint:
            s.reporter.damaged(checkpoint.damaged, f"the run goes back to step {checkpoint.step:,}")
            restore(s, checkpoint)
        else:
            raise fault
        s.ranks.gather(None)  # all have read what the first may now replace
        s.is_behind_best |= s.progress.best != best and len(s.parts["validation"]) > 0
        if newest > s.progress.step or s.is_behind_best:
            save(s)  # a resume must not begin at what the run went back behind
        if not num_back:
            return s.progress.step, f"the run went back to step {s.progress.step:,}"
        step = max(step, s.progress.step)
        count = fault.step - step
        return step, f"the run went back {count:,} step{'' if count == 1 else 's'} to step {step:,}"
