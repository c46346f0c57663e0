"""The training loop, from the first step to the last word. Reads from top to bottom; nothing calls back into it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import partial
from itertools import islice

from studio.catalog.optimisers import begin_anew
from studio.core import event as ev
from studio.core.file import write_atomically
from studio.engine.ahead import ahead
from studio.engine.caching import fill_cache, follow_boundary
from studio.engine.checkpoint import state_sha256
from studio.engine.compiled_step import follow_compiling
from studio.engine.control import StopAsked
from studio.engine.dry_step import put_right, taken_by
from studio.engine.evaluate import scores_json
from studio.engine.failure import LossNotFinite, OutOfMemory
from studio.engine.heap import suit_step
from studio.engine.lean import keep_less
from studio.engine.memory import ROOM, advice, free_bytes, is_out_of_memory, step_memory
from studio.engine.plan import training_requests
from studio.engine.recompute import recompute
from studio.engine.recorded_step import follow_recording
from studio.engine.recovery import RECOVERABLE, Recovery
from studio.engine.saving import agree_on_statistics, hold, is_save_due, keep_epoch, norms_that_count, save, save_held, tensors_of
from studio.engine.scoring import answer_again, best_weights, evaluate, write_part
from studio.engine.setup import Setup, freeze_for
from studio.engine.steps import StepBuffer
from studio.engine.update import train_step
from studio.engine.wishes import pause, take_edits

NUM_FILLING = 2  # steps until the heap has all that steps need of it
NUM_NAMED = 20  # frozen tensors that changed


def train(s: Setup) -> None:
    """Train to the end and tell `RunFinished`. Raises StopAsked when the user ends the run before, LossNotFinite, DataGone,
    NoReadableImages, and what libraries raise."""
    recovery = Recovery(s)
    while True:
        try:
            return finish(s, train_epochs(s))
        except RECOVERABLE as fault:
            recovery.go_on_after(fault)


def train_epochs(s: Setup) -> bool:
    """The epochs that are not done yet; whether they were stopped early."""
    if s.is_behind_best:
        answer_again(s)
    take_edits(s)
    stopped_early = _has_stalled(s)
    while s.progress.epoch < s.experiment.schedule.epochs and not stopped_early:
        if s.progress.step_in_epoch < s.steps_per_epoch:
            train_epoch(s)
            prove_frozen(s)
        validate_epoch(s)
        take_edits(s)
        stopped_early = _has_stalled(s)
        if s.control.stops_after_epoch and s.progress.epoch < s.experiment.schedule.epochs:
            raise StopAsked
    return stopped_early


def train_epoch(s: Setup) -> None:
    """The steps of this epoch that are not done yet."""
    p, t = s.progress, s.asked.training
    thaw(s)
    if s.prefix.may_train:
        follow_boundary(s)
    if s.prefix.trains_from_cache:
        fill_cache(s)
    s.proof.begin(s.network.module, s.network.plan)
    s.network.train_mode()
    needed = fit_memory(s)
    ahead.hand_over()
    follow_compiling(s)
    follow_recording(s)
    s.reporter.phase("training", needed)
    steps = StepBuffer(s)
    made = {"num_synthetic": len(s.dataset.synthetic), "num_taken": s.epoch_size - s.num_real, "draws": not s.prefix.trains_from_cache}
    whole = training_requests(t.seed, p.epoch, s.num_real, t.batch_size, p.step_in_epoch, t.accumulation, **made)
    requests = s.ranks.share(whole, least=2 if norms_that_count(s.network.module) else 1)
    batches = s.prefix.training_batches(requests, p.epoch) if s.prefix.trains_from_cache else s.loader.batches(requests)
    batches = steps.timed(batches)
    while p.step_in_epoch < s.steps_per_epoch:
        hold(s, steps.report)
        try:
            steps.add(train_step(s, islice(batches, t.accumulation)))
        except (LossNotFinite, OutOfMemory):
            steps.report()  # the steps before it are booked, and count after a recovery
            raise
        except (MemoryError, RuntimeError) as exc:  # in the update itself
            if not (s.ranks.is_alone and is_out_of_memory(exc)):
                raise  # of several processes the others have taken the step
            steps.report()
            raise OutOfMemory from exc
        p.step += 1
        p.step_in_epoch += 1
        if p.step_in_epoch >= NUM_FILLING:
            ahead.note(s.step_bytes)
        if p.step_in_epoch == s.steps_per_epoch:
            steps.report()
        elif s.ranks.from_first(steps.is_due):  # all at the same step, so that a loss that is no number is met together
            steps.report_arrived()
        s.reporter.system(s.device)
        s.control.is_save_wanted |= is_save_due(s)
        s.control.poll()
        if s.control.edits:
            steps.report()  # so that the journal tells of the steps before the edit first
        take_edits(s)
        if s.control.stop or s.control.is_paused or s.control.is_save_wanted:
            steps.report()  # so that the numbers of a checkpoint are complete
            s.control.obey_stop()
            save(s)
            if s.control.is_paused:
                pause(s)
                steps.restart_clock()


def prove_frozen(s: Setup) -> None:
    """Look whether everything that must not move is as it was, and tell; a change is an alert with the layer's name."""
    p, verdict = s.progress, s.proof.check(s.network.module)
    s.reporter.tell(
        ev.FrozenChecked(
            step=p.step,
            epoch=p.epoch,
            num_tensors=verdict.num_tensors,
            fingerprint=verdict.fingerprint,
            changed=verdict.changed[:NUM_NAMED],
        )
    )
    if verdict.changed:
        more = f" and {len(verdict.changed) - 3:,} more" if len(verdict.changed) > 3 else ""
        s.reporter.warn(
            "frozen-changed",
            f"Frozen layers changed in epoch {p.epoch + 1}: {', '.join(verdict.changed[:3])}{more}.",
            "What this run shows of frozen stages is not so. Start it again; if it happens again, it is a bug in Studio or the memory is faulty.",
        )


