"""What the Model page foretells against what happens: peak memory of a training step, and the time of an epoch after a two-second probe.

Each network runs in a process of its own. Memory is the peak of what torch's allocator has given out (its profiler tells every piece), over
two steps from the building of the network on; resident memory is larger by what the C library keeps and oneDNN works with. Time is that of
training steps on pictures in memory, so that the drive plays no part.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

NETWORKS = (
    ("torchvision", "resnet18", 32, -1),
    ("torchvision", "resnet50", 16, 1),
    ("bundled", "tf_efficientnet_lite0", 16, -1),
    ("timm", "vit_tiny_patch16_224", 32, -1),
    ("torchvision", "convnext_tiny", 8, 2),
)
STEPS = 12  # of an "epoch"
RUNS = (  # whole steps of a run, in which several ways to save or spend memory meet
    ("batch norms computed again, two batches accumulated, averaged weights, two states to go back to", "resnet18", 32, {
        "training.accumulation": 2, "optimiser.ema_decay": 0.99, "training.not_finite": "go back", "training.roll_back_steps": 1,
    }),
    ("blocks computed again, two batches accumulated", "resnet18", 32, {"training.checkpointing": "on", "training.accumulation": 2}),
    ("all kept, averaged weights", "resnet18", 32, {"training.checkpointing": "off", "optimiser.ema_decay": 0.99}),
)  # fmt: skip
RUN_STEPS = 4  # until two states are held that have an optimiser's memory


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--one", nargs=4, metavar=("SOURCE", "NAME", "BATCH", "STAGES"), help="measure one network and print JSON")
    parser.add_argument("--run", type=int, help="measure one of the runs and print JSON")
    parser.add_argument("--only-runs", action="store_true", help="memory of whole steps alone")
    parser.add_argument("--quick", action="store_true", help="the first network only")
    options = parser.parse_args()
    if options.one:
        source, name, batch, stages = options.one
        sys.stdout.write(json.dumps(measure(source, name, int(batch), int(stages))) + "\n")
        return
    if options.run is not None:
        sys.stdout.write(json.dumps(measure_run(*RUNS[options.run][1:])) + "\n")
        return
    rows, worst_memory, worst_time = [], 0.0, 0.0
    for network in () if options.only_runs else NETWORKS[:1] if options.quick else NETWORKS:
        found = _measured("--one", *map(str, network))
        memory, seconds = found["estimated_bytes"] / found["peak_bytes"] - 1, found["estimated_s"] / found["epoch_s"] - 1
        worst_memory, worst_time = max(worst_memory, abs(memory)), max(worst_time, abs(seconds))
        rows.append(
            f"| {network[1]}, batch {network[2]}, {'all trains' if network[3] < 0 else f'last {network[3]} train'} | "
            f"{found['estimated_bytes'] / 1e6:,.0f} MB | {found['peak_bytes'] / 1e6:,.0f} MB | {memory:+.0%} | "
            f"{found['estimated_s']:.1f} s | {found['epoch_s']:.1f} s | {seconds:+.0%} |"
        )
    runs = []
    for number, (words, name, batch, _) in enumerate(RUNS):
        found = _measured("--run", str(number))
        memory = found["estimated_bytes"] / found["peak_bytes"] - 1
        worst_memory = max(worst_memory, abs(memory))
        runs.append(
            f"| {name}, batch {batch} | {words} | {found['estimated_bytes'] / 1e6:,.0f} MB | {found['peak_bytes'] / 1e6:,.0f} MB | {memory:+.0%} |"
        )
    sys.stdout.write("## Estimates against measurements\n\n")
    if rows:
        sys.stdout.write(
            "| network | memory estimated | measured | difference | epoch estimated | measured | difference |\n|---|---|---|---|---|---|---|\n"
        )
        sys.stdout.write("\n".join(rows) + "\n\n")
    sys.stdout.write(
        "| whole steps of a run | with | memory estimated | measured | difference |\n|---|---|---|---|---|\n" + "\n".join(runs)
    )
    sys.stdout.write(f"\n\nLimits: 15 % and 25 %. Largest: {worst_memory:.0%} and {worst_time:.0%}. Processor, fp32.\n")


def _measured(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.estimates", *arguments]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def measure_run(name: str, batch: int, values: dict) -> dict[str, float]:
    """{"estimated_bytes", "peak_bytes"}: what a run says before its first step, its weights included, and what it takes."""
    from studio.engine.main import be_a_good_neighbour

    be_a_good_neighbour()
    from benchmarks.bare_run import set_up
    from studio.engine import snapshot
    from studio.engine.memory import step_memory
    from studio.engine.saving import hold, hold_best
    from studio.engine.update import train_step

    snapshot.EVERY_S = 0.0  # by steps alone
    snapshot.SHARE = 1e9
    asked = {
        "model.source": "torchvision",
        "model.backbone": name,
        "model.pretrained": False,
        "training.batch_size": batch,
        "training.precision": "fp32",
    }
    told: list[float] = []
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        os.environ["STUDIO_HOME"] = f"{scratch}/home"

        def make_step() -> Callable[[], None]:
            setup, batch = set_up(Path(scratch), stack, 224, asked | values)
            weights = sum(tensor.nbytes for tensor in setup.network.module.state_dict().values())
            need = step_memory(setup.network, setup.precision.name, setup.experiment, recomputes=setup.recomputes)
            told.append(weights + need.peak(len(batch.indices)))

            def step() -> None:
                if setup.progress.step in (1, 2):  # as at the end of short epochs
                    hold_best(setup)
                hold(setup, lambda: None)
                train_step(setup, [batch] * setup.experiment.training.accumulation)
                setup.progress.step += 1

            return step

        peak = allocated_peak(make_step, RUN_STEPS)
    return {"estimated_bytes": told[0], "peak_bytes": peak}


def measure(source: str, name: str, batch: int, stages: int) -> dict[str, float]:
    """{"estimated_bytes", "peak_bytes", "estimated_s", "epoch_s"} of an epoch of `STEPS` steps."""
    import torch

    from studio.catalog.backbones import backbone_info
    from studio.core.experiment import Experiment
    from studio.engine.describe import describe_model
    from studio.engine.main import be_a_good_neighbour, set_up_torch
    from studio.engine.measure import measure_training

    be_a_good_neighbour()
    size = backbone_info(source, name).input_size
    experiment = Experiment().changed(
        {
            "model.source": source, "model.backbone": name, "model.pretrained": False, "model.train_stages": stages, "model.input_size": size,
            "training.batch_size": batch, "training.precision": "fp32", "training.device": "cpu",
        }
    )  # fmt: skip
    set_up_torch(torch, experiment)
    memory = describe_model(experiment.model, experiment.training, experiment.optimiser, 10)["memory"]
    estimated = sum(memory.values()) - memory.get("best", 0)  # these steps are those of a first epoch
    probe = measure_training(experiment, 10)
    peak = allocated_peak(lambda: training(experiment, batch, size))
    step = training(experiment, batch, size)
    step()
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    seconds = time.perf_counter() - start
    return {
        "estimated_bytes": estimated,
        "peak_bytes": peak,
        "estimated_s": probe["seconds_per_image"] * batch * STEPS,
        "epoch_s": seconds,
    }


def allocated_peak(make_step: Callable[[], Callable[[], None]], num_steps: int = 2) -> int:
    """Bytes that torch's allocator had given out at the most, from the building of the network to the end of some steps.

    It is what an estimate from tensors can know, and what `torch.cuda.max_memory_allocated` is on a GPU. Resident memory is another
    quantity: it holds the libraries, what oneDNN reorders, and what the C library was given back and keeps.
    """
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step = make_step()
        for _ in range(num_steps):
            step()
    pieces = [piece for piece in profiler.profiler.kineto_results.events() if piece.name() == "[memory]"]
    held = peak = 0
    for piece in sorted(pieces, key=lambda piece: piece.start_ns()):
        held += piece.nbytes()
        peak = max(peak, held)
    return peak


def training(experiment, batch: int, size: int, device: str = "cpu") -> Callable[[], None]:
    """One step of training, to be called again and again."""
    import torch

    from studio.catalog.optimisers import build_optimiser
    from studio.engine.lean import keep_less
    from studio.engine.memory import step_memory
    from studio.engine.network import build_network
    from studio.engine.precision import Precision

    precision, place = Precision(experiment.training.precision, channels_last=True), torch.device(device)
    network = build_network(experiment, 10)
    precision.place(network.module, place)
    network.train_mode()
    if step_memory(network, precision.name, experiment).is_lean:
        keep_less(network.module)
    optimiser = build_optimiser(experiment.optimiser, network.parameter_groups(0.01)[0])
    for group in optimiser.param_groups:
        group["lr"] = 1e-6
    images = torch.rand(batch, 3, size, size, device=place).to(memory_format=torch.channels_last)
    labels = torch.zeros(batch, dtype=torch.long, device=place)

    def step() -> None:
        with precision.autocast(place):
            logits = network.module(images)
        torch.nn.functional.cross_entropy(logits.float(), labels).backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


if __name__ == "__main__":
    main()
