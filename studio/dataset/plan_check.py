"""Everything that must be right between an experiment and its data before a run starts."""

from __future__ import annotations

import os

from studio.core.experiment import Experiment
from studio.core.path_text import text_to_path
from studio.core.problem import Problem, error, errors_in, note, warning
from studio.dataset.dataset import Dataset
from studio.dataset.words import counted


def check_run(experiment: Experiment, dataset: Dataset) -> list[Problem]:
    """All findings, those of the data set first. Any of Severity.ERROR keeps the run from starting."""
    found = list(dataset.problems)
    found += _parts(dataset)
    found += _batch(experiment, dataset)
    found += _length(experiment)
    found += _files(experiment)
    return found


def _parts(dataset: Dataset) -> list[Problem]:
    if errors_in(dataset.problems):
        return []  # the scan has said it, class by class
    if not dataset.part("train"):
        return [error("data.source", "There are no training images. Move images to train, or choose another folder.")]
    if not dataset.part("validation"):
        return [
            error(
                "data.validation_fraction",
                "There are no validation images, so progress cannot be measured. Raise the validation share, or move images to validation.",
            )
        ]
    return []


def _batch(experiment: Experiment, dataset: Dataset) -> list[Problem]:
    size, images = experiment.training.batch_size, len(dataset.part("train"))
    if size <= images or not images:
        return []
    fitting = 1 << (images.bit_length() - 1)
    has = f"{images:,} training images" if images != 1 else "one training image"
    return [error("training.batch_size", f"Batch size {size:,} is larger than the {has}. Try {fitting:,}.")]


def _length(experiment: Experiment) -> list[Problem]:
    schedule, training = experiment.schedule, experiment.training
    epochs = schedule.epochs
    found = []
    if schedule.shape == "warm_restarts" and schedule.cycle_epochs > epochs:
        found.append(
            note(
                "schedule.cycle_epochs",
                f"The first cycle of {schedule.cycle_epochs:,} epochs is longer than the run of {counted(epochs, 'epoch')}, "
                "so the learning rate never restarts.",
            )
        )
    if schedule.shape == "step" and schedule.step_epochs >= epochs:
        found.append(
            note(
                "schedule.step_epochs",
                f"A step every {counted(schedule.step_epochs, 'epoch')} never comes in a run of {counted(epochs, 'epoch')}; the learning rate stays constant.",
            )
        )
    if training.early_stop_epochs >= epochs and training.early_stop_epochs:
        found.append(
            note(
                "training.early_stop_epochs",
                f"Stopping early after {counted(training.early_stop_epochs, 'epoch')} without progress has no effect in a run of {counted(epochs, 'epoch')}.",
            )
        )
    return found


def _files(experiment: Experiment) -> list[Problem]:
    path = experiment.model.weights_file
    if path and not (os.path.isfile(text_to_path(path)) or os.path.isfile(path)):
        return [error("model.weights_file", f"There is no weights file “{path}”. Choose it again, or clear the field.")]
    if path and not experiment.model.pretrained:
        return [
            warning(
                "model.weights_file", "A weights file is chosen, but the model starts from random weights. Switch Pretrained on to use it."
            )
        ]
    return []
