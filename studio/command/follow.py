"""Following a run in the terminal: its journal is read, nothing of it runs here."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from studio.cli import DONE, FAILED, STOPPED
from studio.command import terminal
from studio.core import event as ev
from studio.core.fold import RunState, fold
from studio.core.journal import JournalReader
from studio.core.outcome import Outcome, Status, describe_exit_code
from studio.core.run_folder import RunFolder, settled

if TYPE_CHECKING:
    from studio.supervise.engine import EngineProcess

POLL_S = 0.1


def start_and_follow(
    folder: RunFolder, start: Callable[..., EngineProcess], *, resume: bool, wants_json: bool, on_interrupt: Callable[[], object] = lambda: None
) -> int:  # fmt: skip
    """`start` a run (as `start_engine`) and show it until its process ends; the exit code. Ctrl-C once stops it with a checkpoint, twice at once;
    `on_interrupt` hears of it, since a run may end otherwise before it obeys."""
    reader = JournalReader(folder.journal_path)
    state = fold(RunState(), reader.read())  # of earlier sessions: known, and not shown again
    process = start(folder, resume=resume)
    has_begun = False
    with _Interrupts(folder, process, on_interrupt) as interrupts, _Screen() as screen:
        while True:
            code = process.poll()  # before reading: what was written before the end is read after it
            events = reader.read()
            has_begun = has_begun or bool(events)
            state = fold(state, events)
            screen.show(events, state)
            if code is not None:
                break
            time.sleep(POLL_S)
    if has_begun:
        state = settled(state, is_alive=False)
        outcome = folder.outcome(state, code)
    else:  # not one word in the journal: a full disk, memory that ran out, an installation that is broken
        state = replace(state, status=Status.FAILED)
        words = f"The training process {describe_exit_code(code)} before it began."
        outcome = Outcome(Status.FAILED, words, f"Its last words are in {terminal.safe(str(folder.log_path))}.")
    words = " ".join(filter(None, [outcome.sentence.rstrip(".") + ".", outcome.fix]))
    terminal.say(words) if state.status is Status.FINISHED else terminal.note(words)
    was_stopped = state.status is Status.STOPPED or interrupts.has_forced
    if was_stopped:
        terminal.note(f"Go on with: studio train --resume {folder.nickname}")
    if wants_json:
        terminal.say_json(summary(folder, state, outcome.sentence))
    if state.status is Status.FINISHED:
        return DONE
    return STOPPED if was_stopped else FAILED


def summary(folder: RunFolder, state: RunState, sentence: str = "") -> dict[str, Any]:
    """The figures of a run as plain data: those of the best epoch on validation; None where there is none yet.

    Epochs count from 1, as in the lines on the terminal.
    """
    best, done = state.best, state.finished
    return {
        "status": str(state.status),
        "run": str(folder.path),
        "epochs": done.epochs if done else len(state.epochs),
        "best_epoch": done.best_epoch + 1 if done else best.epoch + 1 if best else None,
        "top1": done.top1 if done else best.validation_top1 if best else None,
        "top5": done.top5 if done else best.validation_top5 if best else None,
        "loss": done.loss if done else best.validation_loss if best else None,
        "images_per_s": done.images_per_s if done else state.images_per_s,
        "seconds": done.seconds if done else state.t,
        "sentence": sentence,
    }


class _Interrupts:
    """Ctrl-C (and a polite end from outside) while a run is followed: first ask, then force."""

    def __init__(self, folder: RunFolder, process: EngineProcess, on_interrupt: Callable[[], object] = lambda: None):
        self._folder, self._process, self._on_interrupt, self._count = folder, process, on_interrupt, 0
        self.has_forced = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Interrupts:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, *_) -> None:
        self._count += 1
        self._on_interrupt()
        if self._count == 1:
            words = "Stopping: a checkpoint is saved first."
            try:
                self._folder.command("stop")
            except OSError as exc:
                words = f"The command did not reach it: {exc.strerror}."
            terminal.note(f"\n{words} Press Ctrl-C again to end it at once.")
        elif self._count == 2:
            self.has_forced = True
            self._process.end_by_force()


class _Screen:
    """A progress bar on a terminal; one line for each phase, epoch and warning everywhere."""

    def __init__(self):
        self._bar = None
        self._is_terminal = sys.stderr.isatty()
        self._phase = ""

    def __enter__(self) -> _Screen:
        return self

    def __exit__(self, *_) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, events: list[ev.Event], state: RunState) -> None:
        for event in events:
            if line := self._line_of(event, state):
                self._print(line)
        if self._is_terminal and state.num_steps:
            self._draw(state)

    def _line_of(self, event: ev.Event, state: RunState) -> str:
        match event:
            case ev.PhaseStarted() if event.phase != self._phase and event.phase not in ("training", "validating", "saving"):
                self._phase = event.phase
                return f"{event.phase[0].upper()}{event.phase[1:]}{' (' + event.detail + ')' if event.detail else ''}"
            case ev.RunDescribed():
                frozen = sum(s.is_frozen for s in event.stages)
                return f"On {event.device_name} in {event.precision}; {frozen} of {len(event.stages)} stages frozen, {event.num_trainable:,} weights train"
            case ev.EpochFinished():
                epoch = f"Epoch {event.epoch + 1:>{len(str(state.description.epochs)) if state.description else 1}}: "
                if event.validation_top1 is None:
                    return f"{epoch}{event.words}, {event.seconds:.1f} s"
                losses = f"loss {ev.figure(event.train_loss)}, validation loss {ev.figure(event.validation_loss)}"
                return f"{epoch}{losses}, {event.words}, {event.seconds:.1f} s{'  best so far' if event.is_best else ''}"
            case ev.WarningRaised():
                return f"Warning: {' '.join(filter(None, [event.sentence, event.fix]))}"
            case ev.ExperimentEdited() | ev.StagesThawed() | ev.StepCompiled() if state.notices:
                return next((n.sentence for n in reversed(state.notices) if n.t == event.t), "")
            case ev.PauseChanged():
                return (
                    f"Paused{': ' + event.reason if event.reason else ''}, safe at step {event.step:,}" if event.is_paused else "Going on"
                )
            case ev.TestScored():
                return f"Test: top-1 {event.top1:.1%} on {event.num_images:,} images"
        return ""

    def _print(self, line: str) -> None:
        if self._bar is not None:
            self._bar.clear()
        terminal.say(line)
        if self._bar is not None:
            self._bar.refresh()

    def _draw(self, state: RunState) -> None:
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(total=state.num_steps, initial=state.step, unit=" steps", leave=False, file=sys.stderr, dynamic_ncols=True)
        self._bar.update(state.step - self._bar.n)
        loss = f"loss {state.train_loss.y[-1]:.3f}, " if len(state.train_loss) else ""
        self._bar.set_postfix_str(f"{loss}{state.images_per_s:.0f} images/s", refresh=False)
