"""Write a trained network as ONNX or safetensors. The file is opened again and compared with the original before it counts."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from studio.catalog.exporters import EXPORTERS, exporter_of
from studio.cli import DONE
from studio.command import terminal
from studio.command.chosen import add_run_argument, add_which_argument, trained_run
from studio.core.problem import BadInput

_KEYS = tuple(exporter.key for exporter in EXPORTERS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument("--format", metavar=" | ".join(_KEYS), help="the format")
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, help="folder to write (default: results/exports/FORMAT in the run)")
    parser.add_argument("--force", "--overwrite", action="store_true", help="replace an earlier export there")
    parser.add_argument("--json", action="store_true", help="end standard output with one line of JSON")
    add_which_argument(parser)


def run(args: argparse.Namespace) -> int:
    if args.format is None:
        raise BadInput(f"Say in which format with --format: {' or '.join(_KEYS)}.")
    exporter_of(args.format)
    folder = trained_run(args)
    from studio.engine.export import export

    with terminal.Progress("steps") as progress:
        report = export(folder, args.format, args.output, which=args.which, may_replace=args.force, progress=progress)
    if not report.is_good:
        raise terminal.Failed(f"{report.sentence} They are in {report.folder}.")
    terminal.say(f"{report.folder} ({report.num_bytes / 1e6:.1f} MB)")
    terminal.say(report.sentence)
    if args.json:
        terminal.say_json({"status": "done", "run": str(folder.path)} | asdict(report))
    return DONE
