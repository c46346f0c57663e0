"""From pressing Train to the first training step, with a warm engine and with a cold one, against a steady step of the same run.

The clock starts before the run folder is made and stops at the time the journal gives for the first step's report.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

ROUNDS = 3
STEPS = 6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default=str(Path(__file__).parents[2] / "shared" / "data" / "clothing"))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.setdefault("STUDIO_HOME", f"{scratch}/home")
        from studio.core.experiment import Experiment
        from studio.dataset.scan import scan
        from studio.supervise.engine import StandbyEngine, start_engine

        experiment = Experiment().changed({"data.source": options.data, "training.device": "cpu"})
        dataset = scan(experiment.data)
        seen = {"cold": [], "warm": [], "step": []}
        for _ in range(options.rounds):
            first_s, step_s = _first_step(Path(scratch), experiment, dataset, start_engine)
            seen["cold"].append(first_s)
            seen["step"].append(step_s)
            warm = StandbyEngine()
            warm.prepare(experiment.model.model_dump(), len(dataset.classes), "cpu")
            if not warm.wait_prepared(120):
                raise SystemExit("the warm engine did not get ready within two minutes")
            first_s, step_s = _first_step(Path(scratch), experiment, dataset, warm.start)
            seen["warm"].append(first_s)
            seen["step"].append(step_s)
    step = statistics.median(seen["step"])
    print("## From Train to the first step\n\n| engine | first step done after | in steady steps |\n|---|---|---|")
    for side in ("warm", "cold"):
        print(f"| {side} | {statistics.median(seen[side]):.2f} s | {statistics.median(seen[side]) / step:.1f} |")
    print(
        f"\nThe default experiment: batch {experiment.training.batch_size}, {experiment.model.input_size} px; a steady step takes {step:.2f} s. "
        f"Medians of {options.rounds} rounds; the first start of all also measures the precision. Load {os.getloadavg()[0]:.1f}."
    )


def _first_step(scratch: Path, experiment, dataset, start) -> tuple[float, float]:
    """(seconds until the first step was reported, median seconds of the steps after it)."""
    from studio.core import event as ev
    from studio.core.journal import JournalReader
    from studio.core.run_folder import create_run

    pressed = time.time()
    folder = create_run(scratch / "runs", experiment, dataset.to_json())
    process = start(folder)
    reader, started, reports = JournalReader(folder.journal_path), None, []
    while len(reports) < STEPS:
        for event in reader.read():
            if isinstance(event, ev.RunStarted):
                started = event.wall_time - event.t
            elif isinstance(event, ev.StepsReported):
                reports.append((event.first_step + len(event.losses), event.t))
        if process.poll() is not None:
            raise SystemExit(f"the run ended early: {folder.log_tail()}")
        time.sleep(0.02)
    folder.command("discard")
    process.wait(60)
    steady = [(t1 - t0) / (n1 - n0) for (n0, t0), (n1, t1) in zip(reports[1:], reports[2:], strict=False)]
    return started + reports[0][1] - pressed, statistics.median(steady)


if __name__ == "__main__":
    main()
