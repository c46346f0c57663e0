"""Train a classifier: `studio train --data DIR` with all defaults, or `studio train experiment.toml`.

The training process is one of its own: closing this terminal does not end it. Ctrl-C asks it to save and stop; twice ends it at once.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from studio.command import terminal
from studio.command.chosen import add_runs_argument, chosen_runs, parse_settings, source_text
from studio.command.follow import start_and_follow
from studio.core.device import device_problem
from studio.core.experiment import Experiment, Model, parse_experiment
from studio.core.experiment_file import read_experiment
from studio.core.file import sha256_of
from studio.core.outcome import Status
from studio.core.path_text import path_to_text, text_to_path
from studio.core.problem import BadInput, Problem, errors_in
from studio.core.run_folder import RunFolder, create_run, find_run
from studio.core.words import counted
from studio.supervise.engine import EngineProcess, StandbyEngine, command_elsewhere, start_engine

# Of a model's settings those that decide whether the network can be made.
_SHAPE = ("source", "backbone", "input_size", "weights_file", "start_run", "cut", "head", "layers", "batch_norm")
_DEVICE = "training.device"  # what a run may go on with: nothing of what it learns hangs on it but the last bits


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", nargs="?", type=Path, help="an experiment file; `studio init` writes one")
    parser.add_argument("--data", metavar="DIR", help="a folder with one sub-folder per class, with train/val folders, or a CSV file")
    parser.add_argument("--set", metavar="SECTION.FIELD=VALUE", action="append", default=[], help="change one setting; can be repeated")
    parser.add_argument(
        "--from", dest="start", metavar="RUN", help="start from the weights of a run, also with more classes; takes over its settings"
    )
    parser.add_argument("--freeze", metavar="PATTERN", action="append", default=[], help="layers that never train, such as 'layer1.*'")
    parser.add_argument("--train", metavar="PATTERN", action="append", default=[], help="layers that train from the start")
    parser.add_argument("--processes", type=int, metavar="N", help="train with N processes on this computer, one for each GPU (torchrun)")
    parser.add_argument("--machines", type=int, metavar="N", help="train on N machines that see the same folders (torchrun)")
    parser.add_argument("--meet", metavar="HOST:PORT", help="where the machines find each other; HOST is one of them")
    parser.add_argument("--resume", metavar="RUN", help="go on with a run from its last checkpoint")
    parser.add_argument("--json", action="store_true", help="end standard output with one line of JSON")
    add_runs_argument(parser)


def run(args: argparse.Namespace) -> int:
    if args.resume is not None:
        folder, start = _resumable(args), start_engine
    else:
        folder, start = _new_run(args)
    terminal.say(f"Run {folder.nickname}: {terminal.safe(str(folder.path))}")
    for line in elsewhere(folder, args.resume is not None):
        terminal.note(line)
    return start_and_follow(folder, start, resume=args.resume is not None, wants_json=args.json)


def elsewhere(folder: RunFolder, is_resumed: bool) -> list[str]:
    """What to start on the other machines of a run, in lines; none for a run of one."""
    line = command_elsewhere(folder, is_resumed)
    return ["Start this on each of the other machines; the run begins when all are there:", f"  {line}"] if line else []


def _new_run(args: argparse.Namespace) -> tuple[RunFolder, Callable[..., EngineProcess]]:
    """A run folder ready to start, and what starts it. Raises BadInput with every problem; nothing is written before all is checked."""
    from studio.dataset.plan_check import check_run, with_fitting_batch
    from studio.dataset.scan import scan

    together = {"processes": args.processes, "machines": args.machines, "rendezvous": args.meet}
    sets = args.set + [f"training.{name}={value}" for name, value in together.items() if value is not None]
    if args.start is not None and args.experiment is not None:
        raise BadInput("Give an experiment file or --from RUN, not both: a run brings its own settings.")
    start = started_from(find_run(chosen_runs(args), args.start)) if args.start is not None else None
    experiment = planned(args.experiment, args.data, sets, start)
    is_batch_chosen = args.experiment is not None or start is not None or "training.batch_size" in parse_settings(sets)
    if args.freeze or args.train:
        experiment = _with_layers(experiment, args.freeze, args.train)
    problems = [p for p in [device_problem(experiment.training.device)] if p]
    dataset = None
    try:
        with terminal.Progress("files") as progress:
            dataset = scan(experiment.data, progress=progress)
        if not is_batch_chosen:
            experiment = with_fitting_batch(experiment, dataset)
        problems += check_run(experiment, dataset)
    except BadInput as exc:
        problems += exc.problems
    engine = None
    if dataset is not None and not errors_in(problems):
        if not _is_known_to_be_fine(experiment.model) and experiment.training.processes * experiment.training.machines == 1:
            engine = StandbyEngine(keeps_log=False)  # loads while we look at the network; where that fails, nothing is written
        problems += model_problems(experiment, len(dataset.classes)) + pipeline_refusals(experiment)
    if errors_in(problems):
        if engine:
            engine.close(grace_s=0)
        raise BadInput(*problems)
    terminal.complain_all(problems)
    if dataset.set_aside:
        first = dataset.set_aside[0]
        terminal.note(f"Warning: {len(dataset.set_aside):,} files were set aside, the first is {terminal.safe(first.id)}: {first.reason}")
    if dataset.num_ignored:
        terminal.note(f"{counted(dataset.num_ignored, 'file')} of systems and tools (such as .DS_Store) ignored")
    parts = {part: len(dataset.part(part)) for part in ("train", "validation", "test")}
    terminal.say(f"{len(dataset.classes):,} classes; " + ", ".join(f"{n:,} {part} images" for part, n in parts.items() if n))
    folder = create_run(chosen_runs(args), experiment, dataset.to_json())
    return folder, engine.start if engine else start_engine


def started_from(folder: RunFolder) -> Experiment:
    """A new experiment that starts from the best weights of a run: its settings, without its name and its data."""
    if not folder.has_checkpoint():
        raise BadInput(f"{folder.nickname} has no checkpoint yet: there is nothing to start from. Train it first, or choose another run.")
    earlier, plain = folder.experiment(), Experiment()
    start = {"start_run": path_to_text(folder.path.absolute()), "weights_file": "", "weights_sha256": ""}
    return parse_experiment(
        earlier.model_dump() | {"name": plain.name, "data": plain.data.model_dump(), "model": earlier.model.model_dump() | start}
    )


def _with_layers(experiment: Experiment, freeze: list[str], train: list[str]) -> Experiment:
    """With the layers that patterns mean. Raises BadInput for a pattern that means nothing."""
    from studio.catalog.backbones import build_model
    from studio.core.layer_pattern import with_patterns

    module = build_model(experiment.model, 2, device="meta").module
    names = [name for name, _ in module.named_modules() if name] + [name for name, _ in module.named_parameters()]
    return experiment.changed({"model.layers": with_patterns(experiment.model.layers, freeze, train, names)})


def planned(file: Path | None, data: str | None, assignments: list[str], start: Experiment | None = None) -> Experiment:
    """The experiment of the command line: the file, `start` or the defaults, then --data, then --set. The source becomes absolute."""
    if file is None and data is None:
        raise BadInput("Nothing to train on. Give a folder with --data DIR, or an experiment file.")
    experiment = read_experiment(file) if file is not None else start or Experiment()
    values: dict[str, Any] = {} if data is None else {"data.source": source_text(data)}
    if file is not None and data is None and experiment.data.source:
        values["data.source"] = source_text(experiment.data.source, file.absolute().parent)
    if file is not None and experiment.model.weights_file:
        values["model.weights_file"] = source_text(experiment.model.weights_file, file.absolute().parent)
    settings = parse_settings(assignments)
    for path in ("data.source", "model.weights_file", "model.start_run"):
        if isinstance(settings.get(path), str) and settings[path]:
            settings[path] = source_text(settings[path])
    if experiment.name == Experiment().name and (source := settings.get("data.source", values.get("data.source", experiment.data.source))):
        values["name"] = str(source).rstrip("/").rpartition("/")[2][:200] or experiment.name
    return _with_checksum(experiment.changed(values | settings), settings)


def _with_checksum(experiment: Experiment, settings: dict[str, Any]) -> Experiment:
    """With the SHA-256 of a weights file that is chosen now, so that the run, and the file of its settings, know it from now on."""
    model, file = experiment.model, text_to_path(experiment.model.weights_file)
    if "model.weights_sha256" in settings or (model.weights_sha256 and "model.weights_file" not in settings):
        return experiment
    if not os.path.isfile(file):  # a pipe would never end; what is wrong is said where the file is read
        return experiment
    try:
        return experiment.changed({"model.weights_sha256": sha256_of(file)})
    except OSError:
        return experiment


def model_problems(experiment: Experiment, num_classes: int) -> list[Problem]:
    """What is wrong with backbone, weights and input size. The bundled backbone at its own size is known to be fine and costs nothing."""
    if _is_known_to_be_fine(experiment.model):
        return []
    from studio.engine.loading import begin_loading, end_loading
    from studio.engine.no_compiler import load_torch

    with terminal.Progress() as progress:
        progress(0, None, "Checking the network")
        begin_loading()
        load_torch()
        from studio.engine.preflight import check_model

        found = check_model(experiment.model, num_classes)
        end_loading()
        return found


def _is_known_to_be_fine(model: Model) -> bool:
    return _shape_of(model) == _shape_of(Experiment().model)


def pipeline_refusals(experiment: Experiment) -> list[Problem]:
    """What only albumentations finds wrong with a pipeline of one's own. Loads it, half a second, where parameters were set by hand."""
    from studio.catalog.augments import build_pipeline
    from studio.catalog.augments.check import must_be_made

    if not must_be_made(experiment.augment):
        return []
    try:
        build_pipeline(experiment.augment, experiment.model.input_size)
    except BadInput as exc:
        return list(exc.problems)
    return []


