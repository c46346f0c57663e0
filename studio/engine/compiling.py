"""A network compiled for long passes in which nothing trains, by a process of its own beside the pass, which goes on meanwhile.

torch's compiler (`torch.export`, then AOTInductor with frozen weights) writes a library for one network, batch size, number format and processor.
It is kept in the user's cache folder, so that the next pass with the same weights begins with it. Whether it is faster is measured against what
runs already, and the outcome is kept by network and computer: where it gained nothing, other weights of that network are not compiled again.
It can fail, or take longer than the pass; then the pass ends as it began. Steps of training are compiled by `compiled_step`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from studio.core.path_text import path_to_text, text_to_path
from studio.core.place import cache_dir
from studio.core.run_folder import RunFolder
from studio.core.trim import drop_oldest
from studio.dataset.dataset import Cancelled
from studio.engine.verdict import remember, remembered

if TYPE_CHECKING:
    import torch
    from torch import nn

    from studio.engine.fast_pass import FastPass
    from studio.engine.network import Trained

Progress = Callable[[int, int | None, str], None]
Asked = Literal["auto", "on", "off"]

VERDICTS = "compiling-1"
WORTH_S = 240.0  # seconds that a pass must take for compiling to be tried beside it: it takes 30 to 150 s of a core
KEPT_BYTES = 1_000_000_000  # of libraries, the oldest go; one is as large as its network
LEAST_GAIN = 1.1  # times as fast, for the compiled network to be taken
TICK_S = 0.2


@dataclass(frozen=True)
class Wanted:
    """What is compiled: the network of a run's checkpoint. `weights` is a hash of them, `network` says for people and verdicts which it is."""

    run: str  # text form of the run folder
    which: Literal["best", "last"]
    network: str
    weights: str
    device: str
    device_key: str  # processor, threads, version of torch
    num_threads: int
    num_images: int  # that go through at once, always
    precision: str

    @property
    def key(self) -> str:
        """The same for all weights of a network on one computer."""
        return f"{self.network} | {self.num_images} images | {self.precision} | {self.device_key}"

    @property
    def path(self) -> Path:
        name = hashlib.sha256(f"{self.key} | {self.weights}".encode()).hexdigest()[:32]
        return cache_dir() / "compiled" / f"{name}.pt2"


def what_is_missing(device_type: str) -> str:
    """What the compiler needs and this computer lacks, for a sentence; "" where all is there."""
    names = [os.environ.get("CXX", ""), "cl" if sys.platform == "win32" else "g++", "clang++"]
    if not any(name and shutil.which(name) for name in names):
        return "a C++ compiler"
    return "Triton" if device_type == "cuda" and find_spec("triton") is None else ""


