"""List the runs, the latest last."""

from __future__ import annotations

import argparse
from datetime import datetime

from studio.cli import DONE
from studio.command import terminal
from studio.command.chosen import add_runs_argument, chosen_runs
from studio.command.follow import summary
from studio.core.fold import RunState
from studio.core.run_digest import RunDigest
from studio.core.run_folder import RunFolder
from studio.core.run_index import read_digests


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_runs_argument(parser)
    parser.add_argument("--json", action="store_true", help="print one line of JSON: the figures of every run, and what cannot be read")


def run(args: argparse.Namespace) -> int:
    place = chosen_runs(args)
    found, refused = read_digests(place, is_whole=args.json)
    for folder, reason in refused:
        terminal.note(f"Warning: {terminal.safe(folder.name)} cannot be read: {reason}")
    if args.json:
        figures = [summary(folder, _state(folder, digest)) for folder, digest in found]
        unreadable = [{"run": str(folder.path), "sentence": reason} for folder, reason in refused]
        terminal.say_json({"status": "done", "runs": figures, "unreadable": unreadable})
        return DONE
    if not found:
        terminal.say(f"There are no runs in {terminal.safe(str(place))} yet. Start one with: studio train --data DIR")
        return DONE
    rows = [("run", "started", "status", "epochs", "top-1", "backbone", "name")]
    for folder, digest in found:
        run = digest.summary
        rows.append(
            (
                folder.nickname,
                _started(folder.name),
                str(run.status),
                f"{run.epochs_done}/{run.epochs_planned}",
                f"{run.top1:.1%}" if run.top1 is not None else "",
                run.backbone,
                terminal.safe(run.name)[:40],
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        if not terminal.say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()):
            break
    return DONE


def _state(folder: RunFolder, digest: RunDigest) -> RunState:
    try:
        return digest.state()
    except ValueError:  # what was kept of it is damaged or gone
        return folder.read_state()


def _started(name: str) -> str:
    """ "2026-11-23 10:15" of "2026-11-23_101500_calm-otter"; "" of a renamed folder."""
    try:
        return f"{datetime.strptime(name[:17], '%Y-%m-%d_%H%M%S'):%Y-%m-%d %H:%M}"
    except ValueError:
        return ""
