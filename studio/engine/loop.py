"""The training loop, from the first step to the last word. Reads from top to bottom; nothing calls back into it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from torch import nn

from studio.catalog.optimisers import begin_anew
from studio.core import event as ev
from studio.core.edit import edit_problems, edited, in_force
from studio.core.experiment import Experiment
from studio.core.file import write_atomically
from studio.core.problem import BadInput, Problem
from studio.core.rng import step_seed
from studio.engine.average import Average
from studio.engine.checkpoint import find_checkpoint, optimiser_tensors, save_checkpoint, state_sha256
from studio.engine.control import StopAsked
from studio.engine.device import seed_draws, to_device
from studio.engine.evaluate import Answers, Scores, answer, joined, score, scores_json, write_results
from studio.engine.failure import LossNotFinite, NoReadableImages
from studio.engine.loader import Batch
from studio.engine.memory import ROOM, OutOfMemory, advice, free_bytes, is_out_of_memory, step_memory
from studio.engine.mix import draw_mix, mixed_loss
from studio.engine.plan import evaluation_requests, images_of_step, training_requests
from studio.engine.prefix import chunk_size
from studio.engine.recompute import recompute
from studio.engine.recovery import RECOVERABLE, Recovery
from studio.engine.setup import Held, Setup, checkpoint_state, freeze_for
from studio.engine.steps import Step, StepBuffer

PAUSE_POLL_S = 0.1
NUM_NAMED = 20  # frozen tensors that changed
SAVE_SHARE = 0.02  # of the time goes into checkpoints in mid-epoch, at most
CHEAP_BYTES = 20_000_000  # a checkpoint up to this size is written after every epoch, however short
LEAST_FOLDED = 64  # images to score: folding batch norms costs a few forward passes


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
    take_edits(s)
    thaw(s)
    if s.prefix.may_train:
        follow_boundary(s)
    if s.prefix.trains_from_cache:
        fill_cache(s)
    s.proof.begin(s.network.module, s.network.plan)
    s.network.train_mode()
    s.reporter.phase("training", fit_memory(s))
    steps = StepBuffer(s)
    made = {"num_synthetic": len(s.dataset.synthetic), "num_taken": s.epoch_size - s.num_real}
    requests = s.ranks.share(training_requests(t.seed, p.epoch, s.num_real, t.batch_size, p.step_in_epoch, t.accumulation, **made))
    batches = s.prefix.training_batches(requests, p.epoch) if s.prefix.trains_from_cache else s.loader.batches(requests)
    batches = steps.timed(batches)
    last_saved = time.monotonic()
    while p.step_in_epoch < s.steps_per_epoch:
        try:
            steps.add(train_step(s, islice(batches, t.accumulation)))
        except LossNotFinite:
            steps.report()  # the steps before it are booked, and count after a recovery
            raise
        except (MemoryError, RuntimeError) as exc:
            if not is_out_of_memory(exc):
                raise
            steps.report()
            raise OutOfMemory from exc
        p.step += 1
        p.step_in_epoch += 1
        if p.step_in_epoch == s.steps_per_epoch:
            steps.report()
        elif steps.is_due():
            steps.report_arrived()
        s.reporter.system(s.device)
        s.control.is_save_wanted |= time.monotonic() - last_saved > save_every_s(s)
        s.control.poll()
        if s.control.edits:
            steps.report()  # so that the journal tells of the steps before the edit first
        take_edits(s)
        if s.control.stop or s.control.is_paused or s.control.is_save_wanted:
            steps.report()  # so that the numbers of a checkpoint are complete
            if s.control.stop:
                raise StopAsked(keep=s.control.stop == "stop")
            save(s)
            last_saved = time.monotonic()
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


def tell_flow(s: Setup) -> None:
    """Tell how the gradient flowed through the step that was sampled."""
    norms, ratios = s.flow.end(s.progress.step)
    s.reporter.tell(ev.GradientsSampled(step=s.progress.step, norms=norms, ratios=ratios))
    for stage in s.flow.silent(norms):
        s.reporter.warn(
            "no-gradient",
            f"{stage[0].upper()}{stage[1:]} trains but receives almost no gradient, so it does not learn.",
            "Look at the initialisation of the head, at the normalisation, and at what lies behind it.",
        )


def fit_memory(s: Setup) -> str:
    """Find out what a step will need, where other stages train than before, and take smaller parts where that is more than there is; in words."""
    if s.asked.training.checkpointing == "on":
        start_recomputing(s)
    if s.prefix.trains_from_cache or s.fitted_for == s.network.is_frozen:
        return ""
    s.fitted_for, size = s.network.is_frozen, s.asked.training.batch_size
    need = step_memory(s.network, s.precision.name, s.experiment, recomputes=s.recomputes)
    share = -(-size // s.ranks.count)
    now, free = min(s.micro_batch or share, share), free_bytes(s.device)
    fits = need.fitting(now, int(ROOM * free))
    if fits < now and not s.recomputes and s.asked.training.checkpointing == "auto":
        lighter = step_memory(s.network, s.precision.name, s.experiment, recomputes=True)
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
    return f"a step takes about {need.peak(min(fits, now)) / 1e9:.1f} GB, {free / 1e9:.1f} GB are free"


def start_recomputing(s: Setup) -> None:
    """From now on blocks of the network compute their activations again in the backward pass."""
    if not s.recomputes:
        s.recomputes = bool(recompute(s.network.module, s.network.stages))


def save_every_s(s: Setup) -> float:
    """As asked, but never so often that saving takes more than its share of the time."""
    return max(s.experiment.training.checkpoint_seconds, s.save_seconds / SAVE_SHARE)


def follow_boundary(s: Setup) -> None:
    """Keep features where the freeze boundary is now; say so where they are too many to be kept."""
    too_large = s.prefix.follow(lambda: _between_files(s))
    if too_large:
        views = f"{too_large.num_views} views of " if too_large.num_views > 1 else ""
        words = f"The features of {views}{too_large.num_samples:,} images would take {too_large.num_bytes / 1e9:.1f} GB"
        s.reporter.warn(
            "cache-too-large",
            f"{words}, more than there is room for or the {s.asked.training.cache_gigabytes:g} GB allowed; training runs the whole network.",
            "Allow more, keep fewer views, or freeze more of the network.",
        )


def fill_cache(s: Setup) -> None:
    """Run the frozen start of the network once over what this epoch needs of it."""
    s.reporter.phase("caching features", s.prefix.described())
    start = time.perf_counter()
    refused = s.prefix.fill(s.progress.epoch, lambda _num_done: _between_files(s))
    s.reporter.unreadable({s.ids[i]: reason for i, reason in refused.items()})
    s.progress.epoch_seconds += time.perf_counter() - start


def _between_files(s: Setup) -> None:
    """What the user wants is done between two batches of a pass that trains nothing. Raises StopAsked."""
    s.reporter.system(s.device)
    s.control.poll()
    take_edits(s)
    s.control.raise_if_stopped()
    if s.control.is_paused:
        pause(s)


def thaw(s: Setup) -> None:
    """Freeze and thaw at the start of an epoch, and tell where that changes something."""
    p, before = s.progress, s.network.plan
    trained = [group.get("trains", False) for group in s.optimiser.param_groups]
    thawed, frozen = freeze_for(s, p.epoch)
    if s.network.plan == before:
        return
    save_held(s)  # it shares the weights that were frozen until now
    for group, was_trained in zip(s.optimiser.param_groups, trained, strict=True):
        if group["trains"] and not was_trained:
            begin_anew(s.optimiser, group)
    num_trainable = sum(weight.numel() for weight in s.network.trainable())
    s.reporter.tell(ev.StagesThawed(step=p.step, epoch=p.epoch, stages=thawed, frozen=frozen, num_trainable=num_trainable))


def take_edits(s: Setup) -> None:
    """What the user has changed since the last step counts from the next one; so do edits of an earlier session whose step has come."""
    p, wishes, taken = s.progress, s.control.take_edits(), {}
    for values in wishes:
        problems = edit_problems(
            s.experiment.changed(taken),
            values,
            epochs_begun=p.epoch + (p.step_in_epoch > 0),
            stages=[stage.name for stage in s.network.stages],
        )
        problems = problems or _freezing_problems(s, s.experiment.changed(taken | values))
        if problems:
            s.reporter.warn("edit-refused", f"The change was not made: {problems[0]}", "Everything goes on as before.")
        else:
            taken |= values
    if taken:
        apply_edit(s, taken)
    s.experiment = in_force(s.asked, s.edits, p.step)


def apply_edit(s: Setup, values: dict[str, Any]) -> None:
    """Settings that count from the next step on, told before they do."""
    s.edit_events += (s.reporter.tell(ev.ExperimentEdited(step=s.progress.step, values=values)),)
    s.edits = edited(s.asked, s.edit_events)
    s.rates.after_edit(s.edits)
    s.experiment = in_force(s.asked, s.edits, s.progress.step)


def _freezing_problems(s: Setup, changed: Experiment) -> Sequence[Problem]:
    """Why what trains cannot be changed like this."""
    if changed.model == s.experiment.model:
        return ()
    try:
        s.network.plan_for(s.progress.epoch, changed.model)
    except BadInput as exc:
        return exc.problems
    return ()


def train_step(s: Setup, batches: Iterable[Batch]) -> Step:
    """One optimiser update from all of the batches: its gradient is the mean over all their images. Figures stay on the device."""
    t, p = s.experiment.training, s.progress
    step = Step(s.rates.apply(s.optimiser, p.step, s.experiment))
    num_images = images_of_step(s.epoch_size, t.batch_size, t.accumulation, p.step_in_epoch)
    with _whole_or_not_at_all(s):
        for number, batch in enumerate(batches):
            number = number * s.ranks.count + s.ranks.rank
            seed_draws(step_seed(t.seed, p.step, number), s.device)  # dropout and drop-path are a function of the step and the batch
            batch.mix = draw_mix(s.asked.augment, len(batch.indices), s.view["input_size"], t.seed, p.step, number)
            if len(batch.indices):
                step.add(batch, *_add_gradient(s, batch, num_images))
        if not s.ranks.is_alone:
            step.share(s.ranks, s.network.trainable(), num_images)
        s.scaler.unscale_(s.optimiser)
        is_sampled = s.flow.is_due(p.step)
        if is_sampled:
            s.flow.begin()
        trained = [weight for group in s.optimiser.param_groups for weight in group["params"] if weight.grad is not None]
        step.norm = torch.nn.utils.get_total_norm([weight.grad for weight in trained])
        if s.experiment.optimiser.clip_norm:
            torch.nn.utils.clip_grads_with_norm_(trained, s.experiment.optimiser.clip_norm, step.norm)
        if not s.scaler.is_enabled():  # the fp16 scaler leaves out steps with infinite gradients by itself
            _refuse_if_not_finite(s, step.loss() + step.norm)
    s.scaler.step(s.optimiser)
    s.scaler.update()
    if is_sampled:
        tell_flow(s)
    s.optimiser.zero_grad(set_to_none=True)
    _average_weights(s)
    return step


def _add_gradient(s: Setup, batch: Batch, num_images: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Add the share of one batch among `num_images`, in even parts where the whole does not fit into memory; returns (labels_N, of blended
    images those with the larger share, losses_N without smoothing, logits_NC)."""
    labels_N = to_device(s.labels[batch.indices], s.device)
    inputs, smoothing = s.inputs(batch), s.experiment.training.label_smoothing
    num_parts = -(-len(inputs) // s.micro_batch) if s.micro_batch else 1
    logits, losses, stop = [], [], 0
    for part in inputs.tensor_split(num_parts):
        rows = slice(stop, stop := stop + len(part))
        logits_NC = s.logits(s.network.module, batch, part).float()
        loss = mixed_loss(batch.mix, logits_NC, labels_N, rows, label_smoothing=smoothing)
        if len(part) != num_images:
            loss = loss * (len(part) / num_images)
        s.scaler.scale(loss).backward()
        logits.append(logits_NC.detach())
        losses.append(mixed_loss(batch.mix, logits[-1], labels_N, rows, reduction="none"))
    return batch.mix.main_labels(labels_N) if batch.mix else labels_N, torch.cat(losses), torch.cat(logits)


@contextlib.contextmanager
def _whole_or_not_at_all(s: Setup) -> Iterator[None]:
    """A step that breaks off leaves nothing behind, since training may go on without it: batch norm has counted its images already."""
    kinds = s.network.counting
    before = {dtype: [torch.empty_like(buffer) for buffer in buffers] for dtype, buffers in kinds.items()}
    for dtype, buffers in kinds.items():  # one kernel for all of a kind: ResNet-50 has 159 of them
        torch._foreach_copy_(before[dtype], buffers)
    try:
        yield
    except BaseException:
        for dtype, buffers in kinds.items():
            torch._foreach_copy_(buffers, before[dtype])
        s.optimiser.zero_grad(set_to_none=True)
        raise


def _average_weights(s: Setup) -> None:
    """Take the step into the running mean, where one is kept."""
    decay = s.experiment.optimiser.ema_decay
    if not decay:
        s.average = None
    else:
        s.average = s.average or Average(s.network.module)
        s.average.update(s.network.module, decay)
    s.progress.num_averaged = s.average.num_updates if s.average else 0


def scored_module(s: Setup) -> nn.Module:
    """The network that is validated and kept: the running mean where there is one."""
    return s.average.module if s.average else s.network.module


def _refuse_if_not_finite(s: Setup, figure: torch.Tensor) -> None:
    """See to it that a step whose loss or gradient is no number is never applied.

    On a GPU without waiting for it where the optimiser is fused: it skips the update while `found_inf` is set, and it stays set until a
    report finds the loss and ends the run. Elsewhere looking is free.
    """
    must_know = s.experiment.training.not_finite == "lower the rate"  # leaving out one step means to know of it before the next
    if s.device.type == "cuda" and s.optimiser.defaults.get("fused") and not must_know:
        is_bad = (~torch.isfinite(figure)).float()
        s.optimiser.found_inf = torch.maximum(is_bad, getattr(s.optimiser, "found_inf", torch.zeros_like(is_bad)))
    elif not torch.isfinite(figure):
        raise LossNotFinite(s.progress.step)


def validate_epoch(s: Setup) -> None:
    """Score this epoch on the validation images, keep the answers when they are the best so far, and save."""
    start = time.perf_counter()
    s.reporter.phase("validating")
    p = s.progress
    s.feeding.after_epoch()
    if s.average:
        s.average.finished(s.network.module)
    train_loss, train_top1 = p.loss_sum / max(1, p.num_seen), p.num_correct / max(1, p.num_seen)
    scores, answers = evaluate(s, "validation")
    epoch, seconds = p.epoch, p.epoch_seconds + time.perf_counter() - start
    figures = {"top1": scores.top1, "top5": scores.top5, "loss": scores.loss, "macro_f1": scores.macro_f1}
    is_best = p.count_epoch(figures)
    s.rates.after_epoch(p.validation_losses)
    if is_best:
        write_part(s, "validation", scores, answers)
    s.reporter.tell(
        ev.EpochFinished(
            epoch=epoch,
            step=p.step,
            train_loss=train_loss,
            train_top1=train_top1,
            validation_loss=scores.loss,
            validation_top1=scores.top1,
            validation_top5=scores.top5,
            macro_f1=scores.macro_f1,
            class_recalls=scores.class_recalls,
            is_best=is_best,
            seconds=seconds,
        )
    )
    keep_epoch(s, is_best)


def evaluate(s: Setup, part: str) -> tuple[Scores, Answers]:
    """Scores and answers on a part of the data. Raises StopAsked between batches, where pausing works too, and NoReadableImages."""

    def between() -> None:
        s.reporter.system(s.device)
        s.control.raise_if_stopped()
        if part == "validation":
            take_edits(s)
        if s.control.is_paused:
            if part == "validation":  # the test part is scored after the last checkpoint, with the best weights in place
                save(s)
            pause(s)

    indices, module = s.parts[part], scored_module(s)
    size = chunk_size(s.device, 2 * s.experiment.training.batch_size)
    follow_boundary(s)
    if s.ranks.is_alone:
        batches = s.prefix.evaluation_batches(indices, min(size, s.loader.max_batch), module)
    else:
        whole = evaluation_requests(indices.start, len(indices), s.ranks.count * min(size, s.loader.max_batch))
        batches = s.loader.batches(s.ranks.share(whole))
    answers = answer(_without_batch_norms(s, module, indices), _warned(s, batches), s.labels, s.forward, between)
    answers = joined(s.ranks.gather(answers))
    if not len(answers.labels_N):
        raise NoReadableImages(part)
    s.reporter.unreadable_in_all()
    return score(answers, len(s.dataset.classes)), answers


def _without_batch_norms(s: Setup, module: nn.Module, part: range) -> nn.Module:
    """What gives the same answers in less time, where the pass is long enough for that to matter."""
    if len(part) < LEAST_FOLDED or s.prefix.is_known(part, module) or len(pictures := s.prefix.chunk()) == 0:
        return module
    return s.folding.fold(module, pictures) or module


def _warned(s: Setup, batches):
    for batch in batches:
        s.reporter.unreadable({s.ids[i]: reason for i, reason in batch.refused.items()})
        yield batch


def _agree_on_statistics(s: Setup) -> None:
    """Batch norms have counted their own process's images: all go on with the mean of what they found."""
    if not s.ranks.is_alone:
        floats = [buffer for buffer in s.network.module.buffers() if buffer.is_floating_point()]
        s.ranks.add(floats)
        for buffer in floats:
            buffer.div_(s.ranks.count)


def write_part(s: Setup, part: str, scores: Scores, answers: Answers) -> None:
    if not s.ranks.is_first:
        return
    ids = [s.ids[i] for i in answers.indices_N]
    s.reporter.with_room(lambda: write_results(s.folder.results_path, part, s.dataset.classes, scores, answers, ids, s.progress.step))


def keep_epoch(s: Setup, is_best: bool) -> None:
    """Save at the end of an epoch, unless epochs are so short that saving large weights would take more than its share of the time: then what
    is best is held in memory, and written with the next checkpoint, at the latest before the run ends or other layers train."""
    is_due = s.saved_bytes < CHEAP_BYTES or time.monotonic() - s.saved_at >= s.save_seconds / SAVE_SHARE
    is_last = s.progress.epoch >= s.experiment.schedule.epochs or _has_stalled(s)
    is_due |= is_last or s.control.stops_after_epoch or s.control.is_save_wanted
    if s.ranks.from_first(lambda: is_due):
        save(s, is_best)
    elif is_best:
        s.held = Held(s.progress.step, _copied(s, tensors_of(s)), checkpoint_state(s))


def _copied(s: Setup, tensors: dict[str, dict[str, torch.Tensor]]) -> dict[str, dict[str, torch.Tensor]]:
    """Copies of what steps change; weights that are frozen stay the same until other layers train."""
    frozen = {name for name, weight in s.network.module.named_parameters() if not weight.requires_grad}
    return {
        kind: {name: t if kind == "model" and name in frozen else t.clone() for name, t in values.items()}
        for kind, values in tensors.items()
    }


def save_held(s: Setup) -> None:
    """Write the best epoch where it is held in memory only."""
    held, s.held = s.held, None
    if held is not None and held.step != s.progress.step:
        s.ranks.from_first(lambda: _save(s, True, held))


def save(s: Setup, is_best: bool = False) -> str:
    """Save a checkpoint, waiting for room on a full disk; returns its path relative to the run folder."""
    s.control.is_save_wanted = False
    save_held(s)
    return s.ranks.from_first(lambda: _save(s, is_best))  # the others read it later, so they wait until it is there


def _save(s: Setup, is_best: bool, held: Held | None = None) -> str:
    held = held or Held(s.progress.step, tensors_of(s), checkpoint_state(s))
    saved = s.reporter.with_room(lambda: save_checkpoint(s.folder, held.step, **held.tensors, state=held.state))
    s.save_seconds, s.saved_bytes, s.saved_at, s.saved_step = saved.seconds, saved.num_bytes, time.monotonic(), held.step
    path = saved.path.relative_to(s.folder.path).as_posix()
    s.reporter.tell(
        ev.CheckpointSaved(step=held.step, path=path, num_bytes=saved.num_bytes, is_best=is_best, seconds=round(saved.seconds, 3))
    )
    return path


def tensors_of(s: Setup) -> dict[str, dict[str, torch.Tensor]]:
    """All that the run has learnt: weights and buffers, the optimiser's memory, and the running mean where there is one."""
    module = s.network.module
    found = {"model": module.state_dict(), "optimiser": optimiser_tensors(s.optimiser, module)}
    return found | ({"average": s.average.finished(module).state_dict()} if s.average else {})


def pause(s: Setup) -> None:
    """Wait until the user goes on. Raises StopAsked when the run is to end instead."""
    s.reporter.tell(ev.PauseChanged(is_paused=True, step=s.progress.step))
    while s.control.is_paused:
        s.control.raise_if_stopped()
        take_edits(s)
        s.reporter.system(s.device)
        time.sleep(PAUSE_POLL_S)
    s.reporter.tell(ev.PauseChanged(is_paused=False, step=s.progress.step))


def finish(s: Setup, stopped_early: bool) -> None:
    """Score the best network on the test images where there are any, write the figures, say that it is done."""
    p = s.progress
    if s.saved_step != p.step and s.ranks.is_alone:
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
    if s.control.take_edits():
        s.reporter.warn("edit-refused", "The change was not made: the last epoch was over.", "Start a new run to train longer.")
    seconds = s.reporter.running_seconds()
    record = figures | {"seconds": seconds, "state_sha256": sha256, "test": scores_json(test, s.dataset.classes) if test else None}
    if s.ranks.is_first:
        s.reporter.with_room(lambda: write_atomically(s.folder.results_path / "metrics.json", json.dumps(record, indent=1).encode()))
    s.reporter.tell(ev.RunFinished(**figures, seconds=seconds))


@contextlib.contextmanager
def best_weights(s: Setup) -> Iterator[None]:
    """The network of the best epoch; the last one is back afterwards, whatever happens, since a checkpoint may be saved then."""
    from safetensors.torch import load_file

    module, best = scored_module(s), find_checkpoint(s.folder, "best")
    last = {name: tensor.to("cpu", copy=True) for name, tensor in module.state_dict().items()}
    try:
        if best:
            module.load_state_dict(load_file(best.weights_path))
        yield
    finally:
        module.load_state_dict(last)


def _has_stalled(s: Setup) -> bool:
    limit = s.experiment.training.early_stop_epochs
    return 0 < limit <= s.progress.epochs_without_progress
