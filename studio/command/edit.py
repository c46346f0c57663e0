"""Change settings of a run while it goes on: `studio edit RUN --set schedule.epochs=12`. They count from the next step."""

from __future__ import annotations

import argparse
import time

from studio.cli import DONE, FAILED
from studio.command import terminal
from studio.command.chosen import add_run_argument, chosen_run, command, parse_settings
from studio.core import event as ev
from studio.core.edit import edit_problems, edited, in_force
from studio.core.journal import JournalReader
from studio.core.problem import BadInput

WAIT_S = 30.0  # a step on a slow machine, or an engine that still loads
POLL_S = 0.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument("--set", metavar="SECTION.FIELD=VALUE", action="append", required=True, help="change one setting; can be repeated")


def run(args: argparse.Namespace) -> int:
    folder, values = chosen_run(args), parse_settings(args.set)
    if not folder.is_alive():
        raise BadInput(f"{folder.nickname} is not running, so there is nothing to change. Start a new run with these settings.")
    state, experiment = folder.read_state(), folder.experiment()
    stages = [stage.name for stage in state.description.stages] if state.description else None
    now = in_force(experiment, edited(experiment, state.edits), state.step)
    problems = edit_problems(now, values, epochs_begun=max(1, len(state.epochs)), stages=stages)
    if problems:
        raise BadInput(*problems)
    reader = JournalReader(folder.journal_path)
    reader.read()
    command(folder, "edit", values)
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        for event in reader.read():
            match event:
                case ev.ExperimentEdited() if values.items() <= event.values.items():
                    terminal.say(f"Changed from step {event.step + 1:,} on.")
                    return DONE
                case ev.WarningRaised(code="edit-refused"):
                    raise BadInput(event.sentence)
                case ev.RunFinished() | ev.RunStopped() | ev.RunFailed():
                    raise terminal.Failed(f"{folder.nickname} ended before the change could count.")
        time.sleep(POLL_S)
    terminal.note("The change is asked for; it counts when the engine comes to its next step.")
    return FAILED if not folder.is_alive() else DONE
