"""Kills: the engine 200 times at random while it saves often, and the window 50 times while a run goes on.

After each kill of the engine every checkpoint that its journal names as saved and that was not replaced since must be whole, and every line that
an observer has read from the journal must still stand there. Two of three kills are aimed at a save: they wait until its folder appears, and fall
somewhere within as long as the last one took; the others fall at any time. The engine is then resumed; at the end its weights must be those of a run that
nothing disturbed. The window is the real one, offscreen; the run beside it must end with the same weights as if no window had ever been open.
KILL_ENGINE, KILL_WINDOW change the numbers.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

NUM_ENGINE = int(os.environ.get("KILL_ENGINE", "200"))
AIMED = 2 / 3  # of the kills
WAITS = "waits to be killed"  # a file in the folder of the run
NUM_WINDOW = int(os.environ.get("KILL_WINDOW", "50"))
SETTINGS = {
    "model.source": "timm", "model.backbone": "test_resnet", "model.pretrained": False, "model.train_stages": -1, "model.input_size": 32,
    "training.batch_size": 8, "training.device": "cpu", "training.precision": "fp32", "training.workers": 0, "training.feature_cache": "off",
}  # fmt: skip

# Loads everything once, then forks an engine for each line it reads: most of the time would go into loading torch otherwise. Engines that are to
# be killed save after every step, so that a kill falls into a save more often than not, and wait before the last one, however late the kill comes.
NURSERY = f"""
import os, sys, time
import studio.engine.loop as loop
import studio.engine.setup, albumentations, timm
from studio.engine.main import main
from studio.engine.standby import move_output_to
real = loop.train_step
def held_before_the_last(s, batches):
    while s.progress.step + 1 == s.steps_per_epoch * s.experiment.schedule.epochs:
        (s.folder.path / {WAITS!r}).touch()
        time.sleep(0.01)
    return real(s, batches)
for line in sys.stdin:
    saves, folder, *resume = line.rstrip().split("\\t")
    pid = os.fork()
    if pid == 0:
        os.setsid()
        if saves == "often":
            loop.is_save_due, loop.train_step = lambda s: True, held_before_the_last
        move_output_to(os.path.join(folder, "engine.log"))
        code = 1
        try:
            code = main([folder, *resume])
        finally:
            os._exit(code)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
# Half a second for each step while windows come and go, so that the run outlasts them on a slow machine too.
SLOW = """
import os, time, studio.engine.loop as loop
real = loop.train_step
def step(s, b):
    time.sleep(0 if os.path.exists({done!r}) else 0.5)
    return real(s, b)
loop.train_step = step
"""
WINDOW = """
from PySide6.QtCore import QTimer
from studio.gui import app as studio_app
app = studio_app.make_application()
window = studio_app.open_window()
def show():
    if window.context and window.context.runs.active:
        window.show_page("train")
        print("shown", flush=True)
    else:
        QTimer.singleShot(50, show)
QTimer.singleShot(0, show)
app.exec()
"""


@dataclass
class Found:
    num_kills: int = 0
    num_in_save: int = 0  # kills that left a half-written checkpoint behind, under its temporary name
    num_checked: int = 0
    num_bad: int = 0  # checkpoints unreadable or missing
    num_lines: int = 0
    num_lost: int = 0  # journal lines that were read once and are gone or changed
    is_same: bool = False


