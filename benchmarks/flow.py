"""What it costs a run to sample the gradient flow for the heat map: time inside the samples against the time of all steps.

The engine's own training step runs on noise with `engine.flow` around the update, as in its loop, for a fixed time.
"""

from __future__ import annotations

import argparse
import sys
import time

SECONDS = 40.0
NETWORKS = (("bundled", "tf_efficientnet_lite0", 16), ("torchvision", "resnet18", 16), ("timm", "vit_tiny_patch16_224", 16))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    lines, worst = [], 0.0
    for source, name, batch in NETWORKS:
        samples, steps, share = measure(source, name, batch, options.seconds)
        worst = max(worst, share)
        lines.append(f"| {name}, batch {batch} | {steps} | {samples} | {share:.2%} |")
    sys.stdout.write("## Sampling the gradient flow\n\n| network, all trains | steps | sampled | share of the time |\n|---|---|---|---|\n")
    sys.stdout.write("\n".join(lines) + f"\n\nLimit: 1 %. Largest: {worst:.2%}. The first sample of a run is not paid back at once.\n")


def measure(source: str, name: str, batch: int, seconds: float) -> tuple[int, int, float]:
    """(samples, steps, share of the time of the steps that samples took)."""
    import torch

    from studio.catalog.optimisers import build_optimiser
    from studio.core.experiment import Experiment
    from studio.engine.flow import Flow
    from studio.engine.network import build_network

    values = {"model.source": source, "model.backbone": name, "model.pretrained": False, "model.train_stages": -1, "model.input_size": 224}
    experiment = Experiment().changed(values)
    network = build_network(experiment, 10)
    network.train_mode()
    optimiser = build_optimiser(experiment.optimiser, network.parameter_groups(0.01)[0])
    images, labels = torch.rand(batch, 3, 224, 224), torch.zeros(batch, dtype=torch.long)
    flow, step, samples, inside = Flow(network), 0, 0, 0.0
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        torch.nn.functional.cross_entropy(network.module(images), labels).backward()
        is_sampled = flow.is_due(step)
        if is_sampled:
            before = time.perf_counter()
            flow.begin()
            inside += time.perf_counter() - before
        optimiser.step()
        if is_sampled:
            before = time.perf_counter()
            flow.end(step)
            inside += time.perf_counter() - before
            samples += 1
        optimiser.zero_grad(set_to_none=True)
        step += 1
    return samples, step, inside / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
