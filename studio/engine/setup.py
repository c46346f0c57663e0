"""From a run folder to everything the loop needs, in the order in which a mistake is cheapest to find."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import torch
from torch import nn

from studio.catalog.augments import RULE, cached_views, is_still
from studio.catalog.backbones import backbone_info
from studio.catalog.optimisers import build_optimiser
from studio.core.edit import Edit, edited, in_force
from studio.core.event import ExperimentEdited, RunDescribed
from studio.core.experiment import Experiment
from studio.core.file import write_atomically
from studio.core.path_text import shown, text_to_path
from studio.core.problem import BadInput, error, errors_in
from studio.core.run_folder import RunFolder
from studio.dataset.balance import weights_of
from studio.dataset.dataset import Dataset, Sample
from studio.dataset.decoded import decoded_folder
from studio.dataset.plan_check import check_run
from studio.dataset.scan import Cancelled, scan
from studio.engine.average import Average
from studio.engine.beginning import Beginning
from studio.engine.checkpoint import MODEL, OPTIMISER, Checkpoint, restore_optimiser
from studio.engine.control import Control, StopAsked
from studio.engine.device import choose_device, device_key, device_name
from studio.engine.drive import devices_of
from studio.engine.failure import DeviceGone
from studio.engine.feeding import Feeding
from studio.engine.flow import Flow
from studio.engine.folding import Folding
from studio.engine.freezing import has_statistics
from studio.engine.loader import Batch, Loader, Source, cache_bytes, choose_num_workers
from studio.engine.network import Labels, Network, Normaliser, build_network
from studio.engine.origin import changed_files, changes, origin_of, other_decoding, other_images
from studio.engine.plan import steps_per_epoch
from studio.engine.precision import Precision, choose_precision, trial_key
from studio.engine.prefix import CachePlan, Prefix, pictures_at_once
from studio.engine.progress import Progress
from studio.engine.proof import Proof
from studio.engine.ranks import Ranks
from studio.engine.rates import Rates
from studio.engine.reporter import Reporter
from studio.engine.room import say_if_room_is_short
from studio.engine.snapshot import Held, Snapshots
from studio.engine.standby import Prebuilt
from studio.engine.start_run import start_checkpoint
from studio.engine.step_trial import StandIn
from studio.engine.verdict import remember, remembered
from studio.engine.watch import GradientWatch, Waiting

FUSING = "fusing-1"  # name of the verdicts on it
ENOUGH_FOR_NORMS = 16  # images of one process: below, their mean and variance are rough


@dataclass
class Setup:
    """A run ready to go. Parts of the data lie one after the other: index i is `samples[i]`, training images first."""

    folder: RunFolder
    asked: Experiment  # what the run began with
    experiment: Experiment  # what counts at the next step: `asked` with the edits up to it
    dataset: Dataset
    control: Control
    reporter: Reporter
    device: torch.device
    network: Network
    precision: Precision
    normaliser: Normaliser
    class_weights: torch.Tensor | None  # float32[C], on the device; None where all classes count alike
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    loader: Loader
    prefix: Prefix
    ids: list[str]
    labels: np.ndarray  # int64, class index of every sample
    parts: dict[str, range]  # indices of "train" (real images, then made ones), "validation", "test"
    num_real: int  # the first so many training images; the others are made, and an epoch takes some of them
    epoch_size: int  # images that an epoch sees
    steps_per_epoch: int
    rates: Rates
    folding: Folding
    view: dict  # how pictures reach the network: sizes, mean and std; goes into every checkpoint
    feeding: Feeding
    progress: Progress = field(default_factory=Progress)
    average: Average | None = None
    gradients: GradientWatch = field(default_factory=GradientWatch)
    proof: Proof = field(default_factory=Proof)
    flow: Flow | None = None
    micro_batch: int = 0  # images at once where a whole batch does not fit into memory; 0 where it does
    recomputes: bool = False  # activations, in the backward pass
    compiled: StandIn | None = None  # for the network in steps of its size
    compiled_for: str = ""  # the steps it was last looked at for
    recorded: StandIn | None = None
    recorded_for: str = ""
    compile_verdicts: dict[str, bool] = field(default_factory=dict)  # by steps, whether they run compiled
    fitted_for: tuple[bool, tuple[bool, ...]] | None = (
        None  # whether it trained from the cache, and what was frozen, when the memory of a step was looked at
    )
    step_bytes: int = 0  # of the computer's memory that a step is estimated to take; 0 where that was not looked at, or is a GPU's
    ranks: Ranks = field(default_factory=Ranks)
    save_seconds: float = 0.0  # that the last checkpoint took, with a best epoch written before it
    saved_at: float = field(default_factory=time.monotonic)  # the last checkpoint, or the start of the session
    read_before: dict | None = None  # what training read when the checkpoint was made that the run goes on from, until that is compared
    held: Held | None = None  # the best epoch, while it is not written yet
    snapshots: Snapshots = field(default_factory=Snapshots)
    is_behind_best: bool = False  # the answers that are stored are those of an epoch that the run went back behind
    edit_events: tuple[ExperimentEdited, ...] = ()  # of all sessions; some may lie ahead after a resume
    edits: tuple[Edit, ...] = ()  # what follows from them
    plan_epoch: int = -1  # that what trains was last settled for
    is_over: bool = False  # nothing trains any more: what is left is the test part and the figures

    def inputs(self, batch: Batch) -> torch.Tensor:
        """What the batch gives the network to begin with: images_NCHW on the device, blended where that is asked, or features."""
        if batch.features is not None:
            return batch.features
        images_NCHW = self.normaliser(batch.images_NHWC)
        return batch.mix.images(images_NCHW) if batch.mix else images_NCHW

    def logits(self, module: nn.Module, batch: Batch, inputs: torch.Tensor, run: Callable | None = None) -> torch.Tensor:
        """logits_NC of the run's network, or one made alike, in the run's precision, from (a part of) the inputs of a batch. `run` stands in for
        the call of the module."""
        run = run or module
        with self.precision.autocast(self.device):
            return run(inputs) if batch.features is None else self.prefix.rest(module, inputs, self.device, run)

    def trained_logits(self, batch: Batch, inputs: torch.Tensor) -> torch.Tensor:
        """logits_NC for a step, compiled or played from a recording where it is."""
        stand_in = self.compiled or self.recorded
        return self.logits(self.network.module, batch, inputs, stand_in.run if stand_in and stand_in.takes(inputs) else None)

    def forward(self, module: nn.Module, batch: Batch) -> torch.Tensor:
        return self.logits(module, batch, self.inputs(batch))


def prepare(
    folder: RunFolder,
    experiment: Experiment,
    control: Control,
    reporter: Reporter,
    checkpoint: Checkpoint | None,
    prebuilt: Prebuilt | None = None,
    ranks: Ranks | None = None,
    beginning: Beginning | None = None,
) -> Setup:
    """Everything in place, at the checkpoint where one is given. Raises BadInput, StopAsked."""
    beginning = beginning or Beginning()
    ranks = ranks or Ranks()
    device = _device(ranks.device(experiment.training.device), folder, checkpoint)
    if device.type == "cuda":
        torch.cuda.set_device(device)  # events and streams are those of the current device
    dataset = beginning.dataset or ranks.from_first(lambda: _dataset(folder, experiment, getattr(control, "own", control), reporter))
    problems = errors_in(check_run(_as_begun(experiment) if checkpoint else experiment, dataset))
    if problems:
        raise BadInput(*problems)
    each = {part: dataset.part(part) for part in ("train", "validation", "test")}
    num_real = len(each["train"])
    epoch_size = dataset.epoch_size(experiment.data.synthetic_fraction)
    each["train"] += dataset.synthetic
    samples = [s for some in each.values() for s in some]
    parts, start = {}, 0
    for part, some in each.items():
        parts[part] = range(start, start + len(some))
        start = parts[part].stop
    control.raise_if_stopped()

    reporter.phase("loading weights", f"{experiment.model.source}/{experiment.model.backbone}")
    view = checkpoint.state["view"] if checkpoint else view_for(experiment, dataset)
    size = experiment.training.batch_size
    source = source_for(experiment, dataset, samples, view, len(parts["train"]))
    source = replace(source, stamps=tuple((s.num_bytes, s.mtime_ns) for s in samples))
    num_workers = choose_num_workers(experiment.training.workers, device.type)
    loader = Loader(source, max(size, pictures_at_once(device)), num_workers, beginning.first)  # its processes start while we build
    beginning.make_first()
    if ranks.is_alone:  # several listen together, between steps only
        loader.on_wait = Waiting(control, reporter, device)
    labels = Labels.of(dataset)
    network = prebuilt.network_for(experiment, labels) if prebuilt and not checkpoint else None
    if prebuilt:
        prebuilt.network = None  # one that is not used would be held as long as the run goes
    network = network or build_network(experiment, len(dataset.classes), with_weights=checkpoint is None, labels=labels)
    if network.taken_over:
        reporter.phase("taking over weights", network.taken_over.sentence)
        if network.taken_over.note:
            reporter.warn("checkpoint-damaged", f"Of the run that this one starts from: {network.taken_over.note}", "Check the drive.")
    if checkpoint and _is_from_such(device, checkpoint):
        precision = Precision(**checkpoint.state["precision"])
    else:
        precision = ranks.from_first(lambda: choose_precision(network, _format_for(experiment, checkpoint), device))
    precision.place(network.module, device)
    control.raise_if_stopped()

    reporter.phase("first batch")
    per_epoch = steps_per_epoch(epoch_size, size, experiment.training.accumulation)
    edits = edited(experiment, reporter.earlier_edits)
    groups, _ = network.parameter_groups(experiment.optimiser.weight_decay)
    normaliser = Normaliser(view["mean"], view["std"], device, precision.channels_last)
    plan = cache_plan(experiment, view, precision, device)
    folding = _folding(network, experiment, precision, device, checkpoint, ranks)
    own_cache = folder.path / ("cache" if ranks.first_here == 0 else f"cache-{ranks.first_here}")  # one for each computer
    setup = Setup(
        folder=folder,
        asked=experiment,
        experiment=in_force(experiment, edits, 0),
        dataset=dataset,
        control=control,
        reporter=reporter,
        device=device,
        network=network,
        precision=precision,
        normaliser=normaliser,
        class_weights=class_weights_on(device, experiment, dataset),
        optimiser=build_optimiser(experiment.optimiser, groups),
        scaler=precision.scaler(device),
        loader=loader,
        prefix=Prefix(own_cache, plan, network, loader, parts, normaliser, lambda: precision.autocast(device), device, folding, ranks),
        ids=[s.id for s in samples],
        labels=np.array([dataset.class_index[s.label] for s in samples], np.int64),
        parts=parts,
        num_real=num_real,
        epoch_size=epoch_size,
        steps_per_epoch=per_epoch,
        rates=Rates(experiment, [stage.name for stage in network.stages], per_epoch, edits),
        folding=folding,
        ranks=ranks,
        view=view,
        feeding=Feeding(reporter, loader.num_workers),
        edit_events=reporter.earlier_edits,
        edits=edits,
    )
    setup.flow = Flow(network)
    if checkpoint:
        restore(setup, checkpoint)
        setup.read_before = checkpoint.state.get("cached")
        _say_what_changed(setup, checkpoint)
    reporter.tell(_described(setup))
    say_if_room_is_short(setup)
    _say_if_batch_norms_see_little(setup)
    return setup


def _device(asked: str, folder: RunFolder, checkpoint: Checkpoint | None) -> torch.device:
    """The device that is asked for. Raises BadInput where it is not there; a run that was begun on it says how it goes on all the same."""
    try:
        return choose_device(asked)
    except BadInput as exc:
        if checkpoint is None:
            raise
        why = exc.problems[0].sentence
        safe = error("training.device", f"{why} Nothing of the run is lost: it is safe at step {checkpoint.step:,}.")
        command = f"studio train --resume {folder.nickname} --set training.device=cpu"
        raise DeviceGone(safe, f"Resume when it is back, or go on on the processor: {command}") from None


def _as_begun(experiment: Experiment) -> Experiment:
    """Without what the network started from, which a run that goes on does not need any more."""
    return experiment.changed({"model.start_run": "", "model.weights_file": "", "model.weights_sha256": ""})


def _is_from_such(device: torch.device, checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint was made on a processor too, or on a GPU too: what is fast on one may be slow on the other, or not there."""
    name = checkpoint.state.get("origin", {}).get("device")
    return name is None or name.startswith("CPU") == (device.type == "cpu")


