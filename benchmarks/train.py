"""Full fine-tuning, end to end: the engine against a loop as in torchvision's references, fastai's Learner, and its own bare arithmetic.

All sides train the same network from the same weights on the same photographs. A round is one epoch of each side, its order changes from round to
round, and a ratio is the median of the ratios of the rounds: what else the machine does, and its own drift, fall on all sides alike.

The engine's side is its real training loop: files, augmentation, optimiser, reports. It trains twice in a round: with its caches of decoded images
emptied, as in a first epoch, and from memory, as in all later ones. The bare loop has the engine's precision, layout and threads, and neither images
nor optimiser. The plain loop and fastai are processes of their own with torch as it comes, as they are on a user's computer.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from benchmarks.capped import limit, obey_cap, processor
from benchmarks.plain import plain_loop
from benchmarks.side import serve, side, timed
from studio.engine.main import be_a_good_neighbour

ROUNDS = 5
FASTAI_ROUNDS = 2  # of them with fastai
PER_CLASS = 8
BATCH = 16
NETWORKS = (("torchvision", "resnet18"), ("bundled", "tf_efficientnet_lite0"))
LIMITS = {"resnet18": (2.4, 1.05), "tf_efficientnet_lite0": (2.0, 1.4)}  # of engine : plain, with fast bf16 and with AVX2
ORDER = ("bare", "engine", "first", "plain", "fastai")  # of the columns


def main() -> None:
    capped = obey_cap()
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default=str(Path(__file__).parents[2] / "shared" / "data" / "clothing"))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--networks", nargs="*", default=[name for _, name in NETWORKS])
    parser.add_argument("--side", nargs=3, metavar=("SIDE", "SOURCE", "NETWORK"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        which, *network = options.side
        return serve(lambda: ({"plain": _plain, "fastai": _fastai}[which](*network, options.data), {}))
    environment = dict(os.environ)  # for the other sides; this process is the engine's
    be_a_good_neighbour()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.setdefault("STUDIO_HOME", f"{scratch}/home")
        data = _part_of(Path(options.data), Path(scratch) / "data")
        found = [
            _compare(source, name, data, Path(scratch), options.rounds, environment)
            for source, name in NETWORKS
            if name in options.networks
        ]
    print(f"## Full fine-tuning, images per second{capped}\n")
    print("| network | precision | bare forward-backward | engine | engine, first epoch | plain loop | fastai |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(speeds for speeds, _ in found))
    print("\n| network | ratio of speeds | wall time | half of the rounds | CPU time | limit |")
    print("|---|---|---|---|---|---|")
    print("\n".join(ratios for _, ratios in found))
    print(
        f"\n{processor()}. Batch {BATCH}, 224 px, {PER_CLASS * 10} photographs in an epoch, light augmentation (plain loop and fastai: crop, and flip or "
        f"none), {options.rounds} rounds, {FASTAI_ROUNDS} of them with fastai, load {os.getloadavg()[0]:.1f}."
    )
    return None


def _part_of(data: Path, to: Path, num_train: int = PER_CLASS, num_validation: int = 3) -> Path:
    """A smaller copy: the first images of every class."""
    for part, count in (("train", num_train), ("val", num_validation)):
        for folder in sorted((data / part).iterdir()):
            home = to / part / folder.name
            home.mkdir(parents=True)
            for file in sorted(folder.iterdir())[:count]:
                (home / file.name).write_bytes(file.read_bytes())
    return to


def _compare(source: str, name: str, data: Path, scratch: Path, rounds: int, environment: dict[str, str]) -> tuple[str, str]:
    """A row of speeds, and rows of ratios."""
    others = ["plain", "fastai"] if find_spec("fastai") else ["plain"]
    times: dict[str, list[dict[str, float]]] = {}
    with contextlib.ExitStack() as stack:
        setup, sides = _engine(source, name, data, scratch)
        stack.enter_context(setup.loader)
        num_images = setup.epoch_size
        for other in others:
            arguments = ("--data", str(data), "--side", other, source, name)
            ask = stack.enter_context(side("benchmarks.train", *arguments, environment=environment))
            ask()
            sides[other] = partial(ask, 1)
        for epoch in sides.values():
            epoch()  # what is made once; then the engine has its images in memory
        for number in range(rounds):
            for which in sides if number % 2 == 0 else reversed(sides):
                if which != "fastai" or number < FASTAI_ROUNDS:
                    times.setdefault(which, []).append(sides[which]())
    precision = f"{setup.precision.name}, channels {'last' if setup.precision.channels_last else 'first'}"
    if setup.precision.own_gradients:
        precision += ", own gradients"
    speeds = [
        f"{num_images / statistics.median(t['wall'] for t in times[which]):.1f}" if which in times else "not installed" for which in ORDER
    ]
    wanted = limit(*LIMITS[name])
    ratios = (
        ("engine", "bare", "engine : bare", "0.95"),
        ("first", "bare", "engine, first epoch : bare", "0.9"),
        ("engine", "plain", "engine : plain loop", wanted),
        ("first", "plain", "engine, first epoch : plain loop", wanted),
        ("engine", "fastai", "engine : fastai", "1"),
    )
    rows = [f"| {name} | {words} | {_ratio(times[slow], times[fast])} | {least} |" for fast, slow, words, least in ratios if slow in times]
    return f"| {name} | {precision} | {' | '.join(speeds)} |", "\n".join(rows)


def _ratio(slow: list[dict[str, float]], fast: list[dict[str, float]]) -> str:
    """Three cells: median of wall time, its middle half, median of CPU time."""
    wall, cpu = ([s[clock] / f[clock] for s, f in zip(slow, fast, strict=False)] for clock in ("wall", "cpu"))
    low, _, high = statistics.quantiles(wall, n=4) if len(wall) > 1 else wall * 3
    return f"**{statistics.median(wall):.3f}** | {low:.2f} to {high:.2f} | {statistics.median(cpu):.3f}"


def _engine(source: str, name: str, data: Path, scratch: Path):
    """The engine's own parts, prepared as for a run, and its three sides."""
    import torch

    from studio.core.experiment import Experiment
    from studio.core.run_folder import create_run
    from studio.dataset import decoded
    from studio.engine.control import Control
    from studio.engine.loader import Loader
    from studio.engine.loop import train_epoch
    from studio.engine.main import set_up_torch
    from studio.engine.reporter import Reporter
    from studio.engine.setup import prepare

    experiment = Experiment().changed(
        {
            "data.source": str(data),
            "model.source": source,
            "model.backbone": name,
            "model.pretrained": source == "bundled",
            "model.train_stages": -1,
            "training.batch_size": BATCH,
            "training.device": "cpu",
            "training.checkpoint_seconds": 86_400,
            "schedule.epochs": 200,
            "schedule.peak_lr": 1e-4,
        }
    )
    set_up_torch(torch, experiment)
    folder = create_run(scratch / "runs", experiment)
    control = Control(folder.commands_path)
    setup = prepare(folder, experiment, control, Reporter(folder, control), None)

    def epoch() -> dict[str, float]:
        found = timed(lambda: train_epoch(setup))
        setup.progress.count_epoch({"top1": 0.0, "top5": 0.0, "loss": 1.0, "macro_f1": 0.0})
        return found

    def first_epoch() -> dict[str, float]:
        warm = setup.loader
        decoded.clear()
        setup.loader = Loader(warm._source, warm.max_batch, warm.num_workers)  # with nothing in its memory
        try:
            return epoch()
        finally:
            setup.loader.close()
            setup.loader = warm

    return setup, {"bare": _bare_epoch(setup), "engine": epoch, "first": first_epoch}


