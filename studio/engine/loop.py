"""The training loop, from the first step to the last word. Reads from top to bottom; nothing calls back into it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator

import torch
from torch.nn.functional import cross_entropy

from studio.core import event as ev
from studio.core.file import write_atomically
from studio.core.rng import step_seed
from studio.engine.checkpoint import MODEL, find_checkpoint, optimiser_tensors, save_checkpoint, state_sha256
from studio.engine.control import StopAsked
from studio.engine.evaluate import Answers, Scores, answer, score, scores_json, write_results
from studio.engine.failure import LossNotFinite, NoReadableImages
from studio.engine.loader import Batch
from studio.engine.plan import evaluation_requests, training_requests
from studio.engine.setup import Setup, checkpoint_state
from studio.engine.steps import StepBuffer

PAUSE_POLL_S = 0.1
EVALUATION_BATCH_CPU = 16  # a processor's caches like small batches; a GPU takes twice the training batch


def train(s: Setup) -> None:
    """Train to the end and tell `RunFinished`. Raises StopAsked when the user ends the run before, LossNotFinite, DataGone,
    NoReadableImages, and what libraries raise."""
    p = s.progress
    epochs = s.experiment.schedule.epochs
    stopped_early = _has_stalled(s)
    while p.epoch < epochs and not stopped_early:
        if p.step_in_epoch < s.steps_per_epoch:
            train_epoch(s)
        validate_epoch(s)
        stopped_early = _has_stalled(s)
        if s.control.stops_after_epoch and p.epoch < epochs:
            raise StopAsked
    finish(s, stopped_early)


def train_epoch(s: Setup) -> None:
    """The steps of this epoch that are not done yet."""
    p, t = s.progress, s.experiment.training
    s.reporter.phase("training")
    s.network.train_mode()
    steps = StepBuffer(s)
    requests = training_requests(t.seed, p.epoch, len(s.parts["train"]), t.batch_size, p.step_in_epoch)
    last_saved = time.monotonic()
    for batch in steps.timed(s.loader.batches(requests)):
        losses, logits, norm = train_step(s, batch)
        steps.add(batch, losses, logits, norm)
        p.step += 1
        p.step_in_epoch += 1
        if steps.is_due() or p.step_in_epoch == s.steps_per_epoch:
            steps.report()
        s.reporter.system(s.device)
        s.control.poll()
        wants_save = s.control.is_save_wanted or time.monotonic() - last_saved > t.checkpoint_seconds
        if s.control.stop or s.control.is_paused or wants_save:
            steps.report()  # so that the numbers of a checkpoint are complete
            if s.control.stop:
                raise StopAsked(keep=s.control.stop == "stop")
            save(s)
            last_saved = time.monotonic()
            if s.control.is_paused:
                pause(s)
                steps.restart_clock()


def train_step(s: Setup, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One optimiser update: (losses_N without smoothing, logits_NC, gradient norm before clipping), all left on the device."""
    t, o, p = s.experiment.training, s.experiment.optimiser, s.progress
    torch.manual_seed(step_seed(t.seed, p.step))  # dropout and drop-path are a function of the step
    for group, rate in zip(s.optimiser.param_groups, s.rates[p.step], strict=True):
        group["lr"] = float(rate)
        if s.momenta is not None:
            _set_momentum(group, float(s.momenta[p.step]))
    images_NCHW = s.normaliser(batch.images_NHWC)
    labels_N = torch.from_numpy(s.labels[batch.indices]).to(s.device, non_blocking=True)
    with s.precision.autocast(s.device):
        logits_NC = s.network.module(images_NCHW)
    logits_NC = logits_NC.float()
    loss = cross_entropy(logits_NC, labels_N, label_smoothing=t.label_smoothing)
    s.scaler.scale(loss).backward()
    s.scaler.unscale_(s.optimiser)
    trained = [weight for group in s.optimiser.param_groups for weight in group["params"]]
    norm = torch.nn.utils.clip_grad_norm_(trained, o.clip_norm or float("inf"))
    if not s.scaler.is_enabled():  # the fp16 scaler leaves out steps with infinite gradients by itself
        _refuse_if_not_finite(s, loss + norm)
    s.scaler.step(s.optimiser)
    s.scaler.update()
    s.optimiser.zero_grad(set_to_none=True)
    with torch.no_grad():
        losses_N = cross_entropy(logits_NC.detach(), labels_N, reduction="none")
    return losses_N, logits_NC.detach(), norm.detach()


def _refuse_if_not_finite(s: Setup, figure: torch.Tensor) -> None:
    """See to it that a step whose loss or gradient is no number is never applied.

    On a GPU without waiting for it: its fused optimiser skips the update while `found_inf` is set, and it stays set until the next
    report finds the loss and ends the run. Elsewhere looking is free.
    """
    if s.device.type == "cuda":
        is_bad = (~torch.isfinite(figure)).float()
        s.optimiser.found_inf = torch.maximum(is_bad, getattr(s.optimiser, "found_inf", torch.zeros_like(is_bad)))
    elif not torch.isfinite(figure):
        raise LossNotFinite(s.progress.step)