def _format_for(experiment: Experiment, checkpoint: Checkpoint | None) -> Experiment:
    """Half precision that was asked for on another kind of device is chosen anew on this one."""
    is_half = checkpoint is not None and experiment.training.precision != "fp32"
    return experiment.changed({"training.precision": "auto"}) if is_half else experiment


def _folding(
    network: Network, experiment: Experiment, precision: Precision, device: torch.device, checkpoint: Checkpoint | None, ranks: Ranks
) -> Folding:
    """How passes without training are made faster: as the run has done until now, or as a trial says whose verdict is kept."""
    if precision.name != "fp32" or device.type != "cpu":
        return Folding(network.module)
    key = f"{trial_key(network, experiment, device)} | {'last' if precision.channels_last else 'first'}"

    def choose(trial: Callable[[], bool]) -> bool:
        return ranks.from_first(lambda: choose_here(trial))

    def choose_here(trial: Callable[[], bool]) -> bool:
        verdict = remembered(FUSING, key)
        if not isinstance(verdict, bool):
            verdict = trial()
            remember(FUSING, key, verdict)
        return verdict

    return Folding(network.module, checkpoint.state.get("fuses") if checkpoint else None, choose)


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


def view_for(experiment: Experiment, dataset: Dataset) -> dict:
    info = backbone_info(experiment.model.source, experiment.model.backbone)
    mean, std = info.mean, info.std
    if experiment.model.start_run:  # what its weights were trained with
        view = start_checkpoint(experiment.model).state["view"]
        mean, std = view["mean"], view["std"]
    if experiment.model.normalisation == "custom":
        mean, std = experiment.model.custom_mean, experiment.model.custom_std
    elif experiment.model.normalisation == "data":
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


