"""The learning-rate range test: a few score training steps at rising rates, on a network, an optimiser and a loader of its own.

Everything a run would have is built anew from the experiment, so nothing of a run or of a prebuilt engine is touched; the random
generators are put back afterwards. Data order, augmentation and dropout are those of the run's first steps.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from itertools import chain, count, islice

import numpy as np
import torch

from studio.catalog.optimisers import build_optimiser
from studio.core.experiment import Experiment
from studio.core.problem import BadInput, errors_in
from studio.core.rate_test import HIGHEST, LOWEST, NUM_STEPS, RateTest, digests, has_diverged, planned_rates
from studio.core.rng import step_seed
from studio.dataset.dataset import Dataset
from studio.dataset.plan_check import check_run
from studio.engine.device import choose_device, seed_draws, to_device
from studio.engine.failure import DataGone, NoReadableImages, describe
from studio.engine.loader import Batch, Loader, Request, WorkerDied, choose_num_workers
from studio.engine.mix import draw_mix, training_loss
from studio.engine.network import Labels, Normaliser, build_network
from studio.engine.plan import training_requests
from studio.engine.precision import choose_precision
from studio.engine.setup import class_weights_on, source_for, view_for

MAX_PASSES = 2  # over the training images: what is learnt by heart later would look like a good rate
LEAST_STEPS = 40  # more passes than that are taken where fewer steps would leave no curve

_FIXES = {  # where a run would be resumed
    DataGone: "Bring it back, then run the test again.",
    NoReadableImages: "Check that the folder or drive is still there, then run the test again.",
    WorkerDied: "Choose fewer loader workers or a smaller batch.",
}

Progress = Callable[[int, int | None, str], None]  # steps done, planned, words; may raise to end the test
Points = Callable[[int, list[float], list[float]], None]  # index of the first, rates, losses


def planned_steps(num_train: int, effective_batch: int) -> int:
    """NUM_STEPS, or as many as MAX_PASSES over the training images give, but LEAST_STEPS at least."""
    return min(NUM_STEPS, max(LEAST_STEPS, MAX_PASSES * num_train // effective_batch))


def find_rate(
    experiment: Experiment,
    dataset: Dataset,
    progress: Progress = lambda done, total, words: None,
    points: Points = lambda first, rates, losses: None,
    *,
    num_steps: int | None = None,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
) -> RateTest:
    """Run the test. Raises BadInput, what libraries raise, and what `progress` raises, which is called before every batch."""
    problems = errors_in(check_run(experiment, dataset))
    if problems:
        raise BadInput(*problems)
    start = time.perf_counter()
    device = choose_device(experiment.training.device)
    with in_words(experiment), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        progress(0, None, "Building the network")
        trial = _Trial(experiment, dataset, device)
        with trial.loader:
            return trial.run(progress, points, num_steps, lowest, highest, start)


@contextlib.contextmanager
def in_words(experiment: Experiment) -> Iterator[None]:
    """What goes wrong in a test that makes no run, as BadInput where it is known what it is."""
    try:
        yield
    except (DataGone, NoReadableImages, WorkerDied, MemoryError, RuntimeError) as exc:
        failure = describe(exc, experiment)
        if failure.is_bug:
            raise
        raise BadInput(f"{failure.sentence} {_FIXES.get(type(exc), failure.fix)}") from exc


class _Trial:
    """The parts of one test; all of them go with it."""

    def __init__(self, experiment: Experiment, dataset: Dataset, device: torch.device):
        self.experiment, self.device = experiment, device
        samples = dataset.part("train") + dataset.synthetic
        self.num_real, self.num_train = len(dataset.part("train")), dataset.epoch_size(experiment.data.synthetic_fraction)
        self.made = {"num_synthetic": len(dataset.synthetic), "num_taken": self.num_train - self.num_real}
        self.class_weights = class_weights_on(device, experiment, dataset)
        self.labels = np.array([dataset.class_index[s.label] for s in samples], np.int64)
        self.network = build_network(experiment, len(dataset.classes), labels=Labels.of(dataset))
        self.precision = choose_precision(self.network, experiment, device)
        self.precision.place(self.network.module, device)
        groups, self.factors = self.network.parameter_groups(experiment.optimiser.weight_decay)
        self.optimiser = build_optimiser(experiment.optimiser, groups)
        self.scaler = self.precision.scaler(device)
        view = view_for(experiment, dataset)
        self.normaliser = Normaliser(view["mean"], view["std"], device, self.precision.channels_last)
        source = source_for(experiment, dataset, samples, view, len(samples))
        training = experiment.training
        self.loader = Loader(source, training.batch_size, choose_num_workers(training.workers, device.type))

    def run(self, progress: Progress, points: Points, num_steps: int | None, lowest: float, highest: float, start: float) -> RateTest:
        training = self.experiment.training
        effective = training.batch_size * training.accumulation
        rates = planned_rates(num_steps or planned_steps(self.num_train, effective), lowest, highest).tolist()
        self.network.train_mode()
        steps = list(islice(self._steps(), len(rates)))
        batches = self.loader.batches(chain.from_iterable(steps))
        losses: list[float] = []
        num_seen = 0
        diverged = False
        for step, (rate, requests) in enumerate(zip(rates, steps, strict=True)):
            num_images = sum(len(request.indices) for request in requests)
            mine = []
            for number, batch in enumerate(islice(batches, len(requests))):
                progress(step, len(rates), "Testing rates")
                seed_draws(step_seed(training.seed, step, number), self.device)  # dropout and drop-path, as in the run
                size = self.experiment.model.input_size
                batch.mix = draw_mix(self.experiment.augment, len(batch.indices), size, training.seed, step, number)
                mine.append(self._backward(batch, len(batch.indices) / num_images))
            num_seen += num_images
            loss = float(torch.stack(mine).sum())
            diverged = not math.isfinite(loss) or has_diverged(rates[: len(losses) + 1], [*losses, loss])
            if math.isfinite(loss):
                losses.append(loss)
                points(step, [rate], [loss])
            if diverged or not self._update(rate):
                diverged = True
                break
        progress(len(rates), len(rates), "Testing rates")
        if len(losses) < 2:
            raise BadInput(
                f"The loss is not a number at a learning rate of {lowest:.0e} already. Check augmentation, precision and weights."
            )
        return RateTest(
            rates=tuple(rates[: len(losses)]),
            losses=tuple(losses),
            num_steps=len(rates),
            has_diverged=diverged,
            made_with=digests(self.experiment),
            batch_size=effective,
            passes=num_seen / self.num_train,
            device=str(self.device),
            seconds=time.perf_counter() - start,
        )

    def _steps(self) -> Iterator[list[Request]]:
        """The batches of each step, of the run's own epochs one after the other; the last step of an epoch may have fewer."""
        training = self.experiment.training
        for epoch in count():
            requests = training_requests(training.seed, epoch, self.num_real, training.batch_size, **self.made)
            while step := list(islice(requests, training.accumulation)):
                yield step

    def _backward(self, batch: Batch, share: float) -> torch.Tensor:
        """Add the batch to the gradients; its `share` of the loss that training lowers, label smoothing and class weights included."""
        training = self.experiment.training
        labels_N = to_device(self.labels[batch.indices], self.device)
        images_NCHW = self.normaliser(batch.images_NHWC)
        images_NCHW = batch.mix.images(images_NCHW) if batch.mix else images_NCHW
        with self.precision.autocast(self.device):
            logits_NC = self.network.module(images_NCHW)
        loss = training_loss(batch.mix, logits_NC.float(), labels_N, smoothing=training.label_smoothing, weights_C=self.class_weights)
        loss = loss * share
        self.scaler.scale(loss).backward()
        return loss.detach()

    def _update(self, rate: float) -> bool:
        """One optimiser step at this rate; False where the gradient is no number."""
        for group, factor in zip(self.optimiser.param_groups, self.factors, strict=True):
            group["lr"] = rate * factor
        self.scaler.unscale_(self.optimiser)
        clip = self.experiment.optimiser.clip_norm or float("inf")
        norm = torch.nn.utils.clip_grad_norm_([p for group in self.optimiser.param_groups for p in group["params"]], clip)
        if not self.scaler.is_enabled() and not math.isfinite(float(norm)):
            return False
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        return True
