"""How soon a run obeys: from the moment a wish is written into its folder to the moment its journal tells that it came true.

Wishes come at random moments of a run of the default experiment on the processor, and one Stop in each of its phases. A step cannot be cut
short, so what counts is the time beyond the longest step of the run.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROUNDS = 8
CACHED = {"model.train_stages": 0, "training.feature_cache": "exact", "augment.preset": "none"}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default=str(Path(__file__).parents[2] / "shared" / "data" / "clothing"))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    draws = random.Random(0)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.setdefault("STUDIO_HOME", f"{scratch}/home")
        from studio.core import event as ev

        run = _Run(Path(scratch), options.data)
        run.wait_for(lambda e: isinstance(e, ev.StepsReported) and e.first_step >= 2)
        seen: dict[str, list[float]] = {"pause": [], "resume": [], "save": []}
        for _ in range(options.rounds):
            time.sleep(draws.uniform(0, 3))
            seen["pause"].append(run.obeys("pause", lambda e: isinstance(e, ev.PauseChanged) and e.is_paused))
            seen["resume"].append(run.obeys("resume", lambda e: isinstance(e, ev.PauseChanged) and not e.is_paused))
            time.sleep(draws.uniform(0, 3))
            seen["save"].append(run.obeys("save", lambda e: isinstance(e, ev.CheckpointSaved)))
        time.sleep(draws.uniform(0, 3))
        stops = {"training": run.stop()}
        longest = run.longest_step
        for phase in ("loading weights", "caching features", "validating"):
            run = _Run(Path(scratch), options.data, **CACHED if phase == "caching features" else {})
            run.wait_for(lambda e, phase=phase: isinstance(e, ev.PhaseStarted) and e.phase == phase)
            time.sleep(draws.uniform(0, 1))
            stops[phase] = run.stop()
    print("## How soon a run obeys\n\n| wish | times | median | longest | beyond the longest step |\n|---|---|---|---|---|")
    for wish, times in seen.items():
        beyond = max(0.0, max(times) - longest)
        print(f"| {wish} | {len(times)} | {statistics.median(times):.2f} s | {max(times):.2f} s | **{beyond:.2f} s** |")
    for phase, seconds in stops.items():
        beyond = f"**{max(0.0, seconds - longest):.2f} s**" if phase == "training" else ""
        print(f"| stop, in “{phase}”, until the process is gone | 1 | | {seconds:.2f} s | {beyond} |")
    print(
        f"\nLimit: one second between steps. The default experiment, whose longest step took {longest:.2f} s; a save and a stop are over when the "
        f"checkpoint is on the disk. Load {os.getloadavg()[0]:.1f}."
    )


class _Run:
    def __init__(self, scratch: Path, data: str, **values):
        from studio.core.experiment import Experiment
        from studio.core.journal import JournalReader
        from studio.core.run_folder import create_run
        from studio.supervise.engine import start_engine

        asked = {"data.source": data, "training.device": "cpu", "schedule.epochs": 50} | values
        self._folder = create_run(scratch / "runs", Experiment().changed(asked))
        self._process = start_engine(self._folder)
        self._reader = JournalReader(self._folder.journal_path)
        self._began = 0.0
        self._waiting: list = []
        self._last_step: tuple[int, float] | None = None
        self.longest_step = 0.0

    def wait_for(self, is_it: Callable) -> float:
        """Time at which the journal tells of the next such event."""
        from studio.core import event as ev

        while True:
            self._waiting += self._reader.read()
            while self._waiting:
                event = self._waiting.pop(0)
                if isinstance(event, ev.RunStarted):
                    self._began = event.wall_time - event.t
                if isinstance(event, ev.StepsReported):
                    done = event.first_step + len(event.losses)
                    if self._last_step is not None:
                        self.longest_step = max(self.longest_step, (event.t - self._last_step[1]) / (done - self._last_step[0]))
                    self._last_step = done, event.t
                elif isinstance(event, ev.PauseChanged | ev.CheckpointSaved | ev.PhaseStarted):
                    self._last_step = None  # what follows took more than a step
                if is_it(event):
                    return self._began + event.t
            if self._process.poll() is not None:
                raise SystemExit(f"the run ended early: {self._folder.log_tail()}")
            time.sleep(0.01)

    def obeys(self, wish: str, is_it: Callable) -> float:
        """Seconds until it comes true."""
        asked = time.time()
        self._folder.command(wish)
        return self.wait_for(is_it) - asked

    def stop(self) -> float:
        """Seconds until the process is gone, its checkpoint saved."""
        asked = time.time()
        self._folder.command("stop")
        self._process.wait(120)
        return time.time() - asked


if __name__ == "__main__":
    main()
