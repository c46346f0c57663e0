"""How late the window's event loop gets while a run trains on both cores and 1,000 events a second arrive, and what the window costs the run.

One real run trains throughout, a second journal grows by 1,000 events a second, and a window is open on the Train page. In short stretches in
the order ABBA the window works (A) or its process is halted by a signal, which costs the run what a closed window would (B): the machine's
own drift, several percent within minutes, falls on both sides alike. Speed is the engine's own: the median over the training steps of a
stretch. Each half of a round (AB or BA) gives one ratio; what counts is the median of these.
Lateness is that of a 16 ms timer in the window's thread, in a stretch of its own after each round: the timer costs the run something too.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import psutil

ROUNDS = int(os.environ.get("LATENESS_ROUNDS", "10"))  # of four stretches each
STRETCH_S = 10.0  # twice the time in which a window that nobody watches looks at its runs
CATCH_UP_S = 1.2  # after a change of sides: the window reads what came while it was halted
SETTLE_S = 30.0  # the window starts its helpers, which import torch, and draws at full pace while it counts as watched, at first
BATCH = 8

WRITER = """
import sys, time
from studio.core import event as ev
from studio.core.journal import JournalWriter
from studio.core.file_lock import FileLock
from studio.core.run_folder import RunFolder
folder = RunFolder(sys.argv[1])
lock = FileLock(folder.lock_path); assert lock.acquire()
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
settle_s, name = float(sys.argv[1]), sys.argv[2]
app = studio_app.make_application()
window = studio_app.open_window()
beats, due = [], 0.0  # (time, late), s
def beat():
    global due
    now = time.monotonic()
    beats.append((now, now - due))
    due = now + 0.016
def show():
    entry = window.context and window.context.runs.entry(name)
    if entry:
        window.show_page("train", entry)
    else:
        QTimer.singleShot(200, show)
def obey(word):
    global due
    if word == "beat":
        due = time.monotonic() + 0.016
        timer.start()
    else:
        timer.stop()
    if word == "end":
        print(json.dumps(beats), flush=True)
        window.close()
        app.quit()
timer = QTimer(interval=16, timerType=Qt.TimerType.PreciseTimer)
timer.timeout.connect(beat)
QTimer.singleShot(8000, show)
QTimer.singleShot(int(settle_s * 1000), lambda: print("measuring", flush=True))
import threading
class Listener(threading.Thread):
    def run(self):
        for word in sys.stdin:
            QTimer.singleShot(0, app, lambda word=word.strip(): obey(word))
Listener(daemon=True).start()
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


def _measure(run) -> dict[str, list]:
    """Seconds per image of every report with the window at work and with it halted, how late its beats were, and its share of the cores."""
    results: dict[str, list] = {"open": [], "halted": [], "late": []}  # of the sides: one list a stretch
    child = subprocess.Popen(
        [sys.executable, "-c", WINDOW, str(SETTLE_S), run.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline() == "measuring\n"
        seconds, used = 0.0, 0.0
        process = psutil.Process(child.pid)
        for side in ("open", "halted", "halted", "open", "beat") * ROUNDS:
            child.send_signal(signal.SIGSTOP if side == "halted" else signal.SIGCONT)
            if side == "beat":
                _tell(child, "beat")
                time.sleep(STRETCH_S)
                _tell(child, "rest")
                continue
            time.sleep(CATCH_UP_S)
            start, before = time.monotonic(), sum(process.cpu_times()[:2])
            results[side].append(_step_times(run, STRETCH_S))
            if side == "open":
                seconds += time.monotonic() - start
                used += sum(process.cpu_times()[:2]) - before
        results["share"] = [used / seconds / os.cpu_count()]
        beats = json.loads(child.communicate("end\n", timeout=60)[0])
    finally:
        child.kill()
        child.wait()
    results["late"] = sorted(late for _, late in beats)
    return results


def _tell(child: subprocess.Popen, word: str) -> None:
    child.stdin.write(word + "\n")
    child.stdin.flush()


def _step_times(run, seconds: float) -> list[float]:
    """Training seconds per image of each report in the coming stretch, the engine's own figures; a report is a step or two."""
    from studio.core.event import StepsReported
    from studio.core.journal import JournalReader

    reader = JournalReader(run.journal_path)
    reader.read()
    time.sleep(seconds)
    reports = [e for e in reader.read() if isinstance(e, StepsReported)]
    return [1 / e.images_per_s for e in reports[1:] if e.images_per_s]  # the first began before the stretch


def _wait_for_steps(run, steps: int) -> None:
    end = time.monotonic() + 120
    while run.read_state().step < steps:
        if time.monotonic() > end:
            raise SystemExit(f"The run did not start:\n{run.log_tail()}")
        time.sleep(0.5)


def _print(results: dict[str, list]) -> None:
    import numpy as np

    late = results["late"]
    ratios = np.array([np.median(h) / np.median(o) for h, o in zip(results["halted"], results["open"], strict=True)])
    opened, halted = (np.concatenate(results[side]) for side in ("open", "halted"))
    again = np.median(np.random.default_rng(0).choice(ratios, (2000, len(ratios))), axis=1)
    low, high = np.percentile(again, [5, 95])
    print("## The window while a run trains and 1,000 events a second arrive\n")
    print(f"| figure | {4 * ROUNDS} stretches of {STRETCH_S} s, in ABBA order | limit |\n|---|---|---|")
    print(f"| event loop late, 99th percentile | {1000 * late[int(0.99 * len(late))]:.1f} ms | 30 |")
    print(f"| event loop late, worst of {len(late):,} | {1000 * late[-1]:.1f} ms | 50 |")
    print(f"| training speed with the window halted, median of {len(halted)} steps | {1 / np.median(halted):.2f} img/s | |")
    print(f"| training speed with the window open, median of {len(opened)} steps | {1 / np.median(opened):.2f} img/s | |")
    print(f"| **open over halted, median of {len(ratios)} neighbouring stretches** | **{np.median(ratios):.3f}** | 0.98 |")
    print(f"| its 90 % interval (bootstrap over pairs) | {low:.3f} to {high:.3f} | |")
    print(f"| open over halted, medians of all steps | {np.median(halted) / np.median(opened):.3f} | |")
    print(f"| the window's share of the {os.cpu_count()} cores while open | {results['share'][0]:.1%} | |")
    quarters = [[f"{1 / q:.1f}" for q in np.percentile(side, [75, 25])] for side in (halted, opened)]
    print(f"\nHalf of the steps lie between {' and '.join(quarters[0])} img/s halted, {' and '.join(quarters[1])} open. ", end="")
    print(f"Load average at the end: {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
