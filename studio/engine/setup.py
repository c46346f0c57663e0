"""From a run folder to everything the loop needs, in the order in which a mistake is cheapest to find."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

import numpy as np
import torch

from studio.catalog.backbones import backbone_info
from studio.catalog.optimisers import build_optimiser
from studio.catalog.schedules import group_learning_rates, momenta
from studio.core.event import RunDescribed
from studio.core.experiment import Experiment
from studio.core.file import write_atomically
from studio.core.path_text import text_to_path
from studio.core.problem import BadInput, errors_in
from studio.core.run_folder import RunFolder
from studio.dataset.dataset import Dataset
from studio.dataset.plan_check import check_run
from studio.dataset.scan import Cancelled, scan
from studio.engine.checkpoint import MODEL, OPTIMISER, Checkpoint, restore_optimiser
from studio.engine.control import Control, StopAsked
from studio.engine.device import choose_device, device_name
from studio.engine.loader import Loader, Source, choose_num_workers
from studio.engine.network import Network, Normaliser, build_network
from studio.engine.plan import steps_per_epoch
from studio.engine.precision import Precision, choose_precision
from studio.engine.progress import Progress
from studio.engine.reporter import Reporter
from studio.engine.standby import Prebuilt

CACHE_SHARE = 0.25  # of the memory that is free at the start, for decoded images


@dataclass
class Setup:
    """A run ready to go. Parts of the data lie one after the other: index i is `samples[i]`, training images first."""

    folder: RunFolder
    experiment: Experiment
    dataset: Dataset
    control: Control
    reporter: Reporter
    device: torch.device
    network: Network
    precision: Precision
    normaliser: Normaliser
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    loader: Loader
    ids: list[str]
    labels: np.ndarray  # int64, class index of every sample
    parts: dict[str, range]  # indices of "train", "validation", "test"
    steps_per_epoch: int
    rates: np.ndarray  # float64[steps, groups]: row i is applied at step i
    momenta: np.ndarray | None  # float64[steps]
    view: dict  # how pictures reach the network: sizes, mean and std; goes into every checkpoint
    progress: Progress = field(default_factory=Progress)


def prepare(
    folder: RunFolder,
    experiment: Experiment,
    control: Control,
    reporter: Reporter,
    checkpoint: Checkpoint | None,
    prebuilt: Prebuilt | None = None,
) -> Setup:
    """Everything in place, at the checkpoint where one is given. Raises BadInput, StopAsked."""
    device = choose_device(experiment.training.device)
    dataset = _dataset(folder, experiment, control, reporter)
    problems = errors_in(check_run(experiment, dataset))
    if problems:
        raise BadInput(*problems)
    samples = [s for part in ("train", "validation", "test") for s in dataset.part(part)]
    parts, start = {}, 0
    for part in ("train", "validation", "test"):
        parts[part] = range(start, start + len(dataset.part(part)))
        start = parts[part].stop
    control.raise_if_stopped()

    reporter.phase("loading weights", f"{experiment.model.source}/{experiment.model.backbone}")
    view = checkpoint.state["view"] if checkpoint else _view(experiment, dataset)
    size = experiment.training.batch_size
    source = Source(
        paths=tuple(dataset.path_of(s) for s in samples),
        augment=experiment.augment,
        input_size=view["input_size"],
        interpolation=view["interpolation"],
        crop_fraction=view["crop_fraction"],
        max_megapixels=experiment.data.max_megapixels,
        num_trained=len(parts["train"]),
        cache_bytes=_cache_bytes(),
        root=text_to_path(dataset.root),
    )
    loader = Loader(source, size, choose_num_workers(experiment.training.workers, device.type))  # its processes start while we build
    network = prebuilt.network_for(experiment, len(dataset.classes)) if prebuilt and not checkpoint else None
    network = network or build_network(experiment, len(dataset.classes), with_weights=checkpoint is None)
    precision = Precision(**checkpoint.state["precision"]) if checkpoint else choose_precision(network, experiment, device)
    layout = torch.channels_last if precision.channels_last else torch.contiguous_format
    network.module.to(device, memory_format=layout)
    control.raise_if_stopped()

    reporter.phase("first batch")
    per_epoch = steps_per_epoch(len(parts["train"]), size)
    num_steps = per_epoch * experiment.schedule.epochs
    groups, factors = network.parameter_groups(experiment.optimiser.weight_decay)
    setup = Setup(
        folder=folder,
        experiment=experiment,
        dataset=dataset,
        control=control,
        reporter=reporter,
        device=device,
        network=network,
        precision=precision,
        normaliser=Normaliser(view["mean"], view["std"], device, precision.channels_last),
        optimiser=build_optimiser(experiment.optimiser, groups),
        scaler=precision.scaler(device),
        loader=loader,
        ids=[s.id for s in samples],
        labels=np.array([dataset.class_index[s.label] for s in samples], np.int64),
        parts=parts,
        steps_per_epoch=per_epoch,
        rates=group_learning_rates(experiment.schedule, factors, num_steps, per_epoch),
        momenta=momenta(experiment.schedule, experiment.optimiser, num_steps),
        view=view,
    )
    if checkpoint:
        _restore(setup, checkpoint)
    reporter.tell(_described(setup))
    return setup


def _dataset(folder: RunFolder, experiment: Experiment, control: Control, reporter: Reporter) -> Dataset:
    """The list of images that was fixed when the run was made; scanned and fixed now where there is none."""
    if folder.dataset_path.is_file():
        return Dataset.from_json(folder.dataset_path.read_bytes())

    def is_cancelled() -> bool:
        control.poll()
        return bool(control.stop)

    reporter.phase("scanning images", experiment.data.source)
    try:
        dataset = scan(experiment.data, is_cancelled=is_cancelled)
    except Cancelled:
        raise StopAsked from None
    reporter.with_room(lambda: write_atomically(folder.dataset_path, dataset.to_json()))
    return dataset


def _view(experiment: Experiment, dataset: Dataset) -> dict:
    info = backbone_info(experiment.model.source, experiment.model.backbone)
    mean, std = info.mean, info.std
    if experiment.model.normalisation == "data":
        from studio.dataset.statistics import pixel_statistics

        found = pixel_statistics(dataset.changed(samples=dataset.part("train")))
        mean, std = found.mean, [max(float(s), 1e-3) for s in found.std]
    return {
        "input_size": experiment.model.input_size,
        "mean": [float(m) for m in mean],
        "std": [float(s) for s in std],
        "interpolation": info.interpolation,
        "crop_fraction": info.crop_fraction,
    }


def _cache_bytes() -> int:
    import psutil

    return int(psutil.virtual_memory().available * CACHE_SHARE)


def _restore(setup: Setup, checkpoint: Checkpoint) -> None:
    from safetensors.torch import load_file

    setup.network.module.load_state_dict(load_file(checkpoint.path / MODEL))
    restore_optimiser(setup.optimiser, setup.network.module, load_file(checkpoint.path / OPTIMISER))
    if checkpoint.state.get("scaler"):
        setup.scaler.load_state_dict(checkpoint.state["scaler"])
    setup.progress = Progress.from_json(checkpoint.state["progress"])
    setup.reporter.step = setup.progress.step


def checkpoint_state(setup: Setup) -> dict:
    """What goes into `state.json`: enough to go on, and to use the network without anything else."""
    return {
        "schema": 1,
        "progress": setup.progress.to_json(),
        "best_step": setup.progress.best["step"] if setup.progress.best else None,
        "classes": list(setup.dataset.classes),
        "view": setup.view,
        "precision": asdict(setup.precision),
        "scaler": setup.scaler.state_dict(),
        "dataset": setup.dataset.fingerprint(),
        "model": json.loads(setup.experiment.model.model_dump_json()),
    }


def _described(setup: Setup) -> RunDescribed:
    parameters = list(setup.network.module.parameters())
    return RunDescribed(
        device=str(setup.device),
        device_name=device_name(setup.device),
        precision=setup.precision.name,
        channels_last=setup.precision.channels_last,
        classes=setup.dataset.classes,
        num_train=len(setup.parts["train"]),
        num_validation=len(setup.parts["validation"]),
        num_test=len(setup.parts["test"]),
        batch_size=setup.experiment.training.batch_size,
        epochs=setup.experiment.schedule.epochs,
        steps_per_epoch=setup.steps_per_epoch,
        num_parameters=sum(p.numel() for p in parameters),
        num_trainable=sum(p.numel() for p in parameters if p.requires_grad),
        stages=setup.network.described(),
    )
