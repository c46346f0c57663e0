"""Write a sample data set into the cache and print its folder, ready for `studio train --data`."""

from __future__ import annotations

import argparse

from studio.cli import DONE
from studio.command import terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="NAME", nargs="?", default="digits", help="digits (default) or digits-small")


def run(args: argparse.Namespace) -> int:
    from studio.dataset.sample_set import prepare_sample_set

    with terminal.Progress() as progress:
        folder = prepare_sample_set(args.key, progress)
    terminal.say(str(folder))
    return DONE
