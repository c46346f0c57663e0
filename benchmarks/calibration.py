"""Full fine-tuning as the calibration chooses, against the plain loop: never below 0.98 of it, on whatever processor.

Each side is a process of its own, as it is on a user's computer: the plain one with torch as it comes (float32, channels first, its own threads and
their way to wait), Studio's with its whole step (normalising, clipping, the look at the loss, the optimiser) in what its trials choose. They train in
turn, in blocks of some steps in ABBA order, on pictures in memory; a ratio is the median over neighbouring blocks. `default` threads are as many
as either side takes by itself. The processor capped to AVX2 stands for one without AVX-512 and matrix units.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.capped import CAPPED

NETWORKS = {"resnet18": "torchvision", "tf_efficientnet_lite0": "bundled"}
BATCH, SIZE_PX, CLASSES = 16, 224, 10
ROUNDS, STEPS = 8, 2
LIMIT = 0.98


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="pairs of blocks")
    parser.add_argument("--steps", type=int, default=STEPS, help="in a block")
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--threads", nargs="*", default=["default", "1"], help="default, or a number")
    parser.add_argument("--sets", nargs="*", default=["own", "AVX2"], choices=["own", "AVX2"], help="instruction sets")
    parser.add_argument("--side", nargs=2, metavar=("WHICH", "NETWORK"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        return _serve(*options.side)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["STUDIO_HOME"] = f"{scratch}/home"
        threads = _calibrated()
        rows = [
            _compare(name, instructions, count, options.rounds, options.steps)
            for name in options.networks
            for instructions in options.sets
            for count in options.threads
        ]
    print("## The calibration against the plain loop\n")
    print(
        "| network | instruction set | threads | chosen | plain, ms per step | Studio, ms per step | plain : Studio | least, most of a pair | CPU time |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    print("\n".join(rows))
    print(
        f"\nLimit: {LIMIT} everywhere. Batch {BATCH}, {SIZE_PX} px, {options.rounds} pairs of {options.steps} steps. {threads} Load {os.getloadavg()[0]:.1f}."
    )
    return None


def _calibrated() -> str:
    """What is otherwise found while the window idles: number of threads, and how they wait."""
    from studio.engine.calibration import calibrate

    found = calibrate()
    if found is None:
        return "The computer was busy, so threads were not calibrated."
    return f"Calibrated: {found.count} thread{'' if found.count == 1 else 's'}, {found.waiting}."


def _compare(name: str, instructions: str, threads: str, rounds: int, steps: int) -> str:
    environment = os.environ | (CAPPED if instructions == "AVX2" else {}) | ({} if threads == "default" else {"OMP_NUM_THREADS": threads})
    times: dict[str, list[dict[str, float]]] = {"plain": [], "engine": []}
    with _process("plain", name, environment) as plain, _process("engine", name, environment) as engine:
        sides = {"plain": plain, "engine": engine}
        told = {side: ask() for side, ask in sides.items()}
        for ask in sides.values():
            ask(1)  # what is made once
        for number in range(rounds):
            for side in sides if number % 2 == 0 else reversed(sides):
                times[side].append(sides[side](steps))
    ratios = {clock: [p[clock] / e[clock] for p, e in zip(times["plain"], times["engine"], strict=True)] for clock in ("wall", "cpu")}
    milliseconds = {side: statistics.median(t["wall"] for t in found) / steps * 1e3 for side, found in times.items()}
    count = told["engine"]["threads"]
    own = f"{count}" if count == told["plain"]["threads"] else f"{count} (plain {told['plain']['threads']})"
    return (
        f"| {name} | {instructions} | {own} | {told['engine']['chosen']} | {milliseconds['plain']:.0f} | {milliseconds['engine']:.0f} | "
        f"**{statistics.median(ratios['wall']):.2f}** | {min(ratios['wall']):.2f}, {max(ratios['wall']):.2f} | {statistics.median(ratios['cpu']):.2f} |"
    )


@contextlib.contextmanager
def _process(side: str, name: str, environment: dict[str, str]) -> Iterator[Callable[..., dict]]:
    """A side that waits for work: called with a number of steps, their seconds; called with nothing first, what it is."""
    command = [sys.executable, "-m", "benchmarks.calibration", "--side", side, name]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(steps: int | None = None) -> dict:
            if steps is not None:
                process.stdin.write(f"{steps}\n")
                process.stdin.flush()
            if not (line := process.stdout.readline()):
                raise SystemExit(f"The {side} side of {name} ended.")
            return json.loads(line)

        try:
            yield ask
        finally:
            process.stdin.close()


def _serve(side: str, name: str) -> None:
    out, sys.stdout = sys.stdout, sys.stderr  # libraries may print
    with tempfile.TemporaryDirectory() as scratch:
        step, facts, close = _engine(name, Path(scratch)) if side == "engine" else _plain(name)
        print(json.dumps(facts), file=out, flush=True)
        for line in sys.stdin:
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(int(line)):
                step()
            print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}), file=out, flush=True)
        close()


def _plain(name: str) -> tuple[Callable[[], None], dict, Callable[[], None]]:
    """What a tutorial does: the network as its library gives it, float32, AdamW."""
    if hasattr(os, "nice"):
        os.nice(5)  # as the engine is
    import torch

    from studio.catalog.backbones import build_backbone

    torch.manual_seed(0)
    source = NETWORKS[name]
    module = build_backbone(source, name, num_classes=CLASSES, pretrained=source == "bundled", input_size=SIZE_PX).module.train()
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-4)
    images, labels = torch.randn(BATCH, 3, SIZE_PX, SIZE_PX), torch.arange(BATCH) % CLASSES

    def step() -> None:
        torch.nn.functional.cross_entropy(module(images), labels).backward()
        optimiser.step()
        optimiser.zero_grad()

    return step, {"threads": torch.get_num_threads()}, lambda: None


def _engine(name: str, scratch: Path) -> tuple[Callable[[], None], dict, Callable[[], None]]:
    """Studio's own step of a run that was set up as any other."""
    from studio.engine.main import be_a_good_neighbour, set_up_torch

    be_a_good_neighbour()
    import numpy as np
    import torch
    from PIL import Image

    from studio.core.experiment import Experiment
    from studio.core.run_folder import create_run
    from studio.engine.control import Control
    from studio.engine.loader import Batch
    from studio.engine.loop import fit_memory, thaw
    from studio.engine.reporter import Reporter
    from studio.engine.setup import prepare
    from studio.engine.update import train_step

    draws = np.random.default_rng(0)
    pictures = draws.integers(0, 256, (BATCH, SIZE_PX, SIZE_PX, 3), np.uint8)
    for number in range(4 * CLASSES):
        file = scratch / "data" / f"class {number % CLASSES}" / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pictures[number % BATCH] // (1 + number)).save(file)
    values = {
        "data.source": str(scratch / "data"),
        "model.source": NETWORKS[name],
        "model.backbone": name,
        "model.pretrained": NETWORKS[name] == "bundled",
        "model.train_stages": -1,
        "training.batch_size": BATCH,
        "training.device": "cpu",
        "training.workers": 0,
        "schedule.epochs": 10_000,
        "schedule.peak_lr": 1e-4,
    }
    experiment = Experiment().changed(values)
    set_up_torch(torch, experiment)
    folder = create_run(scratch / "runs", experiment)
    control = Control(folder.commands_path)
    setup = prepare(folder, experiment, control, Reporter(folder, control), None)
    thaw(setup)
    setup.network.train_mode()
    fit_memory(setup)
    setup.epoch_size = BATCH  # an epoch is one step: all are whole
    batch = Batch(pictures, np.arange(BATCH))

    def step() -> None:
        train_step(setup, [batch])
        setup.progress.step += 1

    precision = setup.precision
    chosen = f"{precision.name}, channels {'last' if precision.channels_last else 'first'}"
    if precision.fast_depthwise:
        chosen += ", own depthwise gradients"
    return step, {"threads": torch.get_num_threads(), "chosen": chosen}, setup.loader.close


if __name__ == "__main__":
    main()
