"""Steer a run that goes on: `studio tell RUN pause`. It acts between two steps."""

from __future__ import annotations

import argparse
import time

from studio.cli import DONE, FAILED
from studio.command import terminal
from studio.command.chosen import add_run_argument, chosen_run, command
from studio.core import event as ev
from studio.core.journal import JournalReader
from studio.core.problem import BadInput

WISHES = {
    "pause": "pause and keep everything in memory",
    "release": "pause, save and free the memory; `studio train --resume RUN` goes on exactly",
    "resume": "go on after a pause",
    "save": "save a checkpoint now",
    "stop": "save and stop",
    "stop-after-epoch": "stop when this epoch is done",
    "discard": "stop without saving",
}
_LASTING = ("stop-after-epoch",)  # nothing happens for now
WAIT_S = 30.0  # a step on a slow machine, or an engine that still loads
POLL_S = 0.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument("wish", choices=WISHES, help="; ".join(f"{name}: {words}" for name, words in WISHES.items()))


def run(args: argparse.Namespace) -> int:
    folder = chosen_run(args)
    if not folder.is_alive():
        raise BadInput(f"{folder.nickname} is not running. Go on with it: studio train --resume {folder.nickname}")
    reader = JournalReader(folder.journal_path)
    reader.read()
    command(folder, args.wish.replace("-", "_"))
    if args.wish in _LASTING:
        terminal.say("It stops when this epoch is done.")
        return DONE
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        for event in reader.read():
            match event, args.wish:
                case ev.PauseChanged(is_paused=True), "pause":
                    terminal.say(f"Paused, safe at step {event.step:,}.")
                    return DONE
                case ev.PauseChanged(is_paused=False), "resume":
                    terminal.say("Going on.")
                    return DONE
                case ev.CheckpointSaved(), "save":
                    terminal.say(f"Saved at step {event.step:,}.")
                    return DONE
                case ev.RunStopped(), _:
                    words = "Paused, its memory released," if event.is_pause else "Stopped"
                    terminal.say(f"{words} at step {event.step:,}.")
                    return DONE
                case ev.RunFinished() | ev.RunFailed(), _:
                    raise terminal.Failed(f"{folder.nickname} ended before it could be done.")
        time.sleep(POLL_S)
    terminal.note("It is asked for; the engine does it between two steps.")
    return FAILED if not folder.is_alive() else DONE
