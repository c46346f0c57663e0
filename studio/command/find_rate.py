"""Find a learning rate: try rising rates on a network of its own and say where the loss falls. Takes what `studio train` takes.

Nothing is kept and no run is made.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from studio.cli import DONE
from studio.command import terminal
from studio.command.train import model_problems, planned
from studio.core.device import device_problem
from studio.core.experiment import Experiment
from studio.core.head_sweep import peaks_around
from studio.core.problem import BadInput, errors_in
from studio.core.rate_test import RULES, RateTest
from studio.dataset.dataset import Dataset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", nargs="?", type=Path, help="an experiment file; `studio init` writes one")
    parser.add_argument("--data", metavar="DIR", help="a folder with one sub-folder per class, with train/val folders, or a CSV file")
    parser.add_argument("--set", metavar="SECTION.FIELD=VALUE", action="append", default=[], help="change one setting; can be repeated")
    parser.add_argument("--steps", type=int, help="how many rates to try (default: 100, fewer where there are few images)")
    parser.add_argument(
        "--sweep", action="store_true", help="train 32 new heads at once on the frozen network, each at another peak, and compare"
    )
    parser.add_argument("--json", action="store_true", help="end standard output with one line of JSON: suggestions and curve")


def run(args: argparse.Namespace) -> int:
    if args.steps is not None and not 20 <= args.steps <= 10_000:
        raise BadInput(f"{args.steps} steps make no curve. Choose between 20 and 10,000, or leave --steps out.")
    if args.sweep and args.steps is not None:
        raise BadInput("A sweep trains for the epochs of the experiment (--set schedule.epochs=N). Leave --steps out.")
    experiment = planned(args.experiment, args.data, args.set)
    from studio.engine.main import be_a_good_neighbour

    be_a_good_neighbour()  # before anything loads torch
    dataset = _images(experiment)
    if args.sweep:
        return _sweep(experiment, dataset, args.json)
    test = _tested(experiment, dataset, args.steps)
    _print(test)
    if args.json:
        curve = {"rates": test.rates, "losses": test.losses, "smoothed": test.smoothed.tolist()}
        terminal.say_json({"status": "done", "suggestions": test.suggestions, "best": test.best, "has_diverged": test.has_diverged} | curve)
    return DONE


def _images(experiment: Experiment) -> Dataset:
    """The data set. Raises BadInput with what is wrong with it, with the network or with the device."""
    from studio.dataset.scan import scan

    problems = [p for p in [device_problem(experiment.training.device)] if p]
    with terminal.Progress("files") as progress:
        dataset = scan(experiment.data, progress=progress)
    problems += model_problems(experiment, len(dataset.classes))
    if errors_in(problems):
        raise BadInput(*problems)
    return dataset


def _tested(experiment: Experiment, dataset: Dataset, num_steps: int | None) -> RateTest:
    with terminal.Progress("steps") as progress:
        progress(0, None, "Loading torch")
        from studio.engine.main import set_up_torch
        from studio.engine.no_compiler import load_torch

        torch = load_torch()
        from studio.engine.rate_test import find_rate

        set_up_torch(torch, experiment)
        return find_rate(experiment, dataset, progress, num_steps=num_steps)


def _sweep(experiment: Experiment, dataset: Dataset, wants_json: bool) -> int:
    with terminal.Progress("steps") as progress, tempfile.TemporaryDirectory() as scratch:
        progress(0, None, "Loading torch")
        from studio.engine.main import set_up_torch
        from studio.engine.no_compiler import load_torch

        torch = load_torch()
        from studio.engine.head_sweep import sweep_head

        set_up_torch(torch, experiment)
        found = sweep_head(experiment, dataset, peaks_around(experiment.schedule.peak_lr), Path(scratch), progress)
    terminal.say("Only the head trains, without augmentation; validation after the last epoch:")
    for head in found.heads:
        mark = "  best" if head is found.best else ""
        loss = "no number" if head.loss is None else f"{head.loss:.3f}"
        terminal.say(f"  {head.peak:<7.1e} top-1 {head.top1:6.1%}  loss {loss}{mark}")
    share = found.head_seconds / found.seconds
    terminal.say(f"{len(found.heads)} heads, {found.epochs} epochs: {found.seconds:.0f} s, {share:.0%} of it for all heads together.")
    terminal.say(f"Take it: studio train ... --set schedule.peak_lr={found.best.peak:.2g}")
    if wants_json:
        terminal.say_json(
            {"status": "done", "best": found.best.peak, "heads": [head._asdict() for head in found.heads],
             "feature_seconds": found.feature_seconds, "head_seconds": found.head_seconds}
        )  # fmt: skip
    return DONE


def _print(test: RateTest) -> None:
    passes = f"each training image {test.passes:.1f} times"
    terminal.say(
        f"{len(test.rates)} of {test.num_steps} steps of {test.batch_size} images, {passes}, {test.seconds:.0f} s on {test.device}"
    )
    if test.has_diverged:
        terminal.say(f"Stopped at a rate of {test.rates[-1]:.1e}, where the loss ran away.")
    if not test.suggestions:
        raise terminal.Failed("The loss fell at no rate, so there is nothing to suggest. Check the labels and what trains.")
    width = max(len(rule.title) for rule in RULES)
    for rule in RULES:
        terminal.say(f"{rule.title:<{width}}  {test.suggestions[rule.key]:<8g}  {rule.words}")
    terminal.say(f"When in doubt take the middle one: studio train ... --set schedule.peak_lr={test.best:g}")