def each_model(experiments: Sequence[Experiment]) -> list[Experiment]:
    """One experiment for each network among them, as far as `model_problems` looks at it."""
    found: list[Experiment] = []
    for experiment in experiments:
        if all(_shape_of(experiment.model) != _shape_of(other.model) for other in found):
            found.append(experiment)
    return found


def _shape_of(model: Model) -> tuple[Any, ...]:
    return tuple(getattr(model, name) for name in _SHAPE)


def _resumable(args: argparse.Namespace) -> RunFolder:
    if args.start or args.freeze or args.train:
        raise BadInput("A run goes on with the layers it was begun with: --resume takes no --from, --freeze or --train. Start a new run.")
    values = parse_settings(args.set)
    if args.experiment or args.data or values.keys() - {_DEVICE} or args.processes or args.machines or args.meet:
        raise BadInput(
            f"A run goes on as it was begun: --resume takes no experiment, --data or --set other than {_DEVICE}. Start a new run to change something."
        )
    folder = find_run(chosen_runs(args), args.resume)
    if folder.read_state().status is Status.FINISHED:
        raise BadInput(f"{folder.nickname} is finished: there is nothing left to resume. Start a new run with more epochs to train longer.")
    if folder.is_alive():
        raise BadInput(f"{folder.nickname} is running already. Stop it first, or watch it in the window.")
    experiment = folder.experiment().changed(values)
    device = experiment.training.device
    if device_problem(device):
        begun = "is to go on" if values else "was begun"
        raise BadInput(
            f"{folder.nickname} {begun} on “{device}”, which is not there now. Resume it where it is, or on the processor: "
            f"studio train --resume {folder.nickname} --set {_DEVICE}=cpu"
        )
    if values:
        folder.move_to(device)
    return folder
