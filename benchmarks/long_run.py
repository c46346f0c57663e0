"""What the window takes and keeps over a run of 72 hours: 2.6 million steps, 500,000 other lines in the journal and as many in the log.

The real window is open on the Train page; the journal of a live run grows by one hour at a time, as fast as the window takes it in, and its
memory is read after each. Growth counts from the end of the first hour, when everything that is made once has been made.
LONG_RUN_HOURS shortens the run; the rate is then higher, since the curves take most of what they take in the first hours. 72 hours take some
four minutes.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOURS = int(os.environ.get("LONG_RUN_HOURS", "72"))
STEPS_PER_HOUR, LINES_PER_HOUR = 36_112, 6_944  # 2.6 million and 500,000 in 72 hours
STEPS_PER_REPORT = 10
LIMIT_MB = 5.0

WINDOW = """
import sys
from PySide6.QtCore import QTimer
from studio.gui import app as studio_app
app = studio_app.make_application()
window = studio_app.open_window()
name = sys.argv[1]
def tell():
    entry = window.context and window.context.runs.entry(name)
    if entry is None:
        return
    if window.current_page != "train":
        window.show_page("train", entry)
    with open("/proc/self/status") as f:
        status = f.read()
    own = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon"))  # kB; files mapped in are not kept
    print(entry.state.t, own * 1024, len(entry.state.train_loss), len(entry.state.notices), flush=True)
timer = QTimer(interval=250)
timer.timeout.connect(tell)
timer.start()
app.exec()
"""

HOLDER = """
import sys
from studio.core.file_lock import FileLock
lock = FileLock(sys.argv[1]); assert lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"STUDIO_HOME": home, "QT_QPA_PLATFORM": os.environ.get("QT_QPA_PLATFORM", "offscreen")}
        memory, sizes, num_points, num_notices, seconds = _replay()
    hours = len(memory) - 1
    growth = [(b - memory[0]) / 1e6 for b in memory[1:]]
    print(f"## The window over a run of {HOURS} hours\n")
    print("| figure | value | limit |\n|---|---|---|")
    print(f"| steps, other lines in the journal | {HOURS * STEPS_PER_HOUR:,}, {HOURS * LINES_PER_HOUR:,} | |")
    print(f"| points that each curve keeps at the end | {num_points:,} | |")
    print(f"| journal, log | {sizes[0] / 1e6:.0f} MB, {sizes[1] / 1e6:.0f} MB | |")
    print(f"| replayed in | {seconds:.0f} s | |")
    print(f"| memory of its own after the first hour | {memory[0] / 1e6:.0f} MB | |")
    print(f"| at the end; at most | {memory[-1] / 1e6:.0f} MB; {max(memory) / 1e6:.0f} MB | |")
    print(f"| **growth per hour, first to last** | **{growth[-1] / max(1, hours):.2f} MB** | {LIMIT_MB:g} |")
    print(f"| growth per hour at its worst, to any hour from the twelfth on | {_worst(growth):.2f} MB | |")
    third = len(memory) // 3
    steady = (memory[-1] - memory[third]) / 1e6 / max(1, len(memory) - 1 - third)
    print(f"| growth per hour in the last two thirds, when every curve has as many points as it keeps | {steady:.2f} MB | |")
    print(f"| events kept for the list | {num_notices:,} | |")


def _worst(growth: list[float]) -> float:
    return max((g / hour for hour, g in enumerate(growth, 1) if hour >= min(12, len(growth))), default=0.0)


