"""Train one experiment with several values of one or two settings, one run after the other, and list the results side by side.

`studio sweep --data DIR --over schedule.peak_lr=1e-4,1e-3 --over model.train_stages=0,2 --seeds 2`; with `--random 8` points are drawn from lists
and ranges (1e-4..1e-2) instead of the whole grid. A run that fails does not stop the others; Ctrl-C stops the sweep.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from studio.command import terminal
from studio.command.chosen import add_runs_argument, chosen_runs, parse_settings, whole_number
from studio.command.follow import start_and_follow, summary
from studio.command.train import each_model, model_problems, planned
from studio.core.device import device_problem
from studio.core.experiment import Experiment
from studio.core.fold import RunState
from studio.core.problem import BadInput, errors_in
from studio.core.run_folder import RunFolder, create_run
from studio.core.sweep import parse_axis, plan_sweep
from studio.supervise.engine import start_engine

DONE, FAILED, STOPPED = 0, 1, 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", nargs="?", type=Path, help="an experiment file; `studio init` writes one")
    parser.add_argument("--data", metavar="DIR", help="a folder with one sub-folder per class, with train/val folders, or a CSV file")
    parser.add_argument("--set", metavar="SECTION.FIELD=VALUE", action="append", default=[], help="change one setting; can be repeated")
    parser.add_argument(
        "--over", metavar="SECTION.FIELD=A,B,C", action="append", default=[], help="a setting and its values; twice at most"
    )
    parser.add_argument("--random", metavar="N", type=whole_number(1), default=0, help="draw N points instead of the whole grid")
    parser.add_argument("--seeds", metavar="N", type=whole_number(1), default=1, help="train each with N seeds, to see how much is chance")
    parser.add_argument("--dry-run", action="store_true", help="list what would be trained and stop")
    parser.add_argument("--json", action="store_true", help="end standard output with one line of JSON: the runs, best first")
    add_runs_argument(parser)


def run(args: argparse.Namespace) -> int:
    from studio.dataset.plan_check import check_run, with_fitting_batch
    from studio.dataset.scan import scan

    base = planned(args.experiment, args.data, args.set)
    axes = [parse_axis(text) for text in args.over]
    if any(axis.is_range for axis in axes) and not args.random:
        raise BadInput("A range needs random draws: say how many with --random N, or list the values with commas between them.")
    experiments = plan_sweep(base, axes, num_random=args.random, num_seeds=args.seeds)
    with terminal.Progress("files") as progress:
        dataset = scan(base.data, progress=progress)
    if args.experiment is None and "training.batch_size" not in {*parse_settings(args.set), *(axis.path for axis in axes)}:
        experiments = [with_fitting_batch(experiment, dataset) for experiment in experiments]
    problems = [p for p in [device_problem(base.training.device)] if p]
    for experiment in experiments:
        problems += [p for p in check_run(experiment, dataset) if p not in problems]
    if not errors_in(problems):
        for model in each_model(experiments):
            problems += [p for p in model_problems(model, len(dataset.classes)) if p not in problems]
    if errors_in(problems):
        raise BadInput(*problems)
    terminal.complain_all(problems)
    for number, experiment in enumerate(experiments, 1):
        terminal.say(f"{number:3} of {len(experiments)}: {terminal.safe(experiment.name)}")
    if args.dry_run:
        if args.json:
            terminal.say_json({"status": "planned", "runs": [{"name": experiment.name} for experiment in experiments]})
        return DONE
    content, worst, done, interrupts = dataset.to_json(), DONE, [], []
    try:
        for number, experiment in enumerate(experiments, 1):
            folder = create_run(chosen_runs(args), experiment, content)
            terminal.say(f"Run {number} of {len(experiments)}, {folder.nickname}: {terminal.safe(experiment.name)}")
            done.append((folder, experiment))
            code = start_and_follow(folder, start_engine, resume=False, wants_json=False, on_interrupt=lambda: interrupts.append(True))
            worst = STOPPED if code == STOPPED or interrupts else max(worst, code)
            if worst == STOPPED:
                break
    except KeyboardInterrupt:  # between two runs
        worst = STOPPED
    rows = [(folder.read_state(), folder, experiment) for folder, experiment in done]
    rows.sort(key=lambda row: -(row[0].best.validation_top1 or 0.0 if row[0].best else -1.0))
    _list(rows)
    if args.json:
        runs = [{"name": experiment.name, **summary(folder, state)} for state, folder, experiment in rows]
        terminal.say_json({"status": {DONE: "done", STOPPED: "stopped"}.get(worst, "failed"), "runs": runs})
    return worst


def _list(rows: list[tuple[RunState, RunFolder, Experiment]]) -> None:
    terminal.say("")
    for state, folder, experiment in rows:
        best = state.best
        figure = f"{state.status.value:>14}"
        if best:
            figure = f"top-1 {best.validation_top1:6.1%}, macro F1 {best.macro_f1:.3f}" if state.is_measured else f"{best.words:>14}"
        terminal.say(f"{figure}  {folder.nickname:<16} {terminal.safe(experiment.name)}")
