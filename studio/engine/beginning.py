"""How a new run begins before torch is there: its list of images is read, and its first batch is begun. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from studio.catalog.augments.load import load_albumentations
from studio.core.experiment import Experiment
from studio.core.run_folder import RunFolder
from studio.dataset.dataset import Dataset
from studio.dataset.first_batch import first_samples
from studio.engine.first_batch import FirstBatch
from studio.engine.loader import choose_num_workers


@dataclass
class Beginning:
    """What is there; nothing for a run that goes on, and for one whose images have to be listed first."""

    dataset: Dataset | None = None
    first: FirstBatch | None = None

    def make_first(self) -> None:
        """The whole batch, now that torch is there, which the library that augments asks for."""
        if self.first is not None:
            load_albumentations()  # here: of two threads that import, one may find what the other has half done
            self.first.make()

    def close(self) -> None:
        if self.first is not None:
            self.first.close()


def begin(folder: RunFolder, experiment: Experiment, made: FirstBatch | None = None) -> Beginning:
    """Begin a new run. `made` is of a warm engine that was told what would come. Raises BadInput, OSError."""
    if not folder.dataset_path.is_file():
        if made is not None:
            made.close()
        return Beginning()
    dataset = Dataset.from_json(folder.dataset_path.read_bytes())
    samples = first_samples(experiment, dataset)
    if made is not None:
        if made.is_for(experiment, samples):
            return Beginning(dataset, made)
        made.close()
    first = None
    if samples["ids"] and choose_num_workers(experiment.training.workers, "cpu") == 0:  # else loader processes make it
        first = FirstBatch(experiment, samples)
        first.decode()
    return Beginning(dataset, first)