def cache_plan(experiment: Experiment, view: dict, precision: Precision, device: torch.device) -> CachePlan:
    """What the run may keep of its frozen layers, as asked; training reads features only where its pictures come again."""
    training = experiment.training
    origin = {
        "view": view,
        "resizing": RULE,
        "reading": experiment.data.reading.key,
        "precision": asdict(precision),
        "device": device_key(device),
    }
    return CachePlan(
        views_at=lambda share: cached_views(experiment, share),
        is_still=is_still(experiment.augment),
        num_bytes=0 if training.feature_cache == "off" else int(training.cache_gigabytes * 1e9),
        batch_size=training.batch_size,
        seed=training.seed,
        origin=origin,
        augmentation=experiment.augment.model_dump(),
    )


def source_for(experiment: Experiment, dataset: Dataset, samples: Sequence[Sample], view: dict, num_trained: int) -> Source:
    """What a loader needs to know of `samples`, the first `num_trained` of which are trained on."""
    root, paths = text_to_path(dataset.root), tuple(dataset.path_of(s) for s in samples)
    return Source(
        paths=paths,
        augment=experiment.augment,
        input_size=view["input_size"],
        interpolation=view["interpolation"],
        crop_fraction=view["crop_fraction"],
        reading=experiment.data.reading,
        num_trained=num_trained,
        cache_bytes=cache_bytes(),
        root=root,
        devices=devices_of(root, paths),
        decoded_folder=str(decoded_folder()),
    )