def _bare_epoch(setup) -> Callable[[], dict[str, float]]:
    import copy

    import torch

    network = copy.deepcopy(setup.network)
    network.train_mode()
    layout = torch.channels_last if setup.precision.channels_last else torch.contiguous_format
    images = torch.randn(BATCH, 3, 224, 224).contiguous(memory_format=layout)
    labels = torch.randint(0, 10, (BATCH,))

    def epoch() -> None:
        for _ in range(setup.epoch_size // BATCH):
            with setup.precision.autocast(setup.device):
                logits = network.module(images)
            torch.nn.functional.cross_entropy(logits.float(), labels).backward()
            network.module.zero_grad(set_to_none=True)

    return partial(timed, epoch)


def _module(source: str, name: str):
    import torch

    from studio.catalog.backbones import build_backbone

    with contextlib.suppress(OSError, AttributeError):
        os.nice(max(0, 5 - os.nice(0)))  # as the engine is
    torch.manual_seed(0)
    return build_backbone(source, name, num_classes=10, pretrained=source == "bundled", input_size=224).module


def _plain(source: str, name: str, data: str) -> Callable[[], None]:
    return plain_loop(_module(source, name), None, data, BATCH)[0]


def _fastai(source: str, name: str, data: str) -> Callable[[], None]:
    """An epoch of fastai's Learner without validation, with loaders as it makes them."""
    from fastai.vision.all import CrossEntropyLossFlat, ImageDataLoaders, Learner, Normalize, RandomResizedCrop, imagenet_stats

    loaders = ImageDataLoaders.from_folder(
        data, train="train", valid="val", bs=BATCH, item_tfms=RandomResizedCrop(224, min_scale=0.5), batch_tfms=Normalize.from_stats(*imagenet_stats)
    )  # fmt: skip
    learner = Learner(loaders, _module(source, name), loss_func=CrossEntropyLossFlat())
    learner._do_epoch_validate = lambda *_: None  # it trains only

    def epoch() -> None:
        with learner.no_bar(), learner.no_logging():
            learner.fit(1, lr=1e-4)

    return epoch


if __name__ == "__main__":
    main()
