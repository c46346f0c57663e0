"""Which images are in a training batch: the order of the run, from the functions that the engine takes it from. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from studio.core.batch_plan import batches_per_epoch, steps_per_epoch
from studio.core.experiment import Experiment
from studio.core.rng import training_order
from studio.dataset.dataset import Dataset
from studio.gui.pages.augment.subject import Subject

MOST_IMAGES = 4096  # of a batch that is shown


@dataclass(frozen=True)
class BatchPlace:
    """Batch `number` of an epoch, counted from 0: its images in their order, the optimiser step of the whole run and the batch within that."""

    number: int
    subjects: tuple[Subject, ...]
    step: int
    batch: int


def num_batches(experiment: Experiment, dataset: Dataset) -> int:
    return batches_per_epoch(dataset.epoch_size(experiment.data.synthetic_fraction), experiment.training.batch_size)


def batch_at(experiment: Experiment, dataset: Dataset, epoch: int, number: int) -> BatchPlace:
    """The last batch where there are not so many."""
    training, real = experiment.training, dataset.part("train")
    epoch_size = dataset.epoch_size(experiment.data.synthetic_fraction)
    number = max(0, min(number, num_batches(experiment, dataset) - 1))
    order = _order(training.seed, epoch, len(real), len(dataset.synthetic), epoch_size - len(real))
    places = order[number * training.batch_size : (number + 1) * training.batch_size][:MOST_IMAGES]
    steps = steps_per_epoch(epoch_size, training.batch_size, training.accumulation)
    step, batch = divmod(number, training.accumulation)
    return BatchPlace(number, tuple(_subject(dataset, real, int(i)) for i in places), epoch * steps + step, batch)


def _subject(dataset: Dataset, real: tuple, index: int) -> Subject:
    sample = real[index] if index < len(real) else dataset.synthetic[index - len(real)]
    return Subject(dataset.path_of(sample), sample.id, index, sample.label, is_from_data=True)


_order = lru_cache(maxsize=2)(training_order)  # of a million images some 20 ms
