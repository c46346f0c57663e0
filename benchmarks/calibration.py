"""Full fine-tuning as the calibration chooses, against the plain loop: never below 0.98 of it, on whatever processor.

Each side is a process of its own, as it is on a user's computer: the plain one with torch as it comes (float32, channels first, its own threads and
their way to wait), Studio's with its whole step (normalising, clipping, the look at the loss, the optimiser) in what its trials choose. They train in
turn, step by step in ABBA order, on pictures in memory; a ratio is the median over neighbours, with the interval that holds the median of all such
pairs with 95 % probability, whatever their distribution (order statistics). `default` threads are as many as either side takes by itself. The
processor capped to AVX2 stands for one without AVX-512 and matrix units; on one that has no more the rows would be the same, and are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.capped import CAPPED
from benchmarks.interval import median_interval
from benchmarks.side import serve, side
from studio.core.words import counted

NETWORKS = {"resnet18": "torchvision", "tf_efficientnet_lite0": "bundled"}
BATCH, SIZE_PX, CLASSES = 16, 224, 10
ROUNDS, STEPS = 24, 1
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
        threads, rows, instructions = _calibrated(), [], ""
        for name in options.networks:
            for limit in options.sets:
                if limit == instructions:
                    continue
                for count in options.threads:
                    row, instructions = _compare(name, limit, count, options.rounds, options.steps)
                    rows.append(row)
    print("## The calibration against the plain loop\n")
    print(
        "| network | instruction set | threads | chosen | plain, ms per step | Studio, ms per step | plain : Studio | 95 % interval | least, most of a "
        "pair | CPU time, 95 % interval |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    print("\n".join(rows))
    print(
        f"\nLimit: {LIMIT} everywhere: met where the whole interval is above it, missed where all of it is below, else not told apart. Batch {BATCH}, "
        f"{SIZE_PX} px, {options.rounds} pairs of {counted(options.steps, 'step')}. {threads} Load {os.getloadavg()[0]:.1f}."
    )
    return None


def _calibrated() -> str:
    """What is otherwise found while the window idles: number of threads, and how they wait."""
    from studio.engine.calibration import calibrate

    found = calibrate()
    if found is None:
        return "The computer was busy, so threads were not calibrated."
    return f"Calibrated: {found.count} thread{'' if found.count == 1 else 's'}, {found.waiting}."


def _side(which: str, name: str, environment: dict[str, str]):
    return side("benchmarks.calibration", "--side", which, name, environment=environment)


def _compare(name: str, instructions: str, threads: str, rounds: int, steps: int) -> tuple[str, str]:
    """(a row, the instruction set that torch used)."""
    environment = os.environ | (CAPPED if instructions == "AVX2" else {}) | ({} if threads == "default" else {"OMP_NUM_THREADS": threads})
    times: dict[str, list[dict[str, float]]] = {"plain": [], "engine": []}
    with _side("plain", name, environment) as plain, _side("engine", name, environment) as engine:
        sides = {"plain": plain, "engine": engine}
        told = {which: ask() for which, ask in sides.items()}
        for ask in sides.values():
            ask(1)  # what is made once
        for number in range(rounds):
            for which in sides if number % 2 == 0 else reversed(sides):
                times[which].append(sides[which](steps))
    ratios = {clock: [p[clock] / e[clock] for p, e in zip(times["plain"], times["engine"], strict=True)] for clock in ("wall", "cpu")}
    milliseconds = {which: statistics.median(t["wall"] for t in found) / steps * 1e3 for which, found in times.items()}
    count = told["engine"]["threads"]
    own = f"{count}" if count == told["plain"]["threads"] else f"{count} (plain {told['plain']['threads']})"
    wall, cpu = (median_interval(ratios[clock]) for clock in ("wall", "cpu"))
    verdict = "met" if wall.low >= LIMIT else "missed" if wall.high < LIMIT else "not told apart"
    row = (
        f"| {name} | {told['engine']['instructions']}{' (capped)' if instructions == 'AVX2' else ''} | {own} | {told['engine']['chosen']} | "
        f"{milliseconds['plain']:.0f} | {milliseconds['engine']:.0f} | **{wall.middle:.2f}** | {wall.low:.2f} to {wall.high:.2f}, {verdict} | "
        f"{min(ratios['wall']):.2f}, {max(ratios['wall']):.2f} | {cpu.middle:.2f}, {cpu.low:.2f} to {cpu.high:.2f} |"
    )
    return row, told["engine"]["instructions"]


def _serve(which: str, name: str) -> None:
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        serve(lambda: _engine(name, Path(scratch), stack) if which == "engine" else _plain(name))


def _plain(name: str) -> tuple[Callable[[], None], dict]:
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

    return step, {"threads": torch.get_num_threads()}


def _engine(name: str, scratch: Path, stack: contextlib.ExitStack) -> tuple[Callable[[], None], dict]:
    """Studio's own step of a run that was set up as any other."""
    from studio.engine.main import be_a_good_neighbour

    be_a_good_neighbour()
    import torch

    from benchmarks.bare_run import set_up
    from studio.engine.update import train_step

    values = {
        "model.source": NETWORKS[name],
        "model.backbone": name,
        "model.pretrained": NETWORKS[name] == "bundled",
        "training.batch_size": BATCH,
    }
    setup, batch = set_up(scratch, stack, SIZE_PX, values)

    def step() -> None:
        train_step(setup, [batch])
        setup.progress.step += 1

    precision = setup.precision
    chosen = f"{precision.name}, channels {'last' if precision.channels_last else 'first'}"
    if precision.own_gradients:
        chosen += ", own gradients"
    return step, {"threads": torch.get_num_threads(), "chosen": chosen, "instructions": torch.backends.cpu.get_cpu_capability()}


if __name__ == "__main__":
    main()
