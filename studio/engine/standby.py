"""A warm engine: torch is loaded, the network built and the first batch made before the user presses Train."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from studio.core.experiment import Experiment, Model, parse_experiment
from studio.core.problem import BadInput
from studio.core.rng import init_seed
from studio.core.run_folder import RunFolder
from studio.engine.ahead import ahead
from studio.engine.calibration import calibrate, kept
from studio.engine.first_batch import FirstBatch
from studio.engine.loading import end_loading
from studio.engine.no_compiler import load_torch

if TYPE_CHECKING:
    from studio.engine.memory import StepMemory
    from studio.engine.network import Labels, Network
    from studio.engine.precision import Precision

IDLE_S = 20.0  # after which the user is taken to be busy with something else
HOLD_S = 600.0  # after which memory that waits for a step goes back to whoever wants it


@dataclass
class Prebuilt:
    """A network on the CPU, built for one model and one number of classes, and the first batch; each can be taken once."""

    request: dict  # that it was built for
    experiment: Experiment
    num_classes: int
    network: Network | None
    first: FirstBatch | None = None
    rehearsed: str = ""  # key of the step that was last rehearsed

    def suits(self, experiment: Experiment, num_classes: int) -> bool:
        """Whether the network is that of an experiment but for its head's first values and what is frozen."""
        return self.network is not None and num_classes == self.num_classes and _built_alike(experiment.model, self.experiment.model)

    def network_for(self, experiment: Experiment, labels: Labels) -> Network | None:
        """The network when it is just what the experiment would build, with the head its seed asks for; else None."""
        from studio.catalog.heads import build_head

        model, num_classes = experiment.model, len(labels.classes)
        if not self.suits(experiment, num_classes) or not model.pretrained or model.weights_file or model.start_run:
            return None  # weights depend on the seed, or on files that may change
        network, self.network = self.network, None
        network.module.head = build_head(
            model.head, network.outlet, num_classes, dropout=model.dropout, init=model.head_init, fan=model.head_init_fan,
            class_shares=labels.shares if model.head_bias == "class prior" else None, seed=init_seed(experiment.training.seed),
        )  # fmt: skip
        return network.frozen_as(experiment)


def _built_alike(a: Model, b: Model) -> bool:
    fields = ("source", "backbone", "pretrained", "weights_file", "input_size", "cut", "head")
    return all(getattr(a, name) == getattr(b, name) for name in fields)


@dataclass
class Wanted:
    """A run that a warm engine is to train."""

    folder: RunFolder
    resume: bool
    commands_from: int | None
    prebuilt: Prebuilt | None


def serve(lines: IO[str], say: IO[str]) -> Wanted | None:
    """Answer requests until one starts a run. None when the other end goes away first.

    Only the newest of several waiting requests is carried out: the user has moved on from the others. Each is answered.
    """
    waiting: queue.SimpleQueue[dict | None] = queue.SimpleQueue()
    reader = threading.Thread(target=_read, args=(lines, waiting), name="standby requests", daemon=True)
    reader.start()  # before all that takes seconds: a pipe holds 64 KB, and whoever writes more would wait
    load_torch()
    import studio.engine.loop  # noqa: F401 - everything a run needs, loaded now
    from studio.catalog.augments import build_pipeline

    build_pipeline(Experiment().augment, 32)  # loads what augments
    end_loading()
    prebuilt = None
    while (request := _next(waiting)) is not None:
        if "run" in request:
            return Wanted(RunFolder(request["run"]), bool(request.get("resume")), request.get("commands_from"), prebuilt)
        if waiting.empty() and not (prebuilt and prebuilt.request == request):
            prebuilt = _prepare(request, prebuilt, lambda: not waiting.empty())
        _answer(say, {"prepared": prebuilt is not None})
    return None


def _next(waiting: queue.SimpleQueue) -> dict | None:
    """The next request. When none comes for long, the time is used to find out how this computer computes fastest, for the engines to come."""
    with contextlib.suppress(queue.Empty):
        if kept() is None:
            with contextlib.suppress(queue.Empty):
                return waiting.get(timeout=IDLE_S)
            calibrate(lambda: not waiting.empty())
        return waiting.get(timeout=HOLD_S)
    ahead.give_back()
    return waiting.get()


