"""How late the window's event loop gets while a run trains on both cores and 1,000 events a second arrive, and what the window costs the run.

One real run trains throughout, and a second journal grows by 1,000 events a second. In turn the window is closed and open on the Train page;
speed is the engine's own, over the training steps of each stretch. Lateness is that of a 16 ms timer in the window's thread.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 2
STRETCH_S = 25.0
SETTLE_S = 25.0  # the window starts its helpers, which import torch; that is over by then
BATCH = 8

WRITER = """
import sys, time
from studio.core import event as ev
from studio.core.journal import JournalWriter
from studio.core.run_folder import EngineLock, RunFolder
folder = RunFolder(sys.argv[1])
lock = EngineLock(folder.lock_path); assert lock.acquire()
journal = JournalWriter(folder.journal_path)
journal.append(ev.RunStarted(wall_time=time.time(), pid=0, session=0))
journal.append(ev.PhaseStarted(phase="training"))
start, step = time.monotonic(), 0
while True:
    while step < (time.monotonic() - start) * 1000:
        journal.append(ev.StepsReported(first_step=step, losses=(1.0,), top1s=(0.5,), lrs=(1e-3,), grad_norms=(1.0,), images_per_s=1.0))
        step += 1
    time.sleep(0.01)
"""

WINDOW = """
import sys, time, json
from PySide6.QtCore import QTimer, Qt
from studio.gui import app as studio_app
settle_s, stretch_s, name = float(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
app = studio_app.make_application()
window = studio_app.open_window()
late, due = [], 0.0
def beat():
    global due
    now = time.perf_counter()
    late.append(now - due)
    due = now + 0.016
def show():
    entry = window.context.runs.entry(name)
    window.show_page("train", entry)
def begin():
    global due
    print("measuring", flush=True)
    due = time.perf_counter() + 0.016
    timer.start()
def end():
    timer.stop()
    state = window.context.runs.entry(name).state
    ordered = sorted(late)
    print(json.dumps({"p99": ordered[int(len(late) * .99)], "max": ordered[-1], "beats": len(late), "points": len(state.train_loss)}), flush=True)
    window.close()
    app.quit()
timer = QTimer(interval=16, timerType=Qt.TimerType.PreciseTimer)
timer.timeout.connect(beat)
QTimer.singleShot(8000, show)
QTimer.singleShot(int(settle_s * 1000), begin)
QTimer.singleShot(int((settle_s + stretch_s) * 1000), end)
app.exec()
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"STUDIO_HOME": home, "QT_QPA_PLATFORM": os.environ.get("QT_QPA_PLATFORM", "offscreen")}
        from studio.core.experiment import Experiment
        from studio.core.place import runs_dir
        from studio.core.run_folder import create_run
        from studio.dataset.sample_set import prepare_sample_set
        from studio.dataset.scan import scan
        from studio.supervise.engine import start_engine

        data = prepare_sample_set("digits-small")
        experiment = Experiment().changed(
            {
                "data.source": str(data),
                "schedule.epochs": 10_000,
                "training.batch_size": BATCH,
                "training.precision": "fp32",
                "model.train_stages": -1,
            }
        )
        dataset = scan(experiment.data).to_json()
        run, echo = create_run(runs_dir(), experiment, dataset), create_run(runs_dir(), experiment, dataset)
        engine = start_engine(run)
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(echo.path)])
        try:
            _wait_for_steps(run, 10)
            results = _measure(run)
        finally:
            writer.kill()
            writer.wait()
            engine.end_by_force()
    _print(results)


def _measure(run) -> dict[str, list[float]]:
    results: dict[str, list[float]] = {"closed": [], "open": [], "p99": [], "max": []}
    for _ in range(ROUNDS):
        results["closed"].append(_speed(run, STRETCH_S))
        child = subprocess.Popen([sys.executable, "-c", WINDOW, str(SETTLE_S), str(STRETCH_S), run.name], stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline() == "measuring\n"
        results["open"].append(_speed(run, STRETCH_S))
        figures = json.loads(child.stdout.readline())
        child.wait()
        results["p99"].append(figures["p99"])
        results["max"].append(figures["max"])
    return results


def _speed(run, seconds: float) -> float:
    """Images per second of training time in the coming stretch, from the engine's own reports."""
    from studio.core.event import StepsReported
    from studio.core.journal import JournalReader

    reader = JournalReader(run.journal_path)
    reader.read()
    time.sleep(seconds)
    reports = [e for e in reader.read() if isinstance(e, StepsReported)]
    images = sum(len(e.losses) for e in reports)
    return images / sum(len(e.losses) / e.images_per_s for e in reports)


def _wait_for_steps(run, steps: int) -> None:
    end = time.monotonic() + 120
    while run.read_state().step < steps:
        if time.monotonic() > end:
            raise SystemExit(f"The run did not start:\n{run.log_tail()}")
        time.sleep(0.5)


def _print(results: dict[str, list[float]]) -> None:
    ratio = statistics.median(o / c for o, c in zip(results["open"], results["closed"], strict=True))
    print("## The window while a run trains and 1,000 events a second arrive\n")
    print(f"| figure | {ROUNDS} rounds of {STRETCH_S:.0f} s | limit |\n|---|---|---|")
    print(f"| event loop late, 99th percentile | {_ms(results['p99'])} ms | 30 |")
    print(f"| event loop late, worst | {_ms(results['max'])} ms | 50 |")
    print(f"| training speed with the window closed | {_list(results['closed'])} img/s | |")
    print(f"| training speed with the window open | {_list(results['open'])} img/s | |")
    print(f"| **open over closed, median** | **{ratio:.3f}** | 0.98 |")
    print(f"\nLoad average at the end: {os.getloadavg()[0]:.1f}. Machine: {Path('/proc/cpuinfo').read_text().count('processor')} cores.")


def _ms(values: list[float]) -> str:
    return ", ".join(f"{1000 * v:.1f}" for v in values)


def _list(values: list[float]) -> str:
    return ", ".join(f"{v:.2f}" for v in values)


if __name__ == "__main__":
    main()