def class_weights_on(device: torch.device, experiment: Experiment, dataset: Dataset) -> torch.Tensor | None:
    """float32[C]; None where all classes count alike."""
    weights = weights_of(dataset, experiment.training.class_weights, experiment.data.synthetic_fraction)
    return None if weights is None else torch.tensor(weights, dtype=torch.float32, device=device)


def _say_what_changed(setup: Setup, checkpoint: Checkpoint) -> None:
    """A resume that may end at other bits than an undisturbed run says why."""
    before = checkpoint.state.get("origin", {})
    found = changes(before, origin_of(device_name(setup.device), torch.get_num_threads()))
    if words := other_decoding(setup.dataset, before):
        found.append(words)
    if setup.device.type != "cpu" and not setup.asked.training.exact:
        found.append("a GPU adds in an order of its own where “Exact on a GPU” is off")
    if words := other_images(setup.dataset, checkpoint.state.get("dataset")):
        found.append(words)
    files = changed_files(setup.dataset)
    if files:
        found.append(
            f"{len(files):,} image{' was' if len(files) == 1 else 's were'} changed ({shown(files[0])}{', ...' if files[1:] else ''})"
        )
    if found:
        say_inexact(setup, found)


def say_inexact(setup: Setup, found: Sequence[str]) -> None:
    setup.reporter.warn(
        "resume-inexact",
        f"The run goes on, but not bit for bit as without the break: {'; '.join(found)}.",
        "Nothing needs to be done. For the same bits, go on where nothing has changed.",
    )