def _replay() -> tuple[list[int], tuple[int, int], int, int, float]:
    """(bytes after each hour, sizes of journal and log, points and notices that the window has at the end, seconds)."""
    from studio.core.experiment import Experiment
    from studio.core.place import runs_dir
    from studio.core.run_folder import create_run

    folder = create_run(runs_dir(), Experiment())
    folder.lock_path.touch()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder.lock_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    hours = iter(_hours())
    folder.journal_path.write_bytes(next(hours))
    window = subprocess.Popen([sys.executable, "-c", WINDOW, folder.name], stdout=subprocess.PIPE, text=True)
    memory, start = [], time.monotonic()
    try:
        for hour, lines in enumerate(hours, 1):
            with open(folder.journal_path, "ab") as journal, open(folder.log_path, "ab") as log:
                journal.write(lines)
                log.write(b"".join(b"%d: a line of the log of the engine, as long as such lines are\n" % i for i in range(LINES_PER_HOUR)))
            used, points, notices = _wait_for(window, hour * 3600 - 1)
            memory.append(used)
            print(f"hour {hour} of {HOURS}: {used / 1e6:.1f} MB", file=sys.stderr, flush=True)
        return memory, (folder.journal_path.stat().st_size, folder.log_path.stat().st_size), points, notices, time.monotonic() - start
    finally:
        window.kill()
        window.wait()
        holder.stdin.close()
        holder.wait()


def _wait_for(window: subprocess.Popen, t: float) -> tuple[int, int, int]:
    """Memory, points and notices once the window has shown everything up to time `t`, and half a second more for drawing it."""
    seen = 0
    for line in window.stdout:
        done, used, points, notices = line.split()
        seen += float(done) >= t
        if seen > 2:
            return int(used), int(points), int(notices)
    raise SystemExit("The window ended.")


def _hours():
    """The journal: how it begins, then the lines of each hour."""
    from studio.core import event as ev

    stages = tuple(ev.StageDescribed(name=f"stage {i}", num_parameters=1000, is_frozen=False) for i in range(8))
    described = ev.RunDescribed(
        device="cpu", device_name="processor", precision="fp32", channels_last=False, classes=("cat", "dog"), num_train=11_520, num_validation=320,
        num_test=0, batch_size=32, epochs=HOURS * 100, steps_per_epoch=STEPS_PER_HOUR // 100, num_parameters=8000, num_trainable=8000, stages=stages,
    )  # fmt: skip
    first = [ev.RunStarted(wall_time=time.time(), pid=0, session=0), described, ev.PhaseStarted(phase="training")]
    yield b"".join(ev.encode(e) for e in first)
    step = 0
    for hour in range(HOURS):
        events: list[ev.Event] = []
        for report in range(STEPS_PER_HOUR // STEPS_PER_REPORT):
            t = 3600 * (hour + (report + 1) * STEPS_PER_REPORT / STEPS_PER_HOUR)
            losses = tuple(
                round(1 / math.sqrt(1 + (step + i) / 1e4) + 0.1 * math.sin(i * 1.7 + report), 6) for i in range(STEPS_PER_REPORT)
            )
            events.append(
                ev.StepsReported(
                    t=t, first_step=step, losses=losses, top1s=(0.5,) * STEPS_PER_REPORT, lrs=(1e-3,) * STEPS_PER_REPORT,
                    grad_norms=losses, images_per_s=320.0,
                )
            )  # fmt: skip
            step += STEPS_PER_REPORT
            if report % 36 == 35:
                events.append(_epoch(t, hour * 100 + report // 36, step))
        others = LINES_PER_HOUR - 100
        for i in range(others):
            t = 3600 * (hour + (i + 0.5) / others)
            kind = i % 2
            events.append(
                ev.SystemReported(
                    t=t, process_bytes=10**9, peak_bytes=10**9, cpu_fraction=0.5, memory_bytes=10**9, memory_total_bytes=10**10
                )
                if kind
                else ev.WarningRaised(t=t, code="slow", sentence=f"Line {i} of hour {hour} of the log of a long run.", fix="Nothing.")
            )
        events.sort(key=lambda e: e.t)
        yield b"".join(ev.encode(e) for e in events)


def _epoch(t: float, epoch: int, step: int):
    from studio.core import event as ev

    top1 = 1 - 0.5 / math.sqrt(epoch + 1)
    return ev.EpochFinished(
        t=t, epoch=epoch, step=step, train_loss=0.5, train_top1=top1, validation_loss=0.6, validation_top1=top1, validation_top5=1.0,
        macro_f1=top1, class_recalls=(top1, top1), is_best=epoch % 50 == 0, seconds=36.0,
    )  # fmt: skip


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
