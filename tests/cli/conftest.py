from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

QUICK = [
    "--set", "model.input_size=64", "--set", "model.train_stages=0", "--set", "training.batch_size=8", "--set", "training.precision=fp32",
    "--set", "augment.preset=none", "--set", "training.workers=0", "--set", "data.validation_fraction=0.4",
    "--set", "schedule.epochs=2",
]  # fmt: skip


def write_images(root: Path, classes=("blue square", "red disc"), num=20, size_px=64) -> Path:
    """`num` noisy pictures of each class: squares in blue, discs in red."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:size_px, :size_px] / size_px
    for index, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(num):
            x, y, r = rng.uniform(0.35, 0.65, 2).tolist() + [rng.uniform(0.15, 0.3)]
            dx, dy = np.abs(columns - x), np.abs(rows - y)
            inside = (np.maximum(dx, dy) < r) if index % 2 == 0 else (dx**2 + dy**2 < r**2)
            colour = np.array([[40, 60, 220], [220, 50, 40]][index % 2])
            pixels = np.where(inside[..., None], colour, 200) + rng.normal(0, 12, (size_px, size_px, 3))
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(root / name / f"{i:02}.png")
    return root


def studio(*args: str | Path, home: Path, timeout_s: float = 400, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own; standard streams as text."""
    env = os.environ | {"STUDIO_HOME": str(home), "OMP_NUM_THREADS": "2", "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        [sys.executable, "-m", "studio", *map(str, args)],
        env=env, cwd=cwd, capture_output=True, text=True, errors="backslashreplace", timeout=timeout_s, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def last_json(done: subprocess.CompletedProcess[str]):
    return json.loads(done.stdout.splitlines()[-1])


def snapshot(*folders: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder below: size and time."""
    return {
        str(p): (p.lstat().st_size, p.lstat().st_mtime_ns) for folder in folders if folder.exists() for p in (folder, *folder.rglob("*"))
    }


class Terminal:
    """A terminal of 100 columns: `stream` writes to it, `text` is what came, once it is closed."""

    def __init__(self):
        import pty
        import termios

        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (30, 100))
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        self._seen = bytearray()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the end of a terminal is an error on Linux
            while data := os.read(self._master, 65_536):
                self._seen += data

    def close(self) -> None:
        self.stream.close()
        self._reader.join()
        os.close(self._master)

    @property
    def text(self) -> str:
        return self._seen.decode()


@contextlib.contextmanager
def opened_terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    try:
        yield terminal
    finally:
        terminal.close()


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> Path:
    return write_images(tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture(scope="session")
def trained(tmp_path_factory, images) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """(home with one finished run of two epochs, what its training printed)"""
    home = tmp_path_factory.mktemp("trained-home")
    done = studio("train", "--data", images, "--json", *QUICK, home=home)
    assert done.returncode == 0, done.stderr + done.stdout
    return home, done
