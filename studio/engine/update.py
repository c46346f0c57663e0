"""One optimiser update: gradients of its batches, clipping, the step, the running mean. Nothing waits for the device."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import torch

from studio.core import event as ev
from studio.core.rng import step_seed
from studio.engine.average import Average
from studio.engine.device import seed_draws, to_device
from studio.engine.failure import LossNotFinite, OutOfMemory
from studio.engine.loader import Batch
from studio.engine.memory import is_out_of_memory
from studio.engine.mix import draw_mix, mixed_loss, training_loss
from studio.engine.plan import images_of_step
from studio.engine.setup import Setup
from studio.engine.steps import Step


def train_step(s: Setup, batches: Iterable[Batch]) -> Step:
    """One optimiser update from all of the batches: its gradient is the mean over all their images. Figures stay on the device."""
    t, p = s.experiment.training, s.progress
    step = Step(s.rates.apply(s.optimiser, p.step, s.experiment))
    num_images = images_of_step(s.epoch_size, t.batch_size, t.accumulation, p.step_in_epoch)
    with _whole_or_not_at_all(s):
        with _out_of_memory_together(s):
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
    try:
        s.scaler.step(s.optimiser)
        s.scaler.update()
        if is_sampled:
            tell_flow(s)
    finally:
        s.optimiser.zero_grad(set_to_none=True)  # also where the optimiser's memory cannot be had: the step is taken again
    _average_weights(s)
    return step


def _add_gradient(s: Setup, batch: Batch, num_images: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Add the share of one batch among `num_images`, in even parts where the whole does not fit into memory; returns (labels_N, of blended
    images those with the larger share, losses_N without smoothing and class weights, logits_NC)."""
    labels_N = to_device(s.labels[batch.indices], s.device)
    inputs, smoothing = s.inputs(batch), s.experiment.training.label_smoothing
    num_parts = -(-len(inputs) // s.micro_batch) if s.micro_batch else 1
    logits, losses, stop = [], [], 0
    for part in inputs.tensor_split(num_parts):
        rows = slice(stop, stop := stop + len(part))
        logits_NC = s.trained_logits(batch, part).float()
        loss = training_loss(batch.mix, logits_NC, labels_N, rows, smoothing=smoothing, weights_C=s.class_weights)
        if len(part) != num_images:
            loss = loss * (len(part) / num_images)
        s.scaler.scale(loss).backward()
        logits.append(logits_NC.detach())
        losses.append(mixed_loss(batch.mix, logits[-1], labels_N, rows, reduction="none"))
    return batch.mix.main_labels(labels_N) if batch.mix else labels_N, torch.cat(losses), torch.cat(logits)


@contextlib.contextmanager
def _out_of_memory_together(s: Setup) -> Iterator[None]:
    """Raise OutOfMemory in all processes where the images of one did not fit into memory: the others would wait for its gradients for ever."""
    fault = None
    try:
        yield
    except (MemoryError, RuntimeError) as exc:
        if not is_out_of_memory(exc):
            raise
        fault = exc
    if s.ranks.any(fault is not None):
        raise OutOfMemory from fault


@contextlib.contextmanager
def _whole_or_not_at_all(s: Setup) -> Iterator[None]:
    """A step that breaks off leaves nothing behind, since training may go on without it: batch norm has counted its images already."""
    put_back = s.network.statistics_kept()
    try:
        yield
    except BaseException:
        put_back()
        s.optimiser.zero_grad(set_to_none=True)
        raise


def _refuse_if_not_finite(s: Setup, figure: torch.Tensor) -> None:
    """See to it that a step whose loss or gradient is no number is never applied.

    Where nobody needs to know at once, the optimiser skips the update while `found_inf` is set, and it stays set until a report finds the loss
    and the run goes back or ends.
    """
    if may_learn_later(s):
        is_bad = (~torch.isfinite(figure)).float()
        s.optimiser.found_inf = torch.maximum(is_bad, getattr(s.optimiser, "found_inf", torch.zeros_like(is_bad)))
    elif not torch.isfinite(figure):
        raise LossNotFinite(s.progress.step)


def may_learn_later(s: Setup) -> bool:
    """Whether a loss that is no number need not be known before the next step: a GPU is not waited for where the optimiser is fused. Elsewhere
    looking is free."""
    must_know = s.experiment.training.not_finite == "lower the rate"  # leaving out one step means to know of it before the next
    return s.device.type == "cuda" and bool(s.optimiser.defaults.get("fused")) and not must_know


def _average_weights(s: Setup) -> None:
    """Take the step into the running mean, where one is kept."""
    decay = s.experiment.optimiser.ema_decay
    if not decay:
        s.average = None
    else:
        s.average = s.average or Average(s.network.module)
        s.average.update(s.network.module, decay)
    s.progress.num_averaged = s.average.num_updates if s.average else 0


def tell_flow(s: Setup) -> None:
    """Tell how the gradient flowed through the step that was sampled, unless the optimiser skipped it."""
    norms, ratios = s.flow.end(s.progress.step)
    if getattr(s.optimiser, "found_inf", 0):
        return
    s.reporter.tell(ev.GradientsSampled(step=s.progress.step, norms=norms, ratios=ratios))
    for stage in s.flow.silent(norms):
        s.reporter.warn(
            "no-gradient",
            f"{stage[0].upper()}{stage[1:]} trains but receives almost no gradient, so it does not learn.",
            "Look at the initialisation of the head, at the normalisation, and at what lies behind it.",
        )
