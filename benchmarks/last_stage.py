"""The last stage and the head train, 30 epochs: Studio from cached features at the freeze boundary against a plain loop.

As `benchmarks.frozen`: Studio's side is `studio train` from start to end; the plain loop is counted with 30 times one epoch of training and
validation. A part of the photographs, so that it takes minutes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from benchmarks import frozen
from benchmarks.capped import obey_cap
from benchmarks.train import _part_of

NETWORKS = frozen.NETWORKS


def main() -> None:
    capped = obey_cap()
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default=str(Path(__file__).parents[2] / "shared" / "data" / "clothing"))
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        data = str(_part_of(Path(options.data), Path(scratch) / "data"))
        for source, name in NETWORKS:
            plain = frozen.EPOCHS * frozen._side("plain-last", source, name, data)
            still, still_top1 = frozen._studio(source, name, data, {"augment.preset": "none", "model.train_stages": 1})
            off = {"augment.preset": "none", "model.train_stages": 1, "training.feature_cache": "off"}
            uncached, off_top1 = frozen._studio(source, name, data, off)
            rows.append(
                f"| {name} | {still:.0f} s, {still_top1:.1%} | {uncached:.0f} s, {off_top1:.1%} | {plain:,.0f} s | **{plain / still:.1f}** |"
            )
    print(f"## The last stage and the head train, {frozen.EPOCHS} epochs{capped}\n")
    print("| network | Studio, cached: time, top-1 | Studio, uncached | plain loop | plain : cached |")
    print("|---|---|---|---|---|")
    print("\n".join(rows))
    print(f"\nLimits: 5 (AVX2: 2.5), top-1 within half a point of uncached. 160 photographs. Load {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
