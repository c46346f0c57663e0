"""Draw every page of the window in all its states, both themes and both sizes, into a folder."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from studio.cli import DONE
from studio.command import terminal
from studio.core.problem import BadInput


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("output", metavar="OUT", type=Path, help="folder for the PNG files; made if it is not there")


def run(args: argparse.Namespace) -> int:
    try:
        args.output.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise BadInput(f"The folder {args.output} cannot be made: {exc.strerror}. Choose another place.") from None
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from studio.gui.screenshot import render_all

    written = render_all(args.output)
    terminal.say(f"Wrote {len(written) if written is not None else ''} pictures to {terminal.safe(str(args.output))}".replace("  ", " "))
    return DONE