def validate_epoch(s: Setup) -> None:
    """Score this epoch on the validation images, keep the answers when they are the best so far, and save."""
    start = time.perf_counter()
    s.reporter.phase("validating")
    p = s.progress
    train_loss, train_top1 = p.loss_sum / max(1, p.num_seen), p.num_correct / max(1, p.num_seen)
    scores, answers = evaluate(s, "validation")
    epoch, seconds = p.epoch, p.epoch_seconds + time.perf_counter() - start
    figures = {"top1": scores.top1, "top5": scores.top5, "loss": scores.loss, "macro_f1": scores.macro_f1}
    is_best = p.count_epoch(figures)
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
    save(s, is_best)


def evaluate(s: Setup, part: str) -> tuple[Scores, Answers]:
    """Scores and answers on a part of the data. Raises StopAsked between batches, where pausing works too, and NoReadableImages."""

    def between() -> None:
        s.reporter.system(s.device)
        s.control.raise_if_stopped()
        if s.control.is_paused:
            pause(s)

    size = EVALUATION_BATCH_CPU if s.device.type == "cpu" else 2 * s.experiment.training.batch_size
    indices = s.parts[part]
    batches = s.loader.batches(evaluation_requests(indices.start, len(indices), min(size, s.loader.max_batch)))
    answers = answer(s.network.module, _warned(s, batches), s.labels, s.normaliser, lambda: s.precision.autocast(s.device), between)
    if not len(answers.labels_N):
        raise NoReadableImages(part)
    s.reporter.unreadable_in_all()
    return score(answers, len(s.dataset.classes)), answers


def _warned(s: Setup, batches):
    for batch in batches:
        s.reporter.unreadable({s.ids[i]: reason for i, reason in batch.refused.items()})
        yield batch


def write_part(s: Setup, part: str, scores: Scores, answers: Answers) -> None:
    ids = [s.ids[i] for i in answers.indices_N]
    s.reporter.with_room(lambda: write_results(s.folder.results_path, part, s.dataset.classes, scores, answers, ids, s.progress.step))


def save(s: Setup, is_best: bool = False) -> str:
    """Save a checkpoint, waiting for room on a full disk; returns its path relative to the run folder."""
    s.control.is_save_wanted = False
    module = s.network.module
    saved = s.reporter.with_room(
        lambda: save_checkpoint(s.folder, s.progress.step, module.state_dict(), optimiser_tensors(s.optimiser, module), checkpoint_state(s))
    )
    path = saved.path.relative_to(s.folder.path).as_posix()
    s.reporter.tell(
        ev.CheckpointSaved(step=s.progress.step, path=path, num_bytes=saved.num_bytes, is_best=is_best, seconds=round(saved.seconds, 3))
    )
    return path


def pause(s: Setup) -> None:
    """Wait until the user goes on. Raises StopAsked when the run is to end instead."""
    s.reporter.tell(ev.PauseChanged(is_paused=True, step=s.progress.step))
    while s.control.is_paused:
        s.control.raise_if_stopped()
        s.reporter.system(s.device)
        time.sleep(PAUSE_POLL_S)
    s.reporter.tell(ev.PauseChanged(is_paused=False, step=s.progress.step))


def finish(s: Setup, stopped_early: bool) -> None:
    """Score the best network on the test images where there are any, write the figures, say that it is done."""
    p = s.progress
    sha256 = state_sha256(s.network.module.state_dict(), optimiser_tensors(s.optimiser, s.network.module))
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
    seconds = s.reporter.running_seconds()
    record = figures | {"seconds": seconds, "state_sha256": sha256, "test": scores_json(test, s.dataset.classes) if test else None}
    s.reporter.with_room(lambda: write_atomically(s.folder.results_path / "metrics.json", json.dumps(record, indent=1).encode()))
    s.reporter.tell(ev.RunFinished(**figures, seconds=seconds))


@contextlib.contextmanager
def best_weights(s: Setup) -> Iterator[None]:
    """The network of the best epoch; the last one is back afterwards, whatever happens, since a checkpoint may be saved then."""
    from safetensors.torch import load_file

    module, best = s.network.module, find_checkpoint(s.folder, "best")
    last = {name: tensor.to("cpu", copy=True) for name, tensor in module.state_dict().items()}
    try:
        if best:
            module.load_state_dict(load_file(best.path / MODEL))
        yield
    finally:
        module.load_state_dict(last)


def _has_stalled(s: Setup) -> bool:
    limit = s.experiment.training.early_stop_epochs
    return 0 < limit <= s.progress.epochs_without_progress


def _set_momentum(group: dict, value: float) -> None:
    if "betas" in group:
        group["betas"] = (value, group["betas"][1])
    elif group["momentum"] > 0:
        group["momentum"] = value