def make_run(home: Path, steps: int, name: str):
    """A run of `steps` steps on 24 small images."""
    from studio.core.experiment import Experiment
    from studio.core.run_folder import create_run
    from tests.builders import build_dataset

    dataset = build_dataset(home / "images", ("cat", "dog", "emu"), 8, 2, size_px=32) if not (home / "images").exists() else None
    if dataset is None:
        from studio.dataset.dataset import Dataset

        dataset = Dataset.from_json((home / "dataset.json").read_bytes())
    (home / "dataset.json").write_bytes(dataset.to_json())
    settings = SETTINGS | {"data.source": dataset.root, "schedule.epochs": max(1, steps // 3)}
    return create_run(home / "runs" / name, Experiment().changed(settings), dataset.to_json())


class Nursery:
    """Starts engines, one at a time."""

    def __enter__(self) -> Nursery:
        self._process = subprocess.Popen([sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def start(self, folder, *, resume: bool, saves: str = "often") -> int:
        """The engine's process id; it leads a group of its own."""
        self._process.stdin.write("\t".join([saves, str(folder.path), *(["--resume"] if resume else [])]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def wait(self) -> int:
        """Its exit code, negative for a signal."""
        return int(self._process.stdout.readline())

    def run(self, folder, *, resume: bool) -> None:
        self.start(folder, resume=resume, saves="as usual")
        if self.wait() != 0:
            raise SystemExit(folder.log_tail())


def sha_of(folder) -> str:
    return json.loads((folder.results_path / "metrics.json").read_bytes())["state_sha256"]


def kill_engine(home: Path, num_kills: int, seed: int = 0) -> Found:
    """Kill and resume `num_kills` times, then let it finish and compare with an undisturbed run."""
    with Nursery() as nursery:
        return _kill_engine(nursery, home, num_kills, random.Random(seed))


def _kill_engine(nursery: Nursery, home: Path, num_kills: int, rng: random.Random) -> Found:
    found, steps = Found(), 6 * (2 + num_kills)
    folder = make_run(home, steps, "killed")
    seen: list[bytes] = []  # whole lines read so far: acknowledged
    while found.num_kills < num_kills:
        before = len(seen)
        pid = nursery.start(folder, resume=found.num_kills > 0)
        while not _has_saved(seen := _lines(folder.journal_path, seen), before) and folder.path.exists() and _is_going_on(folder, pid):
            time.sleep(0.002)
        _wait_for_the_moment(folder, rng, pid)
        seen = _lines(folder.journal_path, seen)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        if (code := nursery.wait()) != -signal.SIGKILL:
            raise SystemExit(f"The engine ended by itself with {code}:\n{folder.log_tail()}")
        found.num_kills += 1
        (folder.path / WAITS).unlink(missing_ok=True)
        _look(folder, seen, found)
    nursery.run(folder, resume=True)
    undisturbed = make_run(home, steps, "whole")
    nursery.run(undisturbed, resume=False)
    found.is_same = sha_of(folder) == sha_of(undisturbed)
    return found


def _look(folder, seen: list[bytes], found: Found) -> None:
    """What a kill has left behind."""
    from studio.core.event import CheckpointSaved
    from studio.core.journal import JournalReader
    from studio.engine.checkpoint import is_whole

    found.num_in_save += any(folder.checkpoints_path.glob(".*.tmp"))
    after = folder.journal_path.read_bytes().splitlines()
    found.num_lost += sum(line != now for line, now in zip(seen, [*after, *[b""] * len(seen)], strict=False))
    found.num_lines = max(found.num_lines, len(seen))
    kept = list(folder.checkpoints_path.glob("step-*"))
    found.num_checked += len(kept)
    found.num_bad += sum(not is_whole(path) for path in kept)
    saved = [e for e in JournalReader(folder.journal_path).read() if isinstance(e, CheckpointSaved)]
    found.num_bad += bool(saved) and max(path.name for path in kept) < Path(saved[-1].path).name


def _wait_for_the_moment(folder, rng: random.Random, pid: int) -> None:
    """Until the engine is to be killed: most often in the middle of a save, else whenever it falls."""
    from studio.core.event import CheckpointSaved
    from studio.core.journal import JournalReader

    if rng.random() >= AIMED:
        return time.sleep(rng.uniform(0, 0.05))
    saves = [e.seconds for e in JournalReader(folder.journal_path).read() if isinstance(e, CheckpointSaved)]
    if not saves:
        return  # it ended before its first save; who waits for it says why
    moment = rng.uniform(0, saves[-1])
    while not _is_saving(folder) and _is_going_on(folder, pid):
        time.sleep(0)  # a save lasts some milliseconds
    time.sleep(moment)


def _is_saving(folder) -> bool:
    with os.scandir(folder.checkpoints_path) as found:
        return any(entry.name.endswith(".tmp") for entry in found)


def _is_going_on(folder, pid: int) -> bool:
    """Whether the engine may still save."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not (folder.path / WAITS).exists()


def _lines(path: Path, seen: list[bytes]) -> list[bytes]:
    """All whole lines now."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return seen
    return data[: data.rfind(b"\n") + 1].splitlines()


def _has_saved(lines: list[bytes], since: int) -> bool:
    """Whether the engine that was just started has saved once."""
    return any(b'"CheckpointSaved"' in line for line in lines[since:])


def kill_window(home: Path, num_kills: int, steps: int, seed: int = 0) -> tuple[int, bool]:
    """Windows killed while the run went on, and whether the run ended with the weights of one without a window."""
    rng = random.Random(seed)
    alone = make_run(home, steps, "alone")
    with Nursery() as nursery:
        nursery.run(alone, resume=False)
    folder = make_run(home, steps, "watched")
    done = home / "done"
    with open(folder.log_path, "ab") as log:
        program = f"{SLOW.format(done=str(done))}from studio.engine.main import main\nraise SystemExit(main([{str(folder.path)!r}]))"
        engine = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    environment = os.environ | {"STUDIO_RUNS": str(folder.path.parent), "STUDIO_HOME": str(home / "studio"), "QT_QPA_PLATFORM": "offscreen"}
    num = 0
    while num < num_kills and engine.poll() is None:
        with open(home / "window.log", "ab") as log:
            window = subprocess.Popen(
                [sys.executable, "-c", WINDOW], stdout=subprocess.PIPE, stderr=log, env=environment, start_new_session=True
            )
        if window.stdout.readline() == b"shown\n":
            time.sleep(rng.uniform(0, 0.5))
            num += engine.poll() is None
        os.killpg(window.pid, signal.SIGKILL)
        window.wait()
        window.stdout.close()
    done.touch()
    if engine.wait() != 0:
        raise SystemExit(folder.log_tail())
    return num, sha_of(folder) == sha_of(alone)


def main() -> None:
    start = time.monotonic()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as home:
        engine = kill_engine(Path(home) / "engine", NUM_ENGINE)
    halfway = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        num_windows, is_same = kill_window(Path(home), NUM_WINDOW, steps=NUM_WINDOW * 60)
    say(engine, num_windows, is_same, halfway - start, time.monotonic() - halfway)


def say(engine: Found, num_windows: int, is_same: bool, engine_s: float, window_s: float) -> None:
    print("## Nothing is lost\n")
    print("| figure | value | limit |\n|---|---|---|")
    print(f"| kills of the engine, each followed by a resume | {engine.num_kills} | {NUM_ENGINE} |")
    print(f"| of these in the middle of a save | {engine.num_in_save} | |")
    print(f"| **checkpoints unreadable or missing, of {engine.num_checked:,} looked at** | **{engine.num_bad}** | 0 |")
    print(f"| **journal lines lost, of up to {engine.num_lines:,} read before a kill** | **{engine.num_lost}** | 0 |")
    print(f"| weights, buffers and optimiser at the end as without a kill | {'yes' if engine.is_same else 'NO'} | yes |")
    print(f"| kills of the window while a run went on | {num_windows} | {NUM_WINDOW} |")
    print(f"| **the run beside it to the last bit as without a window** | **{'yes' if is_same else 'NO'}** | yes |")
    print(f"\nSeed 0; {engine_s:.0f} s and {window_s:.0f} s.")


if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests")]
    main()
