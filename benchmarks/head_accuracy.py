"""A new head from cached features against the same head from pictures: top-1 on all validation photographs. And what a sweep of 32 rates adds.

A part of the photographs trains, so that the run without a cache takes minutes; all of the validation folder is scored, one photograph of it is
0.3 points. With one view both runs see the same pictures in every epoch. With four views they do in the first four epochs; later ones see four
views in turn from the cache, and new ones without it: an approximation, which the page of the run says.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.capped import obey_cap, processor
from benchmarks.frozen import BATCH, EPOCHS, FOUR_VIEWS, NETWORKS, STILL, _studio
from benchmarks.train import _part_of

PER_CLASS, ALL = 16, 10_000
OFF = {"training.feature_cache": "off"}
LIMIT = 0.5  # points


def main() -> None:
    capped = obey_cap()
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default=str(Path(__file__).parents[2] / "shared" / "data" / "clothing"))
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="to try this module with less")
    parser.add_argument("--sweep", action="store_true", help="sweep 32 learning rates of the head and print the seconds")
    options = parser.parse_args()
    if options.sweep:
        print(json.dumps(_sweep(options.data)))
        return
    source, name = NETWORKS[-1]
    with tempfile.TemporaryDirectory() as scratch:
        part = str(_part_of(Path(options.data), Path(scratch) / "data", PER_CLASS, ALL))
        num_scored = sum(1 for _ in Path(part).glob("val/*/*"))
        rows = [
            _compare(words, epochs, source, name, part, kept, off)
            for words, epochs, kept, off in (
                ("one view, the same pictures", options.epochs, STILL | {"training.feature_cache": "exact"}, STILL | OFF),
                ("four views, the same pictures", min(4, options.epochs), FOUR_VIEWS, OFF),
                ("four views, against new ones in every epoch", options.epochs, FOUR_VIEWS, OFF),
            )
        ]
        command = [sys.executable, "-m", "benchmarks.head_accuracy", "--data", part, "--sweep"]
        environment = os.environ | {"STUDIO_HOME": f"{scratch}/home"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        sweep = json.loads(done.stdout.splitlines()[-1])
    print(f"## {name}: a head from cached features against the same head without a cache{capped}\n")
    print("| views | epochs | top-1, cached | top-1, uncached | apart | time, cached | time, uncached |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(rows))
    print(
        f"\nLimit: {LIMIT} points of top-1 on {num_scored} validation photographs, of which one is {100 / num_scored:.1f}; {PER_CLASS * 10} train. The "
        "best epoch of each run.\n"
    )
    print(
        f"32 heads at once on {PER_CLASS * 10} photographs: {sweep['many']:.2f} s against {sweep['one']:.2f} s for one head, after {sweep['features']:.1f} s "
        f"for the features: **{(sweep['many'] - sweep['one']) / (sweep['features'] + sweep['one']):.1%}** more (limit 10 %).\n"
    )
    print(f"{processor()}. Load {os.getloadavg()[0]:.1f}.")


def _compare(words: str, epochs: int, source: str, name: str, data: str, kept: dict, off: dict) -> str:
    (fast, ours), (slow, theirs) = (_studio(source, name, data, more | {"schedule.epochs": epochs}) for more in (kept, off))
    return f"| {words} | {epochs} | {ours:.1%} | {theirs:.1%} | **{100 * abs(ours - theirs):.1f} points** | {fast:.0f} s | {slow:.0f} s |"


def _sweep(data: str) -> dict[str, float]:
    """Seconds of the features, and of one head and of 32 on them."""
    from studio.engine.main import be_a_good_neighbour

    be_a_good_neighbour()
    import torch

    from studio.core.experiment import Experiment
    from studio.core.head_sweep import peaks_around
    from studio.dataset.scan import scan
    from studio.engine.head_sweep import sweep_head
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


if __name__ == "__main__":
    main()