def _read(lines: IO[str], waiting: queue.SimpleQueue) -> None:
    """Requests into the queue until one starts a run; None when the input ends."""
    for line in lines:
        try:
            request = json.loads(line)
        except ValueError:
            continue
        if isinstance(request, dict) and ("run" in request or "prepare" in request):
            waiting.put(request)
            if "run" in request:
                return
    waiting.put(None)


class _MovedOn(Exception):
    """There is a newer request."""


def _prepare(request: dict, before: Prebuilt | None, is_old: Callable[[], bool]) -> Prebuilt | None:
    """Build the network, see which precision is fastest, make the first batch, rehearse a step and take memory for one. None when the network cannot be built."""
    import torch

    from studio.engine.device import choose_device
    from studio.engine.main import set_up_torch
    from studio.engine.memory import step_memory
    from studio.engine.network import build_network
    from studio.engine.precision import choose_precision

    wanted = request["prepare"]
    if before and before.first:
        before.first.close()
    try:
        experiment, num_classes = parse_experiment(wanted["experiment"]), wanted["num_classes"]
        set_up_torch(torch, experiment)  # as the run will: what is measured and prepared is so for one number of threads
        device = choose_device(experiment.training.device)
        has_network = before is not None and before.suits(experiment, num_classes)
        network = before.network.frozen_as(experiment) if has_network else build_network(experiment, num_classes)
        precision = choose_precision(network, experiment, device)
        need = step_memory(network, precision.name, experiment)  # the run will ask the same
        prebuilt = Prebuilt(request, experiment, num_classes, network, rehearsed=before.rehearsed if before else "")
    except BadInput:
        return None  # the run itself will say what is wrong
    except (RuntimeError, OSError, MemoryError, KeyError, TypeError) as exc:
        print(f"standby: {type(exc).__name__}: {exc}", file=sys.stderr)  # noqa: T201 - for the log
        return None
    samples = wanted.get("first")
    if samples and not is_old():
        prebuilt.first = FirstBatch(experiment, samples)
        prebuilt.first.make()
    if device.type == "cpu":
        precision.lay_out(network.module)
        num_images = len(samples["indices"]) if samples else experiment.training.batch_size
        _rehearse(prebuilt, precision, need, num_images, is_old)
        ahead.begin(experiment)
    else:
        ahead.give_back()
    if prebuilt.first:

        def give_way(_seconds: float) -> None:
            if is_old():
                raise _MovedOn

        with contextlib.suppress(_MovedOn):  # also from a drive that hangs: who waits for the batch next can tell of it
            prebuilt.first.wait(give_way)
    ahead.wait(is_old)
    return prebuilt


def _rehearse(prebuilt: Prebuilt, precision: Precision, need: StepMemory, num_images: int, is_old: Callable[[], bool]) -> None:
    """Take a step as the run will begin with, where the last one was another. What goes wrong in it the run will say."""
    from studio.engine.rehearsal import is_worth_it, rehearsal_key, rehearse

    network, experiment = prebuilt.network, prebuilt.experiment
    key = rehearsal_key(experiment, num_images)
    if key == prebuilt.rehearsed or is_old():
        return
    ahead.give_back()  # so that no more is held at once than one step takes
    try:
        if is_worth_it(network, experiment, need, num_images) and rehearse(network, experiment, precision, need, num_images, is_old):
            prebuilt.rehearsed = key
    except Exception as exc:  # whatever a network raises: the engine is of use without, too
        print(f"standby: {type(exc).__name__}: {exc}", file=sys.stderr)  # noqa: T201 - for the log


def _answer(say: IO[str], message: dict) -> None:
    say.write(json.dumps(message) + "\n")
    say.flush()


def move_output_to(path: os.PathLike) -> None:
    """From now on everything this process prints goes to `path`, appended; standard input is closed."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open(os.devnull, os.O_RDONLY)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.dup2(null, 0)
    os.close(log)
    os.close(null)