def _say_if_batch_norms_see_little(setup: Setup) -> None:
    """With several processes each batch norm that trains sees its own share of a batch."""
    if setup.ranks.is_alone:
        return
    module, share = setup.network.module, setup.experiment.training.batch_size // setup.ranks.count
    last = setup.network.plan_for(setup.experiment.schedule.epochs - 1, setup.experiment.model)
    counts = any(has_statistics(module.get_submodule(name)) for name in last.active)
    if counts and share < ENOUGH_FOR_NORMS:
        setup.reporter.warn(
            "batch-norm-share",
            f"Batch norm sees the {share} images of its own process, not the whole batch; its statistics are averaged over the processes.",
            "Choose a larger batch or fewer processes, or keep batch norm as it is in the stages that train.",
        )


def restore(setup: Setup, checkpoint: Checkpoint) -> None:
    """Everything as it was at a checkpoint, whatever has happened since."""
    from safetensors.torch import load_file

    tensors = {"model": load_file(checkpoint.path / MODEL), "optimiser": load_file(checkpoint.path / OPTIMISER)}
    if checkpoint.average_path:
        tensors["average"] = load_file(checkpoint.average_path)
    setup.reporter.saved_step = checkpoint.step
    put_back(setup, Held(checkpoint.step, tensors, checkpoint.state))


def put_back(setup: Setup, held: Held) -> None:
    """Everything as it was at a state, which stays as it is."""
    module, state = setup.network.module, held.state
    module.load_state_dict(held.tensors["model"])
    setup.optimiser.zero_grad(set_to_none=True)
    if hasattr(setup.optimiser, "found_inf"):
        del setup.optimiser.found_inf
    setup.average = None
    restore_optimiser(setup.optimiser, module, held.tensors["optimiser"])
    setup.held = held.best
    setup.snapshots.drop_after(held.step)
    setup.micro_batch = state.get("micro_batch", 0)
    setup.compile_verdicts = state.get("compiled", {}) | setup.compile_verdicts
    if state.get("scaler"):
        setup.scaler.load_state_dict(state["scaler"])
    p = setup.progress = Progress.from_json(state["progress"])
    if "average" in held.tensors:
        setup.average = Average(module, p.num_averaged, held.tensors["average"])
    setup.reporter.step = p.step
    setup.experiment = in_force(setup.asked, setup.edits, p.step)
    setup.rates.after_epoch(p.validation_losses)
    freeze_for(setup, p.epoch if p.step_in_epoch else max(0, p.epoch - 1))


def freeze_for(setup: Setup, epoch: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Freeze and thaw as asked for an epoch; names of the stages that train from now on, and of those that no longer do."""
    model = in_force(setup.asked, setup.edits, epoch * setup.steps_per_epoch).model
    changed, setup.plan_epoch = setup.network.set_epoch(epoch, model), epoch
    setup.network.mark_groups(setup.optimiser.param_groups)
    return changed


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
        "micro_batch": setup.micro_batch,
        "compiled": dict(setup.compile_verdicts),
        "fuses": setup.folding.fuses,
        "cached": setup.prefix.reads,
        "dataset": setup.dataset.fingerprint(),
        "origin": origin_of(device_name(setup.device), torch.get_num_threads()),
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
        num_train=setup.num_real,
        num_synthetic=len(setup.dataset.synthetic),
        num_synthetic_per_epoch=setup.epoch_size - setup.num_real,
        num_validation=len(setup.parts["validation"]),
        num_test=len(setup.parts["test"]),
        batch_size=setup.experiment.training.batch_size,
        epochs=(setup.edits[-1].experiment if setup.edits else setup.asked).schedule.epochs,
        steps_per_epoch=setup.steps_per_epoch,
        num_parameters=sum(p.numel() for p in parameters),
        num_trainable=sum(p.numel() for p in parameters if p.requires_grad),
        stages=setup.network.described(),
        num_undecayed=setup.network.num_undecayed(),
        accumulation=setup.experiment.training.accumulation,
    )
