"""Many learning rates for a new head at once: the frozen network runs once per picture, then all heads learn side by side.

Every head starts from the same weights, sees the same batches with the same dropout, and follows the experiment's own schedule with another peak.
Their forward and backward passes are one batched matrix product per step, so 32 of them take a small share of what the features take.
Pictures are taken without augmentation, since features of fresh ones could not be kept: the sweep says which peak suits head and features.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, dropout

from studio.catalog import schedules
from studio.catalog.optimisers import build_optimiser
from studio.core.experiment import Augment, Experiment
from studio.core.head_sweep import Head, HeadSweep, digests
from studio.core.problem import BadInput, errors_in
from studio.core.rng import step_seed
from studio.dataset.dataset import Dataset
from studio.dataset.plan_check import check_run
from studio.engine.device import choose_device, seed_draws
from studio.engine.loader import Loader, choose_num_workers
from studio.engine.mix import training_loss
from studio.engine.network import Labels, Normaliser, build_network
from studio.engine.plan import steps_per_epoch, training_requests
from studio.engine.precision import choose_precision
from studio.engine.prefix import Prefix, pictures_at_once
from studio.engine.rate_test import Progress, in_words
from studio.engine.setup import cache_plan, class_weights_on, source_for, view_for

NO_ROOM = (
    "The features of this network cannot be kept, so many heads cannot share them. "
    "Allow more room under “Cache at most” (training.cache_gigabytes), or run a range test instead."
)


def sweep_head(
    experiment: Experiment,
    dataset: Dataset,
    peaks: list[float],
    own_folder: Path,
    progress: Progress = lambda done, total, words: None,
) -> HeadSweep:
    """Train one head per peak for the experiment's epochs. `own_folder` is scratch. Raises BadInput where the head is not a single layer on
    pooled features, for what keeps a run from starting or ends it, and what `progress` raises, which is called with every batch."""
    if problems := errors_in(check_run(experiment, dataset)):
        raise BadInput(*problems)
    with in_words(experiment):
        return _sweep(experiment, dataset, peaks, own_folder, progress)


def _sweep(experiment: Experiment, dataset: Dataset, peaks: list[float], own_folder: Path, progress: Progress) -> HeadSweep:
    if not dataset.part("validation"):
        raise BadInput("A sweep compares heads on validation images, and none are held back. Choose a validation share.")
    made_with = digests(experiment)
    experiment = experiment.changed({"model.train_stages": 0, "model.thaw": {}, "training.feature_cache": "exact"})
    experiment = experiment.model_copy(update={"augment": Augment(preset="none")})
    start, device = time.perf_counter(), choose_device(experiment.training.device)
    progress(0, None, "Building the network")
    network = build_network(experiment, len(dataset.classes), labels=Labels.of(dataset))
    linear = getattr(getattr(network.module, "head", None), "linear", None)
    if not isinstance(linear, nn.Linear) or experiment.model.head:
        raise BadInput("A sweep compares heads of one layer. Leave the head at its default, or run a range test instead.")
    precision = choose_precision(network, experiment, device)
    network.module.to(device, memory_format=torch.channels_last if precision.channels_last else torch.contiguous_format)
    samples = [*dataset.part("train"), *dataset.part("validation")]
    labels = torch.tensor([dataset.class_index[s.label] for s in samples], device=device)
    num_train = len(dataset.part("train"))
    parts = {"train": range(num_train), "validation": range(num_train, len(samples)), "test": range(len(samples), len(samples))}
    view, size = view_for(experiment, dataset), experiment.training.batch_size
    source = source_for(experiment, dataset, samples, view, num_train)
    plan = replace(cache_plan(experiment, view, precision, device), views_at=lambda _share: 1)
    normaliser = Normaliser(view["mean"], view["std"], device, precision.channels_last)
    with Loader(source, max(size, pictures_at_once(device)), choose_num_workers(experiment.training.workers, device.type)) as loader:
        prefix = Prefix(own_folder, plan, network, loader, parts, normaliser, lambda: precision.autocast(device), device)
        try:
            prefix.follow(lambda: progress(0, None, "Looking at the images"))
            if not prefix.trains_from_cache:
                raise BadInput(NO_ROOM)
            prefix.fill(0, lambda done: progress(done, num_train, "Making features"))
            features, shown = prefix.everything()
            num_scored, what = len(parts["validation"]), "Making features of validation images"
            batches = prefix.evaluation_batches(
                parts["validation"], size, network.module, lambda done, _refused: progress(done, num_scored, what)
            )
            scored = [batch for batch in batches if len(batch.indices)]
            if any(batch.features is None for batch in scored):
                raise BadInput(NO_ROOM)
        finally:
            prefix.close()
    if features.ndim != 2:
        raise BadInput("The head of this network takes more than pooled features, so a sweep cannot stack it.")
    if not scored:
        raise BadInput("None of the validation images can be read.")
    indices = np.concatenate([batch.indices for batch in scored])
    tested = torch.cat([batch.features for batch in scored]).to(device).float()
    wanted = labels[indices]
    class_weights = class_weights_on(device, experiment, dataset.changed(synthetic=()))  # real images alone are swept over
    feature_seconds, start = time.perf_counter() - start, time.perf_counter()
    heads = _train(experiment, network, linear, features.to(device).float(), labels[shown], peaks, device, progress, class_weights)
    with torch.no_grad():
        logits_KNC = torch.stack([tested @ weight.T + bias for weight, bias in heads])
        losses = [float(cross_entropy(logits_NC, wanted)) for logits_NC in logits_KNC]
        top1s = (logits_KNC.argmax(2) == wanted).float().mean(1).tolist()
    found = tuple(
        Head(peak, loss, top1) if math.isfinite(loss) else Head(peak, None, 0.0)
        for peak, loss, top1 in zip(peaks, losses, top1s, strict=True)
    )
    return HeadSweep(found, experiment.schedule.epochs, feature_seconds, time.perf_counter() - start, made_with, str(device))


def _train(
    experiment, network, linear, features, labels, peaks, device, progress, class_weights
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(weight[C, D], bias[C]) of every head at its end."""
    t, num = experiment.training, len(features)
    weights = [nn.Parameter(linear.weight.detach().float().clone()) for _ in peaks]
    biases = [nn.Parameter(linear.bias.detach().float().clone()) for _ in peaks]
    groups = [{"params": [w], "weight_decay": experiment.optimiser.weight_decay, "is_decayed": True} for w in weights]
    groups += [{"params": [b], "weight_decay": 0.0, "is_decayed": False} for b in biases]
    optimiser = build_optimiser(experiment.optimiser, groups)
    batch_size = t.batch_size * t.accumulation  # features are small
    per_epoch = steps_per_epoch(num, batch_size)
    total = per_epoch * experiment.schedule.epochs
    stages = [stage.name for stage in network.stages]
    shape = schedules.lr(experiment, np.arange(total), stages=stages, steps_per_epoch=per_epoch)[:, -1] / experiment.schedule.peak_lr
    factors = [*peaks, *peaks]
    clip = experiment.optimiser.clip_norm or float("inf")
    step = 0
    for epoch in range(experiment.schedule.epochs):
        for request in training_requests(t.seed, epoch, num, batch_size):
            progress(step, total, f"Training {len(peaks)} heads")
            rows = torch.tensor(request.indices, device=device)
            seed_draws(step_seed(t.seed, step), device)
            batch_BD = dropout(features[rows], experiment.model.dropout)
            logits_KBC = torch.baddbmm(
                torch.stack(biases).unsqueeze(1), batch_BD.expand(len(peaks), -1, -1), torch.stack(weights).transpose(1, 2)
            )
            wanted = labels[rows].expand(len(peaks), -1)
            loss = training_loss(None, logits_KBC.flatten(0, 1), wanted.flatten(), smoothing=t.label_smoothing, weights_C=class_weights)
            loss = loss * len(peaks)
            loss.backward()  # the mean over pictures of each head, summed over heads, which share no weight
            norms = torch.stack(torch._foreach_norm([w.grad for w in weights + biases])).view(2, -1).norm(dim=0)
            scales = (clip / (norms + 1e-6)).clamp(max=1.0)
            torch._foreach_mul_([w.grad for w in weights + biases], [*scales, *scales])
            for group, factor in zip(optimiser.param_groups, factors, strict=True):
                group["lr"] = float(shape[step]) * factor
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            step += 1
    progress(total, total, f"Training {len(peaks)} heads")
    return list(zip((w.detach() for w in weights), (b.detach() for b in biases), strict=True))
