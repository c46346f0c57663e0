"""Write an experiment file: every setting with its default, its meaning, its choices and bounds."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from studio.cli import DONE
from studio.command import terminal
from studio.command.chosen import parse_settings
from studio.command.train import planned
from studio.core.experiment import Experiment
from studio.core.experiment_file import experiment_to_toml, write_experiment
from studio.core.problem import BadInput, errors_in


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="DIR", required=True, help="the images: a folder or a CSV file")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, default=Path("experiment.toml"), help="where to write; - prints it")
    parser.add_argument("--set", metavar="SECTION.FIELD=VALUE", action="append", default=[], help="change one setting; can be repeated")
    parser.add_argument("--force", action="store_true", help="write over an existing file")
    parser.add_argument("--json", action="store_true", help="end standard output with one line of JSON")


def run(args: argparse.Namespace) -> int:
    from studio.dataset.plan_check import with_fitting_batch
    from studio.dataset.scan import scan

    if os.path.exists(args.output) and not args.force:
        raise BadInput(f"{args.output} exists already. Choose another name with -o, or write over it with --force.")
    experiment = planned(None, args.data, args.set)
    with terminal.Progress("files") as progress:
        dataset = scan(experiment.data, progress=progress)
    if errors_in(dataset.problems):
        raise BadInput(*dataset.problems)
    terminal.complain_all(dataset.problems)
    if "training.batch_size" not in parse_settings(args.set):
        experiment = with_fitting_batch(experiment, dataset)
    is_printed = str(args.output) == "-"
    if is_printed:
        terminal.say(experiment_to_toml(experiment).rstrip("\n"))
    else:
        _write(experiment, args.output)
        counts = f"{len(dataset.classes):,} classes, {len(dataset.samples):,} images"
        terminal.say(f"Wrote {args.output}: {counts}. Train with: studio train {args.output}")
    if args.json:
        path = None if is_printed else os.path.abspath(args.output)
        terminal.say_json({"status": "done", "experiment": path, "classes": len(dataset.classes), "images": len(dataset.samples)})
    return DONE


def _write(experiment: Experiment, path: Path) -> None:
    try:
        write_experiment(experiment, path)
    except OSError as exc:
        raise BadInput(f"{path} cannot be written: {exc.strerror}. Choose another place with -o.") from None
