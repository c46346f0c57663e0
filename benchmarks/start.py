"""From pressing Train to the first training step, with a warm engine and with a cold one, against a steady step of the same run and a fastai script.

Warm: Train is clicked in a window that has the experiment open and has come to rest. Cold: the clock starts before the run folder is made. Both
stop at the time the journal gives for the first step's report. The script trains the same network from the same weights on the same photographs
with the same batch; its clock starts before its process and stops behind its first step.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studio.core.run_folder import RunFolder

ROUNDS = 3
STEPS = 6
WINDOW = """
import sys, time
import psutil
from PySide6.QtCore import QTimer, Qt
from PySide6.QtTest import QTest
from studio.gui import app as studio_app

app = studio_app.make_application()
window = studio_app.open_window(sys.argv[1])
seen, rest_since = 0.0, time.monotonic()

def is_at_rest():
    global seen, rest_since
    used = sum(sum(p.cpu_times()[:2]) for p in psutil.Process().children(recursive=True))
    if used > seen + 0.02:
        rest_since = time.monotonic()
    seen = used
    return time.monotonic() > rest_since + 3

def look():
    train = window.top_bar.train.main
    if window.context is None or not train.isEnabled() or not is_at_rest():
        QTimer.singleShot(200, look)
        return
    print(time.time(), flush=True)
    QTest.mouseClick(train, Qt.MouseButton.LeftButton)

QTimer.singleShot(200, look)
studio_app.leave(app.exec(), window)
"""
FASTAI = """
import sys, time
import timm, torch
from fastai.vision.all import *

class FirstStep(Callback):
    def after_batch(self):
        print(time.time(), flush=True)
        os._exit(0)

if __name__ == "__main__":
    data, weights, batch, size = *sys.argv[1:3], *map(int, sys.argv[3:])
    dls = ImageDataLoaders.from_folder(
        data, train="train", valid="val", bs=batch, item_tfms=RandomResizedCrop(size, min_scale=0.5),
        batch_tfms=[*aug_transforms(), Normalize.from_stats([0.5] * 3, [0.5] * 3)],
    )
    network = timm.create_model("tf_efficientnet_lite0", num_classes=1000)
    tensors = torch.load(weights, weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), tensors.values(), strict=True)))
    network.reset_classifier(dls.c)
    learn = Learner(dls, network, loss_func=CrossEntropyLossFlat(), cbs=FirstStep())
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1, 1e-3)
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default=str(Path(__file__).parents[2] / "shared" / "data" / "clothing"))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.setdefault("STUDIO_HOME", f"{scratch}/home")
        from studio.core.experiment import Experiment
        from studio.core.experiment_file import write_experiment
        from studio.dataset.scan import scan

        experiment = Experiment().changed({"data.source": options.data, "training.device": "cpu"})
        write_experiment(experiment, Path(scratch) / "experiment.toml")
        dataset = scan(experiment.data)
        seen: dict[str, list[float]] = {"cold": [], "warm": [], "fastai": []}
        steps: dict[str, list[float]] = {"cold": [], "warm": []}
        for _ in range(options.rounds):
            for side, began in (("cold", _begin_cold(Path(scratch), experiment, dataset)), ("warm", _begin_in_window(Path(scratch)))):
                with began as (pressed, folder):
                    first, step_s = _first_step(folder)
                seen[side].append(first - pressed)
                steps[side].append(step_s)
            if find_spec("fastai"):
                seen["fastai"].append(_fastai_first_step(experiment))
    step = {side: statistics.median(of_side) for side, of_side in steps.items()}
    print(
        "## From Train to the first step\n\n| engine | first step done after | a steady step of it | in steady steps |\n|---|---|---|---|"
    )
    for side, name in (("warm", "warm, Train clicked in a window"), ("cold", "cold, no window")):
        print(f"| {name} | {statistics.median(seen[side]):.2f} s | {step[side]:.2f} s | {statistics.median(seen[side]) / step[side]:.1f} |")
    if seen["fastai"]:
        print(f"| a fastai script | {statistics.median(seen['fastai']):.2f} s | | |")
        fastai, warm, cold = (statistics.median(seen[side]) for side in ("fastai", "warm", "cold"))
        print(f"\nfastai over warm: **{fastai / warm:.1f}** (limit 8), over cold: {fastai / cold:.1f}.")
    print(
        f"\nThe default experiment: batch {experiment.training.batch_size}, {experiment.model.input_size} px. "
        f"Medians of {options.rounds} rounds; the first start of all also measures the precision. Load {os.getloadavg()[0]:.1f}."
    )


@contextmanager
def _begin_cold(scratch: Path, experiment, dataset) -> Iterator[tuple[float, RunFolder]]:
    """(time of the start, the run)."""
    from studio.core.run_folder import create_run
    from studio.supervise.engine import start_engine

    pressed = time.time()
    folder = create_run(scratch / "runs", experiment, dataset.to_json())
    process = start_engine(folder)
    yield pressed, folder
    process.wait(60)


@contextmanager
def _begin_in_window(scratch: Path) -> Iterator[tuple[float, RunFolder]]:
    """Likewise, from a window with a warm engine."""
    from studio.core.run_folder import find_runs

    runs = Path(os.environ["STUDIO_HOME"]) / "runs"
    before = set(find_runs(runs))
    command = [sys.executable, "-c", WINDOW, str(scratch / "experiment.toml")]
    with subprocess.Popen(command, env=os.environ | {"QT_QPA_PLATFORM": "offscreen"}, stdout=subprocess.PIPE, text=True) as window:
        pressed = float(window.stdout.readline())
        while not (new := set(find_runs(runs)) - before):
            time.sleep(0.01)
        yield pressed, new.pop()
        window.kill()


def _first_step(folder: RunFolder) -> tuple[float, float]:
    """(time of the first step's report, median seconds of the steps after it). Ends the run."""
    from studio.core import event as ev
    from studio.core.journal import JournalReader

    reader, started, reports = JournalReader(folder.journal_path), None, []
    while len(reports) < STEPS:
        for event in reader.read():
            if isinstance(event, ev.RunStarted):
                started = event.wall_time - event.t
            elif isinstance(event, ev.StepsReported):
                reports.append((event.first_step + len(event.losses), event.t))
            elif isinstance(event, ev.RunFailed):
                raise SystemExit(f"the run ended early: {folder.log_tail()}")
        time.sleep(0.02)
    folder.command("discard")
    while folder.is_alive():
        time.sleep(0.02)
    steady = [(t1 - t0) / (n1 - n0) for (n0, t0), (n1, t1) in zip(reports[1:], reports[2:], strict=False)]
    return started + reports[0][1], statistics.median(steady)


def _fastai_first_step(experiment) -> float:
    """Seconds from the start of the script's process to the end of its first step."""
    from studio.catalog.backbones import backbone_info
    from studio.catalog.backbones.sources import source_of

    model = experiment.model
    weights = source_of(model.source).weights_path(backbone_info(model.source, model.backbone))
    data = experiment.data.source
    command = [sys.executable, "-c", FASTAI, data, str(weights), str(experiment.training.batch_size), str(model.input_size)]
    begun = time.time()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise SystemExit(f"the fastai script ended early: {done.stderr[-2000:]}")
    return float(done.stdout.splitlines()[-1]) - begun


if __name__ == "__main__":
    main()
