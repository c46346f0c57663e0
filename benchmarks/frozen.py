"""Training a new head on a frozen network, whole wall time of 30 epochs: Studio, a loop as in torchvision's references, and fastai.

Studio's side is the command `studio train`, from the start of its process to its end, with validation after every epoch. The other sides
run one epoch of training and validation after their imports; its time, 30 times, is what they are counted with, so their own start is
given to them. All see the same photographs in batches of 32 on the same threads, from the same pretrained weights where they are bundled.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.capped import obey_cap

EPOCHS = 30
NETWORKS = (("torchvision", "resnet18"), ("bundled", "tf_efficientnet_lite0"))
BATCH = 32


def main() -> None:
    capped = obey_cap()
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default=str(Path(__file__).parents[2] / "shared" / "data" / "clothing"))
    parser.add_argument("--side", nargs=3, metavar=("SIDE", "SOURCE", "NAME"), help="run one epoch of a side and print its seconds")
    parser.add_argument("--sweep", action="store_true", help="sweep 32 learning rates of the head and print the seconds")
    options = parser.parse_args()
    if options.side:
        print(_epoch_seconds(*options.side, options.data))
        return
    if options.sweep:
        print(json.dumps(_sweep(options.data)))
        return
    rows = []
    for source, name in NETWORKS:
        plain, fastai = (EPOCHS * _side(side, source, name, options.data) for side in ("plain", "fastai"))
        still, still_top1 = _studio(source, name, options.data, {"augment.preset": "none"})
        views, views_top1 = _studio(source, name, options.data, {"training.feature_cache": "views", "training.cached_views": 4})
        rows.append(
            f"| {name} | {still:.0f} s, {still_top1:.1%} | {views:.0f} s, {views_top1:.1%} | {plain:,.0f} s | {fastai:,.0f} s | "
            f"**{plain / still:.0f}** | **{fastai / still:.0f}** | **{fastai / views:.0f}** |"
        )
    print(f"## A new head on a frozen network, {EPOCHS} epochs{capped}\n")
    print("| network | Studio, one view: time, top-1 | Studio, four views | plain loop | fastai | plain : one view | fastai : one view | fastai : four views |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(rows))
    print(
        "\nLimits: 50, 100 and 25 (AVX2: 30 times the plain loop). ResNet-18 has random weights here, so its top-1 says nothing; its time does."
    )
    print(_accuracy_and_sweep(options.data))
    print(
        f"Studio from start to end of its process; the others {EPOCHS} times one epoch, without their start. Load {os.getloadavg()[0]:.1f}."
    )


def _accuracy_and_sweep(data: str) -> str:
    """On a part of the photographs, so that it takes minutes: top-1 with features from the cache and without, and what a sweep adds."""
    from benchmarks.train import _part_of

    source, name = NETWORKS[-1]
    with tempfile.TemporaryDirectory() as scratch:
        part = str(_part_of(Path(data), Path(scratch) / "data"))
        still = {"augment.preset": "none"}
        kept, uncached = (_studio(source, name, part, still | {"training.feature_cache": cache})[1] for cache in ("exact", "off"))
        command = [sys.executable, "-m", "benchmarks.frozen", "--data", part, "--sweep"]
        environment = os.environ | {"STUDIO_HOME": f"{scratch}/home"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        sweep = json.loads(done.stdout.splitlines()[-1])
    lines = [
        f"\n### {name}: accuracy against the uncached run, and a sweep of the head\n",
        "| top-1, features kept | top-1, uncached | apart |\n|---|---|---|",
        f"| {kept:.1%} | {uncached:.1%} | **{100 * abs(kept - uncached):.1f} points** |",
        f"\n32 heads at once on 160 photographs: {sweep['many']:.2f} s against {sweep['one']:.2f} s for one head, after {sweep['features']:.1f} s for "
        f"the features: **{(sweep['many'] - sweep['one']) / (sweep['features'] + sweep['one']):.1%}** more. Limits: half a point, 10 %.\n",
    ]
    return "\n".join(lines)


def _sweep(data: str) -> dict[str, float]:
    """Seconds of the features, and of one head and of 32 on them."""
    from studio.engine.main import be_a_good_neighbour

    be_a_good_neighbour()
    import torch

    from studio.core.experiment import Experiment
    from studio.dataset.scan import scan
    from studio.engine.head_sweep import peaks_around, sweep_head
    from studio.engine.main import set_up_torch

    source, name = NETWORKS[-1]
    values = {
        "data.source": data,
        "model.source": source,
        "model.backbone": name,
        "schedule.epochs": EPOCHS,
        "training.batch_size": BATCH,
        "training.device": "cpu",
    }
    experiment = Experiment().changed(values)
    set_up_torch(torch, experiment)
    dataset, peak = scan(experiment.data), experiment.schedule.peak_lr
    with tempfile.TemporaryDirectory() as scratch:
        many = sweep_head(experiment, dataset, peaks_around(peak), Path(scratch) / "many")
        one = sweep_head(experiment, dataset, [peak], Path(scratch) / "one")  # finds the features
    return {"features": many.feature_seconds, "many": many.head_seconds, "one": one.head_seconds}


def _studio(source: str, name: str, data: str, more: dict) -> tuple[float, float]:
    """(seconds of the whole process, best top-1) of a run."""
    values = {
        "model.source": source, "model.backbone": name, "model.pretrained": source == "bundled", "model.train_stages": 0,
        "schedule.epochs": EPOCHS, "training.batch_size": BATCH, "training.device": "cpu",
    } | more  # fmt: skip
    sets = [
        part for path, value in values.items() for part in ("--set", f"{path}={str(value).lower() if isinstance(value, bool) else value}")
    ]
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "studio", "train", "--data", data, "--runs", scratch, "--json", *sets]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"STUDIO_HOME": f"{scratch}/home"}, check=True)
        seconds = time.perf_counter() - start
    return seconds, json.loads(done.stdout.splitlines()[-1])["top1"]


def _side(side: str, source: str, name: str, data: str) -> float:
    command = [sys.executable, "-m", "benchmarks.frozen", "--data", data, "--side", side, source, name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def _epoch_seconds(side: str, source: str, name: str, data: str) -> float:
    """Seconds of one epoch of training and validation of the other side."""
    from studio.catalog.backbones import build_backbone

    built = build_backbone(source, name, num_classes=10, pretrained=source == "bundled", input_size=224)
    trained = built.stages[-2:] if side == "plain-last" else built.stages[-1:]
    head = {parameter for stage in trained for parameter in stage.parameter_names}
    return {"plain": _plain, "plain-last": _plain, "fastai": _fastai}[side](built.module, head, data)


def _plain(module, head: set[str], data: str) -> float:
    """As torchvision's references/classification/train.py with a frozen backbone: fp32, channels first, everything anew in every epoch."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision import transforms as tf
    from torchvision.datasets import ImageFolder

    norm = tf.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    train_view = tf.Compose([tf.RandomResizedCrop(224), tf.RandomHorizontalFlip(), tf.ToTensor(), norm])
    test_view = tf.Compose([tf.Resize(256), tf.CenterCrop(224), tf.ToTensor(), norm])
    train = DataLoader(ImageFolder(f"{data}/train", train_view), BATCH, shuffle=True)
    test = DataLoader(ImageFolder(f"{data}/val", test_view), BATCH)
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in head)
    optimiser = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=0.01, momentum=0.9)
    loss_of = torch.nn.CrossEntropyLoss()
    start = time.perf_counter()
    module.train()
    for images, labels in train:
        optimiser.zero_grad()
        loss_of(module(images), labels).backward()
        optimiser.step()
    module.eval()
    with torch.inference_mode():
        for images, labels in test:
            loss_of(module(images), labels).item()
    return time.perf_counter() - start


def _fastai(module, head: set[str], data: str) -> float:
    """fastai's Learner, frozen up to its head, with its own loaders and its usual augmentation of the crop."""
    from fastai.vision.all import CrossEntropyLossFlat, ImageDataLoaders, Learner, Normalize, RandomResizedCrop, accuracy, imagenet_stats

    loaders = ImageDataLoaders.from_folder(
        data, train="train", valid="val", bs=BATCH, num_workers=0, item_tfms=RandomResizedCrop(224, min_scale=0.5),
        batch_tfms=Normalize.from_stats(*imagenet_stats),
    )  # fmt: skip

    def split(m):
        named = list(m.named_parameters())
        return [[p for n, p in named if n not in head], [p for n, p in named if n in head]]

    learner = Learner(loaders, module, loss_func=CrossEntropyLossFlat(), splitter=split, metrics=accuracy)
    learner.freeze()
    with learner.no_bar(), learner.no_logging():
        start = time.perf_counter()
        learner.fit(1, lr=1e-3)
        return time.perf_counter() - start


if __name__ == "__main__":
    main()