class Compiling:
    """Compiles beside a pass: call `look` between its batches, and `close` at its end. `sentence` says at any time what came of it."""

    def __init__(self, fast: FastPass, wanted: Wanted, asked: Asked, pass_seconds: float):
        self._fast, self._wanted, self._is_forced = fast, wanted, asked == "on"
        self._process: subprocess.Popen | None = None
        self._log = self._scratch = None
        self._start = time.monotonic()
        self.gain: float | None = None  # of the compiled network over what ran before it, measured
        self.sentence = ""
        if asked == "off":
            return
        if wanted.path.is_file():
            self._take()
            return
        missing = what_is_missing(wanted.device.partition(":")[0])
        verdict = remembered(VERDICTS, wanted.key)
        known = verdict.get("gain") if isinstance(verdict, dict) else None
        if missing:
            self.sentence = (
                f"Not compiled: that needs {missing}, which is not installed." if self._is_forced or pass_seconds >= WORTH_S else ""
            )
        elif self._is_forced:
            self._begin()
        elif pass_seconds < WORTH_S:
            pass
        elif known is not None and known < LEAST_GAIN:
            speed = f"ran at {known:.2f} times the speed of what runs anyway" if known else "gives other answers"
            self.sentence = f"Not compiled: on this computer the compiled network {speed}."
        else:
            self._begin()

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def look(self) -> None:
        """Take the compiled network where it has come and is faster."""
        if self._process is None or self._process.poll() is None:
            return
        code, words = self._process.returncode, _last_words(self._log)
        self._clean()
        if code == 0 and self._wanted.path.is_file():
            self._take()
            drop_oldest(self._wanted.path.parent.glob("*.pt2"), KEPT_BYTES, spared=self._wanted.path)
        else:
            self.sentence = f"The network could not be compiled and runs as before: {words or f'the compiler ended with code {code}'}"

    def wait_if_forced(self, progress: Progress | None, is_cancelled: Callable[[], bool] | None) -> None:
        """Where the user has asked for a compiled network the pass begins with it. Raises Cancelled."""
        while self._is_forced and self._process is not None:
            if is_cancelled and is_cancelled():
                raise Cancelled
            if progress:
                progress(int(time.monotonic() - self._start), None, "Compiling the network, seconds")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(TICK_S)
            self.look()

    def close(self) -> None:
        """End a compilation that is still under way: the pass is over."""
        if self._process is None:
            return
        code = self._process.poll()
        if code is None:
            with contextlib.suppress(OSError):  # with the compiler that it has started
                os.killpg(self._process.pid, signal.SIGTERM) if hasattr(os, "killpg") else self._process.terminate()
            self._process.wait()
            self._clean()
            self.sentence = "The pass was over before the network was compiled."
        elif code == 0:
            self._clean()
            drop_oldest(self._wanted.path.parent.glob("*.pt2"), KEPT_BYTES, spared=self._wanted.path)
            self.sentence = "The network is compiled for the next pass."
        else:
            self.look()

    def _begin(self) -> None:
        home = self._wanted.path.parent
        try:
            home.mkdir(parents=True, exist_ok=True)
            _sweep(home)
            self._scratch = tempfile.TemporaryDirectory(prefix="work-", dir=home, ignore_cleanup_errors=True)
            self._log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        except OSError as exc:
            self.sentence = f"Not compiled: {home} cannot be written ({exc.strerror})."
            return
        found = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, found)), "TORCHINDUCTOR_CACHE_DIR": self._scratch.name}
        command = [sys.executable, "-m", "studio.engine.compiling", json.dumps(asdict(self._wanted)), self._scratch.name]
        try:
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._log, start_new_session=True
            )
        except OSError as exc:
            self._clean()
            self.sentence = f"Not compiled: the compiler could not be started ({exc.strerror})."
            return
        self.sentence = "The network is being compiled beside the pass."

    def _clean(self) -> None:
        if self._process is not None:
            self._process.stdin.close()
            self._process = None
        self._log.close()
        self._scratch.cleanup()

    def _take(self) -> None:
        seconds = time.monotonic() - self._start
        try:
            self.gain = self._fast.offer(load_library(self._wanted.path, self._wanted.device), LEAST_GAIN)
        except Exception as exc:  # whatever a library of the compiler raises: the pass needs none of it
            self._forget()
            self.sentence = f"The compiled network could not be used, and it runs as before: {exc}"
            return
        with contextlib.suppress(OSError):  # another process may have dropped it
            os.utime(self._wanted.path)
        remember(VERDICTS, self._wanted.key, {"gain": round(self.gain, 3)})
        took = f" It was compiled in {seconds:.0f} s." if seconds >= 1 else ""
        if self.gain >= LEAST_GAIN:
            self.sentence = f"The compiled network runs, at {self.gain:.2f} times the speed of what ran before.{took}"
            return
        self._forget()
        if self.gain:
            self.sentence = f"Compiled, the network runs at {self.gain:.2f} times the speed of what runs anyway, so that stays.{took}"
        else:
            self.sentence = f"Compiled, the network gives other answers, so it runs as before.{took}"

    def _forget(self) -> None:
        with contextlib.suppress(OSError):  # on Windows a loaded library stays
            self._wanted.path.unlink(missing_ok=True)


