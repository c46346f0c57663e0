"""How soon the window shows 10,000 runs: the latest ones in its table, and all of them; and how late its event loop gets meanwhile.

The real window, offscreen, on the Results page, from the moment that the page is there: once without the run index, which it then makes, and once
with it. The other side, in the same child before it: every journal read and folded before anything is
shown, which is what the window did when it read all runs in one go. RUNS changes the number.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

NUM_RUNS = int(os.environ.get("RUNS", "10000"))
NUM_READ_WHOLE = 200  # of these the other side is extrapolated

WINDOW = """
import json, os, sys, time
from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from studio.gui import app as studio_app
num_runs, name_of_newest = int(sys.argv[1]), sys.argv[2]
app = studio_app.make_application()
window = studio_app.open_window()
marks, late, due, cpu = {}, [], time.monotonic() + 0.016, 0.0

class Painted(QObject):
    def eventFilter(self, watched, event):
        if event.type() == QEvent.Type.Paint and len(page.model.rows) == num_runs:
            QTimer.singleShot(0, lambda: painted(time.monotonic()))  # after the painting
        return False

def painted(now):
    if "all" not in marks:
        marks["all"], marks["cpu"] = now, time.process_time() - cpu
        marks["late"] = sorted([*late, now - due])  # the beat that is due now too
        late.clear()
        QTimer.singleShot(1000, sort)
    elif "sorting" in marks and "sorted" not in marks:
        marks["sorted"] = now
        QTimer.singleShot(1000, end)

def sort():
    marks["sorting"] = time.monotonic()
    page.table.sortByColumn(BY_KEY["top1"], Qt.SortOrder.DescendingOrder)
    page.table.viewport().update()

def beat():
    global due, page, cpu, BY_KEY
    now = time.monotonic()
    late.append(now - due)
    due = now + 0.016
    if window.context is None:
        return
    if "started" not in marks:
        window.show_page("results")  # made here, so that making it is not taken for lateness
        from studio.gui.pages.results.rows import BY_KEY
        page = window.page("results")
        page.table.viewport().installEventFilter(look)
        marks["started"] = due = time.monotonic()
        cpu = time.process_time()
        late.clear()
    rows = page.model.rows
    if rows and "first" not in marks and rows[0].entry.folder.name == name_of_newest:
        marks["first"], marks["num_first"] = now, len(rows)

def end():
    import psutil
    timer.stop()
    until, after = marks["late"], max(late)
    found = {name: marks[name] - marks["started"] for name in ("first", "all")}
    found |= {"sorted": marks["sorted"] - marks["sorting"], "num_first": marks["num_first"], "cpu": marks["cpu"]}
    found |= {"late_99": until[int(0.99 * len(until))], "late_worst": until[-1], "late_after": after, "memory": psutil.Process().memory_info().rss}
    print(json.dumps(found), flush=True)
    os._exit(0)

look = Painted()
timer = QTimer(interval=16, timerType=Qt.TimerType.PreciseTimer)
timer.timeout.connect(beat)
timer.start()
app.exec()
"""

READ_WHOLE = """
import sys, time
from studio.core.run_folder import find_runs
folders = find_runs(sys.argv[1])
start = time.monotonic()
for folder in folders[: int(sys.argv[2])]:
    folder.read_state(), folder.experiment(), folder.is_alive()
print((time.monotonic() - start) / int(sys.argv[2]) * len(folders))
"""


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.builders import build_dataset, build_run

    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"STUDIO_HOME": home, "QT_QPA_PLATFORM": os.environ.get("QT_QPA_PLATFORM", "offscreen")}
        from studio.core.place import runs_dir

        first = build_run(runs_dir(), build_dataset(Path(home) / "images", num_train=40, num_validation=10))
        for number in range(1, NUM_RUNS):
            copy = runs_dir() / f"2026-11-24_{number:06}_calm-otter"
            (copy / "checkpoints").mkdir(parents=True)
            for name in ("experiment.toml", "journal.jsonl"):
                os.link(first.path / name, copy / name)
        whole = _output([sys.executable, "-c", READ_WHOLE, str(runs_dir()), str(min(NUM_READ_WHOLE, NUM_RUNS))])
        command = [sys.executable, "-c", WINDOW, str(NUM_RUNS), copy.name]
        without, found = (json.loads(_output(command)) for _ in range(2))  # the first one makes the index
        journal_bytes = first.journal_path.stat().st_size
        shutil.rmtree(runs_dir())
    print(f"## {NUM_RUNS:,} runs in the table\n")
    print(f"Each with a journal of {journal_bytes / 1000:.0f} kB. From the open page on; late is the event loop, for a beat of 16 ms.\n")
    print("| figure | with the index | the first time, which makes it | limit, with the index |\n|---|---|---|---|")
    print(f"| the latest runs are in the table after | {found['first']:.2f} s | {without['first']:.2f} s | |")
    print(f"| **all are in the table, painted, after** | **{found['all']:.2f} s** | {without['all']:.1f} s | 1 |")
    print(f"| sorted by another column and painted after | {1000 * found['sorted']:.0f} ms | {1000 * without['sorted']:.0f} ms | |")
    print(
        f"| late until then, 99 of 100 within; worst | {_ms(found['late_99'])}; {_ms(found['late_worst'])} "
        f"| {_ms(without['late_99'])}; {_ms(without['late_worst'])} | |"
    )
    print(
        f"| late afterwards, worst: sorting, and the other pages are made ahead | {_ms(found['late_after'])} | {_ms(without['late_after'])} | |"
    )
    print(f"| processor time of the window until then | {found['cpu']:.1f} s | {without['cpu']:.1f} s | |")
    print(f"| memory of the window afterwards | {found['memory'] / 1e6:.0f} MB | {without['memory'] / 1e6:.0f} MB | |")
    print(f"\nEvery journal read and folded before anything is shown would take {float(whole):.0f} s (extrapolated from {NUM_READ_WHOLE}).")


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


if __name__ == "__main__":
    main()
