"""Peak memory of training at batch 64: the engine against a plain float32 loop, and what the engine says before its first step.

Each side is a process of its own that runs three steps and then reads its peak from the system. The prediction is what the process held before,
and what `step_memory` adds to it; resident memory holds what libraries keep besides, so benchmarks.estimates is the exact comparison.
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

from benchmarks.capped import obey_cap, processor
from studio.engine.calibration import set_waiting
from studio.engine.main import be_a_good_neighbour

BATCH, STEPS = 64, 3
SIDES = (("auto", "batch norms computed again, as a run does unless asked"), ("off", "all kept"), ("on", "blocks computed again"))
NETWORKS = (("torchvision", "resnet18"), ("bundled", "tf_efficientnet_lite0"))


def main() -> None:
    capped = obey_cap()
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default=str(Path(__file__).parents[2] / "shared" / "data" / "clothing"))
    parser.add_argument("--side", nargs=3, metavar=("SIDE", "SOURCE", "NAME"))
    options = parser.parse_args()
    if options.side:
        side, source, name = options.side
        print(json.dumps(_stock(source, name) if side == "stock" else _engine(source, name, options.data, side)))
        return
    set_waiting()  # for both sides; memory and niceness are the engine's own
    print(f"## Peak memory at batch {BATCH}{capped}\n")
    print(
        "| network | activations | before the first step | peak | of the stock loop's | predicted | predicted : measured | of what is added alone "
        "| CPU time of a step : stock |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for source, name in NETWORKS:
        stock = _run("stock", source, name, options.data)
        print(f"| {name} | stock fp32 loop | {stock['before'] / 1e6:,.0f} MB | {stock['peak'] / 1e6:,.0f} MB | | | | | |")
        for side, words in SIDES:
            engine = _run(side, source, name, options.data)
            before, peak, predicted = engine["before"], engine["peak"], engine["predicted"]
            print(
                f"| {name} ({engine['form']}) | {words} | {before / 1e6:,.0f} MB | {peak / 1e6:,.0f} MB | **{peak / stock['peak']:.2f}** | "
                f"{predicted / 1e6:,.0f} MB | **{predicted / peak:.2f}** | {(predicted - before) / (peak - before):.2f} | {engine['step'] / stock['step']:.2f} |"
            )
    print(
        f"\nLimits: 0.8, and 0.85 to 1.15. {processor()}. Where bf16 is fast it halves what is kept; elsewhere the format is float32, and of batch norms, "
        f"sums, activations and pooling what batch norms are given is kept alone. Resident memory, libraries included. {STEPS} steps each; load {os.getloadavg()[0]:.1f}."
    )


def _run(side: str, source: str, name: str, data: str) -> dict:
    command = [sys.executable, "-m", "benchmarks.memory", "--data", data, "--side", side, source, name]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def _peak() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _stock(source: str, name: str) -> dict:
    import psutil
    import torch

    from studio.catalog.backbones import build_backbone

    module = build_backbone(source, name, num_classes=10, pretrained=False, input_size=224).module.train()
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-4)
    before, seconds = psutil.Process().memory_info().rss, []
    for _ in range(STEPS):
        start = time.process_time()
        images, labels = torch.randn(BATCH, 3, 224, 224), torch.zeros(BATCH, dtype=torch.long)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(module(images), labels).backward()
        optimiser.step()
        seconds.append(time.process_time() - start)
    return {"before": before, "peak": _peak(), "step": min(seconds)}


def _engine(source: str, name: str, data: str, checkpointing: str) -> dict:
    be_a_good_neighbour()
    from itertools import islice

    import psutil

    from studio.core.experiment import Experiment
    from studio.core.run_folder import create_run
    from studio.engine.control import Control
    from studio.engine.loop import fit_memory, train_step
    from studio.engine.memory import step_memory
    from studio.engine.plan import training_requests
    from studio.engine.reporter import Reporter
    from studio.engine.setup import prepare

    with tempfile.TemporaryDirectory() as scratch:
        os.environ["STUDIO_HOME"] = f"{scratch}/home"
        values = {
            "data.source": data, "model.source": source, "model.backbone": name, "model.pretrained": source == "bundled",
            "model.train_stages": -1, "training.batch_size": BATCH, "training.device": "cpu",
            "training.checkpointing": checkpointing,
        }  # fmt: skip
        folder = create_run(Path(scratch) / "runs", Experiment().changed(values))
        control = Control(folder.commands_path)
        s = prepare(folder, folder.experiment(), control, Reporter(folder, control), None)
        s.network.train_mode()
        fit_memory(s)
        need = step_memory(s.network, s.precision.name, s.experiment, recomputes=s.recomputes)
        before = psutil.Process().memory_info().rss
        batches = s.loader.batches(training_requests(0, 0, len(s.parts["train"]), BATCH))
        seconds = []
        for _ in range(STEPS):
            start = time.process_time()
            train_step(s, islice(batches, 1))
            seconds.append(time.process_time() - start)
            s.progress.step += 1
            s.progress.step_in_epoch += 1
        s.loader.close()
        s.reporter.close()
        form = f"{s.precision.name}, channels {'last' if s.precision.channels_last else 'first'}"
        return {
            "before": before,
            "peak": _peak(),
            "predicted": before + need.peak(BATCH, holds_best=False),
            "form": form,
            "step": min(seconds),
        }


if __name__ == "__main__":
    main()
