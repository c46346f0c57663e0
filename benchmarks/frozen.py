"""Training a new head on a frozen network, whole wall time of 30 epochs: Studio, a loop as in torchvision's references, and fastai.

Studio's side is the command `studio train`, from the start of its process to its end, with validation after every epoch. The other sides
run one epoch of training and validation after their imports and a first step that is not counted; its time, 30 times, is what they are counted
with. They see every second photograph, counted twice; Studio sees all. All take batches of 32 on the same number of threads, from the same
pretrained weights where they are bundled.

`benchmarks.head_accuracy` compares the answers with those of a run without a cache.
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

from benchmarks.capped import has_fast_bf16, obey_cap, processor
from benchmarks.plain import plain_loop

EPOCHS = 30
NETWORKS = (("torchvision", "resnet18"), ("bundled", "tf_efficientnet_lite0"))
BATCH = 32
EVERY = 2  # photographs of which the other sides see one
STILL = {"augment.preset": "none"}
FOUR_VIEWS = {"training.feature_cache": "views", "training.cached_views": 4}
LIMITS = (  # side, Studio's side, limit of the time of the one by that of the other, and the one with AVX2 alone where there is one
    ("plain loop", "one view", 50, 30),
    ("fastai", "one view", 100, None),
    ("fastai", "four views", 25, None),
)


def main() -> None:
    capped = obey_cap()
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default=str(Path(__file__).parents[2] / "shared" / "data" / "clothing"))
    parser.add_argument("--networks", nargs="*", default=[name for _, name in NETWORKS])
    parser.add_argument("--side", nargs=3, metavar=("SIDE", "SOURCE", "NAME"), help="run one epoch of a side and print its seconds")
    options = parser.parse_args()
    if options.side:
        print(_epoch_seconds(*options.side, options.data))
        return
    times, ratios = [], []
    with tempfile.TemporaryDirectory() as scratch:
        part = str(_every(EVERY, Path(options.data), Path(scratch) / "data"))
        for source, name in NETWORKS:
            if name not in options.networks:
                continue
            seconds = {
                side: EVERY * EPOCHS * _side(key, source, name, part) for side, key in (("plain loop", "plain"), ("fastai", "fastai"))
            }
            seconds["one view"], one_top1 = _studio(source, name, options.data, STILL)
            seconds["four views"], four_top1 = _studio(source, name, options.data, FOUR_VIEWS)
            times.append(
                f"| {name} | {seconds['one view']:.0f} s | {seconds['four views']:.0f} s | {seconds['plain loop']:,.0f} s | "
                f"{seconds['fastai']:,.0f} s | {one_top1:.1%}, {four_top1:.1%} |"
            )
            ratios += [_ratio(name, seconds, *asked) for asked in LIMITS]
    print(f"## A new head on a frozen network, {EPOCHS} epochs{capped}\n")
    print("| network | Studio, one view | Studio, four views | plain loop | fastai | top-1 with one view, with four |")
    print("|---|---|---|---|---|---|")
    print("\n".join(times))
    print("\n| network | wall time | ratio | limit | limit with AVX2 alone | |")
    print("|---|---|---|---|---|---|")
    print("\n".join(ratios))
    print(
        f"\n{processor()}. " + ("" if has_fast_bf16() else "Without bf16 the one pass over the photographs takes most of Studio's time. "),
        end="",
    )
    print(
        f"ResNet-18 has random weights here, so its top-1 says nothing; its time does. Studio from start to end of its process; the others {EPOCHS} "
        f"times one epoch, without their start, measured on every second photograph. Load {os.getloadavg()[0]:.1f}."
    )


def _ratio(name: str, seconds: dict[str, float], slow: str, fast: str, least: int, least_avx2: int | None) -> str:
    ratio = seconds[slow] / seconds[fast]
    counts = least if has_fast_bf16() or least_avx2 is None else least_avx2
    words = "reached" if ratio >= least else "reached for this processor" if ratio >= counts else "missed"
    return f"| {name} | {slow} : Studio, {fast} | **{ratio:.0f}** | {least} | {least_avx2 or 'none set'} | {words} |"


def _every(step: int, data: Path, to: Path) -> Path:
    """A smaller copy: every second (third ...) image of each class."""
    for folder in sorted(data.glob("*/*/")):
        home = to / folder.parent.name / folder.name
        home.mkdir(parents=True)
        for file in sorted(folder.iterdir())[::step]:
            (home / file.name).write_bytes(file.read_bytes())
    return to


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
    import torch

    from studio.catalog.backbones import build_backbone

    built = build_backbone(source, name, num_classes=10, pretrained=source == "bundled", input_size=224)
    trained = built.stages[-2:] if side == "plain-last" else built.stages[-1:]
    head = {parameter for stage in trained for parameter in stage.parameter_names}
    for count in (BATCH, 2):  # what is made once is not counted
        torch.nn.functional.cross_entropy(
            built.module.train()(torch.randn(count, 3, 224, 224)), torch.zeros(count, dtype=torch.long)
        ).backward()
    built.module.zero_grad()
    return _fastai(built.module, head, data) if side == "fastai" else _plain(built.module, head, data)


def _plain(module, head: set[str], data: str) -> float:
    train_epoch, validate = plain_loop(module, head, data, BATCH)
    start = time.perf_counter()
    train_epoch()
    validate()
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
