"""Everything that must be right between an experiment and its data before a run starts."""

from __future__ import annotations

import os

from studio.catalog.augments.check import augment_problems
from studio.catalog.schedules.check import fitting_batch, schedule_problems
from studio.core.experiment import Experiment, Model
from studio.core.path_text import text_to_path
from studio.core.problem import Problem, Repair, error, errors_in, warning
from studio.dataset.dataset import Dataset

NOTHING_TRAINS = error("model.layers", "Nothing trains: every layer is frozen. Let the head or a stage train.")


def check_run(experiment: Experiment, dataset: Dataset) -> list[Problem]:
    """All findings, those of the data set first. Any of Severity.ERROR keeps the run from starting."""
    return check_settings(experiment, dataset) + check_files(experiment.model)


def check_settings(experiment: Experiment, dataset: Dataset) -> list[Problem]:
    """What can be said without looking at a disk."""
    found = list(dataset.problems)
    found += _parts(dataset)
    num_train = 0 if errors_in(dataset.problems) else dataset.epoch_size(experiment.data.synthetic_fraction)  # it would only repeat those
    found += schedule_problems(experiment, num_train=num_train)
    found += augment_problems(experiment)
    found += _without_validation(experiment) if dataset.is_unmeasured else []
    found += [NOTHING_TRAINS] if trains_nothing(experiment.model) else []
    found += _together(experiment)
    found += _start(experiment.model)
    return found


def check_files(model: Model) -> list[Problem]:
    """Whether what the network starts from lies where the settings say. Waits as long as that disk takes to answer."""
    start = model.start_run
    if start and not os.path.isdir(text_to_path(start)):
        return [error("model.start_run", f"There is no run “{start}”. Choose it again, or clear the field.")]
    path = model.weights_file
    if path and not (os.path.isfile(text_to_path(path)) or os.path.isfile(path)):
        return [error("model.weights_file", f"There is no weights file “{path}”. Choose it again, or clear the field.")]
    if path and not model.pretrained:
        return [
            warning(
                "model.weights_file", "A weights file is chosen, but the model starts from random weights. Switch Pretrained on to use it."
            )
        ]
    return []


def trains_nothing(model: Model) -> bool:
    """Whether the settings alone say that nothing trains from the start, as every plan of the Model page does that is so. False where it
    takes the network to know: single layers that are frozen one by one, batch norms that are to train where there may be none."""
    trains_by_name = "train" in model.layers.values() or "train" in model.batch_norm.values()
    return model.layers.get("head") == "frozen" and model.train_stages == 0 and 0 not in model.thaw.values() and not trains_by_name


def with_fitting_batch(experiment: Experiment, dataset: Dataset) -> Experiment:
    """Fewer images than the default batch take a smaller one; a batch that was chosen stays."""
    size, num_train = experiment.training.batch_size, dataset.epoch_size(experiment.data.synthetic_fraction)
    if size != Experiment().training.batch_size or not 0 < num_train < size or errors_in(dataset.problems):
        return experiment
    return experiment.changed({"training.batch_size": fitting_batch(num_train)})


def _together(experiment: Experiment) -> list[Problem]:
    """Whether the processes of a run can find each other, and each gets images."""
    training = experiment.training
    number = training.processes * training.machines
    if training.machines > 1 and not training.rendezvous:
        return [error("training.rendezvous", "Several machines need a meeting point. Give HOST:PORT of one of them.")]
    if number > training.batch_size:
        return [
            error(
                "training.processes", f"{number} processes cannot share a batch of {training.batch_size}. Choose a larger batch or fewer."
            )
        ]
    return []


def _start(model: Model) -> list[Problem]:
    if not (model.start_run and model.weights_file):
        return []
    words = "A run to start from and a weights file are both chosen, and weights can come from one alone. Clear one of the two fields."
    return [error("model.weights_file", words, Repair("Keep the run", {"model.weights_file": "", "model.weights_sha256": ""}))]


def _parts(dataset: Dataset) -> list[Problem]:
    if errors_in(dataset.problems):
        return []  # the scan has said it, class by class
    if not dataset.part("train"):
        return [error("data.source", "There are no training images. Move images to train, or choose another folder.")]
    if not dataset.part("validation") and not dataset.is_unmeasured:
        return [
            error(
                "data.validation_fraction",
                "There are no validation images, so progress cannot be measured. Raise the validation share, or move images to validation.",
            )
        ]
    return []


def _without_validation(experiment: Experiment) -> list[Problem]:
    """What follows the validation loss, where nothing is held back to measure one."""
    found = []
    if experiment.schedule.shape == "plateau":
        found.append(
            error(
                "schedule.shape",
                "The rate follows the validation loss, and no images are held back. Choose another shape, or a validation share.",
                Repair("Use one-cycle", {"schedule.shape": "one_cycle"}),
            )
        )
    if experiment.training.early_stop_epochs:
        found.append(
            warning(
                "training.early_stop_epochs",
                "Stopping early follows the validation loss, and no images are held back: the run trains to its end.",
                Repair("Set to 0", {"training.early_stop_epochs": 0}),
            )
        )
    return found
