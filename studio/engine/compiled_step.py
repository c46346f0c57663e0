"""The forward and backward pass of a training step as torch's compiler makes it, where a measurement says that it is faster.

It is compiled for one plan of what trains and one number of images, before the first step with them; other numbers, such as
the last of an epoch, go the ordinary way. Draws are torch's own, so dropout is the same either way. What was decided goes into every checkpoint:
a resumed run computes as it did.

On a processor nothing is won (25.9 against 25.8 images a second on ResNet-18, 49 s until the first step), so "auto" leaves it alone there.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import torch

from studio.core.event import StepCompiled
from studio.engine.compiling import what_is_missing
from studio.engine.control import StopAsked
from studio.engine.device import device_key
from studio.engine.loader import Batch
from studio.engine.memory import is_out_of_memory, let_go
from studio.engine.step_trial import StandIn, example, first_words, gain_of, nothing_changed, num_at_once, one_pass, what_it_fits
from studio.engine.verdict import remember, remembered

if TYPE_CHECKING:
    from torch import nn

    from studio.engine.setup import Setup

T = TypeVar("T")

VERDICTS = "compiled-steps-1"
BACKEND = "inductor"
LEAST_GAIN = 1.05  # times as fast, to be taken
GUESS = {"gain": 1.2, "seconds": 60.0}  # of a network that was never compiled here; only whether to try it hangs on that
TICK_S = 0.5


def follow_compiling(s: Setup) -> None:
    """Before the steps of an epoch: compile them where that is asked and other layers train, or other numbers of images go through at once, than
    before; tell what came of it. Raises StopAsked."""
    asked = s.asked.training.compile
    if asked == "off" or (asked == "auto" and s.device.type != "cuda"):
        return
    key = what_it_fits(s)
    if key == s.compiled_for:
        return
    s.compiled, s.compiled_for = None, key
    decided = s.compile_verdicts.get(key)
    if decided is False:
        return
    with nothing_changed(s):
        event = _compile_again(s) if decided else _try(s, asked == "on")
    s.compile_verdicts[key] = event.is_used
    s.reporter.tell(event)


def _try(s: Setup, is_forced: bool) -> StepCompiled:
    """Compile where it may be worth the time, and keep it where it is faster and gives the same."""
    if missing := what_is_missing(s.device.type):
        return _told(s, f"Not compiled: that needs {missing}, which is not installed.")
    batch = example(s)
    inputs, module = s.inputs(batch), s.network.module
    known = remembered(VERDICTS, _everywhere(s))
    known = known if isinstance(known, dict) and known.keys() == GUESS.keys() else None
    try:
        plain_s = _on_all(s, lambda: min(one_pass(s, batch, inputs, module)[0] for _ in range(2)))
        if reason := "" if is_forced else s.ranks.from_first(lambda: why_not(_num_passes(s), plain_s, known)):
            return _told(s, f"Not compiled: {reason}")
        s.reporter.phase("compiling", "the forward and backward pass of a step")
        run, seconds = _on_all(s, lambda: _compiled(s, batch, inputs))
        gain = _on_all(s, lambda: gain_of(s, batch, inputs, run))
    except _Failed as failure:
        return _told(s, str(failure))
    remember(VERDICTS, _everywhere(s), {"gain": round(gain, 3), "seconds": round(seconds, 1)})
    gain = s.ranks.from_first(lambda: gain)
    is_used = gain >= LEAST_GAIN
    if is_used:
        s.compiled = StandIn(run, inputs.shape)
    else:
        torch.compiler.reset()
    took = f"after {seconds:.0f} s" if seconds >= 1 else "at once"
    if is_used:
        words = f"Compiled: a step runs {gain:.2f} times as fast, {took}."
    elif gain:
        words = f"Compiled, a step runs {gain:.2f} times as fast ({took}), so the run goes on without."
    else:
        words = f"Compiled, a step gives something else ({took}), so the run goes on without."
    return _told(s, words, is_used, gain, seconds)


def _compile_again(s: Setup) -> StepCompiled:
    """As the run did before it was left."""
    s.reporter.phase("compiling", "the forward and backward pass of a step, as before")
    batch = example(s)
    inputs = s.inputs(batch)
    try:
        run, seconds = _on_all(s, lambda: _compiled(s, batch, inputs))
    except _Failed as failure:
        s.reporter.warn("resume-inexact", f"The run goes on, but not bit for bit as without the break. {failure}")
        return _told(s, "Not compiled again.")
    s.compiled = StandIn(run, inputs.shape)
    return _told(s, f"Compiled as before, {f'after {seconds:.0f} s' if seconds >= 1 else 'at once'}.", True, None, seconds)


class _Failed(Exception):
    """The step could not be compiled; the text is a sentence."""


def _on_all(s: Setup, make: Callable[[], T]) -> T:
    """What `make` gives here, where it works in all processes of the run. Raises _Failed in all of them where it fails in one: each that went on
    alone would wait for the others for ever."""
    made, failure = None, ""
    try:
        made = make()
    except Exception as exc:  # whatever a compiler raises: the run needs none of it
        failure = _why_it_failed(s, exc)
    if failure := next(filter(None, s.ranks.gather(failure)), ""):
        raise _Failed(failure)
    return made


def _told(s: Setup, sentence: str, is_used: bool = False, gain: float | None = None, seconds: float = 0.0) -> StepCompiled:
    gain = None if gain is None else round(gain, 3)
    return StepCompiled(step=s.progress.step, is_used=is_used, gain=gain, seconds=round(seconds, 1), sentence=sentence)


def _num_passes(s: Setup) -> int:
    """Forward and backward passes until other layers train or the run ends."""
    p = s.progress
    until = min([e for e in s.network.thaw_epochs if e is not None and e > p.epoch], default=s.experiment.schedule.epochs)
    parts = -(-s.asked.training.batch_size // (s.ranks.count * num_at_once(s)))
    return ((until - p.epoch) * s.steps_per_epoch - p.step_in_epoch) * s.asked.training.accumulation * parts


def why_not(num_passes: int, plain_s: float, known: dict[str, float] | None) -> str:
    """Why compiling would not pay for so many passes of so many seconds each, for a sentence; "" where it may. `known` is what it gave before."""
    guess = known or GUESS
    if guess["gain"] < LEAST_GAIN:
        return f"on this computer a step runs {guess['gain']:.2f} times as fast."
    wins = num_passes * plain_s * (1 - 1 / guess["gain"])
    return "" if wins > guess["seconds"] else "the time that it takes would not be won back before other layers train or the run ends."


def _everywhere(s: Setup) -> str:
    """What a gain depends on, for other runs."""
    model, precision = s.asked.model, s.precision
    layout = "last" if precision.channels_last else "first"
    what = f"{model.source} | {model.backbone} | {model.input_size} px | {what_it_fits(s)} | {precision.name}, channels {layout}"
    return f"{what} | {device_key(s.device)}"


def _compiled(s: Setup, batch: Batch, inputs: torch.Tensor) -> tuple[Callable, float]:
    """(the compiled network, seconds until it had run once)."""
    module: nn.Module = s.network.module
    torch.compiler.reset()  # what was compiled for another plan
    options = {"fallback_random": True, "deterministic": s.asked.training.exact} if BACKEND == "inductor" else None
    run = torch.compile(lambda inputs: module(inputs), backend=BACKEND, dynamic=False, options=options)
    start = time.monotonic()
    with _listening(s):
        one_pass(s, batch, inputs, run)
    _end_compilers()
    return run, time.monotonic() - start


def _why_it_failed(s: Setup, exc: Exception) -> str:
    """Raises StopAsked where the user has ended it, which the compiler may have taken for a fault of its own."""
    if isinstance(exc, StopAsked):
        raise exc
    if s.ranks.is_alone:
        s.control.raise_if_stopped()
    if is_out_of_memory(exc):
        let_go(exc)
    torch.compiler.reset()
    _end_compilers()
    exc = getattr(exc, "inner_exception", exc)  # the compiler says where it was; this is what it met there
    return f"The step could not be compiled, so the run goes on without: {first_words(exc)[:300]}"


@contextlib.contextmanager
def _listening(s: Setup) -> Iterator[None]:
    """The compiler takes long and asks nobody: meanwhile the run gives signs of life, and stops when it is to. Without timers that send signals
    (Windows) it listens again afterwards; several processes listen together, between steps only."""
    if not s.ranks.is_alone or not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def look(*_) -> None:
        s.reporter.system(s.device)
        s.control.raise_if_stopped()

    handler = signal.signal(signal.SIGALRM, look)
    timer = signal.setitimer(signal.ITIMER_REAL, TICK_S, TICK_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)


def _end_compilers() -> None:
    """The processes that the compiler keeps for more of the same: each holds a torch of its own."""
    if compiler := sys.modules.get("torch._inductor.async_compile"):  # nothing where it was not loaded
        compiler.shutdown_compile_workers()