def compiling_for(
    folder: RunFolder, which: Literal["best", "last"], trained: Trained, fast: FastPass, num_images: int, asked: Asked
) -> Compiling:
    """For a pass of `fast`, which was made of the trained network, over so many images (views of them, where each has several)."""
    import torch

    from studio.engine.checkpoint import state_sha256
    from studio.engine.device import device_key

    model, device = trained.experiment.model, fast.device
    is_asked = asked != "off" and fast.is_long and device.type in ("cpu", "cuda")
    cut = f", cut after {model.cut}" if model.cut else ""
    wanted = Wanted(
        run=path_to_text(folder.path),
        which=which,
        network=f"{model.source}/{model.backbone}{cut}, {len(trained.classes)} classes, {trained.input_size} px",
        weights=state_sha256(trained.module.state_dict()) if is_asked else "",
        device=str(device),
        device_key=device_key(device),
        num_threads=torch.get_num_threads(),
        num_images=fast.chunk,
        precision=fast.precision.name,
    )
    return Compiling(fast, wanted, asked if is_asked else "off", num_images * fast.image_seconds)


def load_library(path: Path, device: str):
    import torch
    from torch._inductor import aoti_load_package

    index = torch.device(device).index
    return aoti_load_package(os.fspath(path), **({} if index is None else {"device_index": index}))


def _last_words(log) -> str:
    """The last line that a process has written to its standard error, which names what failed."""
    log.seek(0)
    lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def _sweep(home: Path) -> None:
    """Remove what compilers that were killed have left a day ago."""
    for left in home.glob("work-*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > 86_400:
                shutil.rmtree(left, ignore_errors=True)


def write_library(module: nn.Module, images_NCHW: torch.Tensor, precision: str, path: Path) -> None:
    """Compile a network in eval mode, which is changed, for as many images of this size as are given, on the device where all of it lies."""
    import torch
    from torch import nn

    from studio.engine.folding import Folding

    class InFormat(nn.Module):
        """float32 in and out, whatever the network computes in."""

        def __init__(self, module: nn.Module, dtype: torch.dtype):
            super().__init__()
            self.module, self.dtype = module.to(dtype), dtype

        def forward(self, images_NCHW):
            return self.module(images_NCHW.to(self.dtype)).float()

    images = images_NCHW.contiguous(memory_format=torch.channels_last)
    module = module.to(memory_format=torch.channels_last)
    module = Folding(module).fold(module, images) or module
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    with torch.no_grad():
        program = torch.export.export(InFormat(module, dtype).eval(), (images,))
        torch._inductor.aoti_compile_and_package(program, package_path=os.fspath(path), inductor_configs={"freezing": True})


def _compile(wanted: Wanted, scratch: Path) -> None:
    """In the process of its own: from the checkpoint to the library, whole or not at all."""
    import torch

    from studio.engine.checkpoint import state_sha256
    from studio.engine.network import load_trained

    torch.set_num_threads(wanted.num_threads)
    trained, device = load_trained(RunFolder(text_to_path(wanted.run)), wanted.which), torch.device(wanted.device)
    if state_sha256(trained.module.state_dict()) != wanted.weights:
        raise SystemExit("the run has saved another checkpoint meanwhile")
    images = torch.randn(wanted.num_images, 3, trained.input_size, trained.input_size, device=device)
    made = scratch / "network.pt2"
    write_library(trained.module.to(device), images, wanted.precision, made)
    os.replace(made, wanted.path)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m studio.engine.compiling")
    parser.add_argument("wanted", help="the fields of Wanted as JSON")
    parser.add_argument("scratch", type=Path, help="an empty folder on the drive of the cache, removed afterwards")
    options = parser.parse_args(arguments)
    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):
            os.nice(10)  # the pass comes first
    threading.Thread(target=_end_with_parent, args=(options.scratch,), daemon=True).start()
    _compile(Wanted(**json.loads(options.wanted)), options.scratch)


def _end_with_parent(scratch: Path) -> None:
    """Standard input ends when the process that wants the library ends, in whatever way."""
    while os.read(0, 1):  # not sys.stdin: a thread inside of it ends Python in a fatal error
        pass
    shutil.rmtree(scratch, ignore_errors=True)
    if hasattr(os, "killpg") and os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)  # with the compiler that it has started
    os._exit(1)


if __name__ == "__main__":
    main()
