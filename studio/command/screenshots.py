"""Draw every page of the window in all its states, both themes and both sizes, into a folder; or only some of them.

`studio screenshots OUT --page train --state running --theme dark` draws that page in both sizes.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from studio.cli import DONE
from studio.command import terminal
from studio.command.chosen import source_text
from studio.core.problem import BadInput
from studio.core.words import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("output", metavar="OUT", type=Path, help="folder for the PNG files; made if it is not there")
    parser.add_argument("--data", metavar="DIR", default="", help="images to show (default: a sample)")
    several = {"action": "append", "default": []}
    parser.add_argument(
        "--page",
        **several,
        help="only this one: data, model, augment, schedule, train, results, use, palette, keyboard, settings, sweep, queue, messages, problems, failure; can be repeated",
    )
    parser.add_argument(
        "--state", **several, help="only this state: empty, full, running, failed or one of the page's own; can be repeated"
    )
    parser.add_argument("--theme", **several, choices=("dark", "light"), help="only this theme")
    parser.add_argument(
        "--size", **several, type=_size, metavar="WxH", help="in this size, such as 1440x900, instead of both; can be repeated"
    )
    parser.add_argument("--no-workers", action="store_true", help="leave out what only torch can compute: faster")


def run(args: argparse.Namespace) -> int:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from studio.gui.screenshot import chosen_shots, render_all

    shots = chosen_shots(args.page, args.state, args.theme, args.size)
    data = source_text(args.data) if args.data else ""
    try:
        with terminal.Progress("pictures") as progress:
            written = render_all(args.output, data=data, workers=not args.no_workers, shots=shots, progress=progress)
    except OSError as exc:
        raise BadInput(
            f"The pictures cannot be written to {terminal.safe(str(args.output))}: {exc.strerror}. Choose another place."
        ) from None
    terminal.say(f"Wrote {counted(len(written), 'picture')} to {terminal.safe(str(args.output))}")
    return DONE


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and 0 < int(width) <= 10_000 and 0 < int(height) <= 10_000):
        raise argparse.ArgumentTypeError(f"“{text}” is not a size such as 1440x900")
    return int(width), int(height)
