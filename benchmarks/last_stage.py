"""The last stage and the head train, 30 epochs: Studio from cached features at the freeze boundary against a plain loop.

As `benchmarks.frozen`: Studio's side is `studio train` from start to end; the plain loop is counted with 30 times one epoch of training and
validation. A part of the photographs trains, so that it takes minutes. The accuracy is that of all validation photographs, in runs of fewer epochs
with a cache and without one.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from benchmarks import frozen
from benchmarks.capped import has_fast_bf16, obey_cap, processor
from benchmarks.train import _part_of

NETWORKS = frozen.NETWORKS
PER_CLASS, ALL = 16, 10_000
EPOCHS_SCORED = 10
LIMIT, LIMIT_AVX2, LIMIT_POINTS = 5.0, 2.5, 0.5
LAST = frozen.STILL | {"model.train_stages": 1}


def main() -> None:
    capped = obey_cap()
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default=str(Path(__file__).parents[2] / "shared" / "data" / "clothing"))
    parser.add_argument("--networks", nargs="*", default=[name for _, name in NETWORKS])
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        data = str(_part_of(Path(options.data), Path(scratch) / "data", PER_CLASS))
        for source, name in NETWORKS:
            if name in options.networks:
                plain = frozen.EPOCHS * frozen._side("plain-last", source, name, data)
                cached, _ = frozen._studio(source, name, data, LAST)
                ratio = plain / cached
                words = (
                    "reached"
                    if ratio >= LIMIT
                    else "reached for this processor"
                    if ratio >= LIMIT_AVX2 and not has_fast_bf16()
                    else "missed"
                )
                rows.append(f"| {name} | {cached:.0f} s | {plain:,.0f} s | **{ratio:.1f}** | {LIMIT:g} | {LIMIT_AVX2:g} | {words} |")
        accuracy, num_scored = _accuracy(Path(options.data), Path(scratch) / "scored")
    print(f"## The last stage and the head train, {frozen.EPOCHS} epochs{capped}\n")
    print("| network | Studio, cached | plain loop | plain : cached | limit | limit with AVX2 alone | |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(rows))
    print(f"\n{accuracy} Limit: {LIMIT_POINTS} points, on {num_scored} validation photographs, of which one is {100 / num_scored:.1f}.")
    print(f"\n{processor()}. {PER_CLASS * 10} photographs train. Load {os.getloadavg()[0]:.1f}.")


def _accuracy(data: Path, to: Path) -> tuple[str, int]:
    """Top-1 with the cache and without, of the network with pretrained weights; and the number of photographs scored."""
    source, name = NETWORKS[-1]
    part = str(_part_of(data, to, PER_CLASS, ALL))
    asked = LAST | {"schedule.epochs": EPOCHS_SCORED}
    kept, uncached = (frozen._studio(source, name, part, asked | more)[1] for more in ({}, {"training.feature_cache": "off"}))
    words = f"{name}, {EPOCHS_SCORED} epochs: top-1 {kept:.1%} cached, {uncached:.1%} uncached, **{100 * abs(kept - uncached):.1f} points** apart."
    return words, sum(1 for _ in Path(part).glob("val/*/*"))


if __name__ == "__main__":
    main()
