"""Which pictures a run sees first, as plain data that one process can send to another. Pillow-free, fast: no file is touched."""

from __future__ import annotations

from typing import Any

from studio.core.experiment import Experiment
from studio.core.rng import training_order
from studio.dataset.dataset import Dataset


def first_samples(experiment: Experiment, dataset: Dataset) -> dict[str, Any]:
    """`root` and, per picture of the first batch in its order, `indices` among all training samples (real, then made ones), `ids`, and `stamps`:
    size and time of change, ns."""
    real, made = dataset.part("train"), dataset.synthetic
    num_taken = dataset.epoch_size(experiment.data.synthetic_fraction) - len(real)
    order = training_order(experiment.training.seed, 0, len(real), len(made), num_taken)[: experiment.training.batch_size].tolist()
    samples = [real[i] if i < len(real) else made[i - len(real)] for i in order]
    return {
        "root": dataset.root,
        "indices": order,
        "ids": [s.id for s in samples],
        "stamps": [[s.num_bytes, s.mtime_ns] for s in samples],
    }
