"""Full fine-tuning: the engine against the same network's bare forward-backward loop on random tensors, and against fastai's Learner.

All sides train the same network from the same weights on the same photographs with the same threads. A round is one epoch of each side, the
order of engine and bare loop changes from round to round, and a ratio is the median of the ratios of the rounds: what else the machine does,
and its own drift, fall on both sides alike. The engine's side is its real training loop: files, augmentation, optimiser, reports. The bare
loop has the engine's precision and layout and neither images nor optimiser. The first epoch decodes every file; later ones find the images in memory.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from studio.engine.main import be_a_good_neighbour

be_a_good_neighbour()  # threads and memory as the engine has them, for all sides

ROUNDS = 9
FASTAI_ROUNDS = 3  # of them with fastai, whose epochs take twice as long
PER_CLASS = 16
NETWORKS = (("torchvision", "resnet18"), ("bundled", "tf_efficientnet_lite0"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default=str(Path(__file__).parents[2] / "shared" / "data" / "clothing"))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.setdefault("STUDIO_HOME", f"{scratch}/home")
        data = _part_of(Path(options.data), Path(scratch) / "data")
        for source, name in NETWORKS:
            rows.append(_compare(source, name, data, Path(scratch), options.rounds))
    print("## Full fine-tuning, images per second\n")
    print(
        "| network | precision | bare forward-backward | engine | engine : bare | engine : bare, CPU time | first epoch : bare | fastai | engine : fastai |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    print("\n".join(rows))
    print(
        f"\nBatch 16, 224 px, {PER_CLASS * 10} photographs, light augmentation, {options.rounds} rounds, {FASTAI_ROUNDS} of them with fastai, load {os.getloadavg()[0]:.1f}."
    )


def _part_of(data: Path, to: Path) -> Path:
    """A smaller copy by links: the first images of every class for training, three for validation."""
    for part, count in (("train", PER_CLASS), ("val", 3)):
        for folder in sorted((data / part).iterdir()):
            home = to / part / folder.name
            home.mkdir(parents=True)
            for file in sorted(folder.iterdir())[:count]:
                (home / file.name).write_bytes(file.read_bytes())
    return to


def _compare(source: str, name: str, data: Path, scratch: Path, rounds: int) -> str:
    import torch

    setup, run_epoch = _engine(source, name, data, scratch)
    num_images = len(setup.parts["train"])
    first = _timed(run_epoch)
    bare = _bare_epoch(setup, num_images)
    learner_epoch = _fastai_epoch(setup, data)
    bare()
    times: dict[str, list[tuple[float, float]]] = {"engine": [], "bare": [], "fastai": []}
    sides = [("bare", bare), ("engine", run_epoch)]
    for number in range(rounds):
        for side, epoch in sides if number % 2 == 0 else reversed(sides):
            times[side].append(_timed(epoch))
        if learner_epoch and number < FASTAI_ROUNDS:
            with torch.random.fork_rng():
                times["fastai"].append(learner_epoch())
    setup.loader.close()
    ratios = [[b[i] / e[i] for b, e in zip(times["bare"], times["engine"], strict=True)] for i in (0, 1)]  # wall, CPU
    wall = {side: statistics.median(w for w, _ in t) for side, t in times.items() if t}
    precision = f"{setup.precision.name}, {'channels last' if setup.precision.channels_last else 'channels first'}"
    fastai = f"{num_images / wall['fastai']:.1f} | {wall['fastai'] / wall['engine']:.2f}" if "fastai" in wall else "not installed | "
    return (
        f"| {name} | {precision} | {num_images / wall['bare']:.1f} | {num_images / wall['engine']:.1f} | "
        f"**{statistics.median(ratios[0]):.3f}** ({_middle_half(ratios[0])}) | {statistics.median(ratios[1]):.3f} | "
        f"{wall['bare'] / first[0]:.2f} | {fastai} |"
    )


def _middle_half(values: list[float]) -> str:
    low, _, high = statistics.quantiles(values, n=4)
    return f"half of the rounds {low:.2f} to {high:.2f}"


def _timed(work) -> tuple[float, float]:
    """(wall seconds, CPU seconds of this process) of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def _engine(source: str, name: str, data: Path, scratch: Path):
    """The engine's own parts, prepared as for a run, and a function that trains one epoch."""
    from studio.core.experiment import Experiment
    from studio.core.run_folder import create_run
    from studio.engine.control import Control
    from studio.engine.loop import train_epoch
    from studio.engine.reporter import Reporter
    from studio.engine.setup import prepare

    experiment = Experiment().changed(
        {
            "data.source": str(data),
            "model.source": source,
            "model.backbone": name,
            "model.pretrained": source == "bundled",
            "model.train_stages": -1,
            "training.batch_size": 16,
            "training.device": "cpu",
            "training.checkpoint_seconds": 86_400,
            "schedule.epochs": 200,
            "schedule.peak_lr": 1e-4,
        }
    )
    folder = create_run(scratch / "runs", experiment)
    control = Control(folder.commands_path)
    setup = prepare(folder, experiment, control, Reporter(folder, control), None)

    def run_epoch() -> None:
        train_epoch(setup)
        setup.progress.count_epoch({"top1": 0.0, "top5": 0.0, "loss": 1.0, "macro_f1": 0.0})

    return setup, run_epoch


def _bare_epoch(setup, num_images: int):
    import copy

    import torch

    network = copy.deepcopy(setup.network)
    network.train_mode()
    layout = torch.channels_last if setup.precision.channels_last else torch.contiguous_format
    images = torch.randn(16, 3, 224, 224).contiguous(memory_format=layout)
    labels = torch.randint(0, 10, (16,))

    def epoch() -> None:
        for _ in range(num_images // 16):
            with setup.precision.autocast(setup.device):
                logits = network.module(images)
            torch.nn.functional.cross_entropy(logits.float(), labels).backward()
            network.module.zero_grad(set_to_none=True)

    return epoch


def _fastai_epoch(setup, data: Path):
    """A function that trains one epoch with fastai's Learner and gives its seconds, without start and validation; None without fastai."""
    with contextlib.suppress(ImportError):
        import copy

        import torch
        from fastai.vision.all import (
            Callback,
            CrossEntropyLossFlat,
            ImageDataLoaders,
            Learner,
            Normalize,
            RandomResizedCrop,
            imagenet_stats,
        )

        class Clock(Callback):
            def before_train(self):
                self.start = time.perf_counter(), time.process_time()

            def after_train(self):
                self.seconds = time.perf_counter() - self.start[0], time.process_time() - self.start[1]

        dls = ImageDataLoaders.from_folder(
            data,
            train="train",
            valid="val",
            bs=16,
            item_tfms=RandomResizedCrop(224, min_scale=0.5),
            batch_tfms=Normalize.from_stats(*imagenet_stats),
        )
        module = copy.deepcopy(setup.network.module).to(memory_format=torch.contiguous_format)
        learner = Learner(dls, module, loss_func=CrossEntropyLossFlat(), cbs=[clock := Clock()])

        def epoch() -> tuple[float, float]:
            with learner.no_bar(), learner.no_logging():
                learner.fit(1, lr=1e-4)
            return clock.seconds

        return epoch
    print("fastai is not installed: pip install finetune-studio[bench]", file=sys.stderr)
    return None


if __name__ == "__main__":
    main()