def fit_memory(s: Setup) -> str:
    """Find out what a step will need, where other stages train than before, and take smaller parts where that is more than there is; in words."""
    plan = s.prefix.trains_from_cache, s.network.is_frozen
    if s.fitted_for == plan:
        return ""
    s.fitted_for = plan
    suit_step(is_large=False)  # what steps of another plan have kept is free again
    if s.prefix.trains_from_cache and all(s.network.is_frozen[:-1]):
        return ""  # a head on features takes next to nothing
    need = step_memory(s.network, s.precision.name, s.experiment, recomputes=s.recomputes or s.asked.training.checkpointing == "on")
    if need.is_lean and keep_less(s.network.module) and s.recomputes:
        recompute(s.network.module, s.network.stages)  # what blocks compute again is not kept in another way too
    if s.asked.training.checkpointing == "on":
        start_recomputing(s)
    if s.prefix.trains_from_cache:
        return ""
    size = s.asked.training.batch_size
    share = -(-size // s.ranks.count)
    now, free = min(s.micro_batch or share, share), free_bytes(s.device)
    tried = now
    if s.device.type == "cuda":
        need, tried = put_right(need, now, free, partial(taken_by, s))
    fits = min(need.fitting(now, int(ROOM * free)), tried)
    if fits < now and not s.recomputes and s.asked.training.checkpointing == "auto":
        lighter = replace(step_memory(s.network, s.precision.name, s.experiment, recomputes=True), factor=need.factor)
        if lighter.fitting(now, int(ROOM * free)) > fits:
            start_recomputing(s)
            s.reporter.warn(
                "memory-short",
                f"A step of {now} images would take {need.peak(now) / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; activations are computed "
                f"again in the backward pass: {lighter.peak(now) / 1e9:.1f} GB, up to a third more time, the same results.",
                advice(size, fits, s.asked.training.accumulation, s.precision.name, s.device),
            )
            need, fits = lighter, lighter.fitting(now, int(ROOM * free))
    if fits < now:
        s.micro_batch = fits
        s.reporter.warn(
            "memory-short",
            f"A step of {share} images would take {need.peak(share) / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; {fits} go through the "
            "network at once, and the step stays the same.",
            advice(size, fits, s.asked.training.accumulation, s.precision.name, s.device),
        )
    taken = need.peak(min(fits, now), holds_best=False)
    s.step_bytes = taken if s.device.type == "cpu" else 0
    if s.device.type == "cpu" and (need.is_large or s.recomputes):
        kept = round(need.stays * need.of_pass(now)) if min(fits, now) == share else 0  # nothing where memory is short
        suit_step(is_large=True, kept_bytes=kept - ahead.held_bytes)  # which is handed over
    return f"a step takes about {taken / 1e9:.1f} GB, {free / 1e9:.1f} GB are free"


def start_recomputing(s: Setup) -> None:
    """From now on blocks of the network compute their activations again in the backward pass."""
    if not s.recomputes:
        s.recomputes = bool(recompute(s.network.module, s.network.stages))


def thaw(s: Setup) -> None:
    """Freeze and thaw at the start of an epoch, and tell where that changes something."""
    p, before = s.progress, s.network.plan
    trained = [group.get("trains", False) for group in s.optimiser.param_groups]
    thawed, frozen = freeze_for(s, p.epoch)
    if s.network.plan == before:
        return
    save_held(s)  # it shares the weights that were frozen until now
    s.snapshots.part_from(s.network.module)
    for group, was_trained in zip(s.optimiser.param_groups, trained, strict=True):
        if group["trains"] and not was_trained:
            begin_anew(s.optimiser, group)
    num_trainable = sum(weight.numel() for weight in s.network.trainable())
    s.reporter.tell(ev.StagesThawed(step=p.step, epoch=p.epoch, stages=thawed, frozen=frozen, num_trainable=num_trainable))


def validate_epoch(s: Setup) -> None:
    """Score this epoch on the validation images, keep the answers when they are the best so far, and save. Where none are held back, it is saved."""
    start = time.perf_counter()
    p, is_measured = s.progress, len(s.parts["validation"]) > 0
    if is_measured:
        s.reporter.phase("validating")
    s.feeding.after_epoch()
    agree_on_statistics(s)
    if s.average:
        s.average.finished(s.network.module)
    train_loss, train_top1 = p.loss_sum / max(1, p.num_seen), p.num_correct / max(1, p.num_seen)
    scores, answers = evaluate(s, "validation") if is_measured else (None, None)
    epoch, seconds = p.epoch, p.epoch_seconds + time.perf_counter() - start
    figures = scores.figures if scores else None
    is_best = p.count_epoch(figures)
    s.rates.after_epoch(p.validation_losses)
    if is_best and scores:
        write_part(s, "validation", scores, answers)
    s.reporter.tell(
        ev.EpochFinished(
            epoch=epoch,
            step=p.step,
            train_loss=train_loss,
            train_top1=train_top1,
            validation_loss=scores and scores.loss,
            validation_top1=scores and scores.top1,
            validation_top5=scores and scores.top5,
            macro_f1=scores and scores.macro_f1,
            class_recalls=scores.class_recalls if scores else (),
            is_best=is_best,
            seconds=seconds,
        )
    )
    keep_epoch(s, is_best, is_last=p.epoch >= s.experiment.schedule.epochs or _has_stalled(s))


def finish(s: Setup, stopped_early: bool) -> None:
    """Score the best network on the test images where there are any, write the figures, say that it is done."""
    p, s.is_over = s.progress, True
    if s.ranks.from_first(lambda: s.reporter.saved_step != p.step):
        save(s)
    sha256 = state_sha256(*tensors_of(s).values())
    test = None
    if len(s.parts["test"]):
        s.reporter.phase("testing")
        with best_weights(s):
            test, answers = evaluate(s, "test")
        write_part(s, "test", test, answers)
        s.reporter.tell(ev.TestScored(num_images=test.num_images, top1=test.top1, top5=test.top5, macro_f1=test.macro_f1, loss=test.loss))
    figures = {
        "step": p.step,
        "epochs": p.epoch,
        "best_epoch": p.best["epoch"],
        **{name: p.best[name] for name in ("top1", "top5", "loss", "macro_f1")},
        "images_per_s": round(p.images_trained / p.training_seconds, 2) if p.training_seconds else 0.0,
        "stopped_early": stopped_early,
    }
    s.control.poll()
    take_edits(s)
    seconds = s.reporter.running_seconds()
    record = figures | {"seconds": seconds, "state_sha256": sha256, "test": scores_json(test, s.dataset.classes) if test else None}
    if s.ranks.is_first:
        s.reporter.with_room(lambda: write_atomically(s.folder.results_path / "metrics.json", json.dumps(record, indent=1).encode()))
    s.reporter.tell(ev.RunFinished(**figures, seconds=seconds))


def _has_stalled(s: Setup) -> bool:
    limit = s.experiment.training.early_stop_epochs
    return 0 < limit <= s.progress.epochs_without_progress
