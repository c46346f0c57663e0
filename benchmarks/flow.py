"""What it costs a run to sample the gradient flow for the heat map, as a share of the time of its steps.

The engine's own training step runs on noise, with `engine.flow` around the update as in its loop, in pairs of neighbouring blocks of two steps:
one whose first step is sampled, and one without, in turn the one and the other first. The difference is what a sample costs, with what it does
to the step after it (caches, memory). That over as many steps as the engine plans between two samples is the share. Processor time of all
threads, which other programs do not stretch; the median of the pairs, with the 90 % interval of it by bootstrap. What a sample costs goes by
the weights alone, and the engine leaves the more steps between two the shorter these are: few and small images make many pairs of the same share.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np

SECONDS = 40.0
LEAST_PAIRS = 6
NETWORKS = (("bundled", "tf_efficientnet_lite0", 4, 96), ("torchvision", "resnet18", 4, 96), ("timm", "vit_tiny_patch16_224", 2, 224))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each network")
    options = parser.parse_args()
    lines, worst = [], 0.0
    for source, name, batch, size in NETWORKS:
        pairs = measure(source, name, batch, size, options.seconds)
        low, share, high = interval(pairs)
        cost, step, between = np.median(pairs, axis=0)
        worst = max(worst, share)
        lines.append(
            f"| {name}, batch {batch} of {size} px | {len(pairs)} | {cost * 1e3:.1f} ms | {step * 1e3:.0f} ms | {between:.0f} steps | {share:.2%} | {low:.2%} to {high:.2%} |"
        )
    sys.stdout.write(
        "## Sampling the gradient flow\n\nProcessor time, all stages train.\n\n"
        "| network | pairs | a sample costs | a step | sampled every | share | 90 % interval |\n|---|---|---|---|---|---|---|\n"
    )
    sys.stdout.write("\n".join(lines) + f"\n\nLimit: 1 %. Largest: {worst:.2%}. The first sample of a run is not paid back at once.\n")


def share_of(pairs: np.ndarray) -> float:
    cost, step, between = np.median(pairs, axis=-2).T
    return cost / (step * between)


def interval(pairs: np.ndarray) -> tuple[float, float, float]:
    """5 %, the share itself, 95 %."""
    drawn = np.random.default_rng(0).integers(0, len(pairs), (2000, len(pairs)))
    low, high = np.quantile(share_of(pairs[drawn]), (0.05, 0.95))
    return float(low), float(share_of(pairs)), float(high)


def measure(source: str, name: str, batch: int, size: int, seconds: float) -> np.ndarray:
    """float[pairs, 3]: what a sample costs (s), a step without (s), and how many steps later the engine would take the next sample."""
    step, steps_between = make_step(source, name, batch, size)
    for number in range(6):
        step(number < 2)

    def block(is_sampled: bool) -> float:
        start = time.process_time()
        step(is_sampled)
        step(False)
        return time.process_time() - start

    pairs: list[tuple[float, float, float]] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(pairs) < LEAST_PAIRS:
        order = (True, False) if len(pairs) % 2 == 0 else (False, True)
        took = {is_sampled: block(is_sampled) for is_sampled in order}
        pairs.append((took[True] - took[False], took[False] / 2, steps_between()))
    return np.array(pairs)


def make_step(source: str, name: str, batch: int, size: int) -> tuple[Callable[[bool], None], Callable[[], int]]:
    """(a training step, sampled or not; how many steps the engine would leave between two samples)."""
    import torch

    from studio.catalog.optimisers import build_optimiser
    from studio.core.experiment import Experiment
    from studio.engine.flow import Flow
    from studio.engine.network import build_network

    values = {"model.source": source, "model.backbone": name, "model.pretrained": False, "model.train_stages": -1, "model.input_size": size}
    experiment = Experiment().changed(values)
    network = build_network(experiment, 10)
    network.train_mode()
    optimiser = build_optimiser(experiment.optimiser, network.parameter_groups(0.01)[0])
    images, labels = torch.rand(batch, 3, size, size), torch.zeros(batch, dtype=torch.long)
    flow, number = Flow(network), 0

    def step(is_sampled: bool) -> None:
        nonlocal number
        flow.is_due(number)
        torch.nn.functional.cross_entropy(network.module(images), labels).backward()
        if is_sampled:
            flow.begin()
        optimiser.step()
        if is_sampled:
            flow.silent(flow.end(number)[0])
        optimiser.zero_grad(set_to_none=True)
        number += 1

    return step, flow.steps_between


if __name__ == "__main__":
    main()
