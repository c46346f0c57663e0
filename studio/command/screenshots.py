"""Draw every page of the window in all its states, both themes and both sizes, into a folder."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from studio.cli import DONE
from studio.command import terminal
from studio.command.chosen import source_text
from studio.core.problem import BadInput


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("output", metavar="OUT", type=Path, help="folder for the PNG files; made if it is not there")
    parser.add_argument("--data", metavar="DIR", default="", help="images to show (default: a sample)")
    parser.add_argument("--no-workers", action="store_true", help="leave out what only torch can compute: faster")


def run(args: argparse.Namespace) -> int:
    try:
        args.output.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise BadInput(f"The folder {args.output} cannot be made: {exc.strerror}. Choose another place.") from None
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from studio.gui.screenshot import render_all

    with terminal.Progress("pictures") as progress:
        written = render_all(args.output, data=source_text(args.data) if args.data else "", workers=not args.no_workers, progress=progress)
    terminal.say(f"Wrote {len(written):,} pictures to {terminal.safe(str(args.output))}")
    return DONE
